"""Denoisers around another: all that it knows of x passes through; a subclass changes how it is evaluated."""

from collections.abc import Callable

import torch
from torch import Tensor

from .base import Denoiser
from .covariance import Covariance


class Wrapped(Denoiser):
    """The same denoiser; subclasses change `forward` and `vjp`.

    Arguments:
        denoiser: the one that does the work.
    """

    def __init__(self, denoiser: Denoiser):
        super().__init__()
        self.inner, self.event = denoiser, tuple(denoiser.event)

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """D(x_t, sigma), with shape (N, *event)."""
        return self.inner(x_t, sigma)

    def surrogate(self, sigma: Tensor) -> Covariance | None:
        """The surrogate of the one within; sigma of shape ()."""
        return self.inner.surrogate(sigma)

    def within(self, sigma: Tensor) -> Covariance | None:
        """The covariance that all x_t share; sigma of shape ()."""
        return self.inner.within(sigma)

    def between(self) -> Tensor | None:
        """What lies between the modes, with shape (r, *event)."""
        return self.inner.between()

    @property
    def nearly_linear(self) -> bool:
        """As the one within says."""
        return self.inner.nearly_linear

    def prior_mean(self) -> Tensor | None:
        """Mean of x, with shape (*event)."""
        return self.inner.prior_mean()

    def start(self, sigma: Tensor, streams) -> Tensor:
        """x_t at the level sigma, with shape (rows, *event)."""
        return self.inner.start(sigma, streams)

    def within_variance(self, x_t: Tensor, sigma: Tensor) -> Tensor | None:
        """Mean variance per coordinate within one mode, with shape (N,)."""
        return self.inner.within_variance(x_t, sigma)


class Chunked(Wrapped):
    """Evaluates so many rows at a time: the same numbers in less memory.

    Where there are more, a product with the derivative passes a chunk forward once more, so that the graph of one chunk
    at most is in memory: a backward pass then costs a forward pass too.

    Arguments:
        denoiser: the one that does the work.
        rows: of x_t at a time, >= 1.

    Raises:
        ValueError: where rows is below 1.
    """

    def __init__(self, denoiser: Denoiser, rows: int):
        super().__init__(denoiser)
        if rows < 1:
            raise ValueError(f"at least 1 row must pass at a time; got {rows}")
        self.rows = rows

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """D(x_t, sigma), with shape (N, *event); sigma () or (N,)."""
        return torch.cat([self.inner(*part) for part in self._parts(x_t, sigma)])

    def vjp(self, x_t: Tensor, sigma: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """As `Denoiser.vjp`, shapes (N, *event)."""
        if len(x_t) <= self.rows:
            return self.inner.vjp(x_t, sigma)

        def pull(u: Tensor) -> Tensor:
            parts = zip(self._parts(x_t, sigma), u.split(self.rows), strict=True)
            return torch.cat([self.inner.vjp(*part)[1](rows) for part, rows in parts])

        return self(x_t, sigma), pull

    def within_variance(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """As of the one within, with shape (N,)."""
        return torch.cat([super(Chunked, self).within_variance(*part) for part in self._parts(x_t, sigma)])

    def _parts(self, x_t: Tensor, sigma: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Pieces of x_t with their noise levels."""
        parts = x_t.split(self.rows)
        levels = [sigma] * len(parts) if sigma.ndim == 0 else sigma.split(self.rows)
        return list(zip(parts, levels, strict=True))
