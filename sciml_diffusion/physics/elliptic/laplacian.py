"""The Laplacian on a rectangle in its eigenvectors: sines, cosines or waves along each axis."""

import math

import numpy as np
import torch
from torch import Tensor

from ..cosine import dct, dst, idct, idst
from ..grid import Grid

WALLS = ("dirichlet", "neumann")
POINTS = ("cells", "nodes", "inside")
SYMBOLS = ("stencil", "spectral")


class Laplacian:
    """Lap u with u = 0 (dirichlet) or zero slope (neumann) on walls, or periodic axes; exactly inverted.

    Its eigenvectors are products of sin(q x) or cos(q x) (walls) and exp(i q x) (periodic), where q = pi k / L or
    2 pi k / L, with the eigenvalue -sum_axes (2 / h sin(q h / 2))^2 of the second difference of order 2 ("stencil"), or
    -sum_axes q^2 ("spectral"). Walls lie half a cell outside the first and last point ("cells"), on them ("nodes"), or
    a step outside ("inside"). Source: LeVeque, Finite Difference Methods (2007), chapters 2 and 3.

    Arguments:
        grid: equispaced; an axis with a period is periodic, the others lie between walls.
        walls: "dirichlet" or "neumann", for all axes between walls or one for each axis of the grid.
        points: "cells", "nodes" or "inside": where the values lie between walls.
        symbol: "stencil" or "spectral".

    Raises:
        ValueError: unknown words, an axis that is not equispaced, neumann walls without cells.
    """

    def __init__(
        self,
        grid: Grid,
        walls: str | tuple[str, ...] = "dirichlet",
        points: str = "cells",
        symbol: str = "stencil",
    ):
        self.grid, self.points, self.symbol = grid, points, symbol
        self.walls = (walls,) * len(grid.dims) if isinstance(walls, str) else tuple(walls)
        self._check()
        self.kinds = tuple(
            "periodic" if period is not None else wall for period, wall in zip(grid.periods, self.walls, strict=True)
        )
        inside = slice(1, -1) if points == "nodes" else slice(None)
        self.interior = tuple(slice(None) if kind == "periodic" else inside for kind in self.kinds)
        self.periodic_axes = tuple(i - len(self.kinds) for i, kind in enumerate(self.kinds) if kind == "periodic")
        self.eigenvalues = sum(self._axis_eigenvalues(axis) for axis in range(len(self.kinds)))

    @property
    def singular(self) -> bool:
        """Whether the constant is an eigenvector with eigenvalue 0."""
        return "dirichlet" not in self.kinds

    def apply(self, u: Tensor) -> Tensor:
        """Lap u, zero on wall nodes: shape (..., *S) -> (..., *S). With nodes, u on the walls enters as it is given."""
        if self.symbol == "spectral":
            return self.outside(self._inverse(self.eigenvalues.to(u) * self._forward(u[(..., *self.interior)])))
        total = 0
        for axis, kind in enumerate(self.kinds):
            total = total + self._second_difference(u, axis - len(self.kinds), kind)
        return self.outside(total)

    def inverse(self, f: Tensor, shift: float | Tensor = 0.0) -> Tensor:
        """u with Lap u + shift u = f and u = 0 on wall nodes: shape (..., *S) -> (..., *S), differentiable.

        Where the constant has the eigenvalue 0 and shift is 0, the mean of f is left out and u has mean 0.

        Arguments:
            f: right side, with shape (..., *S); its values on wall nodes are not used.
            shift: float, or Tensor of shape (...) of the leading dims of f; must not be minus an eigenvalue.
        """
        return self.outside(self.inverse_inside(f[(..., *self.interior)], shift))

    def inverse_inside(self, f: Tensor, shift: float | Tensor = 0.0) -> Tensor:
        """`inverse` for values of the interior alone: shape (..., *I) -> (..., *I).

        Arguments:
            f: right side on the interior, with shape (..., *I).
            shift: as in `inverse`.
        """
        symbol = self.eigenvalues.to(f)
        if isinstance(shift, Tensor):
            symbol = symbol + shift.to(f).reshape(*shift.shape, *(1,) * len(self.kinds))
        elif shift or not self.singular:
            symbol = symbol + shift
        else:
            symbol = torch.where(symbol == 0, torch.inf, symbol)
        return self._inverse(self._forward(f) / symbol)

    def _forward(self, u: Tensor) -> Tensor:
        for axis, kind in enumerate(self.kinds):
            if kind == "dirichlet":
                u = dst(u, axis - len(self.kinds), type=self._sine_type)
            elif kind == "neumann":
                u = dct(u, axis - len(self.kinds))
        return torch.fft.rfftn(u, dim=self.periodic_axes) if self.periodic_axes else u

    def _inverse(self, v: Tensor) -> Tensor:
        if self.periodic_axes:
            v = torch.fft.irfftn(v, s=[self.grid.sizes[axis] for axis in self.periodic_axes], dim=self.periodic_axes)
        for axis, kind in enumerate(self.kinds):
            if kind == "dirichlet":
                v = idst(v, axis - len(self.kinds), type=self._sine_type)
            elif kind == "neumann":
                v = idct(v, axis - len(self.kinds))
        return v

    @property
    def _sine_type(self) -> int:
        return 2 if self.points == "cells" else 1

    def _axis_eigenvalues(self, axis: int) -> Tensor:
        """Eigenvalues along one axis, shaped to broadcast over the coefficients."""
        n, h, kind = self.grid.sizes[axis], self.grid.spacings[axis], self.kinds[axis]
        if kind == "periodic":
            half = axis - len(self.kinds) == self.periodic_axes[-1]
            k = torch.arange(n // 2 + 1, dtype=torch.float64) if half else torch.fft.fftfreq(n, 1 / n).double()
            q = 2 * math.pi * k / self.grid.periods[axis]
        elif kind == "neumann":
            q = math.pi / (n * h) * torch.arange(n, dtype=torch.float64)
        elif self.points == "cells":
            q = math.pi / (n * h) * torch.arange(1, n + 1, dtype=torch.float64)
        else:
            inside = n - 2 if self.points == "nodes" else n
            q = math.pi / ((inside + 1) * h) * torch.arange(1, inside + 1, dtype=torch.float64)
        values = -(q**2) if self.symbol == "spectral" else -((2 / h * torch.sin(q * h / 2)) ** 2)
        return values.reshape(-1, *(1,) * (len(self.kinds) - 1 - axis))

    def _second_difference(self, u: Tensor, axis: int, kind: str) -> Tensor:
        """(u_{j+1} - 2 u_j + u_{j-1}) / h^2 on the interior; beyond walls the ghosts -u or u (cells), or 0 (inside)."""
        others = list(self.interior)
        if kind != "periodic" and self.points == "nodes":
            others[axis] = slice(None)
        u = u[(..., *others)].movedim(axis, -1)
        if kind == "periodic":
            u = torch.cat([u[..., -1:], u, u[..., :1]], -1)
        elif self.points != "nodes":
            sign = 0 if self.points == "inside" else -1 if kind == "dirichlet" else 1
            u = torch.cat([sign * u[..., :1], u, sign * u[..., -1:]], -1)
        return u.diff(n=2).movedim(-1, axis) / self.grid.spacings[axis] ** 2

    def outside(self, v: Tensor) -> Tensor:
        """Values of the interior with zeros on the wall nodes around them: shape (..., *I) -> (..., *S)."""
        pads = [0 if part == slice(None) else 1 for part in self.interior]
        return torch.nn.functional.pad(v, [p for pad in reversed(pads) for p in (pad, pad)]) if any(pads) else v

    def _check(self) -> None:
        if len(self.walls) != len(self.grid.dims) or not set(self.walls) <= set(WALLS):
            raise ValueError(f"walls must be {WALLS}, one or one for each of {self.grid.dims}; got {self.walls}")
        if self.points not in POINTS or self.symbol not in SYMBOLS:
            raise ValueError(f"points are {POINTS} and symbols {SYMBOLS}; got {self.points!r} and {self.symbol!r}")
        pairs = zip(self.grid.periods, self.walls, strict=True)
        if self.points != "cells" and any(wall == "neumann" and period is None for period, wall in pairs):
            raise ValueError("neumann walls need points='cells': the walls lie between cells, half a cell outside")
        check_equispaced(self.grid, 3 if self.points == "nodes" else 1)


def check_equispaced(grid: Grid, least: int) -> None:
    """Raises ValueError where an axis has fewer than `least` points or unequal steps.

    Arguments:
        grid: to test.
        least: points that an axis needs.
    """
    for dim, values, period in zip(grid.dims, grid.coordinates, grid.periods, strict=True):
        steps = np.diff(np.asarray(values, dtype=np.float64))
        if len(values) < max(least, 2) or not np.allclose(steps, steps[0], rtol=1e-4):
            raise ValueError(f"the axis {dim!r} needs at least {max(least, 2)} equispaced points")
        if period is not None and not math.isclose(abs(steps[0]) * len(values), period, rel_tol=1e-4):
            raise ValueError(f"the axis {dim!r} must be equispaced over its period {period:g}, its end left out")
