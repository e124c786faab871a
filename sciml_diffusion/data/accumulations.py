"""Accumulated fields of weather archives: precipitation, radiation and fluxes, which are sums over a time.

ERA5 (reanalysis): sums over the hour that ends at the time (three hours for its ensemble). ERA5-Land: sums since
00 UTC, where 00 UTC itself holds the whole day before. Forecasts: sums since the start. What a file holds is marked,
not changed; `per_step` turns sums since a start into sums over each step.
"""

import numpy as np
import pandas as pd
import xarray as xr

DEPTHS = {"m", "m of water equivalent", "mm", "kg m**-2", "kg m-2"}
ENERGIES = {"J m**-2", "J m-2"}
STRESSES = {"N m**-2 s", "N m-2 s"}
UNITS = dict.fromkeys(("tp", "cp", "lsp", "sf", "e", "pev", "ro", "sro", "ssro", "smlt", "es"), DEPTHS)
UNITS |= dict.fromkeys(("ssrd", "strd", "ssr", "str", "tsr", "ttr", "fdir", "sshf", "slhf", "cdir"), ENERGIES)
UNITS |= dict.fromkeys(("ewss", "nsss", "lgws", "mgws"), STRESSES)
NOTE = "sum over the time before; ERA5: the hour that ends here, ERA5-Land: since 00 UTC, forecasts: since their start"


def mark_accumulations(ds: xr.Dataset) -> xr.Dataset:
    """The dataset with `cell_methods` "time: sum" and a `comment` on accumulated fields, and "time: mean" on means.

    Known by the attribute GRIB_stepType (accum, avg), or by short name together with units.

    Arguments:
        ds: a container of weather fields.
    """
    marks = {}
    for name, field in ds.data_vars.items():
        kind = field.attrs.get("GRIB_stepType")
        if kind == "accum" or (kind is None and field.attrs.get("units") in UNITS.get(str(name), ())):
            marks[name] = {"cell_methods": "time: sum", "comment": NOTE}
        elif kind == "avg":
            marks[name] = {"cell_methods": "time: mean"}
    return ds.assign({name: ds[name].assign_attrs(mark | ds[name].attrs) for name, mark in marks.items()})


def per_step(field: xr.DataArray, since: str) -> xr.DataArray:
    """Sums over each step from sums since a start, by differences; what precedes the first known sum is left out.

    Arguments:
        field: sums, over `time` or `lead_time`.
        since: "midnight" (ERA5-Land: the sum at 00 UTC belongs to the day that ends then), or "start" of the forecast
            (over lead_time; the first lead holds the sum since lead 0).

    Returns:
        Sums over the time from the step before; small negative values are what packing leaves.

    Raises:
        ValueError: another word, or no such axis.
    """
    dim = {"midnight": "time", "start": "lead_time"}.get(since)
    if dim is None:
        raise ValueError(f'since is "midnight" or "start", got {since!r}')
    if dim not in field.dims:
        raise ValueError(f"sums since {since} need the dim {dim!r}; the field has {', '.join(map(str, field.dims))}")
    before = field.shift({dim: 1})
    if since == "start":
        step = (field - before.fillna(0)).assign_attrs(field.attrs)
        return step.assign_attrs(comment="sum over the time since the lead before")
    days = (pd.DatetimeIndex(field["time"].values) - pd.Timedelta(1, "ns")).floor("D")  # the day that a sum belongs to
    first = np.append(True, days[1:] != days[:-1])
    starts = xr.DataArray(first, dims="time", coords={"time": field["time"]})
    step = xr.where(starts, field, field - before, keep_attrs=True).transpose(*field.dims).assign_attrs(field.attrs)
    step = step.assign_attrs(comment="sum over the time since the time before")
    times = pd.DatetimeIndex(field["time"].values)
    every = (times[1:] - times[:-1]).min() if len(times) > 1 else pd.Timedelta(1, "h")
    return step if times[0] - days[0] <= every else step.isel(time=slice(1, None))
