"""Burgers' equation where shocks are thinner than a cell, or nearly so."""

import torch
from torch import Tensor

from ..grid import Grid
from .base import FiniteVolume, per_sample, ssprk3
from .ghost import cells_of, pad
from .heat import HeatFlow
from .slopes import face_values, limiter


def godunov_flux(left: Tensor, right: Tensor) -> Tensor:
    """max(max(u_L, 0)^2, min(u_R, 0)^2) / 2, the flux of the exact Riemann solution; any shape.

    It spreads sonic rarefactions: only the shocks that satisfy the entropy condition stand.
    Source: LeVeque, Finite Volume Methods (2002), section 12.2.
    """
    return 0.5 * torch.maximum(left.clamp(min=0) ** 2, right.clamp(max=0) ** 2)


class FiniteVolumeBurgers(FiniteVolume):
    """u_t + (u^2 / 2)_x = nu u_xx on cells: limited slopes, Godunov's flux; diffusion exact in time.

    A step is diffusion for dt / 2, advection for dt (three-stage Runge-Kutta), diffusion for dt / 2 (Strang), so only
    advection limits the step, whatever nu. Of order 2 in the mean where u is smooth; sharp shocks without ripples.

    PDEBench's files with the attribute Nu solve this equation with nu = Nu / pi.

    Arguments:
        grid: one axis of equal cells; with a period if the boundary is periodic.
        nu: viscosity >= 0, a number or with shape (B,), in units of length^2 / time.
        boundary: "periodic", "outflow" (zero gradient) or "dirichlet" (`values` at the outer faces).
        values: left and right values of "dirichlet", in units of u.
        limit: "mc", "van_leer" or "minmod".

    Raises:
        ValueError: nu < 0, or the grid, the boundary or the limiter is not one of these.
    """

    fields = ("u",)

    def __init__(
        self,
        grid: Grid,
        nu: float | Tensor = 0.0,
        boundary: str = "periodic",
        values: tuple[float, float] = (0.0, 0.0),
        limit: str = "mc",
    ):
        self.width = cells_of(grid, boundary, ("periodic", "outflow", "dirichlet"), "FiniteVolumeBurgers")
        self.viscous = bool((torch.as_tensor(nu) != 0).any())
        if not bool((torch.as_tensor(nu) >= 0).all()):
            raise ValueError(f"the viscosity nu must be >= 0; got {nu}")
        self.grid, self.nu, self.boundary, self.values = grid, nu, boundary, values
        self.limiter = limiter(limit)
        self.heat = HeatFlow(grid.sizes[0], self.width, boundary)

    def parameters_by_sample(self) -> tuple:
        """The viscosity."""
        return (self.nu,)

    def rhs(self, u: Tensor, time: float = 0.0) -> Tensor:
        """u_t = -(F_{i+1/2} - F_{i-1/2}) / dx + nu D u with shape (B, 1, X), in units of u / time."""
        padded = pad(u, self.boundary, self.values)[..., 1:-1]
        if self.boundary == "dirichlet":
            ends = [2 * value - u[..., i : i + 1 or None] for i, value in zip((0, -1), self.values, strict=True)]
            padded = torch.cat([ends[0], u, ends[1]], -1)
        return self.advection(u) + per_sample(self.nu, u) * padded.diff(n=2, dim=-1) / self.width**2

    def advection(self, u: Tensor) -> Tensor:
        """-(F_{i+1/2} - F_{i-1/2}) / dx with shape (B, 1, X)."""
        left, right = face_values(pad(u, self.boundary, self.values), self.limiter)
        return -godunov_flux(left, right).diff(dim=-1) / self.width

    def advance(self, state: Tensor, dt: Tensor, time: Tensor) -> Tensor:
        """One step of length dt (B, 1, 1) of cell means (B, 1, X)."""
        if not self.viscous:
            return ssprk3(self.advection, state, dt)
        return self._diffuse(ssprk3(self.advection, self._diffuse(state, dt / 2), dt), dt / 2)

    def limits(self, state: Tensor) -> Tensor:
        """dx / (2 max |u|), with shape (B,), for a state (B, 1, X): up to it the total variation does not grow."""
        speed = state.abs().flatten(1).amax(1)
        if self.boundary == "dirichlet":
            speed = speed.clamp(min=max(abs(value) for value in self.values))
        return self.width / (2 * speed)

    def _diffuse(self, u: Tensor, time: Tensor) -> Tensor:
        """Exact diffusion; the steady line between the values of the ends is subtracted, for it does not diffuse."""
        if self.boundary != "dirichlet":
            return self.heat.flow(u, self.nu, time)
        left, right = self.values
        share = (torch.arange(u.shape[-1], dtype=u.dtype, device=u.device) + 0.5) / u.shape[-1]
        line = left + (right - left) * share
        return line + self.heat.flow(u - line, self.nu, time)
