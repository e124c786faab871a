"""Linear advection u_t + c . grad u = 0 on a periodic grid, solved exactly by a shift of phases."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .constants import Constants
from .fourier import check_periodic, wavenumbers
from .grid import Grid
from .solver import Solver, State


class Advection(Solver):
    """u(x, t) = u_0(x - c t): each Fourier coefficient turns by exp(-i k . c dt), exact for any step.

    The interpolant is trigonometric: exact for fields whose modes lie below n / 2, oscillating at jumps (finite volumes
    suit those). The mode n / 2 of an even axis has no direction and stays.

    Arguments:
        grid: periodic axes with equispaced points.
        speed: c, in units of length / time: for each axis of the grid (one number or tensor where there is one axis) a
            number, or a tensor of shape (B,) with a value for each sample.

    Raises:
        ValueError: where an axis is not periodic and equispaced, or the speed has not one entry for each axis.
    """

    fields = ("u",)

    def __init__(self, grid: Grid, speed: float | Tensor | Sequence[float | Tensor]):
        check_periodic(grid, "Advection")
        speeds = (speed,) if isinstance(speed, int | float | Tensor) else tuple(speed)
        if len(speeds) != len(grid.dims) or any(torch.as_tensor(c).ndim > 1 for c in speeds):
            raise ValueError(f"the speed needs a number or a tensor of shape (B,) for each of {grid.dims}; got {speed}")
        self.grid, self.speed = grid, speeds
        self._axes = tuple(range(-len(grid.dims), 0))

    @property
    def linear(self) -> Tensor:
        """-i k . c on the modes of `torch.fft.rfftn`: shape (*K) or (B, 1, *K), complex128."""
        rate = 0
        for c, k in zip(self.speed, wavenumbers(self.grid, odd=True), strict=True):
            c = torch.as_tensor(c, dtype=torch.float64).cpu()
            rate = rate - 1j * c.reshape(c.shape + (1,) * (c.ndim * (len(self._axes) + 1))) * k
        return rate

    def rhs(self, u: Tensor, time: float = 0.0) -> Tensor:
        """-c . grad u in units of u / time: shape (B, 1, *S) -> (B, 1, *S)."""
        v = torch.fft.rfftn(u, dim=self._axes)
        return self.read(self.linear.to(v) * v)

    def step_limit(self, u: Tensor) -> float:
        """Infinite: every step is exact, whatever the states u, with shape (B, 1, *S)."""
        return math.inf

    def start(self, u: Tensor) -> State:
        """Fourier coefficients of fields of shape (B, 1, *S)."""
        if any(isinstance(c, Tensor) and c.ndim and len(c) != len(u) for c in self.speed):
            raise ValueError(
                f"the speed has shapes {[tuple(torch.as_tensor(c).shape) for c in self.speed]}; "
                f"got {len(u)} initial fields"
            )
        return torch.fft.rfftn(u, dim=self._axes)

    def read(self, state: State) -> Tensor:
        """Fields of shape (B, 1, *S)."""
        return torch.fft.irfftn(state, s=self.grid.sizes, dim=self._axes)

    def stepper(self, dt: float) -> Callable[[State, int], State]:
        """One shift by c dt, its phases computed in float64; see `Solver.stepper`."""
        shift = Constants((dt * self.linear).exp())
        return lambda state, n: shift.like(state)[0] * state
