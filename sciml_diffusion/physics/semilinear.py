"""Solvers of semi-linear equations whose linear part is diagonal in Fourier space: u_t = L u + N(u) + f."""

import math
from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from .constants import Constants
from .etdrk4 import ETDRK4, Scheme
from .fourier import DealiasedModes, check_periodic, wavenumbers
from .grid import Grid
from .solver import Solver, State

Forcing = Tensor | Callable[[float], Tensor] | None
CHUNK = 2**16  # points of the samples that are advanced together on a CPU: their arrays stay in its cache
ADVECTIVE_LIMIT = 1.3  # 2.8 / (2 pi / 3): RK4's imaginary axis over the largest dealiased wavenumber times the spacing


class SemiLinear(Solver):
    """v_t = L v + N(v) + f for the Fourier coefficients v of the modes |m_i| < n_i / 3; N is a quadratic product.

    A subclass sets `fields` and gives `symbol` and `nonlinear`. L is integrated exactly and N with order 4 (ETDRK4), in
    the precision of the initial fields; coefficients of the scheme are computed in float64. Modes of the initial fields
    above n / 3 are left out from the first step on. The solver's own state is a tuple of coefficients, one for each
    group of samples.

    Arguments:
        grid: periodic axes with equispaced points.
        forcing: f: a field that broadcasts to (B, C, *S), or a function of time that returns one; a function that is
            not smooth in time needs steps that end where it breaks.
        scheme: of the time steps.

    Raises:
        ValueError: where an axis is not periodic and equispaced, or the forcing has another grid.
    """

    def __init__(self, grid: Grid, forcing: Forcing = None, scheme: Scheme = ETDRK4):
        check_periodic(grid, type(self).__name__)
        self.grid, self.forcing, self.scheme, self.samples = grid, forcing, scheme, None
        self.modes = DealiasedModes(grid)
        if isinstance(forcing, Tensor) and tuple(forcing.shape[-len(grid.sizes) :]) != grid.sizes:
            raise ValueError(f"the forcing must end with the shape {grid.sizes}; got {tuple(forcing.shape)}")

    @abstractmethod
    def symbol(self, waves: tuple[Tensor, ...]) -> Tensor:
        """L for angular wavenumbers that broadcast to (*K): shape (*K), or (B, 1, *K) with parameters per sample."""

    @abstractmethod
    def nonlinear(self, v: Tensor) -> Tensor:
        """N(v), with the shape (B, C, *K) of v."""

    @property
    def linear(self) -> Tensor:
        """L on the modes that are kept: shape (*K), or (B, 1, *K); float64 or complex128."""
        return self.symbol(self.modes.wavenumbers)

    def transform(self, u: Tensor) -> Tensor:
        """Coefficients (B, C, *K) of fields of shape (B, C, *S)."""
        return self.modes.forward(u)

    def inverse(self, v: Tensor) -> Tensor:
        """Fields (B, C, *S) of coefficients of shape (B, C, *K)."""
        return self.modes.backward(v)

    def rhs(self, u: Tensor, time: float = 0.0) -> Tensor:
        """u_t = L u + N(u) + f in units of u / time: shape (B, C, *S) -> (B, C, *S).

        L and f act on every mode, the product takes and gives those below n / 3.
        """
        axes = tuple(range(-len(self.grid.sizes), 0))
        full = self.symbol(wavenumbers(self.grid)).to(u.device, u.dtype.to_complex())
        linear = torch.fft.irfftn(full * torch.fft.rfftn(u, dim=axes), s=self.grid.sizes, dim=axes)
        rate = linear + self.inverse(self.nonlinear(self.transform(u)))
        field = self.forcing(time) if callable(self.forcing) else self.forcing
        return rate if field is None else rate + field.to(u)

    def start(self, u: Tensor) -> State:
        """Coefficients of fields of shape (B, C, *S), in groups of samples."""
        if self.samples not in (None, len(u)):
            name = type(self).__name__
            raise ValueError(f"{name} has parameters for {self.samples} samples; got {len(u)} initial fields")
        group = len(u) if u.is_cuda else CHUNK // math.prod(self.grid.sizes)
        return tuple(self.transform(part) for part in u.split(max(group, 1)))

    def read(self, state: State) -> Tensor:
        """Fields of shape (B, C, *S) of all groups."""
        return torch.cat([self.inverse(v) for v in state])

    def stepper(self, dt: float) -> Callable[[State, int], State]:
        """One step of length dt; see `Solver.stepper`."""
        factors = Constants(*(c.to(torch.complex128) for c in self.scheme.coefficients(self.linear, dt)))
        source = self._source()

        def tendency(v: Tensor, force: Tensor | None) -> Tensor:
            return self.nonlinear(v) if force is None else self.nonlinear(v) + force

        def step(state: State, n: int) -> State:
            cast = factors.like(state[0])
            forces = [source((n + node) * dt, state[0]) for node in self.scheme.nodes]
            stepped, first = [], 0
            for v in state:
                rows = slice(first, first + len(v))
                own = tuple(self._rows(c, rows) for c in cast), tendency, [self._rows(force, rows) for force in forces]
                stepped.append(self.scheme.step(v, *own))
                first = rows.stop
            return tuple(stepped)

        return step

    def _rows(self, x: Tensor | None, rows: slice) -> Tensor | None:
        """Those samples of a constant, where it has a value for each: shape (*K) or (B, C, *K)."""
        return x if x is None or x.ndim <= len(self.grid.sizes) or len(x) == 1 else x[rows]

    def _source(self) -> Callable[[float, Tensor], Tensor | None]:
        """Coefficients of the forcing as a function of time and a state; those of a fixed field are computed once."""
        missing = len(self.grid.sizes) + 2

        def coefficients(field: Tensor, dtype: torch.dtype) -> Tensor:
            return self.transform(field.to(dtype).reshape((1,) * (missing - field.ndim) + field.shape))

        if self.forcing is None:
            return lambda time, like: None
        if callable(self.forcing):
            return lambda time, like: coefficients(self.forcing(time).to(like.device), like.dtype.to_real())
        constant = Constants(coefficients(self.forcing, torch.float64))
        return lambda time, like: constant.like(like)[0]

    def _parameter(self, name: str, value: float | Tensor, least: float = 0.0, strict: bool = False) -> float | Tensor:
        """The value, once it is known to be in range and to have shape () or (B,), the same B as other parameters."""
        if isinstance(value, Tensor) and value.ndim == 1:
            if self.samples not in (None, len(value)):
                raise ValueError(f"{name} has {len(value)} samples, another parameter has {self.samples}")
            self.samples = len(value)
        elif isinstance(value, Tensor) and value.ndim > 1:
            raise ValueError(f"{name} must be a number or have shape (B,); got {tuple(value.shape)}")
        numbers = torch.as_tensor(value).detach()
        if not bool(((numbers > least) if strict else (numbers >= least)).all()):
            raise ValueError(f"{name} must be {'>' if strict else '>='} {least:g}; got {float(numbers.min()):g}")
        return value

    def _spread(self, value: float | Tensor) -> float | Tensor:
        """A parameter with axes added: it broadcasts against wavenumbers, with shape (B, 1, *1) and in float64."""
        if not isinstance(value, Tensor):
            return value
        return value.to("cpu", torch.float64).reshape(value.shape + (1,) * (value.ndim * (len(self.grid.sizes) + 1)))


