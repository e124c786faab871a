"""Burgers trajectories with thin shocks, as in PDEBench."""

import math
from dataclasses import dataclass

import torch

from ...physics.finite_volume.burgers import FiniteVolumeBurgers
from ...physics.finite_volume.initial_laws import SineSum
from .base import LARGEST, Axes, Generator, Variable, coarse, finer, periodic_cells, space, times


@dataclass(frozen=True)
class BurgersShockGenerator(Generator):
    """Solutions of u_t + (u^2 / 2)_x = (Nu / pi) u_xx on the unit interval, periodic, from PDEBench's initial law.

    Note the pi: PDEBench names its files by Nu, the viscosity is Nu / pi. Finite volumes on a finer grid, of which the
    means over cells are kept; PDEBench's defaults are 1024 cells and 201 frames.

    Arguments:
        points, frames: X >= 4 cells and T >= 2 times that are kept.
        Nu: pi times the viscosity, >= 0.
        duration: last time > 0.
        solver_points: a multiple of `points`, 1024 or more where shocks shall be thin.

    Raises:
        ValueError: a number is out of range, or the solver's grid is not a multiple of the grid kept.
    """

    points: int = 256
    frames: int = 41
    Nu: float = 0.001
    duration: float = 2.0
    solver_points: int = 1024

    name = "burgers-shock"
    title = "Burgers trajectories with shocks"
    equation = "u_t + (u^2 / 2)_x = nu u_xx, nu = Nu / pi"
    law = "PDEBench's: 2 of 4 sines with random amplitudes and phases, now and then their modulus, or in a window"
    boundary = "periodic"
    solver = "finite volumes: MC-limited slopes, Godunov flux, SSPRK3, diffusion exact (order 2 where smooth), float64"
    largest = LARGEST[1]
    least = {"points": 4, "frames": 2, "Nu": 0}
    above_zero = ("duration",)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The velocity."""
        return (Variable("u", ("time", "x"), "velocity, means over cells"),)

    @property
    def axes(self) -> Axes:
        """Times and cell centres."""
        return times(self.duration, self.frames) | space(periodic_cells(self.points, 1.0))

    @property
    def facts(self) -> dict:
        """The viscosity itself."""
        return {"nu": self.Nu / math.pi, "solver_step": "each sample's own, 0.8 of its limit"}

    def solve(self, seed: int, samples: range, refine: int) -> dict:
        """u with shape (B, T, X)."""
        law, grid = SineSum(), periodic_cells(self.solver_points, 1.0)
        u0 = law.evaluate(law.coefficients(seed, samples), torch.from_numpy(grid.coordinates[0]))
        solver = finer(FiniteVolumeBurgers(grid, self.Nu / math.pi), refine)
        u = solver.solve(u0[:, None], self.duration, self.frames)[:, 0]
        return {"u": coarse(u, self.solver_points // self.points)}
