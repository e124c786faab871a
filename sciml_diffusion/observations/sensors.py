"""Point sensors anywhere and masks, as operators on a physical window (C, T, *S)."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..physics.grid import Grid
from .interpolation import corners, numeric_times
from .operators import Weighted

if TYPE_CHECKING:
    import xarray as xr


def point_operator(grid: Grid, variables: Sequence, times: np.ndarray, table: "xr.Dataset") -> Weighted:
    """Sensors that see a window by linear interpolation in space and time: A x = sum over 2^(d+1) corners of w x.

    Axes may be ascending, descending or uneven; periodic axes close; longitudes match modulo 360.

    Arguments:
        grid: spatial axes S.
        variables: names of the C channels, or objects with a `name`.
        times: of the T frames, increasing: datetime64 or model time, like the table's.
        table: sensor table with m rows.

    Returns:
        An operator from a window of shape (C, T, *S) to m numbers, its weights in float64.

    Raises:
        ValueError: where a sensor lies outside the domain or the window, or sees no known variable; it names the
            station, the place and the range, and what to do.
    """
    names = [getattr(v, "name", v) for v in variables]
    channel = channels(names, table)
    axis, moments = numeric_times(times, table["time"].values)
    coordinates = (axis, *grid.coordinates)
    points = [moments, *(positions(table, dim) for dim in grid.dims)]
    index, weight, outside = corners(("time", *grid.dims), coordinates, (None, *grid.periods), points)
    check_inside(table, grid)
    if outside.any():
        raise ValueError(
            f"{int(outside.sum())} observations ({_stations(table, outside)}) lie outside the window, the first at "
            f"{table['time'].values[outside][0]}; the window is {times[0]} to {times[-1]}. Leave them out"
        )
    frames, *space = (len(c) for c in coordinates)
    shape = (len(names), frames, *space)
    index = index + (channel * int(np.prod(shape[1:])))[:, None]
    return Weighted(torch.from_numpy(index), torch.from_numpy(weight), shape)


def mask_operator(mask: Tensor, window: tuple[int, ...]) -> Weighted:
    """Observes the values of a window where a mask is true, in memory order.

    Arguments:
        mask: boolean, with a shape that broadcasts to (C, T, *S).
        window: (C, T, *S).

    Raises:
        ValueError: where the mask is not boolean, does not fit the window, or is nowhere true.
    """
    mask = torch.as_tensor(mask)
    if mask.dtype != torch.bool:
        raise ValueError(f"a mask is boolean, true where the field is observed; got {mask.dtype}")
    try:
        mask = mask.expand(tuple(window))
    except RuntimeError as error:
        raise ValueError(
            f"a mask of shape {tuple(mask.shape)} does not fit a window (C, T, *S) = {tuple(window)}"
        ) from error
    index = mask.flatten().nonzero()
    if not len(index):
        raise ValueError("the mask is nowhere true: nothing is observed")
    return Weighted(index, torch.ones(index.shape, dtype=torch.float64), tuple(window))


def drop_outside(table: "xr.Dataset", grid: Grid, variables: Sequence = ()) -> "xr.Dataset":
    """The table without sensors outside the domain or of other variables, with a warning that counts them.

    Arguments:
        table: sensor table.
        grid: spatial axes of the domain.
        variables: names of the known variables, or objects with a `name`; with none given, every variable stays.
    """
    names = [getattr(v, "name", v) for v in variables]
    outside = outside_domain(table, grid)
    unknown = ~np.isin(table["variable"].values, ["", *names]) if names else np.zeros_like(outside)
    if (drop := outside | unknown).any():
        why = f"{int(outside.sum())} outside the domain ({domain(grid)}), {int(unknown.sum())} of other variables"
        warnings.warn(f"{int(drop.sum())} of {len(drop)} observations are dropped: {why}", stacklevel=2)
    return table.isel({table["value"].dims[0]: ~drop})


def outside_domain(table: "xr.Dataset", grid: Grid) -> np.ndarray:
    """Which rows of a sensor table lie outside the domain; boolean, shape (m,)."""
    points = [positions(table, dim) for dim in grid.dims]
    return corners(grid.dims, grid.coordinates, grid.periods, points)[2]


def check_inside(table: "xr.Dataset", grid: Grid) -> None:
    """Raises ValueError where sensors lie outside the domain; it names stations, a place and the range."""
    away = outside_domain(table, grid)
    if away.any():
        where = ", ".join(f"{dim} {positions(table, dim)[away][0]:g}" for dim in grid.dims)
        raise ValueError(
            f"{int(away.sum())} observations ({_stations(table, away)}) lie outside the domain, the first at {where}; "
            f"the domain is {domain(grid)}. Correct or drop these rows "
            "(observations.sensors.drop_outside), or make a prior of your own domain with fit_prior or train"
        )


def spatial_operator(grid: Grid, points: Sequence[np.ndarray]) -> Weighted:
    """Linear interpolation of one field of shape (*S) to m points.

    Arguments:
        grid: spatial axes.
        points: coordinates of the points along each axis, each with shape (m,).

    Raises:
        ValueError: where a point lies outside the domain.
    """
    index, weight, outside = corners(grid.dims, grid.coordinates, grid.periods, points)
    if outside.any():
        first = ", ".join(f"{d} {p[outside][0]:g}" for d, p in zip(grid.dims, points, strict=True))
        raise ValueError(
            f"{int(outside.sum())} positions lie outside the domain ({domain(grid)}), the first at {first}"
        )
    return Weighted(torch.from_numpy(index), torch.from_numpy(weight), grid.sizes)


def channels(names: Sequence[str], table: "xr.Dataset") -> np.ndarray:
    """Channel that each row of a sensor table observes, shape (m,); a variable "" is the only one of a prior.

    Raises:
        ValueError: where rows observe another variable; it names them, their stations and what is known.
    """
    observed = table["variable"].values.astype(str)
    known = {str(name): c for c, name in enumerate(names)} | ({"": 0} if len(names) == 1 else {})
    unknown = ~np.isin(observed, list(known))
    if unknown.any():
        what = sorted({v or "(no name)" for v in observed[unknown]})
        raise ValueError(
            f"{int(unknown.sum())} observations are of {', '.join(what)} ({_stations(table, unknown)}); the known "
            f"variables are {', '.join(map(str, names))}. Rename or drop these rows "
            "(observations.sensors.drop_outside), or make a prior of your own variables with fit_prior or train"
        )
    return np.array([known[v] for v in observed], dtype=np.int64)


def domain(grid: Grid) -> str:
    """The range of each axis in words."""
    ranges = []
    for dim, c, period in zip(grid.dims, grid.coordinates, grid.periods, strict=True):
        ranges.append(f"{dim} {min(c):g} to {max(c):g}" + (f" with period {period:g}" if period else ""))
    return ", ".join(ranges)


def positions(table: "xr.Dataset", dim: str) -> np.ndarray:
    """The sensors' coordinates along one axis of the grid, shape (m,)."""
    alias = {"lat": "latitude", "lon": "longitude"}.get(dim, dim)
    if dim not in table.coords and alias not in table.coords:
        have = [str(name) for name in table.coords if name not in ("time", "variable", "station")]
        raise ValueError(f"the grid has the axis {dim!r}, but the table gives positions by {have}; rename its columns")
    return table[dim if dim in table.coords else alias].values


def _stations(table: "xr.Dataset", bad: np.ndarray) -> str:
    """Some names of the stations of bad rows."""
    names = sorted({str(name) for name in table["station"].values[bad]})
    return f"station{'s' if len(names) > 1 else ''} {', '.join(names[:5])}" + (" ..." if len(names) > 5 else "")
