"""Ghost cells: what lies beyond the ends of a line of cells."""

import numpy as np
import torch
from torch import Tensor

from ..grid import Grid

GHOSTS = 2  # cells on either side: a slope in the first ghost cell needs the second


def cells_of(grid: Grid, boundary: str, allowed: tuple[str, ...], name: str) -> float:
    """The width of the cells of a grid with one axis.

    Arguments:
        grid: one equispaced, increasing axis of >= 4 cell centres; with a period if `boundary` is "periodic".
        boundary: "periodic" | "outflow" | "dirichlet" | "reflecting".
        allowed: the boundaries that the equation has.
        name: of the solver, for messages.

    Raises:
        ValueError: the grid and the boundary do not fit each other, or the equation has no such boundary.
    """
    if boundary not in allowed:
        raise ValueError(f"{name} knows the boundaries {', '.join(allowed)}; got {boundary!r}")
    if len(grid.dims) != 1 or grid.sizes[0] < 4:
        raise ValueError(f"{name} needs one axis of at least 4 cells; got dims {grid.dims} with sizes {grid.sizes}")
    period = grid.periods[0]
    if (period is None) == (boundary == "periodic"):
        have = "no period" if period is None else f"the period {period}"
        raise ValueError(f"the axis {grid.dims[0]!r} has {have}, which does not fit boundary={boundary!r}")
    width = grid.spacings[0] if period is None else period / grid.sizes[0]
    if not np.allclose(np.diff(grid.coordinates[0]), width, rtol=1e-6, atol=0):
        raise ValueError(f"{name} needs equal cells in increasing order; the axis {grid.dims[0]!r} has others")
    return float(width)


def pad(u: Tensor, boundary: str, values: tuple[float, float] = (0.0, 0.0), signs: Tensor | None = None) -> Tensor:
    """Cells with two ghost cells on either side: shape (B, C, X) -> (B, C, X + 4).

    Arguments:
        u: cell means, with shape (B, C, X).
        boundary: "periodic"; "outflow" repeats the outermost cell (zero gradient); "dirichlet" holds `values`;
            "reflecting" mirrors the cells.
        values: left and right values of "dirichlet", in the units of u.
        signs: factor of each mirrored channel, with shape (C, 1): -1 for the velocity normal to a wall.
    """
    if boundary == "periodic":
        return torch.cat([u[..., -GHOSTS:], u, u[..., :GHOSTS]], -1)
    if boundary == "reflecting":
        left, right = u[..., :GHOSTS].flip(-1), u[..., -GHOSTS:].flip(-1)
        return torch.cat([left * signs, u, right * signs], -1)
    shape = (*u.shape[:-1], GHOSTS)
    if boundary == "dirichlet":
        left, right = (torch.full(shape, value, dtype=u.dtype, device=u.device) for value in values)
    else:
        left, right = u[..., :1].expand(shape), u[..., -1:].expand(shape)
    return torch.cat([left, u, right], -1)
