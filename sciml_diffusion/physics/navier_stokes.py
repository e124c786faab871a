"""Incompressible flow in two periodic dimensions: w_t + u . grad w = nu Lap w - drag w + f, w the vorticity."""

import math

import torch
from torch import Tensor

from .constants import Constants
from .etdrk4 import CN_FE, ETDRK2, ETDRK4
from .fourier import check_periodic, wavenumbers
from .grid import Grid
from .semilinear import Forcing, SemiLinear, advective_limit, second_order_limit

SCHEMES = {"etdrk4": ETDRK4, "etdrk2": ETDRK2, "cn-fe": CN_FE}


class NavierStokes(SemiLinear):
    """w_t + u w_x + v w_y = nu Lap w - drag w + f, with -Lap psi = w, u = psi_y, v = -psi_x, w = v_x - u_y.

    Pseudo-spectral and dealiased. The product is (d_yy - d_xx)(u v) + d_xy(u^2 - v^2), equal to -u . grad w for a
    velocity without divergence, at four transforms; without viscosity and force it conserves energy and enstrophy.
    A mean flow is carried exactly. Source: C. Basdevant, J. Comput. Phys. 50 (1983).

    Arguments:
        grid: two periodic axes named x and y, in either order; resolved where the spectrum falls by 4 decades or more
            before n / 3.
        nu: viscosity >= 0, in units of length^2 / time: a number, or one for each sample with shape (B,).
        forcing: f, the curl of the force, in 1 / time^2: a field that broadcasts to (B, 1, *S), or a function of time.
        drag: linear friction >= 0, in 1 / time: a number, or one for each sample with shape (B,).
        mean_flow: U and V, in length / time: numbers, or tensors of shape (B,).
        scheme: "etdrk4" (order 4), "etdrk2" (order 2, half the cost of a step), or "cn-fe" (order 1), the recipe of
            FNO's data sets, for their reproduction.

    Raises:
        ValueError: the grid, a parameter or the scheme is not one of these.
    """

    fields = ("vorticity",)

    def __init__(
        self,
        grid: Grid,
        nu: float | Tensor,
        forcing: Forcing = None,
        drag: float | Tensor = 0.0,
        mean_flow: tuple[float | Tensor, float | Tensor] = (0.0, 0.0),
        scheme: str = "etdrk4",
    ):
        if set(grid.dims) != {"x", "y"}:
            raise ValueError(f"NavierStokes needs the axes x and y; got {grid.dims}")
        if scheme not in SCHEMES:
            raise ValueError(f"the scheme must be one of {sorted(SCHEMES)}; got {scheme!r}")
        check_periodic(grid, "NavierStokes")
        super().__init__(grid, forcing, SCHEMES[scheme])
        self.nu, self.drag = self._parameter("the viscosity nu", nu), self._parameter("the drag", drag)
        self.mean_flow = tuple(self._parameter("the mean flow", c, least=-math.inf) for c in mean_flow)
        kx, ky = self._xy(self.modes.wavenumbers)
        self._curl = Constants(_velocity_factors(kx, ky), torch.stack([kx**2 - ky**2, -kx * ky]))
        self._full = Constants(_velocity_factors(*self._xy(wavenumbers(grid, odd=True))))

    def _xy(self, axes: tuple) -> tuple:
        """What belongs to the axis x, and to y, broadcast against each other where they are tensors."""
        pair = axes[self.grid.dims.index("x")], axes[self.grid.dims.index("y")]
        return torch.broadcast_tensors(*pair) if isinstance(pair[0], Tensor) else pair

    def symbol(self, waves: tuple[Tensor, ...]) -> Tensor:
        """-nu k^2 - drag - i (U k_x + V k_y), with shape (*K) or (B, 1, *K); real where there is no mean flow."""
        kx, ky = self._xy(waves)
        decay = -self._spread(self.nu) * (kx**2 + ky**2) - self._spread(self.drag)
        if all(isinstance(c, int | float) and c == 0 for c in self.mean_flow):
            return decay
        return decay - 1j * (self._spread(self.mean_flow[0]) * kx + self._spread(self.mean_flow[1]) * ky)

    def nonlinear(self, v: Tensor) -> Tensor:
        """Coefficients of -(u . grad) w, with the shape (B, 1, *K) of those of w."""
        velocity, (mixed, normal) = self._curl.like(v)
        u, w = self.inverse(velocity * v).unbind(1)
        products = self.transform(torch.stack([u * w, torch.addcmul(u * u, w, w, value=-1)], 1))
        return torch.addcmul(mixed * products[:, :1], normal, products[:, 1:])

    def velocity(self, w: Tensor) -> Tensor:
        """(u, v) without the mean flow, in length / time: shape (B, 1, ..., *S) -> (B, 2, ..., *S)."""
        (factors,) = self._full.like(torch.empty(0, dtype=w.dtype.to_complex(), device=w.device))
        v = torch.fft.rfft2(w)
        return torch.fft.irfft2(torch.cat([factors[0] * v, factors[1] * v], 1), s=self.grid.sizes)

    def streamfunction(self, w: Tensor) -> Tensor:
        """psi with -Lap psi = w and mean zero, in length^2 / time: shape (B, 1, ..., *S) to the same."""
        kx, ky = self._xy(wavenumbers(self.grid))
        return torch.fft.irfft2(_inverse_square(kx, ky).to(w) * torch.fft.rfft2(w), s=self.grid.sizes)

    def energy(self, w: Tensor) -> Tensor:
        """E = <u^2 + v^2> / 2 without the mean flow, in length^2 / time^2: shape (B, 1, ..., *S) -> (B, ...)."""
        return self.velocity(w).square().sum(1).mean((-2, -1)) / 2

    def enstrophy(self, w: Tensor) -> Tensor:
        """Z = <w^2> / 2, in 1 / time^2: shape (B, 1, ..., *S) -> (B, ...)."""
        return w[:, 0].square().mean((-2, -1)) / 2

    def budget(self, w: Tensor, time: float = 0.0) -> tuple[Tensor, Tensor]:
        """dE/dt = -2 nu Z - 2 drag E + <psi f> and dZ/dt = -2 nu P - 2 drag Z + <w f>, P = <|grad w|^2> / 2.

        Shape (B, 1, *S) -> two of (B,): what the equation says of the rates, without its advection.
        """
        waves = self._xy(wavenumbers(self.grid, odd=True))
        slopes = [torch.fft.irfft2(1j * k.to(w.device) * torch.fft.rfft2(w), s=self.grid.sizes) for k in waves]
        palinstrophy = sum(slope.square() for slope in slopes)[:, 0].mean((-2, -1)) / 2
        energy, enstrophy = self.energy(w), self.enstrophy(w)
        nu, drag = (torch.as_tensor(p, dtype=torch.float64).to(w) for p in (self.nu, self.drag))
        rates = -2 * nu * enstrophy - 2 * drag * energy, -2 * nu * palinstrophy - 2 * drag * enstrophy
        field = self.forcing(time) if callable(self.forcing) else self.forcing
        if field is None:
            return rates
        work = [(test * field.to(w))[:, 0].mean((-2, -1)) for test in (self.streamfunction(w), w)]
        return rates[0] + work[0], rates[1] + work[1]

    def step_limit(self, u: Tensor) -> float:
        """The limit of the advection at vorticities u, with shape (B, 1, *S).

        ETDRK4: 1.3 / max (|u| / dx + |v| / dy). The others need viscosity to damp what they let grow: "etdrk2" also has
        `second_order_limit`, "cn-fe" 2 nu / max (u^2 + v^2).
        """
        velocity = self.velocity(u.detach())
        push = self._rate(self.velocity(self._fields(self.forcing).to(u))) if isinstance(self.forcing, Tensor) else 0.0
        limit = advective_limit(self._rate(velocity), push)
        if self.scheme is ETDRK4:
            return limit
        nu = float(torch.as_tensor(self.nu).detach().min())
        if self.scheme is ETDRK2:
            largest = min(float(k.abs().max()) for k in self.modes.wavenumbers)
            return min(limit, second_order_limit(self._rate(velocity), nu * largest**2))
        return min(limit, 2 * nu / max(float(velocity.square().sum(1).max()), 1e-300))

    def _rate(self, velocity: Tensor) -> float:
        spacings = self._xy(self.grid.spacings)
        return float(sum(c.abs() / h for c, h in zip(velocity.unbind(1), spacings, strict=True)).max())

    def _fields(self, field: Tensor) -> Tensor:
        return field.detach().reshape((1,) * (4 - field.ndim) + field.shape)


