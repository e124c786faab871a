"""The viscous Burgers equation u_t + u u_x = nu u_xx + f on a periodic axis."""

from torch import Tensor

from .constants import Constants
from .etdrk4 import ETDRK2, ETDRK4, Scheme
from .fourier import check_periodic
from .grid import Grid
from .semilinear import Forcing, SemiLinear, advective_limit, second_order_limit

SCHEMES = {"etdrk4": ETDRK4, "etdrk2": ETDRK2}


class SelfAdvected(SemiLinear):
    """u_t + (u^2 / 2)_x = L u + f on one periodic axis: v = rfft(u), N = -(i k / 2) rfft[(irfft v)^2].

    Source: Canuto, Hussaini, Quarteroni & Zang, Spectral Methods (2006), section 3.3.

    Arguments:
        grid: one periodic axis with n >= 4 equispaced points, in increasing order.
        forcing: f, in units of u / time: a field that broadcasts to (B, 1, X), or a function of time that returns one.
        scheme: of the time steps.

    Raises:
        ValueError: where the grid has not one periodic, equispaced axis.
    """

    fields = ("u",)

    def __init__(self, grid: Grid, forcing: Forcing = None, scheme: Scheme = ETDRK4):
        check_periodic(grid, type(self).__name__, 1)
        super().__init__(grid, forcing, scheme)
        self.spacing = grid.periods[0] / grid.sizes[0]
        self._flux = Constants(-0.5j * self.modes.wavenumbers[0])

    def nonlinear(self, v: Tensor) -> Tensor:
        """-(i k / 2) rfft[(irfft v)^2], with the shape (B, 1, K) of v."""
        (flux,) = self._flux.like(v)
        return flux * self.transform(self.inverse(v).square())

    def step_limit(self, u: Tensor) -> float:
        """1.3 dx / max |u|, the limit of the scheme's advection, at the states u with shape (B, 1, X)."""
        push = self.forcing.detach().abs().max() if isinstance(self.forcing, Tensor) else 0.0
        return advective_limit(float(u.detach().abs().max()) / self.spacing, float(push) / self.spacing)


class Burgers(SelfAdvected):
    """u_t + (u^2 / 2)_x = nu u_xx + f, pseudo-spectral and dealiased, ETDRK4. The mean of u changes by that of f alone.

    A shock of height j is resolved where n >= L j / nu (to 1e-8) or n >= L j / (2 nu) (to 1e-4).

    Arguments:
        grid: one periodic axis with n >= 4 equispaced points, in increasing order.
        nu: viscosity > 0, in units of length^2 / time: a number, or one for each sample with shape (B,).
        forcing: f, in units of u / time: a field that broadcasts to (B, 1, X), or a function of time that returns one.
        scheme: "etdrk4" (order 4), or "etdrk2" (order 2, half the cost of a step).

    Raises:
        ValueError: where the grid has not one periodic, equispaced axis, nu is not > 0, or the scheme is unknown.
    """

    def __init__(self, grid: Grid, nu: float | Tensor, forcing: Forcing = None, scheme: str = "etdrk4"):
        if scheme not in SCHEMES:
            raise ValueError(f"the scheme must be one of {sorted(SCHEMES)}; got {scheme!r}")
        super().__init__(grid, forcing, SCHEMES[scheme])
        self.nu = self._parameter("the viscosity nu", nu, strict=True)

    def symbol(self, waves: tuple[Tensor, ...]) -> Tensor:
        """-nu k^2, with shape (K,) or (B, 1, K)."""
        return -self._spread(self.nu) * waves[0] ** 2

    def step_limit(self, u: Tensor) -> float:
        """As for `SelfAdvected`; for "etdrk2" up to where viscosity damps what grows. u has the shape (B, 1, X)."""
        limit = super().step_limit(u)
        if self.scheme is ETDRK4:
            return limit
        damping = -float(self.linear.detach()[..., -1].max())
        return min(limit, second_order_limit(float(u.detach().abs().max()) / self.spacing, damping))
