"""Bands of a spectrum: Fourier coefficients of chosen wavenumbers, real and imaginary parts."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..physics.fourier import check_periodic
from ..physics.grid import Grid
from .operators import LinearOperator


class SpectralBand(LinearOperator):
    """sqrt(2) Re c_k and sqrt(2) Im c_k of c_k = (1/n) sum_j x_j e^{-i k x_j}; c_k itself where it is real.

    Scaled so that the squares of all coefficients sum to the mean of x^2 (Parseval). Values run over frames, then real
    parts, then imaginary parts. Rows are orthogonal: A A^T = I / n, n the number of points. By FFT in both directions.

    Arguments:
        grid: periodic, equispaced axes.
        event: shape (C, T, *S) of a window.
        modes: integers (cycles in the domain) along each axis, one tuple for each; k and -k are one mode.
        channel: which field.
        frames: indices of the frames; all by default.

    Raises:
        ValueError: axes that are not periodic and equispaced; modes that repeat or lie above n / 2; indices that do
            not fit the window.
    """

    def __init__(
        self,
        grid: Grid,
        event: tuple[int, ...],
        modes: Sequence[tuple[int, ...]],
        channel: int = 0,
        frames: Sequence[int] | None = None,
    ):
        check_periodic(grid, type(self).__name__)
        fields, count, *sizes = event
        self.frames = list(range(count)) if frames is None else [int(f) for f in frames]
        if (
            tuple(sizes) != tuple(grid.sizes)
            or not 0 <= channel < fields
            or not all(0 <= f < count for f in self.frames)
        ):
            raise ValueError(
                f"a window of shape {tuple(event)} does not fit the grid {grid.sizes}, the channel {channel} or the "
                f"frames {self.frames}"
            )
        modes = [tuple(int(m) for m in mode) for mode in modes]
        known = {_canonical(mode, sizes) for mode in modes}
        if not modes or len(known) < len(modes):
            raise ValueError("expected modes that differ, k and -k being the same one; got repeated ones, or none")
        if any(
            len(mode) != len(sizes) or any(2 * abs(m) > n for m, n in zip(mode, sizes, strict=True)) for mode in modes
        ):
            raise ValueError(
                f"modes need {len(sizes)} integers up to half of the points {tuple(sizes)} along each axis"
            )
        self.event, self.channel, self.sizes = tuple(event), channel, tuple(sizes)
        index = torch.tensor([[m % n for m, n in zip(mode, sizes, strict=True)] for mode in modes])
        self.index = _flat(index, sizes)
        pair = _flat(torch.remainder(-index, torch.tensor(sizes)), sizes)
        self.twofold = (self.index != pair).nonzero()[:, 0]
        self.scale = (1 + (self.index != pair).double()).sqrt()
        self.each = len(modes) + len(self.twofold)
        self.m = len(self.frames) * self.each

    def __call__(self, x: Tensor) -> Tensor:
        axes = tuple(range(-len(self.sizes), 0))
        c = torch.fft.fftn(x[:, self.channel, self.frames], dim=axes, norm="forward")
        c = c.flatten(2)[..., self.index.to(x.device)] * self.scale.to(x)
        return torch.cat([c.real, c.imag[..., self.twofold.to(x.device)]], -1).flatten(1)

    def adjoint(self, y: Tensor) -> Tensor:
        y = y.reshape(len(y), len(self.frames), self.each)
        real, imaginary = y.split([len(self.index), len(self.twofold)], -1)
        imaginary = torch.zeros_like(real).index_copy(-1, self.twofold.to(y.device), imaginary)
        spectrum = torch.complex(real, imaginary) * self.scale.to(y)
        whole = torch.zeros(*y.shape[:2], math.prod(self.sizes), dtype=spectrum.dtype, device=y.device)
        whole = whole.index_copy(-1, self.index.to(y.device), spectrum).reshape(*y.shape[:2], *self.sizes)
        seen = torch.fft.ifftn(whole, dim=tuple(range(-len(self.sizes), 0))).real
        frames = torch.tensor(self.frames, device=y.device)
        field = torch.zeros(len(y), *self.event[1:], dtype=y.dtype, device=y.device).index_add(1, frames, seen)
        blank = torch.zeros_like(field)
        return torch.stack([field if c == self.channel else blank for c in range(self.event[0])], 1)

    def singular(self, dtype: torch.dtype, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Known without a factorisation: all values are n^-1/2. Shapes (m,) and (m, m)."""
        if len(set(self.frames)) < len(self.frames):
            return super().singular(dtype, device)
        values = torch.full((self.m,), math.prod(self.sizes) ** -0.5, dtype=dtype, device=device)
        return values, torch.eye(self.m, dtype=dtype, device=device)


def band(sizes: tuple[int, ...], low: float, high: float) -> list[tuple[int, ...]]:
    """Modes with low <= |m| <= high, |m| the Euclidean norm of the cycles along the axes, one of each pair +-m.

    Arguments:
        sizes: points along each axis.
        low, high: in cycles in the domain; 0 is the mean.

    Raises:
        ValueError: no mode lies between.
    """
    ranges = [range(-((n - 1) // 2), n // 2 + 1) for n in sizes]
    inside = (mode for mode in itertools.product(*ranges) if low <= math.hypot(*mode) <= high)
    modes = sorted({_canonical(mode, sizes) for mode in inside}, key=lambda mode: (math.hypot(*mode), mode))
    if not modes:
        raise ValueError(f"no mode of a grid with {tuple(sizes)} points lies between {low} and {high} cycles")
    return modes


def energetic(x: Tensor, count: int, channel: int = 0) -> list[tuple[int, ...]]:
    """The `count` modes that carry most of the mean energy of reference fields, largest first.

    Arguments:
        x: fields, with shape (B, C, T, *S).
        count: of modes, +-k being one.
        channel: which field.
    """
    sizes = tuple(x.shape[3:])
    power = torch.fft.fftn(x[:, channel], dim=tuple(range(-len(sizes), 0))).abs().square().mean((0, 1))
    modes = band(sizes, 0, math.inf)
    index = _flat(torch.tensor([[m % n for m, n in zip(mode, sizes, strict=True)] for mode in modes]), sizes)
    order = power.flatten()[index].argsort(descending=True)[:count]
    return [modes[i] for i in order.tolist()]


def _canonical(mode: tuple[int, ...], sizes: Sequence[int]) -> tuple[int, ...]:
    """One of +-m, the same for both and for what aliases to them."""
    signed = [
        tuple((s * m + (n - 1) // 2) % n - (n - 1) // 2 for m, n in zip(mode, sizes, strict=True)) for s in (1, -1)
    ]
    return max(signed)


def _flat(index: Tensor, sizes: Sequence[int]) -> Tensor:
    """Positions in the flattened axes of indices with shape (q, d): shape (q,)."""
    flat = torch.zeros(len(index), dtype=torch.long)
    for axis, n in enumerate(sizes):
        flat = flat * n + index[:, axis]
    return flat
