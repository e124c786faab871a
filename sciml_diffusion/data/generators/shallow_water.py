"""Rotating shallow water on a beta-plane, from balanced random fields."""

from dataclasses import dataclass
from functools import cached_property

from ...physics.grid import Grid
from ...physics.shallow_water import ShallowWater
from ...physics.shallow_water_balanced import BalancedFields
from .base import Axes, Generator, Variable, finer, space, times

F0, BETA = 1e-4, 1.6e-11  # 1/s and 1/(m s): the middle latitudes
DAY = 86400.0


@dataclass(frozen=True)
class ShallowWaterGenerator(Generator):
    """Depth and velocity of a layer in a channel of the middle latitudes, periodic from west to east.

    f = 1e-4 + 1.6e-11 y per second. Fields are those of the solver's staggered grid: h at the points, u half a cell
    to the west, v half a cell to the south (`ShallowWater`), so that they can be given back to it.

    Arguments:
        points, frames: points of an axis >= 8 and T >= 2 times that are kept.
        length: of both axes, in m.
        depth: mean depth in m, > 0.
        height: standard deviation of the initial surface in m, > 0.
        scale: correlation length of the initial surface in m, > 0.
        days: duration in days of 86400 s, > 0.
        viscosity: in m2 s-1, >= 0.

    Raises:
        ValueError: a number is out of range.
    """

    points: int = 64
    frames: int = 21
    length: float = 5e6
    depth: float = 500.0
    height: float = 20.0
    scale: float = 4e5
    days: float = 5.0
    viscosity: float = 1e4

    name = "shallow-water"
    title = "Rotating shallow water on a beta-plane"
    equation = (
        "h_t + (h u)_x + (h v)_y = 0, u_t - q h v + B_x = nu Lap u, v_t + q h u + B_y = nu Lap v, "
        "q = (v_x - u_y + f) / h, B = g h + (u^2 + v^2) / 2, f = f0 + beta y"
    )
    law = "Gaussian surface with the spectrum (k^2 + scale^-2)^(-4), u and v in geostrophic balance with it"
    boundary = "x periodic, walls at both ends of y, free slip"
    solver = "C-grid, energy-conserving (order 2), classical Runge-Kutta (order 4), float64"
    block = 8
    least = {"points": 8, "frames": 2, "viscosity": 0}
    above_zero = ("days", "length")

    @cached_property
    def equation_on_grid(self) -> ShallowWater:
        """The equation with its discretisation; the walls lie half a cell outside the points of y."""
        spacing = self.length / self.points
        y, x = Grid.cells((self.points,), (self.length,), ("y",)), Grid.periodic((self.points,), (self.length,))
        grid = Grid(("y", "x"), (y.coordinates[0], x.coordinates[0] + spacing / 2), (None, self.length))
        return ShallowWater(grid, f0=F0, beta=BETA, viscosity=self.viscosity)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Depth and velocity."""
        dims = ("time", "y", "x")
        return (
            Variable("h", dims, "depth of the layer", "m"),
            Variable("u", dims, "velocity along x, half a cell to the west of the point", "m s-1"),
            Variable("v", dims, "velocity along y, half a cell to the south of the point", "m s-1"),
        )

    @property
    def axes(self) -> Axes:
        """Times in s and positions in m."""
        return times(self.days * DAY, self.frames, "s") | space(self.equation_on_grid.grid, "m")

    @property
    def facts(self) -> dict:
        """Gravity and rotation."""
        step = "half of the stability limit, or less"
        return {"gravity": self.equation_on_grid.gravity, "f0": F0, "beta": BETA, "solver_step": step}

    def solve(self, seed: int, samples: range, refine: int) -> dict:
        """h, u and v with shape (B, T, Y, X)."""
        equation = self.equation_on_grid
        start = BalancedFields(equation, self.depth, self.height, self.scale).draw(seed, samples)
        fields = finer(equation, refine).solve(start, self.days * DAY, self.frames)
        return dict(zip(equation.fields, fields.unbind(1), strict=True))
