"""Kolmogorov flow: two-dimensional turbulence under a sinusoidal force."""

import math
from dataclasses import dataclass
from functools import cached_property

from ...physics.grid import Grid
from ...physics.navier_stokes import NavierStokes, kolmogorov_forcing
from ...physics.random_fields_torus import TorusRandomField
from .base import Axes, Generator, Variable, finer, require, space, times, to_final

LENGTH = 2 * math.pi


@dataclass(frozen=True)
class KolmogorovGenerator(Generator):
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
    boundary = "periodic"
    solver = "pseudo-spectral ETDRK4 (order 4 in time), 2/3 dealiasing, float64"
    block = 4

    def __post_init__(self):
        super().__post_init__()
        require(
            {
                "points >= 8": (self.points, self.points >= 8),
                "frames >= 2": (self.frames, self.frames >= 2),
                "reynolds > 0": (self.reynolds, self.reynolds > 0),
                "duration > 0": (self.duration, self.duration > 0),
                "spin_up >= 0": (self.spin_up, self.spin_up >= 0),
                "drag >= 0": (self.drag, self.drag >= 0),
                "waves >= 1": (self.waves, self.waves >= 1),
            }
        )
        require({f"solver_points, a multiple of {self.points}": (self.fine, self.fine % self.points == 0)})

    @cached_property
    def fine(self) -> int:
        """Points of an axis of the solver's grid."""
        return self.solver_points or self.doubled(10 * math.sqrt(self.reynolds), "reynolds")

    @cached_property
    def field(self) -> TorusRandomField:
        """Law of the state before the spin-up."""
        unit = TorusRandomField(2.5, 7 / LENGTH, 1.0, length=LENGTH)
        return TorusRandomField(2.5, 7 / LENGTH, 3 / math.sqrt(unit.variance), length=LENGTH)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Vorticity and forcing."""
        f = Variable("f", ("y", "x"), "curl of the force", shared=True)
        return Variable("vorticity", ("time", "y", "x"), "vorticity"), f

    @property
    def axes(self) -> Axes:
        """Times, counted from the first frame kept, and positions."""
        return times(self.duration, self.frames) | space(_grid(self.points))

    @property
    def facts(self) -> dict:
        """Resolution of the solver."""
        return {"solver_points": self.fine, "solver_step": "half of the stability limit, or less"}

    def solve(self, seed: int, samples: range, refine: int) -> dict:
        """Vorticity with shape (B, T, Y, X) and forcing with shape (Y, X)."""
        grid, ratio = _grid(self.fine), self.fine // self.points
        f = kolmogorov_forcing(grid, self.waves)
        solver = finer(NavierStokes(grid, 1 / self.reynolds, f, self.drag), refine)
        w0 = self.field.evaluate(self.field.coefficients(seed, samples), grid)[:, None]
        w = solver.solve(to_final(solver, w0, self.spin_up), self.duration, self.frames)[:, 0]
        return {"vorticity": w[:, :, ::ratio, ::ratio], "f": f[::ratio, ::ratio]}


def _grid(points: int) -> Grid:
    return Grid.periodic((points, points), (LENGTH, LENGTH), ("y", "x"))
