"""Fourier modes of periodic grids: wavenumbers, and transforms that carry only the modes which products keep exact."""

import math

import torch
from torch import Tensor

from .grid import Grid


def check_periodic(grid: Grid, user: str, dims: int | None = None) -> None:
    """Raises ValueError unless every axis is periodic with >= 4 points x_j = x_0 + j L / n, in increasing order.

    Arguments:
        grid: to be checked.
        user: who needs it, for the message.
        dims: number of axes, where only one is allowed.
    """
    if dims not in (None, len(grid.dims)) or None in grid.periods:
        number = "one periodic axis" if dims == 1 else f"{dims or 'only'} periodic axes"
        raise ValueError(f"{user} needs {number}; got dims {grid.dims} with periods {grid.periods}")
    for dim, values, period in zip(grid.dims, grid.coordinates, grid.periods, strict=True):
        step = period / len(values)
        spacing = torch.tensor(values, dtype=torch.float64).diff()
        if len(values) < 4 or not torch.allclose(spacing, torch.full_like(spacing, step), rtol=1e-6, atol=1e-9 * step):
            raise ValueError(
                f"{user} needs at least 4 points x_j = x_0 + j L / n over a period of {dim!r}, its end left out"
            )


def wavenumbers(grid: Grid, odd: bool = False) -> tuple[Tensor, ...]:
    """Angular wavenumbers k_i = 2 pi m_i / L_i of `torch.fft.rfftn`, one float64 tensor for each axis; they broadcast.

    Arguments:
        grid: periodic axes; the last is the halved one.
        odd: zero at m = n / 2 of an even axis, where odd derivatives of a real field have no value.
    """
    waves = []
    for axis, (n, period) in enumerate(zip(grid.sizes, grid.periods, strict=True)):
        last = axis == len(grid.sizes) - 1
        m = torch.arange(n // 2 + 1) if last else torch.fft.fftfreq(n, 1 / n).round()
        m = torch.where((2 * m.abs() == n) & odd, 0, m).to(torch.float64)
        waves.append((2 * math.pi / period * m).reshape(*(-1 if i == axis else 1 for i in range(len(grid.sizes)))))
    return tuple(waves)


class DealiasedModes:
    """The modes |m_i| < n_i / 3 of a periodic grid: a product of two fields made of them has no alias on them.

    Coefficients have the shape (..., *K): K = ceil(n / 3) on the last axis, 2 ceil(n_i / 3) - 1 on the others, in the
    order of the FFT. Transforms of one axis at a time skip what is zero.
    Source: Canuto, Hussaini, Quarteroni & Zang, Spectral Methods (2006), section 3.3.

    Arguments:
        grid: periodic axes with equispaced points.
    """

    def __init__(self, grid: Grid):
        self.sizes = grid.sizes
        self.kept = tuple((n + 2) // 3 for n in self.sizes)
        self.wavenumbers = tuple(self._cut(k, axis) for axis, k in enumerate(wavenumbers(grid)))

    def forward(self, u: Tensor) -> Tensor:
        """Coefficients (..., *K) of real fields of shape (..., *S)."""
        v = torch.fft.rfft(u)[..., : self.kept[-1]]
        for axis in range(len(self.sizes) - 1):
            v = self._cut(torch.fft.fft(v, dim=axis - len(self.sizes)), axis)
        return v

    def backward(self, v: Tensor) -> Tensor:
        """Real fields (..., *S) of coefficients of shape (..., *K)."""
        for axis in range(len(self.sizes) - 1):
            v = torch.fft.ifft(self._pad(v, axis), dim=axis - len(self.sizes))
        return torch.fft.irfft(v, n=self.sizes[-1])

    def _cut(self, v: Tensor, axis: int) -> Tensor:
        """Leaves the modes kept of one full axis."""
        kept, dim = self.kept[axis], axis - len(self.sizes)
        if v.shape[dim] == 1 or axis == len(self.sizes) - 1:
            return v.narrow(dim, 0, min(kept, v.shape[dim]))
        return torch.cat([v.narrow(dim, 0, kept), v.narrow(dim, v.shape[dim] - kept + 1, kept - 1)], dim)

    def _pad(self, v: Tensor, axis: int) -> Tensor:
        """Puts zeros for the modes left out of one axis."""
        kept, dim, shape = self.kept[axis], axis - len(self.sizes), list(v.shape)
        shape[dim] = self.sizes[axis] - 2 * kept + 1
        return torch.cat([v.narrow(dim, 0, kept), v.new_zeros(shape), v.narrow(dim, kept, kept - 1)], dim)
