"""Kolmogorov flow: two-dimensional turbulence under a sinusoidal force."""

import math
from dataclasses import dataclass
from functools import cached_property

from ...physics.navier_stokes import NavierStokes, kolmogorov_forcing
from ...physics.random_fields_torus import TorusRandomField
from .base import finer, to_final
from .torus_flow import TorusFlow

LENGTH = 2 * math.pi


@dataclass(frozen=True)
class KolmogorovGenerator(TorusFlow):
    """Vorticity of flow on the torus of length 2 pi under the force sin(waves y) along x, once it has become turbulent.

    Arguments:
        points, frames: points of an axis >= 8 and T >= 2 times that are kept.
        reynolds: 1 / nu > 0.
        duration: time from the first frame to the last, > 0.
        spin_up: time before the first frame, >= 0; the flow forgets its start in some tens of units.
        drag: linear friction >= 0; without it the largest vortices grow slowly for a long time.
        waves: of the force along y; PINO has 4.
        solver_points: a multiple of `points`; by default 2^j `points`, at least 10 reynolds^(1/2).

    Raises:
        ValueError: a number is out of range, or the solver's grid is not a multiple of the grid kept.
    """

    points: int = 64
    frames: int = 33
    reynolds: float = 40.0
    duration: float = 8.0
    spin_up: float = 40.0
    drag: float = 0.1
    waves: int = 4
    solver_points: int | None = None

    name = "kolmogorov"
    title = "Kolmogorov flow"
    equation = (
        "w_t + u w_x + v w_y = Lap w / reynolds - drag w + f, w = v_x - u_y, u_x + v_y = 0, f = -waves cos(waves y)"
    )
    law = "Gaussian field with covariance ~ (-Lap + (7 / (2 pi))^2)^(-5/2), mean 0, standard deviation 3; then spin_up"
    edge = LENGTH
    block = 4
    least = {"points": 8, "frames": 2, "spin_up": 0, "drag": 0, "waves": 1}
    above_zero = ("reynolds", "duration")

    @cached_property
    def fine(self) -> int:
        """Points of an axis of the solver's grid."""
        return self.solver_points or self.doubled(10 * math.sqrt(self.reynolds), "reynolds")

    @cached_property
    def field(self) -> TorusRandomField:
        """Law of the state before the spin-up."""
        unit = TorusRandomField(2.5, 7 / LENGTH, 1.0, length=LENGTH)
        return TorusRandomField(2.5, 7 / LENGTH, 3 / math.sqrt(unit.variance), length=LENGTH)

    def solve(self, seed: int, samples: range, refine: int) -> dict:
        """Vorticity with shape (B, T, Y, X) and forcing with shape (Y, X)."""
        grid = self.grid(self.fine)
        f = kolmogorov_forcing(grid, self.waves)
        solver = finer(NavierStokes(grid, 1 / self.reynolds, f, self.drag), refine)
        w0 = self.field.evaluate(self.field.coefficients(seed, samples), grid)[:, None]
        return self.kept(solver.solve(to_final(solver, w0, self.spin_up), self.duration, self.frames), f)
