"""Simulated sensors: what stations at random places would have reported of given fields."""

import warnings
from collections.abc import Mapping
from numbers import Integral

import numpy as np
import pandas as pd
import torch
import xarray as xr

from ..physics.grid import Grid
from .columns import ALIASES, plain
from .senses import settle_senses
from .sensors import spatial_operator
from .table import make_table

POSITIONS, NOISE = 0, 1  # streams of a seed


def simulate(
    fields: xr.Dataset,
    stations: "int | pd.DataFrame | xr.Dataset | Mapping | np.ndarray",
    std: float | dict[str, float],
    seed: int,
    variable: str | list[str] | None = None,
    every: int = 1,
    snap: bool = False,
    limit: float | dict[str, float] | None = None,
    dof: float | None = None,
) -> xr.Dataset:
    """Observes fields at stations: y = x(station, time) + std z, with x linear between grid points and z ~ N(0, 1).

    The stations depend on the seed and the domain alone: not on the number of times or variables, and the first k of
    n > k stations are the same too. Rows run over times, then variables, then stations.

    Arguments:
        fields: with the dim time and the spatial dims; an axis whose coordinate has the attribute `period` closes.
        stations: number of stations at uniformly random places of the domain, or their coordinates: a table with one
            column for each spatial dim (and perhaps station), or an array with shape (m, number of dims).
        std: standard deviation of the noise, > 0, in the units of the fields; one number or {variable: number}.
        seed: of the places and the noise.
        variable: names of the observed fields; by default all.
        every: observe every n-th frame, from the first on.
        snap: random stations sit on distinct grid points.
        limit, dof: stations only report on which side of the limit y lies; z follows Student's t. See `read_table`.

    Returns:
        A sensor table with the further variable `truth`, the values without noise.

    Raises:
        ValueError: fields that lack a time or have dims to choose from first; std not > 0; a station outside the
            domain; `every` or the number of stations not a positive integer.
    """
    names = _variables(fields, variable)
    scale = _scale(names, std)
    grid = _grid(fields[names[0]])
    labels, points = _stations(grid, stations, seed, snap)
    frames = fields[names].isel(time=slice(None, None, _positive(every)))
    truth = np.stack([_values(frames[name], grid, points) for name in names], axis=1)
    rng = np.random.default_rng([seed, NOISE])
    noise = rng.standard_normal(truth.shape) if dof is None else rng.standard_t(dof, truth.shape)
    columns = dict(zip(grid.dims, points, strict=True)) | {"truth": truth, "value": truth + scale * noise, "std": scale}
    columns |= {"variable": np.array(names)[:, None], "station": np.array(labels)}
    columns["time"] = frames["time"].values[:, None, None]
    rows = pd.DataFrame({name: np.broadcast_to(values, truth.shape).ravel() for name, values in columns.items()})
    units = {name: str(fields[name].attrs.get("units", "")) for name in names}
    rows = _without_missing(rows).copy()
    settle_senses(rows, limit, dof)
    return make_table(rows, list(grid.dims), units)


def _variables(fields: xr.Dataset, variable: str | list[str] | None) -> list[str]:
    """Names of the observed fields, checked."""
    names = [variable] if isinstance(variable, str) else list(fields.data_vars if variable is None else variable)
    unknown = [name for name in names if name not in fields.data_vars]
    if unknown or not names:
        raise ValueError(f"no fields named {unknown}; the fields are {list(fields.data_vars)}")
    for name in names:
        dims = fields[name].dims
        choose = [d for d in dims if d in ("sample", "realization", "level", "lead_time")]
        if choose:
            raise ValueError(f"{name} has the dims {dims}; choose one first, for example fields.isel({choose[0]}=0)")
        if "time" not in dims or len(dims) < 2 or set(dims) != set(fields[names[0]].dims):
            raise ValueError(f"{name} has the dims {dims}; every observed field needs time and the same spatial dims")
    return names


def _positive(every: int) -> int:
    """The step between observed frames, checked."""
    if not isinstance(every, Integral) or every < 1:
        raise ValueError(f"every must be a positive integer; got {every}")
    return int(every)


