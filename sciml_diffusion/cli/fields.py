"""Gridded fields as the verbs take them: by name or path, cut to a period, one trajectory of several."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr


def open_fields(
    source: str, period: str | None = None, sample: int | None = None, format: str | None = None, options=None
) -> "xr.Dataset":
    """Opens fields and takes the part that is asked for.

    Arguments:
        source: shipped sample, file, folder or URL.
        period: FIRST/LAST, for example 2019-03-26/2019-03-27, ends included; None is all.
        sample: which trajectory, where the fields hold several; None is all.
        format, options: of the file, where its content leaves them open; see `open_dataset`.
    Raises:
        ValueError: no frame in the period, or no such trajectory. FileNotFoundError: no such fields.
    """
    from .. import api

    if options and not hasattr(options, "items"):
        raise ValueError(f"options are written 'options={{dt: 0.1}}', got {options!r}")
    fields = select_period(api.open_dataset(source, format, **(options or {})), period)
    if sample is None or "sample" not in fields.dims:
        return fields
    if not 0 <= sample < fields.sizes["sample"]:
        raise ValueError(f"sample must lie in 0 ... {fields.sizes['sample'] - 1}; got {sample}")
    return fields.isel(sample=sample, drop=True)


def select_period(fields: "xr.Dataset", period: str | None) -> "xr.Dataset":
    """The frames of fields from FIRST to LAST, ends included; dates, or numbers for fields in model time.

    Raises:
        ValueError: a period of another form, or without a frame.
    """
    if period is None:
        return fields
    first, slash, last = str(period).partition("/")
    if not slash:
        raise ValueError(f"a period is FIRST/LAST, for example 2019-03-26/2019-03-27; got {period!r}")
    dated = fields["time"].dtype.kind == "M"
    part = fields.sel(time=slice(first, last) if dated else slice(float(first), float(last)))
    if part.sizes["time"] == 0:
        low, high = fields["time"].values[[0, -1]]
        raise ValueError(f"the fields reach from {low} to {high} and have no frame in the period {period}")
    return part


def is_sensor_table(source: str) -> bool:
    """Whether a path is a table of sensors: CSV, or NetCDF whose only dim is "observation"."""
    if str(source).endswith(".csv"):
        return True
    if Path(source).suffix not in (".nc", ".nc4", ".h5") or not Path(source).is_file():
        return False
    import xarray as xr

    try:
        with xr.open_dataset(source, engine="h5netcdf") as found:
            return set(found.dims) == {"observation"} and "value" in found
    except (OSError, ValueError):  # gridded fields of another layout, which `open_fields` knows
        return False


def open_sensors(source: str, std: float | None = None, units: str | None = None) -> "xr.Dataset":
    """Opens a table of sensors: CSV, or NetCDF with the single dim "observation".

    Arguments:
        source: path of the table.
        std: noise of the sensors that state none, in the units of their values.
        units: of the values of a table that states none.
    Raises:
        ValueError: the table cannot be read; FileNotFoundError: there is none.
    """
    import xarray as xr

    from .. import api

    if isinstance(std, str):
        raise ValueError(f"std must be a number in the units of the values, for example std=0.2; got {std!r}")
    is_netcdf = Path(source).suffix in (".nc", ".nc4", ".h5") and Path(source).is_file()
    return api.observe(xr.load_dataset(source, engine="h5netcdf") if is_netcdf else source, std=std, units=units)
