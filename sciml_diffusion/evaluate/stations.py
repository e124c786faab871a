"""A posterior seen by sensors: linear interpolation in time and space, and scores at held-out stations."""

import json
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..observations.interpolation import corners, numeric_times
from ..observations.units import convert_std, convert_units
from ..physics.grid import Grid
from .places import CIRCLE, rows_of, station_positions
from .scores import points

if TYPE_CHECKING:
    import xarray as xr

NOT_SPACE = ("realization", "time")
NOT_FIELDS = ("weight", "log_weight", "ess")


def fields_of(post: "xr.Dataset") -> list[str]:
    """Names of the fields of a posterior: what has the dim "realization" and is no weight.

    Raises:
        ValueError: there is none.
    """
    names = [str(n) for n, v in post.data_vars.items() if "realization" in v.dims and n not in NOT_FIELDS]
    if not names:
        raise ValueError(
            "the posterior has no field with the dim 'realization'; it has "
            + ", ".join(f"{n} {tuple(v.dims)}" for n, v in post.data_vars.items())
        )
    return names


def with_time(fields: "xr.Dataset") -> "xr.Dataset":
    """Fields with a time axis, also where a single frame was selected.

    Raises:
        ValueError: there is no time at all.
    """
    if "time" not in fields.coords:
        raise ValueError(f"the fields have no coordinate 'time'; they have {', '.join(map(str, fields.coords))}")
    if "time" in fields.dims:
        return fields
    return fields.expand_dims("time")


def space_of(post: "xr.Dataset", name: str) -> Grid:
    """The spatial axes of a field; longitudes that go round, and coordinates with attrs["period"], are periodic."""
    dims = tuple(str(d) for d in post[name].dims if d not in NOT_SPACE)
    coordinates = tuple(np.asarray(post[d].values, dtype=np.float64) for d in dims)
    periods = []
    for dim, values in zip(dims, coordinates, strict=True):
        step = abs(values[-1] - values[0]) / max(len(values) - 1, 1)
        closed = dim == "longitude" and abs(step * len(values) - CIRCLE) < step / 2
        periods.append(CIRCLE if closed else post[dim].attrs.get("period"))
    return Grid(dims, coordinates, tuple(periods))


def weights_of(post: "xr.Dataset") -> Tensor:
    """Weights of the members at each time, with shape (time, realization): from weight, else log_weight, else equal."""
    shape = (post.sizes["time"], post.sizes["realization"])
    for name, transform in (("weight", lambda w: w), ("log_weight", lambda w: w.softmax(1))):
        if name in post:
            values = post[name].transpose(..., "realization").values
            return transform(torch.from_numpy(np.array(np.broadcast_to(values, shape), dtype=np.float64)))
    return torch.full(shape, 1 / shape[1], dtype=torch.float64)


def is_table(data: "xr.Dataset") -> bool:
    """Whether a Dataset is a sensor table rather than gridded fields."""
    return set(data.sizes) == {"observation"} and "value" in data


def at_sensors(post: "xr.Dataset", name: str, table: "xr.Dataset") -> tuple[np.ndarray, Tensor, Tensor]:
    """Members of a field at the rows of a sensor table, linear in time and in space.

    Arguments:
        post: posterior with the dims (realization, time, *space).
        name: of the field.
        table: sensor table.

    Returns:
        rows of the table that lie inside the times and the domain, with shape (n,); members, with shape (n, K); their
        weights at the nearest time, with shape (n, K).
    """
    grid = space_of(post, name)
    time, moments = numeric_times(post["time"].values, table["time"].values)
    order = np.argsort(time)
    coordinates = (time[order], *grid.coordinates)
    places = [moments, *(np.asarray(table[dim].values, np.float64) for dim in grid.dims)]
    index, share, outside = corners(("time", *grid.dims), coordinates, (None, *grid.periods), places)
    rows = np.flatnonzero(rows_of(table, name) & ~outside)
    values = post[name].transpose("realization", "time", *grid.dims).values[:, order]
    values = values.reshape(len(values), -1)
    x = np.zeros((len(values), len(rows)))
    for corner, weight in zip(index[rows].T, share[rows].T, strict=True):
        x += np.where(weight > 0, weight * values[:, corner], 0.0)
    middle = (coordinates[0][1:] + coordinates[0][:-1]) / 2
    nearest = order[np.searchsorted(middle, moments[rows])]
    return rows, torch.from_numpy(x.T.copy()), weights_of(post)[torch.from_numpy(nearest)]


def sensor_values(table: "xr.Dataset", name: str, units: str) -> tuple[np.ndarray, np.ndarray]:
    """Values and std of all rows of a sensor table in the units of a field, each with shape (observations,)."""
    stated = json.loads(table.attrs.get("units", "{}"))
    own = stated.get(name) or stated.get("") or units
    value, std = np.asarray(table["value"].values, np.float64), np.asarray(table["std"].values, np.float64)
    return (convert_units(value, own, units), convert_std(std, own, units)) if units else (value, std)


def station_points(
    post: "xr.Dataset", table: "xr.Dataset", name: str, obs: "xr.Dataset | None", generator: np.random.Generator
) -> dict[str, Tensor]:
    """`scores.points` at held-out sensors, each of shape (n,); every member first gets noise of the sensor's std.

    Arguments:
        post: posterior. table: held-out sensors, which serve as truth. name: of the field.
        obs: sensors that the posterior saw; rows of the table at their positions are left out.
        generator: of the noise and of the randomised PIT.

    Raises:
        ValueError: no row of the table lies inside the posterior's times and domain, or all were seen.
    """
    rows, x, weights = at_sensors(post, name, table)
    if not len(rows):
        raise ValueError(_nothing(post, table, name))
    if obs is not None:
        dims = space_of(post, name).dims
        seen = station_positions(dims, obs, name)
        places = np.stack([np.asarray(table[d].values, np.float64)[rows] for d in dims], -1)
        new = ~(np.abs(places[:, None] - seen[None]) < 1e-9).all(-1).any(1)
        if not new.any():
            raise ValueError(f"all {len(rows)} held-out values of {name!r} are at stations that the posterior saw")
        rows, x, weights = rows[new], x[torch.from_numpy(new)], weights[torch.from_numpy(new)]
    value, std = sensor_values(table, name, post[name].attrs.get("units", ""))
    if not bool(torch.isfinite(x).all()):
        raise ValueError(f"the posterior of {name!r} is not finite at {int((~torch.isfinite(x)).any(1).sum())} sensors")
    x = x + torch.from_numpy(std[rows, None] * generator.standard_normal(tuple(x.shape)))
    return points(x, torch.from_numpy(value[rows]), generator, weights)


def _nothing(post: "xr.Dataset", table: "xr.Dataset", name: str) -> str:
    if not rows_of(table, name).any():
        there = ", ".join(np.unique(np.asarray(table["variable"].values).astype(str)))
        return f"the sensor table has no variable {name!r}; it has {there}"
    spans = [f"{d} {post[d].values.min()} .. {post[d].values.max()}" for d in ("time", *space_of(post, name).dims)]
    theirs = [f"{d} {table[d].values.min()} .. {table[d].values.max()}" for d in ("time", *space_of(post, name).dims)]
    return f"no sensor lies inside the posterior ({'; '.join(spans)}); the table covers {'; '.join(theirs)}"