def _scale(names: list[str], std: float | dict[str, float]) -> np.ndarray:
    """Standard deviations of the noise, shape (V, 1), checked."""
    std = std if isinstance(std, dict) else dict.fromkeys(names, std)
    bad = {name: std.get(name) for name in names if not (std.get(name) is not None and 0 < std[name] < np.inf)}
    if bad:
        raise ValueError(f"std must be finite and > 0 for every observed variable; got {bad}")
    return np.array([std[name] for name in names], dtype=np.float64)[:, None]


def _without_missing(rows: pd.DataFrame) -> pd.DataFrame:
    """Leaves out values that fall where the field is missing, with a warning that counts them."""
    missing = rows["truth"].isna()
    if missing.all():
        raise ValueError("the fields are missing at every station: nothing is observed")
    if missing.any():
        text = f"{int(missing.sum())} of {len(rows)} simulated values are left out: the field is missing there"
        warnings.warn(text, stacklevel=3)
    return rows[~missing]


def _grid(field: xr.DataArray) -> Grid:
    """The spatial axes of a field."""
    dims = tuple(d for d in field.dims if d != "time")
    lacking = [d for d in dims if d not in field.coords]
    if lacking:
        raise ValueError(f"the axes {lacking} have no coordinates; give them with fields.assign_coords(...)")
    periods = tuple(float(field[d].attrs["period"]) if "period" in field[d].attrs else None for d in dims)
    return Grid(dims, tuple(np.asarray(field[d].values, np.float64) for d in dims), periods)


def _stations(grid: Grid, stations, seed: int, snap: bool) -> tuple[list[str], list[np.ndarray]]:
    """Names of the stations, and their coordinates along each axis, each with shape (m,)."""
    if not isinstance(stations, Integral):
        if snap:
            raise ValueError("snap=True is for random stations: give their number")
        return _given(grid, stations)
    if stations < 1:
        raise ValueError(f"the number of stations must be at least 1; got {stations}")
    rng = np.random.default_rng([seed, POSITIONS])
    if snap:
        total = int(np.prod(grid.sizes))
        if stations > total:
            raise ValueError(f"{stations} distinct stations do not fit on a grid of {total} points")
        chosen = np.unravel_index(rng.permutation(total)[:stations], grid.sizes)
        points = [c[i] for c, i in zip(grid.coordinates, chosen, strict=True)]
    else:
        low = np.array([c.min() for c in grid.coordinates])
        spans = zip(grid.coordinates, grid.periods, strict=True)
        points = list((low + rng.random((stations, len(low))) * [p or np.ptp(c) for c, p in spans]).T)
    return _labels(stations), points


def _given(grid: Grid, stations) -> tuple[list[str], list[np.ndarray]]:
    """Stations from a table of coordinates; rows that repeat a station are one station."""
    if isinstance(stations, np.ndarray | list | tuple):
        array = np.asarray(stations, np.float64)
        if array.ndim != 2 or array.shape[1] != len(grid.dims):
            raise ValueError(f"an array of stations has shape (m, {len(grid.dims)}) for {grid.dims}; got {array.shape}")
        stations = dict(zip(grid.dims, array.T, strict=True))
    names = list(stations.variables if isinstance(stations, xr.Dataset) else stations)
    columns = {}
    for role in (*grid.dims, "station"):
        found = [n for n in names if str(n) == role or plain(n) in (role, *ALIASES.get(role, ()))]
        if role in names or found:
            columns[role] = np.atleast_1d(np.asarray(stations[role if role in names else found[0]]))
        elif role != "station":
            raise ValueError(f"the stations need a column {role!r}; got {names}")
    rows = pd.DataFrame(columns).drop_duplicates()
    labels = rows["station"].astype(str).tolist() if "station" in rows else _labels(len(rows))
    return labels, [rows[dim].to_numpy(np.float64) for dim in grid.dims]


def _labels(count: int) -> list[str]:
    """s00, s01, ..."""
    return [f"s{k:0{max(2, len(str(count - 1)))}d}" for k in range(count)]


def _values(field: xr.DataArray, grid: Grid, points: list[np.ndarray]) -> np.ndarray:
    """The field at the stations, shape (T, m), float64."""
    values = torch.from_numpy(np.array(field.transpose("time", *grid.dims).values, dtype=np.float64))
    return spatial_operator(grid, points)(values).numpy()
