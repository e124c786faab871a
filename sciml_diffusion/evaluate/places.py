"""Where points lie: areas on the sphere, cells that hold a sensor, distance to the nearest sensor."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..physics.grid import Grid
from .scores import coverage

if TYPE_CHECKING:
    import xarray as xr

EARTH_RADIUS = 6371.0088  # km, mean radius (IUGG)
CIRCLE = 360.0


def on_sphere(dims: tuple[str, ...]) -> bool:
    """Whether the axes are those of the sphere: latitude and longitude in degrees."""
    return {"latitude", "longitude"} <= set(dims)


def latitude_weights(latitude: np.ndarray) -> np.ndarray:
    """Areas of latitude bands, sin(upper edge) - sin(lower edge), divided by their mean.

    Edges lie midway between the latitudes; the outer ones half a step beyond, at most at the poles.

    Arguments:
        latitude: in degrees, increasing or decreasing, with shape (n,).

    Returns:
        With shape (n,) and mean 1, in the order given.
    """
    latitude = np.asarray(latitude, dtype=np.float64)
    if latitude.ndim != 1 or not (np.abs(latitude) <= 90 + 1e-6).all():
        raise ValueError("latitude must be one axis in degrees between -90 and 90; look at what the coordinate holds")
    if len(latitude) == 1:
        return np.ones(1)
    middle = (latitude[1:] + latitude[:-1]) / 2
    edges = np.concatenate([[2 * latitude[0] - middle[0]], middle, [2 * latitude[-1] - middle[-1]]])
    area = np.abs(np.diff(np.sin(np.radians(np.clip(edges, -90, 90)))))
    return area / area.mean()


def area_weights(grid: Grid) -> Tensor:
    """Weights of the cells, with shape grid.sizes and mean 1: latitude weights on the sphere, ones elsewhere."""
    area = torch.ones(grid.sizes, dtype=torch.float64)
    if on_sphere(grid.dims):
        axis = grid.dims.index("latitude")
        weights = torch.from_numpy(latitude_weights(grid.coordinates[axis]))
        area = area * weights.reshape([-1 if i == axis else 1 for i in range(len(grid.dims))])
    return area


def sensor_cells(grid: Grid, table: "xr.Dataset", variable: str | None = None) -> Tensor:
    """True in the cells, nearest grid points, that hold a sensor: shape grid.sizes. Scores leave them out.

    Arguments:
        grid: spatial axes.
        table: sensor table, with the dim "observation" and one coordinate for each axis.
        variable: the sensors of this variable alone; None takes all.

    Raises:
        ValueError: the table lacks a coordinate of the grid.
    """
    cells = torch.zeros(grid.sizes, dtype=torch.bool)
    index, inside = [], True
    for axis, positions in enumerate(station_positions(grid.dims, table, variable).T):
        gaps = np.abs(_gap(grid, axis, positions[:, None], grid.coordinates[axis][None]))
        index.append(gaps.argmin(1))
        inside &= gaps.min(1) <= max(grid.spacings[axis], 1e-12)
    cells[tuple(torch.from_numpy(i[inside]) for i in index)] = True
    return cells


def sensor_distance(grid: Grid, table: "xr.Dataset", variable: str | None = None) -> Tensor:
    """Distance of each cell to the nearest sensor: km on the sphere, else coordinate units; shape grid.sizes.

    Great circles (haversine) on the sphere; elsewhere Euclidean, through the boundary where an axis is periodic.

    Arguments:
        grid, table, variable: as for `sensor_cells`.
    """
    cells = np.stack(np.meshgrid(*grid.coordinates, indexing="ij"), -1).reshape(-1, len(grid.dims))
    return torch.from_numpy(nearest_sensor(grid, cells, table, variable)).reshape(grid.sizes)


def nearest_sensor(grid: Grid, places: np.ndarray, table: "xr.Dataset", variable: str | None = None) -> np.ndarray:
    """Distance of places (n, axes), in the order of grid.dims, to the nearest sensor of a table; units as above."""
    stations = station_positions(grid.dims, table, variable)
    if not len(stations):
        of = f" of {variable!r}" if variable else ""
        raise ValueError(f"the sensor table has no sensor{of}, so there is no distance to one")
    out = np.full(len(places), np.inf)
    for station in stations:
        out = np.minimum(out, _distance(grid, places, station))
    return out


def station_positions(dims: tuple[str, ...], table: "xr.Dataset", variable: str | None = None) -> np.ndarray:
    """Distinct positions of the sensors of a table, with shape (stations, axes).

    Raises:
        ValueError: the table lacks a coordinate of the grid.
    """
    missing = [dim for dim in dims if dim not in table.variables]
    if missing:
        there = ", ".join(map(str, table.variables))
        raise ValueError(f"the sensor table has no coordinate {', '.join(missing)}; it has {there}")
    positions = np.stack([np.asarray(table[dim].values, dtype=np.float64) for dim in dims], -1)
    return np.unique(positions[rows_of(table, variable)], axis=0)


def rows_of(table: "xr.Dataset", variable: str | None = None) -> np.ndarray:
    """True for the rows of a sensor table that speak of a variable ("" speaks of any), with shape (observations,)."""
    if variable is None or "variable" not in table.variables:
        return np.ones(table.sizes["observation"], dtype=bool)
    return np.isin(np.asarray(table["variable"].values).astype(str), [variable, ""])


def coverage_by_distance(
    u: Tensor, distance: Tensor, edges: list[float], level: float = 0.9, area=None, mask=None
) -> list[dict]:
    """Coverage in bins of the distance to the nearest sensor: rows {from, to, coverage, points}, none for empty bins.

    Arguments:
        u: PIT of the points, of any shape. distance: with a shape that broadcasts to it, for example `sensor_distance`.
        edges: increasing, in the units of `distance`; a bin holds its lower edge; the last may be inf.
        area, mask: with shapes that broadcast to that of u.
    """
    rows, distance = [], distance.expand(u.shape)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        here = (distance >= low) & (distance < high)
        here = here if mask is None else here & mask
        if here.any():
            share = float(coverage(u, level, area, here))
            rows.append({"from": float(low), "to": float(high), "coverage": share, "points": int(here.sum())})
    return rows


def _gap(grid: Grid, axis: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a - b along an axis, by the shorter way where it closes on itself; longitudes always do."""
    period = CIRCLE if grid.dims[axis] == "longitude" else grid.periods[axis]
    gap = a - b
    return gap if period is None else (gap + period / 2) % period - period / 2


def _distance(grid: Grid, places: np.ndarray, station: np.ndarray) -> np.ndarray:
    gaps = {dim: _gap(grid, i, places[:, i], station[i]) for i, dim in enumerate(grid.dims)}
    if not on_sphere(grid.dims):
        return np.sqrt(sum(gap**2 for gap in gaps.values()))
    phi, there = (np.radians(p) for p in (places[:, grid.dims.index("latitude")], station[grid.dims.index("latitude")]))
    half, turn = np.radians(gaps["latitude"]) / 2, np.radians(gaps["longitude"]) / 2
    chord = np.sin(half) ** 2 + np.cos(phi) * np.cos(there) * np.sin(turn) ** 2
    return 2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.clip(chord, 0, 1)))
