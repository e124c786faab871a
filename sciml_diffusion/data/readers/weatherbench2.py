"""WeatherBench 2 (Rasp et al. 2024): Zarr stores with ECMWF's long names, in a folder or a bucket (gs://...).

Analyses (time[, level], latitude, longitude), the axes in either order and direction; forecasts with
prediction_timedelta (lead_time here; time is their start) and number or realization; climatologies by hour and
dayofyear, which become times of the nominal year 2000 (a leap year). Fields without time, such as the land-sea mask,
stay without.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from ..lazy import as_float32, merged
from ..names import VARIABLE_ALIASES
from ..probe import Probe
from ..stores import is_url, open_store

TITLE = "WeatherBench 2: Zarr with long names, in a folder or behind a URL (gs://...)"
STORE = {"zarr.json", ".zgroup", ".zmetadata"}
LEAD, DAYS, HOURS = "prediction_timedelta", "dayofyear", "hour"
NOMINAL_YEAR = np.datetime64("2000-01-01T00", "ns")
UNITS = {"hours": "h", "hour": "h", "h": "h", "days": "D", "seconds": "s", "minutes": "m", "nanoseconds": "ns"}
LONG = {name for name in VARIABLE_ALIASES if "_" in name}


def recognises(probe: Probe) -> bool:
    """Whether it is a Zarr store with long names, lead times or a climatology."""
    if not probe.files & STORE:
        return False
    return bool(probe.files & (LONG | {LEAD})) or {DAYS, HOURS} <= probe.files


def read(path: Path | str, variables: list[str] | str | None = None, storage: dict | None = None) -> xr.Dataset:
    """The fields of a store under short names; each is read when it is used.

    Arguments:
        path: of a folder, or a URL.
        variables: those to keep, by long or short names; all by default.
        storage: options of fsspec for a URL; buckets are asked without an account by default.

    Raises:
        ImportError, FileNotFoundError, ValueError: see `stores.open_store`; an unknown variable; odd lead times.
    """
    ds = open_store(path, storage)
    if variables is not None:
        ds = _chosen(ds, [variables] if isinstance(variables, str) else list(variables))
    ds = as_float32(ds)
    if LEAD in ds.coords or LEAD in ds.dims:
        ds = ds.assign_coords({LEAD: _lead_times(path, ds[LEAD])}).rename({LEAD: "lead_time"})
    attrs = {"title": "WeatherBench 2", "source": str(path) if is_url(path) else Path(path).name}
    if {DAYS, HOURS} <= set(ds.dims):
        days, hours = (np.asarray(ds[dim].values) for dim in (DAYS, HOURS))
        times = NOMINAL_YEAR + (days[:, None] - 1) * np.timedelta64(1, "D") + hours * np.timedelta64(1, "h")
        ds = merged(ds, DAYS, HOURS, times.ravel())
        attrs["climatology"] = "means for each hour and day of the year; the times are of the nominal leap year 2000"
    return ds.assign_attrs(attrs | ds.attrs)


def at_dates(climatology: xr.Dataset, time) -> xr.Dataset:
    """A climatology at given dates, by day of the year and hour: the anomaly of x is x - at_dates(climatology, x.time).

    Days are counted from 1 January, as the stores do: after February the same date of a leap year is one day later.

    Arguments:
        climatology: opened by `read`, with times of the nominal year.
        time: datetime64 values, of hours that the climatology has.

    Raises:
        ValueError: an hour that the climatology does not have.
    """
    dates = pd.DatetimeIndex(np.asarray(time))
    hours = dates.hour.to_numpy().astype("timedelta64[h]")
    nominal = NOMINAL_YEAR + (dates.day_of_year.to_numpy() - 1).astype("timedelta64[D]") + hours
    missing = ~np.isin(nominal, climatology["time"].values) | (dates.minute.to_numpy() != 0)
    if missing.any():
        raise ValueError(
            f"the climatology has no value for the hour of {dates[missing][0]}; it has {_hours(climatology)}"
        )
    return climatology.sel(time=nominal).assign_coords(time=("time", dates.to_numpy()))


def _hours(climatology: xr.Dataset) -> str:
    """The hours of the day that a climatology has, for a message."""
    hours = sorted(set(pd.DatetimeIndex(climatology["time"].values).hour))
    return "the hours " + ", ".join(map(str, hours))


def _chosen(ds: xr.Dataset, names: list[str]) -> xr.Dataset:
    """The variables of these long or short names."""
    known = {VARIABLE_ALIASES.get(str(name), str(name)): str(name) for name in ds.data_vars}
    unknown = [name for name in names if name not in ds.data_vars and name not in known]
    if unknown:
        raise ValueError(f"the store has no {', '.join(unknown)}; it has {', '.join(sorted(map(str, ds.data_vars)))}")
    return ds[[name if name in ds.data_vars else known[name] for name in names]]


def _lead_times(path: Path | str, lead: xr.DataArray) -> xr.Variable:
    """Lead times as differences of time."""
    if lead.dtype.kind == "m":
        return lead.variable
    unit = UNITS.get(str(lead.attrs.get("units", "")))
    if unit is None:
        raise ValueError(
            f"{path}: {LEAD} has the units {lead.attrs.get('units')!r}; one of {', '.join(UNITS)} is needed"
        )
    return xr.Variable(lead.dims, pd.to_timedelta(lead.values, unit=unit).to_numpy().astype("timedelta64[ns]"))
