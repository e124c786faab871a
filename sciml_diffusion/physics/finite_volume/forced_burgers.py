"""Burgers' equation between two walls, driven by a control: the setting of WDNO."""

import math

import numpy as np
import torch
from torch import Tensor

from ..constants import Constants
from ..grid import Grid
from .base import FiniteVolume, per_sample
from .exponential import etdrk4_step


def interior_grid(points: int, length: float = 1.0, dim: str = "x") -> Grid:
    """The inner nodes x_j = (j + 1) L / (X + 1) of an interval whose two ends are left out.

    Every r-th node of interior_grid(r (X + 1) - 1) from the r-th on is a node of interior_grid(X).

    Arguments:
        points: X >= 3.
        length: L > 0.
        dim: name of the axis.
    """
    return Grid((dim,), (np.arange(1, points + 1) * (length / (points + 1)),), (None,))


class ForcedBurgers(FiniteVolume):
    """u_t + (u^2 / 2)_x = nu u_xx + f(x, t) with u = 0 at both ends; f is constant on [t_k, t_{k+1}), t_k = k hold.

    On nodes: the centred flux (u_i^2 + u_i u_{i+1} + u_{i+1}^2) / 6, which keeps the energy, and exponential
    Runge-Kutta steps in the sine modes, which solve the three-point diffusion exactly. Of order 2 in space and 4 in
    time, smooth in all that it is given, and without a limit from nu. No limiter: it needs nodes closer than
    2 nu / max |u|, where shock layers are resolved; for less viscosity there is `FiniteVolumeBurgers`. WDNO's data have
    nu = 0.01, 80 controls held for 0.1 and 120 inner nodes of (0, 1).

    Sources: L. Wei et al., WDNO (ICLR 2025); flux: Tadmor, Math. Comp. 49 (1987) 91.

    Arguments:
        grid: the inner nodes of an axis that does not close, as `interior_grid` makes them.
        nu: viscosity > 0, a number or with shape (B,), in units of length^2 / time.
        control: f, with shape (B, K, X) or (1, K, X), in units of u / time; none by default.
        hold: time for which each control acts, > 0.

    Raises:
        ValueError: nu or hold is not > 0, or the grid or the control has another form; in `solve`, frames and controls
            do not share their times, or the controls end before the frames.
    """

    fields = ("u",)

    def __init__(self, grid: Grid, nu: float | Tensor = 0.01, control: Tensor | None = None, hold: float = 0.1):
        if len(grid.dims) != 1 or grid.sizes[0] < 3 or grid.periods[0] is not None:
            raise ValueError(
                f"ForcedBurgers needs at least 3 inner nodes of one axis that does not close; got dims {grid.dims}, "
                f"sizes {grid.sizes}, periods {grid.periods}"
            )
        self.spacing, points = grid.spacings[0], grid.sizes[0]
        if not np.allclose(np.diff(grid.coordinates[0]), self.spacing, rtol=1e-6, atol=0):
            raise ValueError("ForcedBurgers needs equispaced nodes in increasing order")
        if not bool((torch.as_tensor(nu) > 0).all()) or not hold > 0:
            raise ValueError(f"ForcedBurgers needs nu > 0 and hold > 0; got nu={nu} and hold={hold}")
        if control is not None and (control.ndim != 3 or control.shape[2] != points):
            raise ValueError(f"the control needs shape (B, K, {points}); got {tuple(control.shape)}")
        self.grid, self.nu, self.control, self.hold = grid, nu, control, hold
        push = torch.zeros(1) if control is None else control.detach().abs().flatten(1).amax(1)  # max |f|
        modes = torch.arange(points + 2, dtype=torch.float64)
        laplacian = -((2 / self.spacing * (math.pi / 2 * modes / (points + 1)).sin()) ** 2)
        self._constants = Constants(laplacian, push)

    def parameters_by_sample(self) -> tuple:
        """Viscosity and control."""
        return (self.nu, self.control)

    def rhs(self, u: Tensor, time: float = 0.0) -> Tensor:
        """u_t = -(F_{i+1/2} - F_{i-1/2}) / dx + nu D u + f(time) with shape (B, 1, X), in units of u / time."""
        diffusion = per_sample(self.nu, u) * _with_walls(u).diff(n=2, dim=-1) / self.spacing**2
        force = self._force(u, u.new_full((len(u), 1, 1), time))
        return self.advection(u) + diffusion + (0 if force is None else force)

    def advection(self, u: Tensor) -> Tensor:
        """-(F_{i+1/2} - F_{i-1/2}) / dx with shape (B, 1, X)."""
        u = _with_walls(u)
        left, right = u[..., :-1], u[..., 1:]
        return -((left**2 + left * right + right**2) / 6).diff(dim=-1) / self.spacing

    def advance(self, state: Tensor, dt: Tensor, time: Tensor) -> Tensor:
        """One step from time to time + dt, both (B, 1, 1), of nodal values (B, 1, X)."""
        force = self._force(state, time + dt / 2)
        constant = 0 if force is None else _sines(force)

        def tendency(v: Tensor) -> Tensor:
            return _sines(self.advection(_values(v))) + constant

        linear = per_sample(self.nu, state) * self._constants.like(state)[0]
        return _values(etdrk4_step(_sines(state), linear, dt, tendency))

    def limits(self, state: Tensor) -> Tensor:
        """The time in which u crosses 2 dx while the control drives it, with shape (B,), for a state (B, 1, X).

        t max |u| + t^2 max |f| = 2 dx. Steps are stable to 2.8 dx / max |u| on centred fluxes.
        """
        speed, push = state.abs().flatten(1).amax(1), self._constants.like(state)[1]
        return 4 * self.spacing / (speed + (speed**2 + 8 * self.spacing * push).sqrt())

    def pieces(self, duration: float, interval: float) -> int:
        """Controls in a frame's interval, or 1 where a control lasts for several intervals."""
        if self.control is None:
            return 1
        if self.control.shape[1] * self.hold < duration * (1 - 1e-9):
            count = self.control.shape[1]
            raise ValueError(f"{count} controls held for {self.hold:g} end before the last frame at {duration:g}")
        ratio = interval / self.hold
        pieces = max(1, round(ratio))
        whole = ratio if ratio > 0.5 else 1 / ratio
        if abs(whole - round(whole)) > 1e-6 * whole:
            raise ValueError(
                f"frames {interval:g} apart do not share their times with controls held for {self.hold:g}: one must "
                "be a whole multiple of the other"
            )
        return pieces

    def _force(self, u: Tensor, time: Tensor) -> Tensor | None:
        """The control that acts on each sample at its time (B, 1, 1): shape (B, 1, X)."""
        if self.control is None:
            return None
        index = (time.flatten() / self.hold * (1 + 1e-9)).floor().long().clamp(0, self.control.shape[1] - 1)
        rows = torch.arange(len(u), device=u.device) if len(self.control) > 1 else torch.zeros_like(index)
        return self.control.to(u)[rows, index][:, None]


def _with_walls(u: Tensor) -> Tensor:
    """The nodes with the two ends, where u = 0: shape (B, 1, X) -> (B, 1, X + 2)."""
    return torch.nn.functional.pad(u, (1, 1))


def _sines(u: Tensor) -> Tensor:
    """Imaginary parts of the Fourier modes of the line made odd in its walls: shape (B, 1, X) -> (B, 1, X + 2)."""
    u = _with_walls(u)
    return torch.fft.rfft(torch.cat([u, -u[..., 1:-1].flip(-1)], -1)).imag


def _values(v: Tensor) -> Tensor:
    """Nodal values of sine modes: shape (B, 1, X + 2) -> (B, 1, X)."""
    count = v.shape[-1]
    return torch.fft.irfft(torch.complex(torch.zeros_like(v), v), n=2 * (count - 1))[..., 1 : count - 1]
