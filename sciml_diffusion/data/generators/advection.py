"""Linear advection of PDEBench's sums of sines."""

from dataclasses import dataclass

import torch

from ...physics.finite_volume.initial_laws import SineSum
from ...physics.grid import Grid
from .base import LARGEST, Axes, Generator, Variable, periodic_cells, space, times


@dataclass(frozen=True)
class AdvectionGenerator(Generator):
    """Solutions of u_t + beta u_x = 0 on the unit interval, periodic: u(x, t) = u_0(x - beta t), exactly.

    The initial law is that of PDEBench's advection set, whose defaults are 1024 cells and 201 frames.

    Arguments:
        points, frames: X >= 4 cell centres x_j = (j + 1/2) / X and T >= 2 times that are kept.
        beta: speed.
        duration: last time > 0.

    Raises:
        ValueError: a number is out of range.
    """

    points: int = 256
    frames: int = 41
    beta: float = 0.4
    duration: float = 2.0

    name = "advection"
    title = "Linear advection of sums of sines"
    equation = "u_t + beta u_x = 0"
    law = "PDEBench's: 2 of 4 sines with random amplitudes and phases, now and then their modulus, or in a window"
    boundary = "periodic"
    solver = "exact, by characteristics"
    block = 64
    largest = LARGEST[1]
    least = {"points": 4, "frames": 2}
    above_zero = ("duration",)

    @property
    def grid(self) -> Grid:
        """Cell centres."""
        return periodic_cells(self.points, 1.0)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The field that is carried."""
        return (Variable("u", ("time", "x"), "transported quantity"),)

    @property
    def axes(self) -> Axes:
        """Times and positions."""
        return times(self.duration, self.frames) | space(self.grid)

    def solve(self, seed: int, samples: range, refine: int) -> dict:
        """u with shape (B, T, X)."""
        law, x = SineSum(), torch.from_numpy(self.grid.coordinates[0])
        coefficients, time = law.coefficients(seed, samples), torch.from_numpy(self.axes["time"][0])
        return {"u": torch.stack([law.evaluate(coefficients, (x - self.beta * t) % 1.0) for t in time], 1)}
