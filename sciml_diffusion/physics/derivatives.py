"""Derivatives of fields along the named axes of a grid, by Fourier modes or finite differences."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .grid import Grid
from .stencils import EDGES, Stencil, even_step, stencil, straightened

SCHEMES = ("spectral", "fd2", "fd4")


class Derivatives:
    """Partial derivatives on one grid with one scheme for each axis.

    "spectral": multiplication of the modes by (i k)^m, the Nyquist mode zeroed where m is odd; periodic, even axes.
    "fd2", "fd4": central differences of order 2 or 4 on even or uneven points, of order 2 beside ends that do not
    close. First derivatives are wide, (u_+ - u_-) / 2h; second derivatives and the Laplacian have stencils of their
    own, (u_+ - 2 u + u_-) / h^2, so no checkerboard hides from them. On an axis that decreases signs come out right.
    Source: Fornberg, Math. Comp. 51 (1988), 699-706.

    Fields are tensors of shape (..., *S): the grid's axes are the last ones, all before them are batch.

    Arguments:
        grid: axes; units of its coordinates are the unit of length.
        scheme: one of "spectral", "fd2", "fd4" for all axes, or {dim: scheme}.
        edges: {dim: "one-sided" | "even" | "odd"} for axes that do not close; "even" and "odd" mirror the values at a
            wall half a spacing outside (zero slope, zero value there). By default "one-sided".

    Raises:
        ValueError: a scheme, axis or edge that does not exist, a spectral scheme on an axis that is not periodic and
            even; when a derivative is taken, too few points for its stencil.
    """

    def __init__(self, grid: Grid, scheme: str | Mapping[str, str] = "fd2", edges: Mapping[str, str] | None = None):
        self.grid, self.edges = grid, dict(edges or {})
        self.schemes = dict(scheme) if isinstance(scheme, Mapping) else dict.fromkeys(grid.dims, scheme)
        if set(self.schemes) != set(grid.dims) or not set(self.schemes.values()) <= set(SCHEMES):
            raise ValueError(f"expected one of {SCHEMES} for each of {grid.dims}; got {self.schemes}")
        if not set(self.edges) <= set(grid.dims):
            raise ValueError(f"edges name {sorted(set(self.edges) - set(grid.dims))}, which are not among {grid.dims}")
        if not set(self.edges.values()) <= set(EDGES):
            raise ValueError(f"edges are {EDGES}; got {self.edges}")
        for dim, kind in self.schemes.items():
            if kind == "spectral":
                _check_even(grid, grid.dims.index(dim))
        self._cache: dict[tuple, Stencil | Tensor] = {}

    def along(self, u: Tensor, dim: str, order: int = 1) -> Tensor:
        """d^order u / d dim^order, with the shape (..., *S) of u.

        Arguments:
            u: field, with shape (..., *S).
            dim: name of the axis.
            order: 1 or 2; any order >= 1 where the scheme is spectral.
        """
        axis = self.axis(dim) - len(self.grid.dims)
        key = (dim, order, u.device, u.dtype)
        if self.schemes[dim] == "spectral":
            factor = self._once(key, lambda: _along(self.symbol(dim, order), axis).to(u.device, u.dtype.to_complex()))
            return torch.fft.irfft(factor * torch.fft.rfft(u, dim=axis), n=u.shape[axis], dim=axis)
        return self._once(key, lambda: self._stencil(dim, order).to(u))(u, axis % u.ndim)

    def laplacian(self, u: Tensor) -> Tensor:
        """Sum of second derivatives over all axes: shape (..., *S) -> (..., *S)."""
        return sum(self.along(u, dim, 2) for dim in self.grid.dims)

    def divergence(self, vector: Mapping[str, Tensor]) -> Tensor:
        """sum_dim d vector[dim] / d dim, with shape (..., *S).

        Arguments:
            vector: {dim: component along it}, each with shape (..., *S); axes left out have no component.
        """
        return sum(self.along(component, dim) for dim, component in vector.items())

    def symbol(self, dim: str, order: int = 1, full: bool = False) -> Tensor:
        """Eigenvalues of the derivative on the modes exp(2 pi i m j / n) of a periodic, even axis; complex128.

        Returns shape (n // 2 + 1,) for the modes of rfft, or (n,) for those of fft where `full`. They are i k for the
        first spectral derivative and i sin(k h) / h for the first central difference of order 2.
        """
        axis = self.axis(dim)
        _check_even(self.grid, axis)
        n = self.grid.sizes[axis]
        m = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64) if full else torch.arange(n // 2 + 1, dtype=torch.float64)
        if self.schemes[dim] == "spectral":
            x = self.grid.coordinates[axis]
            k = m * (2 * math.pi / self.grid.periods[axis]) * math.copysign(1, x[-1] - x[0])
            k = k.where((m.abs() * 2 != n) | (order % 2 == 0), 0)
            return (1j * k) ** order
        taps = self._stencil(dim, order)
        turns = m.round().long()[:, None] * taps.index[0] % n  # reduced while integers: no rounding of large angles
        phase = 2 * math.pi / n * turns.to(torch.float64)
        return (taps.weight[0] * (torch.complex(phase.cos(), phase.sin()) - 1)).sum(1)

    def inverse_laplacian(self, f: Tensor) -> Tensor:
        """psi with laplacian(psi) = f - mean(f) and mean 0, on a grid that is periodic and even along all axes.

        Shape (..., *S) -> (..., *S). It inverts the Laplacian of this scheme, not another one.
        """
        axes = tuple(range(-len(self.grid.dims), 0))
        inverse = self._once(("inverse", f.device, f.dtype), lambda: self._inverse_symbol(axes).to(f))
        return torch.fft.irfftn(torch.fft.rfftn(f, dim=axes) * inverse, s=f.shape[-len(axes) :], dim=axes)

    def _inverse_symbol(self, axes: tuple[int, ...]) -> Tensor:
        """1 / the symbol of the Laplacian on the modes of rfftn, 0 for the mean."""
        symbols = [self.symbol(dim, 2, full=axis != -1).real for dim, axis in zip(self.grid.dims, axes, strict=True)]
        total = sum(_along(s, axis) for s, axis in zip(symbols, axes, strict=True))
        return torch.where(total == 0, 0.0, 1 / torch.where(total == 0, 1.0, total))

    def _once(self, key: tuple, make: Callable):
        """What `make` returns, kept for later calls, which may record gradients where this one does not."""
        if key not in self._cache:
            with torch.inference_mode(False):
                self._cache[key] = make()
        return self._cache[key]

    def axis(self, dim: str) -> int:
        """Position of a dim among the grid's; ValueError where it is none."""
        if dim not in self.grid.dims:
            raise ValueError(f"the axis {dim!r} is not among {self.grid.dims}")
        return self.grid.dims.index(dim)

    def _stencil(self, dim: str, order: int) -> Stencil:
        axis = self.axis(dim)
        edge = self.edges.get(dim, "one-sided")
        return stencil(self.grid.coordinates[axis], self.grid.periods[axis], order, int(self.schemes[dim][-1]), edge)


def _check_even(grid: Grid, axis: int) -> None:
    """Raises ValueError where an axis has no Fourier modes."""
    period, x = grid.periods[axis], grid.coordinates[axis]
    if period is None:
        raise ValueError(f"the axis {grid.dims[axis]!r} is not periodic and has no Fourier modes; use 'fd2' or 'fd4'")
    if even_step(straightened(x, period), period) is None:
        raise ValueError(f"the axis {grid.dims[axis]!r} is not even over its period; leave the end point out")


def _along(values: Tensor, axis: int) -> Tensor:
    """A vector as a tensor that runs along a negative axis."""
    return values.reshape(-1, *[1] * (-1 - axis))
