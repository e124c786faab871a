"""A passive tracer in a given wind: what the air carries, spreads, loses and receives (air quality)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .constants import Constants
from .grid import Grid
from .solver import Solver
from .upwind import central_slope, limited_slope, upwind_flux
from .wind import Faces, PiecewiseLinear, on_faces, wind_function


class Tracer(Solver):
    """c_t + div(u c) = div(K grad c) - lambda c + s on a 1-D or 2-D grid of cells.

    Finite volumes with limited upwind fluxes (MUSCL) and central diffusion, three stages of Runge and Kutta (SSPRK3);
    sources and decay, c' = s - lambda c, are solved exactly for half a step before and after (Strang, s taken at the
    middle of each half). Second order in smooth fields. On periodic axes transport changes the total by rounding only,
    so it follows M' = S - lambda M exactly for constant S and lambda. Differentiable in the initial field, sources,
    wind, decay and diffusivity, with kinks where the limiter or the upwind side changes. Without the limiter the map
    from initial field, sources and inflow to concentrations is exactly linear. Sources: van Leer, J. Comput. Phys. 32
    (1979); Gottlieb, Shu & Tadmor, SIAM Review 43 (2001); Strang, SIAM J. Numer. Anal. 5 (1968).

    Axes that do not close are open: air that flows in brings the concentration `inflow`, air that flows out takes the
    tracer along, nothing diffuses through; a wind on faces that is zero at an end makes a wall. The field is
    "concentration", as cell means.

    Arguments:
        grid: one or two equispaced axes, each periodic or not; for ends that are open these are cells, `Grid.cells`.
        wind: components in the order of the grid's dims: at centres (B | 1, D, *S), or a tuple of normal components on
            faces, (B | 1, *S) with n + 1 points on the component's axis; or a function of time that returns either,
            such as `PiecewiseLinear`.
        diffusivity: K >= 0, in length^2 / time: a number, (B,), or a map (B | 1, *S).
        decay: lambda >= 0 by decay, deposition or rain, in 1 / time: a number, (B,), or a map (B | 1, *S).
        source: s, in concentration / time, with shape (B | 1, *S); or a function of time that returns it, such as a map
            times a rate; or None.
        inflow: concentration outside open ends: a number or (B,).
        limited: whether slopes are limited: no negative concentrations and no overshoots, but not linear.
        max_speed: bound of each |u_i| / h_i summed over the axes, in 1 / time, for a wind that is a function of time
            of one's own; what is known otherwise is looked up.

    Raises:
        ValueError: where the grid or a shape does not fit, K or lambda is negative, or max_speed is missing.
    """

    fields = ("concentration",)

    def __init__(
        self,
        grid: Grid,
        wind: Tensor | Faces | PiecewiseLinear | Callable,
        diffusivity: float | Tensor = 0.0,
        decay: float | Tensor = 0.0,
        source: Tensor | Callable[[float], Tensor] | None = None,
        inflow: float | Tensor = 0.0,
        limited: bool = True,
        max_speed: float | None = None,
    ):
        _check_grid(grid)
        self.grid, self.source, self._slope = grid, source, limited_slope if limited else central_slope
        self.diffusivity, self.decay = (self._values(v, n) for v, n in ((diffusivity, "K"), (decay, "lambda")))
        self.inflow = self._values(inflow, None)
        self._constants = Constants(self.diffusivity, self.decay, self.inflow)
        self.wind, self.spacings = wind_function(wind), grid.spacings
        self.max_speed = self._rate_of(wind) if max_speed is None else max_speed
        if isinstance(source, Tensor):
            self._emission(0.0, source)

    def parameters_by_sample(self) -> tuple:
        """Numbers or maps, inflow, source and wind."""
        source = self.source(0.0) if callable(self.source) else self.source
        return (self.diffusivity, self.decay, self.inflow, source, *on_faces(self.wind(0.0), self.grid))

    def rhs(self, u: Tensor, time: float = 0.0) -> Tensor:
        """c_t at a time, in concentration / time, on the stencils of the solver: shape (B, 1, *S), kept."""
        c = u[:, 0]
        gained = 0.0 if self.source is None else self._emission(time, c)
        return (self._transport(c, time) - self._constants.like(c)[1] * c + gained)[:, None]

    def stepper(self, dt: float):
        """One step of length dt on concentrations of shape (B, 1, *S)."""

        def step(u: Tensor, n: int) -> Tensor:
            time = n * dt
            c = self._react(u[:, 0], dt / 2, time + dt / 4)
            one = c + dt * self._transport(c, time)
            two = (3 * c + one + dt * self._transport(one, time + dt)) / 4
            c = (c + 2 * (two + dt * self._transport(two, time + dt / 2))) / 3
            return self._react(c, dt / 2, time + 3 * dt / 4)[:, None]

        return step

    def step_limit(self, u: Tensor) -> float:
        """1 / (sum_i max |u_i| / h_i + 2 K / h_i^2), for u of shape (B, 1, *S).

        Up to half of it, as automatic steps are, no cell gives more than it holds where slopes are limited.
        """
        diffusion = 2 * float(self.diffusivity.detach().max()) * sum(h**-2 for h in self.spacings)
        return 1 / (self.max_speed + diffusion) if self.max_speed + diffusion > 0 else math.inf

    def _transport(self, c: Tensor, time: float) -> Tensor:
        """-div(u c) + div(K grad c), with shape (B, *S)."""
        change, (k, _, inflow) = 0.0, self._constants.like(c)
        for axis, w in enumerate(on_faces(self.wind(time), self.grid)):
            dim, h = axis - len(self.spacings), self.spacings[axis]
            periodic = self.grid.periods[axis] is not None
            outside = None if periodic else (inflow,) * 2
            flux = upwind_flux(c, w.to(c), dim, outside, slope=self._slope)
            steps, k_faces = _across(c, dim, periodic), _means(k, dim, periodic, c)
            change = change - (flux - k_faces * steps / h).diff(dim=dim) / h
        return change

    def _react(self, c: Tensor, h: float, time: float) -> Tensor:
        """c e^{-lambda h} + s (1 - e^{-lambda h}) / lambda."""
        decay = self._constants.like(c)[1]
        kept = (-decay * h).exp()
        if self.source is None:
            return kept * c
        safe = torch.where(decay > 0, decay, 1.0)
        held = torch.where(decay * h > 1e-8, -torch.expm1(-decay * h) / safe, h - decay * h**2 / 2)
        return kept * c + held * self._emission(time, c)

    def _emission(self, time: float, like: Tensor) -> Tensor:
        """s at a time, with shape (B | 1, *S)."""
        s = self.source(time) if callable(self.source) else self.source
        if tuple(s.shape[1:]) != self.grid.sizes:
            raise ValueError(f"a source needs shape (B | 1, {str(self.grid.sizes)[1:]}; got {tuple(s.shape)}")
        return s.to(like)

    def _values(self, value: float | Tensor, name: str | None) -> Tensor:
        """A number, (B,) values or a map (B | 1, *S), to multiply fields of shape (B, *S)."""
        value, axes = torch.as_tensor(value, dtype=torch.float64), len(self.grid.dims)
        if name is not None and not (value.detach() >= 0).all():
            raise ValueError(f"{name} must be >= 0; its smallest value is {float(value.detach().min())}")
        if value.ndim == 1:
            return value.reshape(-1, *(1,) * axes)
        if value.ndim != 0 and tuple(value.shape[1:]) != self.grid.sizes:
            wanted = f"a number, shape (B,) or (B | 1, {str(self.grid.sizes)[1:]}"
            raise ValueError(f"expected {wanted}; got shape {tuple(value.shape)}")
        return value

    def _rate_of(self, wind) -> float:
        """max over time and space of sum_i |u_i| / h_i of a wind that is known beforehand."""
        if isinstance(wind, PiecewiseLinear):
            known = [wind(time) for time in wind.times]
        elif callable(wind):
            raise ValueError(
                "a wind that is a function of time needs max_speed, the largest sum over the axes of |u_i| / h_i"
            )
        else:
            known = [wind]
        faces = [on_faces(values, self.grid) for values in known]
        return max(sum(float(w.detach().abs().max()) / h for w, h in zip(f, self.spacings, strict=True)) for f in faces)


def _across(c: Tensor, dim: int, periodic: bool) -> Tensor:
    """Differences at the n + 1 faces of an axis; none through open ends."""
    inner, n = c.diff(dim=dim), c.shape[dim]
    seam = c.narrow(dim, 0, 1) - c.narrow(dim, n - 1, 1)
    seam = seam if periodic else torch.zeros_like(seam)
    return torch.cat([seam, inner, seam], dim)


def _means(k: Tensor, dim: int, periodic: bool, like: Tensor) -> Tensor:
    """Values of a map at the n + 1 faces of an axis; numbers stay what they are."""
    if k.ndim != like.ndim or k.shape[dim] == 1:
        return k
    n = k.shape[dim]
    inner = (k.narrow(dim, 0, n - 1) + k.narrow(dim, 1, n - 1)) / 2
    seam = (k.narrow(dim, 0, 1) + k.narrow(dim, n - 1, 1)) / 2
    return torch.cat([seam, inner, seam], dim)


def _check_grid(grid: Grid) -> None:
    if len(grid.dims) not in (1, 2) or min(grid.sizes) < 3:
        raise ValueError(f"a tracer needs one or two axes of at least 3 cells; got {grid.dims} with {grid.sizes}")
    for dim, values, period in zip(grid.dims, grid.coordinates, grid.periods, strict=True):
        steps = torch.from_numpy(values).to(torch.float64).diff()
        expected = period / len(values) if period is not None else float(steps.mean())
        if not (steps - expected).abs().max() <= 1e-5 * abs(expected) or expected <= 0:
            raise ValueError(
                f"a tracer needs equispaced, increasing cells; the axis {dim!r} has steps from {float(steps.min()):g} "
                f"to {float(steps.max()):g}, and {expected:g} were expected"
            )
