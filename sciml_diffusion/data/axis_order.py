"""Which axis is which, where a file does not say: one interval is solved in each order, and the equation decides."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..physics.burgers import Burgers
from ..physics.grid import Grid
from ..physics.navier_stokes import NavierStokes

CREDIBLE = 0.5  # error over change above which no order explains the data; samples of finer solutions err by up to 0.2
CLEAR = 2.0  # how many times worse the other order must be


def fno_forcing(x: Tensor, y: Tensor) -> Tensor:
    """0.1 (sin 2 pi (x + y) + cos 2 pi (x + y)) on the unit square, with the shape of x + y."""
    phase = 2 * math.pi * (x + y)
    return 0.1 * (torch.sin(phase) + torch.cos(phase))


def kolmogorov_forcing(x: Tensor, y: Tensor) -> Tensor:
    """-4 cos 4 y on [0, 2 pi]^2, the curl of the force sin 4 y along x, with the shape of x + y."""
    return -4 * torch.cos(4 * (y + 0 * x))


def navier_stokes_order(
    before: np.ndarray,
    after: np.ndarray,
    interval: float,
    viscosities: Sequence[float],
    forcing: Callable[[Tensor, Tensor], Tensor],
    length: float = 1.0,
) -> str | None:
    """The order of the spatial axes of vorticity, "xy" or "yx"; None where neither or both solve the equation.

    Under an exchange of x and y the advection changes its sign, all else stays: the wrong order errs by twice the
    advection of the interval.

    Arguments:
        before, after: vorticity at the ends of one interval, each with shape (N, S, S).
        interval: time between them > 0.
        viscosities: all that the file may have.
        forcing: f(x, y) of the vorticity equation.
        length: of the periodic square.
    """
    errors = {}
    for axes in ("xy", "yx"):
        grid = Grid.periodic(before.shape[1:], (length, length), dims=tuple(axes))
        positions = [torch.from_numpy(values) for values in grid.coordinates]
        x, y = (positions[axes.index(axis)].reshape((-1, 1) if axes.index(axis) == 0 else (1, -1)) for axis in "xy")
        f = forcing(x, y).expand(grid.sizes)
        errors[axes] = min(
            _error(NavierStokes(grid, nu, forcing=f).solve, before, after, interval) for nu in viscosities
        )
    return _decision(errors)


def burgers_order(u: np.ndarray, interval: float, viscosities: Sequence[float]) -> str | None:
    """Whether the axes of frames are "tx" or "xt"; None where neither or both solve u_t + u u_x = nu u_xx on [0, 1).

    Arguments:
        u: frames of some samples, with shape (N, T, X) or (N, X, T).
        interval: time between frames > 0.
        viscosities: all that the file may have.
    """
    errors = {}
    for axes, frames in (("tx", u), ("xt", u.swapaxes(1, 2))):
        last = min(4, frames.shape[1] - 1)
        grid = Grid.periodic((frames.shape[2],), (1.0,))
        errors[axes] = min(
            _error(Burgers(grid, nu).solve, frames[:, 0], frames[:, last], last * interval) for nu in viscosities
        )
    return _decision(errors)


def follows_burgers(before: np.ndarray, after: np.ndarray, interval: float, viscosity: float) -> bool | None:
    """Whether a state follows another by u_t + u u_x = nu u_xx on [0, 1); None where the solver cannot tell.

    Arguments:
        before, after: states of some samples, each with shape (N, X).
        interval: time between them > 0.
        viscosity: nu > 0.
    """
    error = _error(Burgers(Grid.periodic(before.shape[1:], (1.0,)), viscosity).solve, before, after, interval)
    return error < CREDIBLE if math.isfinite(error) else None


def _error(solve: Callable, before: np.ndarray, after: np.ndarray, interval: float) -> float:
    """Error of the solution after one interval, relative to the change that it should show."""
    start, end = (torch.from_numpy(np.ascontiguousarray(u, dtype=np.float64)) for u in (before, after))
    try:
        with torch.no_grad():
            found = solve(start[:, None], float(interval), 2)[:, 0, -1]
    except ValueError:  # no stable step, or not finite: this order explains nothing
        return math.inf
    return float((found - end).norm() / (end - start).norm().clamp_min(1e-30))


def _decision(errors: dict[str, float]) -> str | None:
    """The order whose error is credible and clearly the least."""
    best, other = sorted(errors, key=errors.get)
    return best if errors[best] < CREDIBLE and errors[other] > CLEAR * errors[best] else None
