"""From a sensor table to observations of windows: consecutive windows of T frames, grouped by equal sensors."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from .observation import Observation
from .senses import SWITCH, kinds, law_of, readings
from .sensors import channels, check_inside, point_operator, positions
from .table import table_units
from .units import convert_std, convert_units

TOLERANCE = 1e-6  # of a step


@dataclass(frozen=True, eq=False)
class WindowGroup:
    """Windows that are observed by the same sensors at the same moments with the same noise.

    Arguments:
        index: positions of the B windows in time order.
        times: frames of each window, B arrays with shape (T,).
        observation: physical operator (C, T, *S) -> m, y with shape (B, m) and std (m,) in the prior's units, float64;
            None for windows that nothing observes.
        rows: which rows of the table each window's data are, B arrays with shape (m,); empty for measurements.
    """

    index: tuple[int, ...]
    times: tuple[np.ndarray, ...]
    observation: Observation | None
    rows: tuple[np.ndarray, ...] = ()


def bind(table: xr.Dataset, prior, starts: np.ndarray | None = None) -> list[WindowGroup]:
    """Cuts the period of a sensor table into windows of a prior, and gathers windows of equal layout.

    Windows follow one another: the first starts at the first observation's time, rounded down to a whole step, and they
    go on until the last observation. Model time has one window, from 0. An observation between two frames of a window
    is interpolated; one outside every window, as between the last frame of one and the first of the next, is moved to
    the nearest frame, by half a step at most, with a warning.

    Arguments:
        table: sensor table.
        prior: anything with grid, variables (name, units), window (frames T) and step (timedelta64, or model time).
        starts: first frame of each window, increasing by at least T steps; by default as above.

    Returns:
        Groups in the order of their first windows; every window is in one group.

    Raises:
        ValueError: where sensors lie outside the domain or all windows, see an unknown variable, or report in units
            that cannot be converted; where the table has model time and the prior dates, or the other way round.
    """
    if table["value"].size == 0:
        raise ValueError("the table of sensors is empty")
    channel = channels([v.name for v in prior.variables], table)
    check_inside(table, prior.grid)
    moments = table["time"].values
    starts = starts_of(moments, prior) if starts is None else checked_starts(np.asarray(starts), moments, prior)
    value, std = _in_units_of(prior, table, channel)
    window, frame = _place(table, starts, prior)
    kind, dof, side = kinds(table)
    limit = np.where(kind == SWITCH, value, 0.0)
    # rows of a kind follow one another; + 0.0 turns -0.0 into 0.0: layouts are compared bit by bit
    places = (positions(table, dim) for dim in prior.grid.dims)
    key = np.column_stack([kind, frame, channel, *places, std, dof, limit]) + 0.0
    order = np.lexsort([value, *key.T[::-1], window])
    layouts: dict[bytes, list[tuple[int, np.ndarray]]] = {}
    for index, rows in enumerate(np.split(order, np.searchsorted(window[order], np.arange(1, len(starts))))):
        layouts.setdefault(key[rows].tobytes(), []).append((index, rows))
    groups, y = [], readings(value, std, side)
    for members in layouts.values():
        indices, rows = tuple(index for index, _ in members), np.stack([rows for _, rows in members])
        times = tuple(starts[index] + np.arange(prior.window) * prior.step for index in indices)
        observation = None
        if rows.shape[1]:
            (dim,) = table["value"].dims
            layout = table.isel({dim: rows[0]}).assign_coords(time=(dim, frame[rows[0]]))
            operator = point_operator(prior.grid, prior.variables, np.arange(prior.window, dtype=np.float64), layout)
            law = law_of(*(part[rows[0]] for part in (kind, limit, std, dof)))
            observation = Observation(operator, torch.from_numpy(y[rows]), law)
        groups.append(WindowGroup(indices, times, observation, tuple(rows)))
    return groups


def _in_units_of(prior, table: xr.Dataset, channel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and their std in the prior's units, each with shape (m,), float64."""
    value, std = (np.array(table[name].values, dtype=np.float64) for name in ("value", "std"))
    for name, source in table_units(table).items():
        rows = table["variable"].values.astype(str) == name
        variable = prior.variables[channel[rows][0]]
        if not source and variable.units:
            text = f"the table states no units of {variable.name}; its values are taken to be in {variable.units!r}"
            warnings.warn(text, stacklevel=3)
        elif variable.units:
            value[rows] = convert_units(value[rows], source, variable.units)
            std[rows] = convert_std(std[rows], source, variable.units)
    return value, std


def _dated(moments: np.ndarray, prior) -> bool:
    """Whether frames have dates; refuses times that do not match."""
    dated = isinstance(prior.step, np.timedelta64)
    if dated != np.issubdtype(moments.dtype, np.datetime64):
        kinds = ("dates", "model time") if dated else ("model time", "dates")
        raise ValueError(f"the prior's frames have {kinds[0]}, but the table has {kinds[1]}; rewrite the table's times")
    return dated


def starts_of(moments: np.ndarray, prior) -> np.ndarray:
    """First frames of consecutive windows that cover the times of a table; one window from 0 for model time."""
    if not _dated(moments, prior):
        return np.zeros(1)
    moments = moments.astype("datetime64[ns]").astype(np.int64)
    step = int(prior.step / np.timedelta64(1, "ns"))
    first = int(moments.min()) // step * step
    windows, within = divmod((int(moments.max()) - first) / step, prior.window)
    count = int(windows) + (2 if within > prior.window - 0.5 else 1)
    return (first + np.arange(count) * prior.window * step).astype("datetime64[ns]")


def checked_starts(starts: np.ndarray, moments: np.ndarray, prior) -> np.ndarray:
    """The starts that a user gave, in the type of the times of what was observed."""
    starts = starts.astype("datetime64[ns]" if _dated(moments, prior) else np.float64)
    if starts.ndim != 1 or not len(starts) or (np.diff(starts) / prior.step < prior.window - TOLERANCE).any():
        raise ValueError(
            f"starts must be a list of times that increase by at least {prior.window} steps of {prior.step}"
        )
    return starts


def _place(table: xr.Dataset, starts: np.ndarray, prior) -> tuple[np.ndarray, np.ndarray]:
    """Window of each observation, and its place in that window in frames from 0 to T - 1; both with shape (m,)."""
    time, last = table["time"].values.astype(starts.dtype), prior.window - 1
    before = np.searchsorted(starts, time, side="right") - 1
    candidates = np.clip(np.stack([before, before + 1]), 0, len(starts) - 1)
    places = np.round((time - starts[candidates]) / prior.step, 9)
    away = np.maximum(np.maximum(-places, places - last), 0.0)
    choice = away.argmin(0)  # the earlier window where both are as near
    window, place, away = (np.take_along_axis(a, choice[None], 0)[0] for a in (candidates, places, away))
    lost = away > 0.5 + TOLERANCE
    if lost.any():
        end = starts[-1] + last * prior.step
        raise ValueError(
            f"{int(lost.sum())} observations lie in no window, the first at {time[lost][0]} (station "
            f"{table['station'].values[lost][0]}); windows run from {starts[0]} to {end}. Drop them or give starts"
        )
    moved = away > TOLERANCE
    if moved.any():
        text = "observations between two windows are moved to the nearest frame, by half a step at most"
        warnings.warn(f"{int(moved.sum())} {text}", stacklevel=3)
    return window, np.clip(place, 0.0, last)
