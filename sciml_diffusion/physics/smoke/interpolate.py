"""Values of a grid at points between its nodes, by two linear interpolations, around walls."""

from typing import NamedTuple

import torch
from torch import Tensor


class Stencil(NamedTuple):
    """The four nodes around each point: indices and weights, each with shape (4, B | 1, N)."""

    index: Tensor
    weight: Tensor


def stencil(sizes: tuple[int, int], y: Tensor, x: Tensor) -> Stencil:
    """Nodes and weights for points in units of the index, with shape (B | 1, M_y, M_x).

    Outside, the nearest edge counts (which mirrors the field at a side half a cell beyond).

    Arguments:
        sizes: nodes (Y, X), each >= 2.
        y, x: positions, each with shape (B | 1, M_y, M_x).
    """
    y, x = y.flatten(1), x.flatten(1)
    y, x = y.clamp(0, sizes[0] - 1), x.clamp(0, sizes[1] - 1)
    row, column = y.detach().long().clamp(max=sizes[0] - 2), x.detach().long().clamp(max=sizes[1] - 2)
    f_y, f_x = y - row, x - column
    corner = row * sizes[1] + column
    index = torch.stack([corner, corner + 1, corner + sizes[1], corner + sizes[1] + 1])
    weight = torch.stack([(1 - f_y) * (1 - f_x), (1 - f_y) * f_x, f_y * (1 - f_x), f_y * f_x])
    return Stencil(index, weight)


def nodes(field: Tensor, at: Stencil) -> Tensor:
    """Values of the four nodes: field of shape (B, Y, X) -> (4, B, N)."""
    flat = field.flatten(1)
    return torch.stack([flat.gather(1, index.expand(len(flat), -1)) for index in at.index])


def interpolate(values: Tensor, at: Stencil, valid: Tensor | None = None) -> Tensor:
    """sum w c / sum w over the nodes that are valid; 0 where none is: node values (4, B, N) -> (B, N).

    Arguments:
        values: of the four nodes, with shape (4, B, N).
        at: their stencil.
        valid: which nodes count, 1 or 0, with shape (4, B | 1, N); all by default.
    """
    if valid is None:
        return (at.weight * values).sum(0)
    weight = at.weight * valid
    return (weight * values).sum(0) / weight.sum(0).clamp_min(1e-6)