def _inverse_square(kx: Tensor, ky: Tensor) -> Tensor:
    """1 / k^2, and 0 where k = 0."""
    square = kx**2 + ky**2
    return torch.where(square > 0, 1 / square, 0)


def _velocity_factors(kx: Tensor, ky: Tensor) -> Tensor:
    """i k_y / k^2 and -i k_x / k^2, with shape (2, *K)."""
    return 1j * torch.stack([ky, -kx]) * _inverse_square(kx, ky)


def fno_forcing(grid: Grid, amplitude: float = 0.1) -> Tensor:
    """f = amplitude (sin 2 pi (x + y) + cos 2 pi (x + y)), in units of the periods; shape (*S), float64.

    Source: Z. Li et al., Fourier Neural Operator, ICLR 2021.

    Arguments:
        grid: two periodic axes named x and y.
        amplitude: in 1 / time^2.
    """
    phase = _phase(grid, "x") + _phase(grid, "y")
    return amplitude * (phase.sin() + phase.cos())


def kolmogorov_forcing(grid: Grid, waves: int = 4) -> Tensor:
    """f = -k cos(k y), k = 2 pi waves / L_y: the curl of the force sin(k y) along x; shape (*S), float64.

    The laminar flow w = -k cos(k y) / (nu k^2 + drag) is a fixed point. L_y = 2 pi and waves = 4 are those of PINO's
    data sets (Z. Li et al., 2021).

    Arguments:
        grid: two periodic axes named x and y.
        waves: periods of the force along y.
    """
    k = 2 * math.pi * waves / grid.periods[grid.dims.index("y")]
    return (-k * (waves * _phase(grid, "y")).cos()).expand(grid.sizes).clone()


def _phase(grid: Grid, dim: str) -> Tensor:
    """2 pi x / L along one axis, broadcast against the others."""
    axis = grid.dims.index(dim)
    phase = 2 * math.pi / grid.periods[axis] * torch.from_numpy(grid.coordinates[axis]).to(torch.float64)
    return phase.reshape([-1 if i == axis else 1 for i in range(len(grid.dims))])
