"""Linear advection u_t + beta u_x = 0 of data that may jump."""

from torch import Tensor

from ..grid import Grid
from .base import FiniteVolume, per_sample, ssprk3
from .ghost import cells_of, pad
from .slopes import face_values, limiter


class FiniteVolumeAdvection(FiniteVolume):
    """u_t + beta u_x = 0 on cells: limited slopes, the upwind flux, three-stage Runge-Kutta steps.

    Of order 2 in the mean where u is smooth; the total variation does not grow, so jumps make no ripples. For smooth
    periodic data an exact shift in Fourier space is better. Source: LeVeque, Finite Volume Methods (2002), chapter 6.

    Arguments:
        grid: one axis of equal cells; with a period if the boundary is periodic.
        beta: velocity, a number or with shape (B,), in units of length / time.
        boundary: "periodic", "outflow" (zero gradient) or "dirichlet" (`values` where the flow comes in).
        values: left and right values of "dirichlet", in the units of u.
        limit: "mc", "van_leer" or "minmod".

    Raises:
        ValueError: the grid, the boundary or the limiter is not one of these.
    """

    fields = ("u",)

    def __init__(
        self,
        grid: Grid,
        beta: float | Tensor,
        boundary: str = "periodic",
        values: tuple[float, float] = (0.0, 0.0),
        limit: str = "mc",
    ):
        self.width = cells_of(grid, boundary, ("periodic", "outflow", "dirichlet"), "FiniteVolumeAdvection")
        self.grid, self.beta, self.boundary, self.values = grid, beta, boundary, values
        self.limiter = limiter(limit)

    def parameters_by_sample(self) -> tuple:
        """The velocity."""
        return (self.beta,)

    def rhs(self, u: Tensor, time: float = 0.0) -> Tensor:
        """u_t = -(F_{i+1/2} - F_{i-1/2}) / dx with shape (B, 1, X), in units of u / time."""
        left, right = face_values(pad(u, self.boundary, self.values), self.limiter)
        beta = per_sample(self.beta, u)
        return -(beta.clamp(min=0) * left + beta.clamp(max=0) * right).diff(dim=-1) / self.width

    def advance(self, state: Tensor, dt: Tensor, time: Tensor) -> Tensor:
        """One step of length dt (B, 1, 1) of cell means (B, 1, X)."""
        return ssprk3(self.rhs, state, dt)

    def limits(self, state: Tensor) -> Tensor:
        """dx / (2 |beta|), with shape (B,), for a state (B, 1, X): up to it the total variation does not grow."""
        return (self.width / (2 * per_sample(self.beta, state).abs())).flatten().expand(len(state))
