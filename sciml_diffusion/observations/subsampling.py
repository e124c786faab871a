"""Regular subsamples of a window: every n-th point, or the means of blocks."""

import math

import torch
from torch import Tensor

from .operators import Weighted
from .sensors import mask_operator


def every_nth(event: tuple[int, ...], every: tuple[int, ...]) -> Weighted:
    """Observes every n-th frame and point, from the first on, of all channels, in memory order. A A^T = I.

    Arguments:
        event: shape (C, T, *S) of a window.
        every: steps along (T, *S), each >= 1.

    Raises:
        ValueError: steps that do not fit the window.
    """
    _check(event, every)
    mask = torch.zeros(event[1:], dtype=torch.bool)
    mask[tuple(slice(None, None, step) for step in every)] = True
    return mask_operator(mask, event)


def block_means(event: tuple[int, ...], block: tuple[int, ...], area: Tensor | None = None) -> Weighted:
    """Means over blocks of frames and points, of all channels, in memory order: a coarse model or satellite product.

    Arguments:
        event: shape (C, T, *S) of a window.
        block: points along (T, *S) of one block; they divide the sizes of the window.
        area: weights of the points, with shape (*S), for example `averages.cell_areas`; equal by default.

    Raises:
        ValueError: blocks that do not divide the window, or areas of another shape.
    """
    _check(event, block)
    rest = [(n, b) for n, b in zip(event[1:], block, strict=True) if n % b]
    if rest:
        raise ValueError(f"blocks of {tuple(block)} do not divide the frames and points {tuple(event[1:])} of a window")
    area = torch.ones(event[2:], dtype=torch.float64) if area is None else area.double()
    if tuple(area.shape) != tuple(event[2:]):
        raise ValueError(f"area needs the shape {tuple(event[2:])} of a frame; got {tuple(area.shape)}")
    index = _blocks(torch.arange(math.prod(event)).reshape(event), block)
    weight = _blocks(area.expand(event), block)
    return Weighted(index, weight / weight.sum(1, keepdim=True), tuple(event))


def _blocks(values: Tensor, block: tuple[int, ...]) -> Tensor:
    """The values (C, T, *S) of each block in a row, shape (blocks, points of a block)."""
    split = [values.shape[0]]
    for n, b in zip(values.shape[1:], block, strict=True):
        split += [n // b, b]
    axes = range(1, len(split), 2)
    values = values.reshape(split).permute(0, *axes, *(a + 1 for a in axes))
    return values.reshape(-1, math.prod(block))


def _check(event: tuple[int, ...], steps: tuple[int, ...]) -> None:
    if len(steps) != len(event) - 1 or any(step < 1 for step in steps):
        raise ValueError(
            f"a window of shape {tuple(event)} needs {len(event) - 1} steps >= 1 for its frames and points, "
            f"got {tuple(steps)}"
        )
