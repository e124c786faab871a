"""Coordinates made canonical: times in UTC without a zone, longitudes without a jump, pressure levels in hPa."""

import numpy as np
import pandas as pd
import xarray as xr

from .lazy import merged

CIRCLE = 360.0


def time_axis(ds: xr.Dataset) -> xr.Dataset:
    """The dataset with a dim `time` of valid times.

    Raises:
        ValueError: no time, or forecast steps beside the times.
    """
    if "step" in ds.dims:
        ds = _one_series(ds)
    if "step" in ds.dims:
        raise ValueError(
            f"the fields are forecasts of {ds.sizes['step']} steps; choose one, for example with ds.isel(step=0), "
            "or stack them along valid_time"
        )
    if "valid_time" in ds.coords and ds["valid_time"].dims in ((), ("time",)) and "time" in ds.coords:
        if ds["valid_time"].dims == ds["time"].dims:
            ds = ds.assign_coords(time=(ds["time"].dims, ds["valid_time"].values, ds["valid_time"].attrs))
    if "time" in ds.coords and "time" not in ds.dims and ds["time"].ndim == 0:
        ds = ds.expand_dims("time")
    if "time" not in ds.dims or "time" not in ds.coords:
        dims = ", ".join(map(str, ds.dims)) or "none"
        got = "a dim 'time' without values" if "time" in ds.dims else f"the dims {dims}"
        raise ValueError(
            f"no time axis: got {got}; fields need a dim 'time' with its values: ds.assign_coords(time=...), or for "
            "one field ds.expand_dims(time=[...])"
        )
    return ds


def _one_series(ds: xr.Dataset) -> xr.Dataset:
    """Forecasts whose steps make one series (each valid time once, as in accumulations of ERA5) along that series.

    Times at which no field has a value, where the first or last forecast was not asked for whole, are left out.
    """
    if "valid_time" not in ds.coords or not {"step"} <= set(ds["valid_time"].dims) <= {"time", "step"}:
        return ds
    valid = ds["valid_time"].values
    if len(np.unique(valid)) < valid.size:
        return ds
    if valid.ndim == 1:
        return ds.drop_vars(["time", "valid_time"], errors="ignore").rename(step="time").assign_coords(time=valid)
    valid = ds["valid_time"].transpose("time", "step").values.ravel()
    ds = merged(ds, "time", "step", valid).isel(time=np.argsort(valid))
    there = [any(bool(v.isel(time=n).notnull().any()) for v in ds.data_vars.values()) for n in range(len(valid))]
    return ds if all(there) else ds.isel(time=np.flatnonzero(there))


def canonical_time(ds: xr.Dataset) -> xr.Dataset:
    """Times as datetime64[ns] in UTC without a zone; model time (numbers) and time differences stay as they are.

    Raises:
        ValueError: times that are missing, repeated, decreasing, or of a calendar other than the standard one.
    """
    values = np.asarray(ds["time"].values)
    if values.dtype == object or values.dtype.kind in "US":
        try:
            values = pd.DatetimeIndex(pd.to_datetime(values, utc=True)).tz_localize(None).to_numpy()
        except (TypeError, ValueError) as error:
            kind = type(values.flat[0]).__name__ if values.size else "nothing"
            raise ValueError(
                f"the times are of the kind {kind}, which are no UTC dates of the standard calendar; "
                "convert them first, for example with ds.convert_calendar('standard')"
            ) from error
    if values.dtype.kind == "M":
        values = values.astype("datetime64[ns]")
    elif values.dtype.kind in "iuf":
        values = values.astype(values.dtype.newbyteorder("="))
    if pd.isnull(values).any():
        count = int(pd.isnull(values).sum())
        raise ValueError(
            f"{count} of {values.size} times are missing; drop those fields with ds.sel(time=ds.time.notnull())"
        )
    steps = np.diff(values)
    zero = steps.dtype.type(0)
    if (steps == zero).any():
        first = values[1:][steps == zero][0]
        raise ValueError(f"the time {first} occurs more than once; drop what repeats with ds.drop_duplicates('time')")
    if (steps < zero).any():
        if len(np.unique(values)) < len(values):
            raise ValueError("some times occur more than once; drop what repeats with ds.drop_duplicates('time')")
        raise ValueError("the times do not increase; sort them with ds.sortby('time')")
    return ds.assign_coords(time=("time", values, ds["time"].attrs))


