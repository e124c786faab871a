"""Cosine and sine transforms along one axis: the eigenvectors of second differences between walls.

All are orthonormal, so the inverse is the transpose, and they equal `scipy.fft.dct` and `dst` with norm="ortho".
They are made of real FFTs: they run on every device, in float32 or float64, are differentiable, and work under
`torch.func` transforms. Source: Strang, The Discrete Cosine Transform, SIAM Review 41 (1999).

| transform | points | value at the walls | eigenvectors, j = 0 .. n - 1 |
|---|---|---|---|
| dct, type 2 | cell centres | zero slope | cos(pi k (j + 1/2) / n), k = 0 .. n - 1 |
| dst, type 2 | cell centres | zero | sin(pi k (j + 1/2) / n), k = 1 .. n |
| dst, type 1 | nodes inside | zero | sin(pi k (j + 1) / (n + 1)), k = 1 .. n |
"""

import math

import torch
from torch import Tensor


def dct(x: Tensor, axis: int = -1) -> Tensor:
    """Orthonormal cosine transform of type 2, X_k = w_k sum_j x_j cos(pi k (j + 1/2) / n), k = 0 .. n - 1.

    w_0 = sqrt(1 / n), else w_k = sqrt(2 / n).

    Arguments:
        x: real, of any shape; the shape is kept.
        axis: along which to transform.
    """
    x = x.movedim(axis, -1)
    n = x.shape[-1]
    spectrum = torch.fft.rfft(torch.cat([x, x.flip(-1)], -1))[..., :n]
    return (_weights(n, x) * (spectrum * _twiddle(n, -1, spectrum)).real).movedim(-1, axis)


def idct(x: Tensor, axis: int = -1) -> Tensor:
    """Inverse of `dct`: x_j = sum_k w_k X_k cos(pi k (j + 1/2) / n).

    Arguments:
        x: coefficients X, of any shape; the shape is kept.
        axis: along which to transform.
    """
    x = x.movedim(axis, -1)
    n = x.shape[-1]
    scaled = x / _weights(n, x)
    spectrum = scaled * _twiddle(n, 1, scaled)
    spectrum = torch.nn.functional.pad(spectrum, (0, 1))  # the mode n of the even extension is zero
    return torch.fft.irfft(spectrum, n=2 * n)[..., :n].movedim(-1, axis)


def dst(x: Tensor, axis: int = -1, type: int = 2) -> Tensor:
    """Orthonormal sine transform.

    Type 1 (nodes inside): X_k = sqrt(2 / (n + 1)) sum_j x_j sin(pi k (j + 1) / (n + 1)), k = 1 .. n, at index k - 1.
    Type 2 (cell centres): X_k = w_k sum_j x_j sin(pi k (j + 1/2) / n), k = 1 .. n; w_n = sqrt(1 / n), else sqrt(2 / n).

    Arguments:
        x: real, of any shape; the shape is kept.
        axis: along which to transform.
        type: 1 or 2.

    Raises:
        ValueError: where the type is neither 1 nor 2.
    """
    if type == 1:
        return _dst1(x, axis)
    if type != 2:
        raise ValueError(f"sine transforms have the type 1 (nodes) or 2 (cells); got {type}")
    return dct(_alternate(x, axis), axis).flip(axis)


def idst(x: Tensor, axis: int = -1, type: int = 2) -> Tensor:
    """Inverse of `dst`, of the same type.

    Arguments:
        x: coefficients X, of any shape; the shape is kept.
        axis: along which to transform.
        type: 1 or 2.

    Raises:
        ValueError: where the type is neither 1 nor 2.
    """
    if type == 1:
        return _dst1(x, axis)
    if type != 2:
        raise ValueError(f"sine transforms have the type 1 (nodes) or 2 (cells); got {type}")
    return _alternate(idct(x.flip(axis), axis), axis)


def _dst1(x: Tensor, axis: int) -> Tensor:
    x = x.movedim(axis, -1)
    n = x.shape[-1]
    zero = torch.zeros_like(x[..., :1])
    spectrum = torch.fft.rfft(torch.cat([zero, x, zero, -x.flip(-1)], -1))
    return (-math.sqrt(0.5 / (n + 1)) * spectrum.imag[..., 1 : n + 1]).movedim(-1, axis)


def _weights(n: int, like: Tensor) -> Tensor:
    """Half of w_k: the extension doubles the sum."""
    weights = torch.full((n,), math.sqrt(0.5 / n), dtype=like.dtype, device=like.device)
    return torch.where(torch.arange(n, device=like.device) == 0, math.sqrt(0.25 / n), weights)


def _twiddle(n: int, sign: int, like: Tensor) -> Tensor:
    """exp(sign i pi k / (2 n)), in the complex dtype that goes with `like`."""
    angle = sign * math.pi / (2 * n) * torch.arange(n, dtype=torch.float64, device=like.device)
    complex_dtype = like.dtype if like.is_complex() else torch.promote_types(like.dtype, torch.complex32)
    return torch.polar(torch.ones_like(angle), angle).to(complex_dtype)


def _alternate(x: Tensor, axis: int) -> Tensor:
    """(-1)^j x_j: sin(pi (n - k) (j + 1/2) / n) = (-1)^j cos(pi k (j + 1/2) / n)."""
    sign = 1 - 2 * (torch.arange(x.shape[axis], device=x.device) % 2).to(x.dtype)
    return (x.movedim(axis, -1) * sign).movedim(-1, axis)
