"""Second-order upwind fluxes of a transported quantity, for finite volumes that keep its sum exactly."""

from collections.abc import Callable

import torch
from torch import Tensor


def limited_slope(before: Tensor, after: Tensor) -> Tensor:
    """MC slope of the differences to both neighbours, of one shape: 0 at extrema, else the smallest of
    |a + b| / 2, 2 |a| and 2 |b| with their sign. Source: van Leer, J. Comput. Phys. 23 (1977).
    """
    size = torch.minimum((before + after).abs() / 2, 2 * torch.minimum(before.abs(), after.abs()))
    return torch.where(before * after > 0, size * before.sign(), 0.0)


def central_slope(before: Tensor, after: Tensor) -> Tensor:
    """(a + b) / 2, of one shape: Fromm's scheme, linear in c, which may overshoot at fronts."""
    return (before + after) / 2


def upwind_flux(
    c: Tensor,
    velocity: Tensor,
    axis: int,
    outside: tuple[Tensor, Tensor] | None,
    open_faces: Tensor | None = None,
    slope: Callable[[Tensor, Tensor], Tensor] = limited_slope,
) -> Tensor:
    """velocity times the linear value of c on its upwind side, at the n + 1 faces of an axis (MUSCL).

    Source: van Leer, J. Comput. Phys. 32 (1979).

    Arguments:
        c: cell means, with shape (B, *S), n cells on the axis.
        velocity: at faces, with shape (B | 1, *S), n + 1 on the axis; the first and the last are one face where the
            axis is periodic.
        axis: negative, among S.
        outside: values beyond the first and the last face, each with shape (B | 1, *S), one on the axis, which count
            where it flows in; None where the axis is periodic. The cells at such ends have no slope.
        open_faces: 1 or 0 where a face is a wall, with shape (*S), n + 1 on the axis; no slope reaches across a wall.
        slope: of a cell from the differences to both neighbours; `limited_slope` or `central_slope`.

    Returns the flux, with the shape of the velocity and B samples.
    """
    n = c.shape[axis]
    first, last = c.narrow(axis, 0, 1), c.narrow(axis, n - 1, 1)
    inner = c.diff(dim=axis)
    seam = first - last if outside is None else torch.zeros_like(first)
    steps = torch.cat([seam, inner, seam], axis)
    if open_faces is not None:
        steps = steps * open_faces
    half = slope(steps.narrow(axis, 0, n), steps.narrow(axis, 1, n)) / 2
    ahead, behind = c + half, c - half  # at the upper and the lower face of each cell
    if outside is None:
        before, after = ahead.narrow(axis, n - 1, 1), behind.narrow(axis, 0, 1)
    else:
        before, after = (values.expand_as(first) for values in outside)
    lower, upper = torch.cat([before, ahead], axis), torch.cat([behind, after], axis)
    return velocity * torch.where(velocity > 0, lower, upper)
