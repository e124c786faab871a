"""Incompressible flow on the unit torus under FNO's steady forcing."""

import math
from dataclasses import dataclass
from functools import cached_property

from ...physics.grid import Grid
from ...physics.navier_stokes import NavierStokes, fno_forcing
from ...physics.random_fields_torus import TorusRandomField
from .base import Axes, Generator, Variable, finer, require, space, times


@dataclass(frozen=True)
class NavierStokesGenerator(Generator):
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
    boundary = "periodic"
    solver = "pseudo-spectral ETDRK4 (order 4 in time), 2/3 dealiasing, float64"
    block = 8

    def __post_init__(self):
        super().__post_init__()
        require(
            {
                "points >= 8": (self.points, self.points >= 8),
                "frames >= 2": (self.frames, self.frames >= 2),
                "nu > 0": (self.nu, self.nu > 0),
                "duration > 0": (self.duration, self.duration > 0),
            }
        )
        require({f"solver_points, a multiple of {self.points}": (self.fine, self.fine % self.points == 0)})

    @cached_property
    def fine(self) -> int:
        """Points of an axis of the solver's grid."""
        return self.solver_points or self.doubled(2 / math.sqrt(self.nu), "nu")

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Vorticity and forcing."""
        f = Variable("f", ("y", "x"), "curl of the force", shared=True)
        return Variable("vorticity", ("time", "y", "x"), "vorticity"), f

    @property
    def axes(self) -> Axes:
        """Times and positions."""
        return times(self.duration, self.frames) | space(_grid(self.points))

    @property
    def facts(self) -> dict:
        """Resolution of the solver."""
        return {"solver_points": self.fine, "solver_step": "half of the stability limit, or less"}

    def solve(self, seed: int, samples: range, refine: int) -> dict:
        """Vorticity with shape (B, T, Y, X) and forcing with shape (Y, X)."""
        law, grid, ratio = TorusRandomField(self.alpha, self.tau), _grid(self.fine), self.fine // self.points
        f = fno_forcing(grid, self.amplitude)
        w0 = law.evaluate(law.coefficients(seed, samples), grid)[:, None]
        w = finer(NavierStokes(grid, self.nu, f), refine).solve(w0, self.duration, self.frames)[:, 0]
        return {"vorticity": w[:, :, ::ratio, ::ratio], "f": f[::ratio, ::ratio]}


def _grid(points: int) -> Grid:
    return Grid.periodic((points, points), (1.0, 1.0), ("y", "x"))
