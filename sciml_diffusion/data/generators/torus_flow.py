"""What generators of flow on a torus share: a solver's grid of its own, vorticity and forcing."""

from typing import ClassVar

from torch import Tensor

from ...physics.grid import Grid
from .base import Axes, Generator, Variable, space, times


class TorusFlow(Generator):
    """Vorticity of two-dimensional flow on a square torus, with the steady curl of a force.

    A subclass has the arguments `points`, `frames` and `duration`, and gives `fine`, the points of an axis of the
    solver's grid.
    """

    edge: ClassVar[float]  # period along both axes
    fine: int
    solver = "pseudo-spectral ETDRK4 (order 4 in time), 2/3 dealiasing, float64"
    boundary = "periodic"

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Vorticity and forcing."""
        f = Variable("f", ("y", "x"), "curl of the force", shared=True)
        return Variable("vorticity", ("time", "y", "x"), "vorticity"), f

    @property
    def axes(self) -> Axes:
        """Times, counted from the first frame kept, and positions."""
        return times(self.duration, self.frames) | space(self.grid(self.points))

    @property
    def facts(self) -> dict:
        """Resolution of the solver."""
        return {"solver_points": self.fine, "solver_step": "half of the stability limit, or less"}

    def grid(self, points: int) -> Grid:
        """The torus with so many points along each axis."""
        return Grid.periodic((points, points), (self.edge, self.edge), ("y", "x"))

    def kept(self, w: Tensor, f: Tensor) -> dict[str, Tensor]:
        """What is kept of the solver's vorticity of shape (B, 1, T, Y, X) and forcing of shape (Y, X)."""
        ratio = self.fine // self.points
        return {"vorticity": w[:, 0, :, ::ratio, ::ratio], "f": f[::ratio, ::ratio]}
