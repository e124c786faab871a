"""Plumes of a pollutant in random winds: the setting of air quality."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...physics.grid import Grid
from ...physics.random_fields_torus import TorusRandomField
from ...physics.tracer import Tracer
from .base import Axes, Generator, Variable, finer, space, times

SOURCES = 3  # in each sample
WIDTH = 0.025  # of a source, in lengths of the box
EDDIES = 0.3  # standard deviation of the eddies over the mean wind
EDDY_SCALE = 4.0  # inverse correlation length of the stream function, in lengths of the box


@dataclass(frozen=True)
class TracerGenerator(Generator):
    """Concentration of a tracer that three sources release into a steady wind over an open box, from clean air.

    The wind is a mean wind of random direction and speed, with eddies of a random stream function: its flux through
    the faces of the cells has no divergence.

    Arguments:
        points, frames: cells of an axis >= 8 and T >= 2 times that are kept.
        length: of both axes, in m.
        speed: least and largest mean wind are 1/2 and 3/2 of it, in m s-1, > 0.
        diffusivity: in m2 s-1, >= 0.
        decay: by deposition and reaction, in s-1, >= 0.
        duration: in s, > 0.

    Raises:
        ValueError: a number is out of range.
    """

    points: int = 64
    frames: int = 19
    length: float = 10000.0
    speed: float = 4.0
    diffusivity: float = 20.0
    decay: float = 1e-4
    duration: float = 3600.0

    name = "tracer"
    title = "Plumes of three sources in random winds"
    equation = "c_t + div(w c) = div(K grad c) - decay c + s"
    law = (
        "mean wind of uniform direction and speed U(1/2, 3/2) speed, eddies of a Gaussian stream function with 0.3 of "
        "the speed; three Gaussian sources of 0.025 length, uniform in the inner 70 % of the box, strength U(1/2, 2)"
    )
    boundary = "open: clean air flows in, the tracer flows out"
    solver = "finite volumes: limited upwind flux, SSPRK3, sources and decay exact (order 2), float64"
    block = 4
    least = {"points": 8, "frames": 2, "diffusivity": 0, "decay": 0}
    above_zero = ("length", "speed", "duration")

    @property
    def grid(self) -> Grid:
        """Cell centres."""
        return Grid.cells((self.points, self.points), (self.length, self.length), ("y", "x"))

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Concentration, wind and sources."""
        place = ("y", "x")
        return (
            Variable("concentration", ("time", *place), "concentration, means over cells", "ug m-3"),
            Variable("wind_x", place, "wind along x, mean of two faces", "m s-1"),
            Variable("wind_y", place, "wind along y, mean of two faces", "m s-1"),
            Variable("source", place, "emission", "ug m-3 s-1"),
        )

    @property
    def axes(self) -> Axes:
        """Times in s and positions in m."""
        return times(self.duration, self.frames, "s") | space(self.grid, "m")

    @property
    def facts(self) -> dict:
        """Step of the solver."""
        return {"solver_step": "half of the stability limit of its block of samples, or less"}

    def solve(self, seed: int, samples: range, refine: int) -> dict:
        """Concentration (B, T, Y, X); wind and sources with shape (B, Y, X)."""
        faces, source = self._wind(seed, samples), self._sources(seed, samples)
        solver = finer(Tracer(self.grid, faces, self.diffusivity, self.decay, source), refine)
        c = solver.solve(torch.zeros_like(source)[:, None], self.duration, self.frames)[:, 0]
        along_y, along_x = faces
        return {
            "concentration": c,
            "wind_x": (along_x[:, :, 1:] + along_x[:, :, :-1]) / 2,
            "wind_y": (along_y[:, 1:] + along_y[:, :-1]) / 2,
            "source": source,
        }

    def _wind(self, seed: int, samples: range) -> tuple[Tensor, Tensor]:
        """Means of the normal wind over faces: along y (B, Y + 1, X) and along x (B, Y, X + 1), from psi at corners."""
        draws = [np.random.default_rng([seed, sample, 1]).uniform(size=2) for sample in samples]
        turn, strength = torch.from_numpy(np.array(draws)).unbind(1)
        speed = self.speed * (0.5 + strength)[:, None, None]
        law = TorusRandomField(4.0, EDDY_SCALE, 1.0, modes=8)
        corners = np.arange(self.points + 1) / self.points
        psi = law.evaluate(law.coefficients(seed, samples), Grid(("y", "x"), (corners, corners), (None, None)))
        slope = float((law.amplitudes**2 * (2 * math.pi * law.shells).square().sum(1)).sum() / 2) ** 0.5
        angle, c = 2 * math.pi * turn[:, None, None], torch.from_numpy(corners)
        psi = EDDIES / slope * psi + angle.cos() * c[:, None] - angle.sin() * c
        h = 1 / self.points
        return -speed * psi.diff(dim=2) / h, speed * psi.diff(dim=1) / h

    def _sources(self, seed: int, samples: range) -> Tensor:
        """Means of the emission near the centres of cells, with shape (B, Y, X)."""
        draws = [np.random.default_rng([seed, sample, 2]).uniform(size=(SOURCES, 3)) for sample in samples]
        place_y, place_x, strength = torch.from_numpy(np.array(draws))[..., None].unbind(2)
        y, x = (torch.from_numpy(c) / self.length for c in self.grid.coordinates)
        along_y = torch.exp(-0.5 * ((y - 0.15 - 0.7 * place_y) / WIDTH) ** 2)
        along_x = torch.exp(-0.5 * ((x - 0.15 - 0.7 * place_x) / WIDTH) ** 2)
        return torch.einsum("bsy,bsx->byx", (0.5 + 1.5 * strength) * along_y, along_x)
