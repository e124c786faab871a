"""Averages over areas, beams and times: what satellites, radars, river basins and daily means report."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..physics.grid import Grid
from .interpolation import LONGITUDES, corners
from .operators import LinearOperator

EARTH_RADIUS = 6371.0  # km
LATITUDES = ("latitude", "lat")


class Averages(LinearOperator):
    """y_i = sum over t, s of time_it space_is x[channel_i, t, s]: weighted means over places and frames.

    Arguments:
        space: weights of the places, with shape (m, *S); see `region_weights`, `beam_weights`.
        event: shape (C, T, *S) of a window.
        time: weights of the frames, with shape (T,) or (m, T); equal weights that sum to 1 by default.
        channel: which field each one sees: a number, or one for each with shape (m,).

    Raises:
        ValueError: where shapes do not fit, or a channel does not exist.
    """

    def __init__(
        self, space: Tensor, event: tuple[int, ...], time: Tensor | None = None, channel: int | Sequence[int] = 0
    ):
        fields, frames, *sizes = event
        self.event, self.m = tuple(event), len(space)
        time = torch.full((frames,), 1 / frames, dtype=space.dtype) if time is None else time
        if tuple(space.shape[1:]) != tuple(sizes) or time.shape not in ((frames,), (self.m, frames)):
            raise ValueError(
                f"a window of shape {self.event} needs weights of places with shape (m, {', '.join(map(str, sizes))}) "
                f"and of frames with shape ({frames},) or (m, {frames}); got {tuple(space.shape)} and "
                f"{tuple(time.shape)}"
            )
        self.channel = torch.as_tensor(channel).expand(self.m)
        if ((self.channel < 0) | (self.channel >= fields)).any():
            raise ValueError(f"the window has the channels 0 to {fields - 1}; got {sorted(set(self.channel.tolist()))}")
        self.space, self.time = space.flatten(1), time.expand(self.m, frames)
        self._groups = [(c, (self.channel == c).nonzero()[:, 0]) for c in sorted(set(self.channel.tolist()))]

    def __call__(self, x: Tensor) -> Tensor:
        parts = []
        for c, rows in self._groups:
            seen = x[:, c].flatten(2) @ self.space[rows].T.to(x)  # (N, T, rows)
            parts.append((seen * self.time[rows].T.to(x)).sum(1))
        order = torch.cat([rows for _, rows in self._groups]).argsort()
        return torch.cat(parts, 1)[:, order.to(x.device)]

    def adjoint(self, y: Tensor) -> Tensor:
        out = [y.new_zeros(len(y), *self.event[1:]).flatten(2)] * self.event[0]
        for c, rows in self._groups:
            spread = y[:, rows.to(y.device), None] * self.time[rows].to(y)  # (N, rows, T)
            out[c] = spread.mT @ self.space[rows].to(y)
        return torch.stack(out, 1).reshape(len(y), *self.event)


def region_weights(grid: Grid, bounds: Mapping[str, tuple[float, float]]) -> Tensor:
    """Weights of the mean over a box, proportional to the areas of its cells: shape (*S), sum 1, float64.

    Arguments:
        grid: spatial axes.
        bounds: {dim: (from, to)}, both included, for the axes that are bounded; longitudes from west to east.

    Raises:
        ValueError: an unknown axis, or no grid point in the box.
    """
    unknown = sorted(set(bounds) - set(grid.dims))
    if unknown:
        raise ValueError(f"the grid has the axes {grid.dims}; got bounds of {unknown}")
    weights = cell_areas(grid)
    for axis, (dim, c) in enumerate(zip(grid.dims, grid.coordinates, strict=True)):
        if dim not in bounds:
            continue
        low, high = bounds[dim]
        inside = np.mod(c - low, 360.0) <= np.mod(high - low, 360.0) if dim in LONGITUDES else (c >= low) & (c <= high)
        weights = weights * torch.from_numpy(inside).reshape([-1 if i == axis else 1 for i in range(len(grid.dims))])
    if not weights.any():
        raise ValueError(f"no grid point lies in the box {dict(bounds)}; the axes run {_ranges(grid)}")
    return weights / weights.sum()


def beam_weights(grid: Grid, points: Sequence[np.ndarray], width: float) -> Tensor:
    """Weights of Gaussian footprints around points, exp(-d^2 / (2 width^2)) times the cells' areas: (m, *S), sum 1.

    d is the great circle on the sphere, else Euclidean, through the boundary where an axis is periodic. A beam narrower
    than the grid sees its nearest grid point.

    Arguments:
        grid: spatial axes.
        points: coordinates of the centres along each axis, each with shape (m,).
        width: standard deviation of the beam, > 0: km on the sphere, else in the units of the axes.

    Raises:
        ValueError: a width that is not > 0, or a centre outside the domain.
    """
    if not 0 < width < math.inf:
        raise ValueError(f"the width of a beam must be finite and > 0; got {width}")
    points = [np.atleast_1d(np.asarray(p, np.float64)) for p in points]
    outside = corners(grid.dims, grid.coordinates, grid.periods, points)[2]
    if outside.any():
        first = ", ".join(f"{d} {p[outside][0]:g}" for d, p in zip(grid.dims, points, strict=True))
        raise ValueError(
            f"{int(outside.sum())} beams lie outside the domain, the first at {first}; it is {_ranges(grid)}"
        )
    log_weights = -0.5 * (distances(grid, points) / width) ** 2 + cell_areas(grid).log()
    return log_weights.flatten(1).softmax(1).reshape(log_weights.shape)


def distances(grid: Grid, points: Sequence[np.ndarray]) -> Tensor:
    """Distance of every grid point to m points, as `beam_weights` measures it: shape (m, *S), float64."""
    shape = [(-1, *(1 if i != axis else n for i in range(len(grid.dims)))) for axis, n in enumerate(grid.sizes)]
    column = (-1, *(1,) * len(grid.dims))
    mesh = {
        d: np.asarray(c, np.float64).reshape(s[1:])[None]
        for d, c, s in zip(grid.dims, grid.coordinates, shape, strict=True)
    }
    there = {d: np.asarray(p, np.float64).reshape(column) for d, p in zip(grid.dims, points, strict=True)}
    latitude, longitude = (next((d for d in grid.dims if d in names), None) for names in (LATITUDES, LONGITUDES))
    square = np.zeros(())
    if latitude and longitude:
        phi, other = np.radians(mesh[latitude]), np.radians(there[latitude])
        turn = np.radians(mesh[longitude] - there[longitude])
        chord = np.sin((phi - other) / 2) ** 2 + np.cos(phi) * np.cos(other) * np.sin(turn / 2) ** 2
        square = (2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.clip(chord, 0, 1)))) ** 2
    for dim, period in zip(grid.dims, grid.periods, strict=True):
        if not (latitude and longitude and dim in (latitude, longitude)):
            apart = mesh[dim] - there[dim]
            square = square + (apart if period is None else np.mod(apart + period / 2, period) - period / 2) ** 2
    return torch.from_numpy(np.sqrt(np.broadcast_to(square, (len(points[0]), *grid.sizes))))


def cell_areas(grid: Grid) -> Tensor:
    """Areas of the cells around the grid points, with mean 1: bands of the sphere for latitudes, else widths; (*S)."""
    area = torch.ones(grid.sizes, dtype=torch.float64)
    for axis, (dim, c, period) in enumerate(zip(grid.dims, grid.coordinates, grid.periods, strict=True)):
        c = np.asarray(c, np.float64)
        if len(c) == 1:
            continue
        middle = (c[1:] + c[:-1]) / 2
        first, last = 2 * c[0] - middle[0], 2 * c[-1] - middle[-1]
        if period is not None:
            sign = np.sign(c[1] - c[0])
            first = (c[0] + c[-1] - sign * period) / 2
            last = first + sign * period
        edges = np.concatenate([[first], middle, [last]])
        if dim in LATITUDES:
            edges = np.sin(np.radians(np.clip(edges, -90, 90)))
        width = torch.from_numpy(np.abs(np.diff(edges)))
        area = area * (width / width.mean()).reshape([-1 if i == axis else 1 for i in range(len(grid.dims))])
    return area


def _ranges(grid: Grid) -> str:
    axes = zip(grid.dims, grid.coordinates, strict=True)
    return ", ".join(f"{dim} {min(c):g} to {max(c):g}" for dim, c in axes)
