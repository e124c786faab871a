"""Known fields, written in the layouts of the Copernicus Climate Data Store by the tests themselves."""

import numpy as np
import pytest
import xarray as xr

HOURS = 30
TIME = np.datetime64("2020-02-28T00", "ns") + np.arange(HOURS) * np.timedelta64(1, "h")
LATITUDE = np.array([52.0, 51.5, 51.0, 50.5])  # descending, as ERA5 has it
LONGITUDE = np.array([358.5, 359.0, 359.5, 0.0, 0.5])  # a region across Greenwich in 0..360


@pytest.fixture
def truth() -> xr.Dataset:
    """Temperature and wind on longitudes -1.5 to 0.5, in the order in which the files below hold them."""
    rng = np.random.default_rng(0)
    t2m = 280 + 5 * rng.standard_normal((HOURS, 4, 5))
    u10 = 10 * rng.standard_normal((HOURS, 4, 5))
    dims = ("time", "latitude", "longitude")
    longitude = np.where(LONGITUDE > 180, LONGITUDE - 360, LONGITUDE)
    return xr.Dataset(
        {
            "t2m": (dims, t2m, {"units": "K", "long_name": "2 metre temperature"}),
            "u10": (dims, u10, {"units": "m s**-1"}),
        },
        coords={"time": TIME, "latitude": LATITUDE, "longitude": longitude},
    )


@pytest.fixture
def legacy(truth, tmp_path):
    """Writes the legacy layout: int16 packed, hours since 1900, 0..360; optionally the dim expver; NetCDF 3 or 4."""

    def write(engine: str = "scipy", expver: bool = False, name: str = "legacy.nc"):
        ds = truth.assign_coords(longitude=LONGITUDE.astype("f4"), latitude=LATITUDE.astype("f4"))
        if expver:
            final = ds.where(ds.time < TIME[20])
            preliminary = ds.where(ds.time >= TIME[18]) + 0.0
            preliminary = preliminary.where(
                preliminary.time >= TIME[20], preliminary + 50
            )  # must lose to the final ones
            ds = xr.concat([final, preliminary], xr.DataArray(np.array([1, 5], "i4"), dims="expver", name="expver"))
            ds = ds.transpose("time", "expver", ...)
        encoding = {"time": {"units": "hours since 1900-01-01 00:00:0.0", "dtype": "i4"}}
        for variable in ("t2m", "u10"):
            low, high = float(ds[variable].min()), float(ds[variable].max())
            packing = {"scale_factor": (high - low) / 65000, "add_offset": (high + low) / 2}
            encoding[variable] = packing | {"dtype": "i2", "_FillValue": np.int16(-32767)}
        ds.attrs = {"Conventions": "CF-1.6"}
        ds.to_netcdf(tmp_path / name, engine=engine, encoding=encoding)
        return tmp_path / name

    return write


@pytest.fixture
def modern(truth, tmp_path):
    """Writes the new layout: valid_time in seconds since 1970, pressure_level, number, and expver as text."""

    def write(name: str = "modern.nc"):
        ds = truth.astype("f4").expand_dims(pressure_level=[850.0, 500.0], axis=1)
        ds = (
            (ds + xr.DataArray([0.0, 1.0], dims="pressure_level")).transpose("time", "pressure_level", ...).astype("f4")
        )
        ds = ds.rename(t2m="t", u10="u", time="valid_time").assign_coords(number=0)
        ds["expver"] = ("valid_time", np.array(["0001"] * 20 + ["0005"] * 10, dtype=object))
        ds = ds.set_coords("expver")
        encoding = {"valid_time": {"units": "seconds since 1970-01-01", "dtype": "i8"}}
        encoding |= {v: {"zlib": True, "dtype": "f4"} for v in ("t", "u")}
        ds.to_netcdf(tmp_path / name, engine="h5netcdf", encoding=encoding)
        return tmp_path / name

    return write
