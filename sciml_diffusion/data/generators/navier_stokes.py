"""Incompressible flow on the unit torus under FNO's steady forcing."""

import math
from dataclasses import dataclass
from functools import cached_property

from ...physics.navier_stokes import NavierStokes, fno_forcing
from ...physics.random_fields_torus import TorusRandomField
from .base import finer
from .torus_flow import TorusFlow


@dataclass(frozen=True)
class NavierStokesGenerator(TorusFlow):
    """Vorticity of two-dimensional flow on the unit torus, from Gaussian random fields, under a steady forcing.

    Equation, forcing and initial law are those of FNO's Navier-Stokes sets, of which the first has nu = 1e-3, 64 points
    and frames at t = 1, 2, ...; here the initial state is the first frame.

    Arguments:
        points, frames: points of an axis >= 8 and T >= 2 times that are kept.
        nu: viscosity > 0.
        duration: last time > 0.
        amplitude: of the forcing.
        solver_points: a multiple of `points`; by default 2^j `points`, at least 2 nu^(-1/2).
        alpha, tau: of the law of the initial state, see `TorusRandomField`.

    Raises:
        ValueError: a number is out of range, or the solver's grid is not a multiple of the grid kept.
    """

    points: int = 64
    frames: int = 21
    nu: float = 1e-3
    duration: float = 20.0
    amplitude: float = 0.1
    solver_points: int | None = None
    alpha: float = 2.5
    tau: float = 7.0

    name = "navier-stokes"
    title = "Two-dimensional incompressible flow with FNO's forcing"
    equation = (
        "w_t + u w_x + v w_y = nu Lap w + f, w = v_x - u_y, u_x + v_y = 0, "
        "f = amplitude (sin 2 pi (x + y) + cos 2 pi (x + y))"
    )
    law = "Gaussian field with covariance 2 tau^(2 alpha - 2) (-Lap + tau^2)^(-alpha), mean 0"
    edge = 1.0
    block = 8
    least = {"points": 8, "frames": 2}
    above_zero = ("nu", "duration")

    @cached_property
    def fine(self) -> int:
        """Points of an axis of the solver's grid."""
        return self.solver_points or self.doubled(2 / math.sqrt(self.nu), "nu")

    def solve(self, seed: int, samples: range, refine: int) -> dict:
        """Vorticity with shape (B, T, Y, X) and forcing with shape (Y, X)."""
        law, grid = TorusRandomField(self.alpha, self.tau), self.grid(self.fine)
        f = fno_forcing(grid, self.amplitude)
        w0 = law.evaluate(law.coefficients(seed, samples), grid)[:, None]
        return self.kept(finer(NavierStokes(grid, self.nu, f), refine).solve(w0, self.duration, self.frames), f)
