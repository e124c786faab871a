"""Orthonormal coordinates in which a Gaussian law is diagonal.

A basis B maps an event x (N, *event) to coefficients c (N, *coefficients) with B^T B = B B^T = I, so white noise
stays white and a covariance B^T diag(v) B costs two transforms.
"""

import math
from abc import ABC, abstractmethod
from functools import cache

import torch
from torch import Tensor, nn


class Basis(nn.Module, ABC):
    """Orthonormal change of coordinates on the axes after the first."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Returns the coefficients B x: shape (N, *event) -> (N, *coefficients)."""

    @abstractmethod
    def inverse(self, c: Tensor) -> Tensor:
        """Returns B^T c: shape (N, *coefficients) -> (N, *event)."""

    @property
    def arguments(self) -> dict:
        """Constructor arguments, from which the basis can be rebuilt."""
        return {}


class IdentityBasis(Basis):
    """The canonical basis: coefficients are the values themselves."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def inverse(self, c: Tensor) -> Tensor:
        return c


class FourierBasis(Basis):
    """Real orthonormal Fourier (Hartley) basis over the last `axes` axes: c = (Re F x - Im F x) / sqrt(n).

    It is its own inverse, and diagonalises every stationary covariance that is symmetric under x -> -x.
    Source: R. N. Bracewell, Discrete Hartley transform, J. Opt. Soc. Am. 73 (1983).

    Arguments:
        axes: number of trailing periodic axes.
    """

    def __init__(self, axes: int):
        super().__init__()
        self.axes = axes

    @property
    def arguments(self) -> dict:
        return {"axes": self.axes}

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.fftn(x, dim=tuple(range(-self.axes, 0)), norm="ortho")
        return spectrum.real - spectrum.imag

    def inverse(self, c: Tensor) -> Tensor:
        return self(c)


class AxisBasis(Basis):
    """One orthonormal transform for each trailing axis: Fourier (Hartley) where it closes, cosine (DCT-II) elsewhere.

    Cosines end with slope 0, as fields do between walls that nothing crosses, and suit any axis that does not close.

    Arguments:
        kinds: "fourier" or "cosine" for each of the trailing axes.

    Raises:
        ValueError: another kind.
    """

    def __init__(self, kinds: tuple[str, ...]):
        super().__init__()
        if not kinds or not set(kinds) <= {"fourier", "cosine"}:
            raise ValueError(f"the kinds of axes are 'fourier' and 'cosine'; got {tuple(kinds)}")
        self.kinds = tuple(kinds)

    @property
    def arguments(self) -> dict:
        return {"kinds": list(self.kinds)}

    def forward(self, x: Tensor) -> Tensor:
        for axis, kind in zip(range(-len(self.kinds), 0), self.kinds, strict=True):
            x = (x.movedim(axis, -1) @ _transform(kind, x.shape[axis]).to(x).T).movedim(-1, axis)
        return x

    def inverse(self, c: Tensor) -> Tensor:
        for axis, kind in zip(range(-len(self.kinds), 0), self.kinds, strict=True):
            c = (c.movedim(axis, -1) @ _transform(kind, c.shape[axis]).to(c)).movedim(-1, axis)
        return c


@cache
def _transform(kind: str, n: int) -> Tensor:
    """The orthonormal matrix of a transform, with shape (n, n), float64; its rows are the basis functions."""
    k, j = torch.arange(n, dtype=torch.float64)[:, None], torch.arange(n, dtype=torch.float64)
    if kind == "fourier":
        angle = 2 * math.pi * k * j / n
        return (angle.cos() + angle.sin()) / math.sqrt(n)
    scale = torch.full((n, 1), math.sqrt(2 / n), dtype=torch.float64)
    scale[0] = math.sqrt(1 / n)
    return scale * (math.pi * k * (j + 0.5) / n).cos()


class MatrixBasis(Basis):
    """Dense basis over the flattened event: c = U^T x, the columns of U being orthonormal (EOFs).

    Arguments:
        matrix: U, with shape (d, d); its columns are the basis vectors.
        event: shape of the event, with prod(event) = d.
    """

    def __init__(self, matrix: Tensor, event: tuple[int, ...]):
        super().__init__()
        self.event = tuple(event)
        self.register_buffer("matrix", matrix, persistent=False)

    @property
    def arguments(self) -> dict:
        return {"matrix": self.matrix, "event": list(self.event)}

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), -1) @ self.matrix

    def inverse(self, c: Tensor) -> Tensor:
        return (c @ self.matrix.T).reshape(len(c), *self.event)


class SpaceTimeBasis(Basis):
    """A basis over space, then for each of its modes a basis over time.

    c[j, k] = sum_t V[k, t, j] (B_space x_t)[k]: the coordinates of a law whose spatial modes are uncorrelated and
    whose mode k has the temporal covariance V_k diag(v_k) V_k^T. Large scales may thus live longer than small ones.

    Arguments:
        space: basis of one frame (C, *S), with n modes in all.
        temporal: V, with shape (n, T, T), orthonormal in its last two axes.
        frame: (C, *S).
        event: shape of an event; its memory order is (C, T, *S) (for example (C*T, H, W) or (C, T, X)).
    """

    def __init__(self, space: Basis, temporal: Tensor, frame: tuple[int, ...], event: tuple[int, ...]):
        super().__init__()
        self.space, self.frame, self.event = space, tuple(frame), tuple(event)
        self.register_buffer("temporal", temporal, persistent=False)

    @property
    def arguments(self) -> dict:
        return {"space": self.space, "temporal": self.temporal, "frame": list(self.frame), "event": list(self.event)}

    def forward(self, x: Tensor) -> Tensor:
        channels, *space = self.frame
        times = self.temporal.shape[-1]
        frames = x.reshape(len(x), channels, times, *space).movedim(2, 1)
        modes = self.space(frames.reshape(len(x) * times, *self.frame)).reshape(len(x), times, -1)
        return torch.einsum("ntk,ktj->njk", modes, self.temporal)

    def inverse(self, c: Tensor) -> Tensor:
        modes = torch.einsum("njk,ktj->ntk", c, self.temporal)
        times = self.temporal.shape[-1]
        coefficients = modes.reshape(len(c) * times, *self._coefficients())
        frames = self.space.inverse(coefficients).reshape(len(c), times, *self.frame)
        return frames.movedim(1, 2).reshape(len(c), *self.event)

    def _coefficients(self) -> tuple[int, ...]:
        return (-1,) if isinstance(self.space, MatrixBasis) else self.frame
