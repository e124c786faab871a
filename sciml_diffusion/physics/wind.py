"""Winds that carry a tracer: as functions of time, on the faces of a grid."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .grid import Grid

Faces = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class PiecewiseLinear:
    """A wind given at some times, linear in between and constant before and after: w(t) = (1 - a) w_k + a w_{k+1}.

    Arguments:
        values: components in the order of the grid's dims, at cell centres, with shape (B | 1, D, T_w, *S).
        times: increasing, with length T_w, in the tracer's unit of time; frame 0 of a run is time 0.

    Raises:
        ValueError: where shapes and times do not fit or the times do not increase.
    """

    values: Tensor
    times: tuple[float, ...]

    def __post_init__(self):
        count = len(self.times)
        increasing = all(a < b for a, b in zip(self.times[:-1], self.times[1:], strict=True))
        if self.values.ndim < 4 or self.values.shape[2] != count or count < 1 or not increasing:
            raise ValueError(
                "a wind needs values of shape (B | 1, D, T_w, *S) and T_w increasing times; got "
                f"{tuple(self.values.shape)} and {count} times"
            )

    def __call__(self, time: float) -> Tensor:
        """Wind at a time, with shape (B | 1, D, *S)."""
        after = next((k for k, t in enumerate(self.times) if t > time), len(self.times))
        if after in (0, len(self.times)):
            return self.values[:, :, max(after - 1, 0)]
        a = (time - self.times[after - 1]) / (self.times[after] - self.times[after - 1])
        return torch.lerp(self.values[:, :, after - 1], self.values[:, :, after], a)


def wind_function(wind: Tensor | Faces | Callable[[float], Tensor | Faces]) -> Callable[[float], Tensor | Faces]:
    """The wind as a function of time; a tensor of shape (B | 1, D, *S) or a tuple of faces is steady."""
    return wind if callable(wind) else lambda time: wind


def on_faces(wind: Tensor | Faces, grid: Grid) -> Faces:
    """Normal components on faces: one tensor for each axis, (B | 1, *S) with n + 1 points on that axis.

    From centres of shape (B | 1, D, *S): the mean of the two cells; at an open end the value of the cell, at a periodic
    seam the mean across it. A tuple of faces passes after a check.

    Raises:
        ValueError: where shapes do not fit the grid.
    """
    axes, sizes = len(grid.dims), grid.sizes
    if isinstance(wind, tuple):
        expected = [tuple(n + (a == axis) for a, n in enumerate(sizes)) for axis in range(axes)]
        if [tuple(w.shape[1:]) for w in wind] != expected:
            raise ValueError(f"wind on faces needs shapes (B | 1, *S) with S {expected}; got {[w.shape for w in wind]}")
        return wind
    if wind.ndim != axes + 2 or tuple(wind.shape[1:]) != (axes, *sizes):
        raise ValueError(f"wind at centres needs shape (B | 1, {axes}, {str(sizes)[1:]}; got {tuple(wind.shape)}")
    faces = []
    for axis, period in enumerate(grid.periods):
        w, n = wind[:, axis], sizes[axis]
        first, last = w.narrow(axis + 1, 0, 1), w.narrow(axis + 1, n - 1, 1)
        before, after = (last, first) if period is not None else (first, last)
        padded = torch.cat([before, w, after], axis + 1)
        faces.append((padded.narrow(axis + 1, 0, n + 1) + padded.narrow(axis + 1, 1, n + 1)) / 2)
    return tuple(faces)
