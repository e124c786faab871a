"""How residuals become numbers: penalties of one sample, each squared or bounded before it is averaged."""

import math

import torch
from torch import Tensor

from ..grid import Grid

KINDS = ("l2", "l1", "huber", "pseudo-huber", "h-1")


def penalty(r: Tensor, kind: str, c: float = 1.0) -> Tensor:
    """rho(r) at every point, with the shape of r (any).

    "l2": r^2. "l1": |r|. "huber": r^2 for |r| <= c, else c (2 |r| - c). "pseudo-huber": 2 c^2 (sqrt(1 + (r/c)^2) - 1).
    Both Huber forms are r^2 near 0 and 2 c |r| far away, so shocks do not decide alone.

    Raises:
        ValueError: a kind that is none of these, or c not > 0.
    """
    if not c > 0:
        raise ValueError(f"the crossover c must be > 0; got {c}")
    if kind == "l2":
        return r**2
    if kind == "l1":
        return r.abs()
    if kind == "huber":
        size = r.abs()
        return torch.where(size <= c, r**2, c * (2 * size - c))
    if kind == "pseudo-huber":
        return 2 * c**2 * ((1 + (r / c) ** 2).sqrt() - 1)
    raise ValueError(f"the kind of a norm is one of {KINDS}; got {kind!r}")


def average(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean over all but the first axis: shape (B, ...) -> (B,).

    Arguments:
        values: with shape (B, ...).
        weight: >= 0, broadcast to values; by default equal.
    """
    if weight is None:
        return values.flatten(1).mean(1)
    weight = weight.to(values).expand_as(values)
    return (weight * values).flatten(1).sum(1) / weight.flatten(1).sum(1)


def h_minus_one(r: Tensor, grid: Grid) -> Tensor:
    """Mean square of (1 - Laplacian)^(-1/2) r: sum |r_hat|^2 / (1 + |k|^2), which weighs large scales.

    The residual of an elliptic equation measured so grows with the H^1 error of the solution, not with h^-2 of it.
    Axes that do not close are continued oddly: about walls half a spacing outside, or, where rows were left out, about
    the nodes beside those that remain.

    Arguments:
        r: with shape (B, C, T, *S'), S' rows of the grid's axes.
        grid: whose spacings give k, in radians for each unit of length.
    """
    axes = range(-len(grid.dims), 0)
    squared, transformed = torch.zeros((), dtype=r.dtype, device=r.device), r
    for axis, size, spacing, period in zip(axes, grid.sizes, grid.spacings, grid.periods, strict=True):
        n = r.shape[axis]
        if n != size:
            zero = torch.zeros_like(transformed.narrow(axis, 0, 1))
            transformed = torch.cat([zero, transformed, zero, -transformed.flip(axis)], axis)
        elif period is None:
            transformed = torch.cat([transformed, -transformed.flip(axis)], axis)
        else:
            spacing = period / n
        k = 2 * math.pi * torch.fft.fftfreq(transformed.shape[axis], spacing, dtype=r.dtype, device=r.device)
        squared = squared + (k**2).reshape(-1, *[1] * (-1 - axis))
    modes = torch.fft.fftn(transformed, dim=tuple(axes), norm="forward")
    spatial = (modes.abs() ** 2 / (1 + squared)).flatten(-len(grid.dims)).sum(-1)
    return average(spatial)
