"""Kuramoto-Sivashinsky trajectories: spatio-temporal chaos on a line."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch

from ...physics.grid import Grid
from ...physics.kuramoto_sivashinsky import KuramotoSivashinsky
from ...physics.random_fields import PeriodicRandomField
from .base import LARGEST, Axes, Generator, Variable, finer, space, times, to_final


@dataclass(frozen=True)
class KuramotoSivashinskyGenerator(Generator):
    """Solutions of u_t + u u_x + u_xx + u_xxxx = 0 on a periodic interval, from smooth random fields.

    The flow forgets its start after some 50 units of time (`spin_up`). Errors double in about 8, so trajectories on
    two machines agree to T near 30 and in their statistics beyond.

    Arguments:
        points, frames: X >= 4 points and T >= 2 times that are kept.
        length: period > 0; 64 holds about seven waves.
        duration: time from the first frame to the last, > 0.
        spin_up: time before the first frame, >= 0.
        std: standard deviation of the initial state, > 0.
        solver_points: a multiple of `points`; by default at least 4 for each unit of length.

    Raises:
        ValueError: a number is out of range, or the solver's grid is not a multiple of the grid kept.
    """

    points: int = 128
    frames: int = 101
    length: float = 64.0
    duration: float = 50.0
    spin_up: float = 0.0
    std: float = 1.0
    solver_points: int | None = None

    name = "kuramoto-sivashinsky"
    title = "Kuramoto-Sivashinsky trajectories from smooth random fields"
    equation = "u_t + u u_x + u_xx + u_xxxx = 0"
    law = "Gaussian field with the spectrum (k^2 + 1/4)^(-2), mean 0 and standard deviation std"
    boundary = "periodic"
    solver = "pseudo-spectral ETDRK4 (order 4 in time), 2/3 dealiasing, float64"
    block = 32
    largest = LARGEST[1]
    least = {"points": 4, "frames": 2, "spin_up": 0}
    above_zero = ("length", "duration", "std")

    @cached_property
    def fine(self) -> int:
        """Points of the solver's grid."""
        return self.solver_points or self.doubled(4 * self.length, "length")

    @cached_property
    def field(self) -> PeriodicRandomField:
        """Law of the initial state; modes end where they have decayed, at k = 4."""
        modes = max(1, math.floor(4 * self.length / (2 * math.pi)))
        raw = PeriodicRandomField(2.0, 0.5, 1.0, modes, self.length)
        return PeriodicRandomField(2.0, 0.5, self.std / math.sqrt(raw.variance), modes, self.length)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The one field."""
        return (Variable("u", ("time", "x"), "velocity of the front"),)

    @property
    def axes(self) -> Axes:
        """Times, counted from the first frame kept, and positions."""
        return times(self.duration, self.frames) | space(Grid.periodic((self.points,), (self.length,)))

    @property
    def facts(self) -> dict:
        """Resolution of the solver."""
        return {"solver_points": self.fine, "solver_step": "half of the stability limit, or less"}

    def solve(self, seed: int, samples: range, refine: int) -> dict:
        """u with shape (B, T, X)."""
        grid = Grid.periodic((self.fine,), (self.length,))
        u0 = self.field.evaluate(self.field.coefficients(seed, samples), torch.from_numpy(grid.coordinates[0]))[:, None]
        solver = finer(KuramotoSivashinsky(grid), refine)
        u = solver.solve(to_final(solver, u0, self.spin_up), self.duration, self.frames)[:, 0]
        return {"u": u[:, :, :: self.fine // self.points]}