def canonical_longitude(ds: xr.Dataset) -> xr.Dataset:
    """Longitudes without a jump, in the user's own direction; a region that crosses 0 or 180 degrees becomes one piece.

    Longitudes that are strictly monotonic and have no gap where the region closes elsewhere are left as they are. Else
    they are unwrapped in place (350, 355, 0, 5 -> -10, -5, 0, 5) or, where the two ends belong together, cut at the
    largest gap (0, 5, 350, 355 -> -10, -5, 0, 5).
    """
    if "longitude" not in ds.dims or "longitude" not in ds.coords or ds.sizes["longitude"] < 2:
        return ds
    given = ds["longitude"].values.astype("float64")
    steps = np.diff(given)
    closing = CIRCLE - abs(given[-1] - given[0])
    widest = np.abs(steps).max()
    monotonic = (steps > 0).all() or (steps < 0).all()
    even = widest <= min(2 * np.median(np.abs(steps)), CIRCLE / 2)
    if monotonic and (even or widest <= closing) and given.max() <= CIRCLE:
        return ds
    unwrapped = np.unwrap(given, period=CIRCLE)
    turns = np.diff(unwrapped)
    order = np.arange(len(given))
    if not ((turns > 0).all() or (turns < 0).all()):
        circle = np.mod(given, CIRCLE)
        order = np.argsort(circle, kind="stable")
        gaps = np.diff(circle[order], append=circle[order[0]] + CIRCLE)
        order = np.roll(order, -int(np.argmax(gaps)) - 1)
        unwrapped = np.unwrap(given[order], period=CIRCLE)
        if np.median(steps) < 0:
            order, unwrapped = order[::-1], unwrapped[::-1]
    if unwrapped.min() >= CIRCLE / 2:
        unwrapped = unwrapped - CIRCLE
    elif unwrapped.min() < -CIRCLE / 2:
        unwrapped = unwrapped + CIRCLE
    return ds.isel(longitude=order).assign_coords(longitude=("longitude", unwrapped, ds["longitude"].attrs))


def canonical_level(ds: xr.Dataset) -> xr.Dataset:
    """Pressure levels in hPa where the file gives them in Pa or millibars; other levels as they are."""
    scale = {"Pa": 0.01, "millibars": 1, "millibar": 1, "mbar": 1, "mb": 1}
    if "level" in ds.coords and (factor := scale.get(ds["level"].attrs.get("units"))):
        values = ds["level"].values * factor if factor != 1 else ds["level"].values
        ds = ds.assign_coords(level=(ds["level"].dims, values, ds["level"].attrs | {"units": "hPa"}))
    return ds


def merge_expver(ds: xr.Dataset) -> xr.Dataset:
    """One field from final (expver 1) and preliminary (expver 5) ERA5: the former wherever it has a value."""
    if "expver" not in ds.dims:
        return _note_expver(ds)
    versions = ds["expver"].values if "expver" in ds.coords else range(ds.sizes["expver"])
    order = np.argsort([str(v) for v in versions])
    whole = ds.isel(expver=int(order[0]), drop=True)
    for index in order[1:]:
        whole = whole.fillna(ds.isel(expver=int(index), drop=True))
    return whole


def _note_expver(ds: xr.Dataset) -> xr.Dataset:
    """The dataset with an attribute that says which times are preliminary, where the version is a text at each time."""
    if "expver" not in ds.coords or ds["expver"].dims not in ((), ("time",)) or "time" not in ds.coords:
        return ds
    versions = np.atleast_1d(ds["expver"].values).astype(str)
    times = np.atleast_1d(ds["time"].values)
    early = np.array([version.strip().lstrip("0") == "5" for version in versions])
    if not early.any():
        return ds
    since = str(times[np.argmax(early)])[:16] if len(early) == len(times) and not early.all() else "the first time"
    return ds.assign_attrs(expver=f"preliminary (ERA5T, expver 5) from {since} on; the rest is final")