def second_order_limit(rate: float, damping: float) -> float:
    """The step up to which viscosity outweighs what a second-order Runge-Kutta scheme lets grow, y^4 / 8 in a step.

    h = (8 damping / (2 pi rate / 3)^4)^(1/3), y = 2 pi rate h / 3 at the largest dealiased wavenumber.

    Arguments:
        rate: largest sum of |velocity| / spacing over the axes, 1 / time.
        damping: nu k^2 at the largest dealiased wavenumber, 1 / time.
    """
    return (8 * damping / (2 * math.pi * rate / 3) ** 4) ** (1 / 3) if rate > 0 else math.inf


def advective_limit(rate: float, push: float = 0.0) -> float:
    """The step h with rate h + push h^2 = 1.3, up to which a fourth-order Runge-Kutta scheme is stable.

    Dealiased modes end at 2/3 of pi / dx, and the scheme is stable up to 2.8 on the imaginary axis.

    Arguments:
        rate: largest sum of |velocity| / spacing over the axes, 1 / time.
        push: the same of the acceleration by a force, 1 / time^2; it bounds the first steps from rest.
    """
    root = rate + math.sqrt(rate**2 + 4 * ADVECTIVE_LIMIT * push)
    return 2 * ADVECTIVE_LIMIT / root if root > 0 else math.inf
