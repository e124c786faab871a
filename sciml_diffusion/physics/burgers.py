"""The viscous Burgers equation u_t + u u_x = nu u_xx on a periodic axis."""

import torch
from torch import Tensor

from .grid import Grid


class Burgers:
    """u_t + (u^2 / 2)_x = nu u_xx, pseudo-spectral: v = rfft(u), v_t = -nu k^2 v - (i k / 2) P rfft[(irfft P v)^2].

    P keeps the modes |m| < n / 3 (the 2/3 rule: the square has no alias on the modes kept). Mean velocity is conserved.
    Source: Canuto, Hussaini, Quarteroni & Zang, Spectral Methods (2006), section 3.3.

    Arguments:
        grid: one periodic axis with n >= 4 equispaced points, in increasing order.
        nu: viscosity > 0, in units of length^2 / time.

    Raises:
        ValueError: where the grid has not one periodic, equispaced axis, or nu is not > 0.
    """

    def __init__(self, grid: Grid, nu: float):
        if len(grid.dims) != 1 or grid.periods[0] is None:
            raise ValueError(f"Burgers needs one periodic axis; got dims {grid.dims} with periods {grid.periods}")
        if not nu > 0:
            raise ValueError(f"the viscosity nu must be > 0; got {nu}")
        points = grid.sizes[0]
        spacing = torch.from_numpy(grid.coordinates[0]).to(torch.float64).diff()
        if points < 4 or not torch.allclose(spacing, torch.full_like(spacing, grid.periods[0] / points), rtol=1e-6):
            raise ValueError("Burgers needs at least 4 points x_j = x_0 + j L / n over a period, its end left out")
        self.grid, self.nu, self.points, self.spacing = grid, nu, points, grid.periods[0] / points
        k = grid.wavenumbers(0)
        self.mask = (3 * torch.arange(len(k)) < points).to(torch.float64)
        self.linear = -nu * k**2
        self._flux = -0.5j * k * self.mask

    def transform(self, u: Tensor) -> Tensor:
        """v = rfft(u): shape (..., X) -> (..., X // 2 + 1)."""
        return torch.fft.rfft(u)

    def inverse(self, v: Tensor) -> Tensor:
        """u = irfft(v): shape (..., X // 2 + 1) -> (..., X)."""
        return torch.fft.irfft(v, n=self.points)

    def nonlinear(self, v: Tensor) -> Tensor:
        """-(i k / 2) P rfft[(irfft P v)^2], with the shape (..., X // 2 + 1) of v."""
        return self._flux.to(v) * torch.fft.rfft(self.inverse(self.mask.to(v.device, v.real.dtype) * v) ** 2)

    def rhs(self, u: Tensor) -> Tensor:
        """u_t = -(u^2 / 2)_x + nu u_xx in units of u / time: shape (..., X) -> (..., X)."""
        v = self.transform(u)
        return self.inverse(self.linear.to(u) * v + self.nonlinear(v))

    def residual(self, u: Tensor, dt: float) -> Tensor:
        """(u^{n+1} - u^n) / dt - rhs((u^n + u^{n+1}) / 2), in units of u / time, with shape (B, T - 1, X).

        It vanishes with dt^2 on exact solutions; the size it has on them is its floor.

        Arguments:
            u: frames, with shape (B, T, X).
            dt: time between frames, > 0.
        """
        if u.ndim != 3 or u.shape[1] < 2 or u.shape[2] != self.points or not dt > 0:
            shape = tuple(u.shape)
            raise ValueError(f"expected frames of shape (B, T >= 2, {self.points}) and dt > 0; got {shape} and {dt}")
        before, after = u[:, :-1], u[:, 1:]
        return (after - before) / dt - self.rhs((before + after) / 2)

    def step_limit(self, u: Tensor) -> float:
        """Largest stable time step of a fourth-order Runge-Kutta scheme at the states u (B, X): 1.3 dx / max |u|.

        The advected modes end at 2/3 of pi / dx, and RK4 is stable up to 2.8 on the imaginary axis. max |u| cannot
        grow in time (maximum principle), so the initial state decides.
        """
        return 1.3 * self.spacing / max(float(u.detach().abs().max()), 1e-300)
