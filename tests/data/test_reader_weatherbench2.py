"""WeatherBench 2's stores. Truths: balanced wind around a pole, means by day of the year, and long names made short.

Gradient of geopotential and wind of solid rotation: u = U cos(lat), z = -(a Omega U + U^2 / 2) sin(lat)^2.
"""

import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from reader_checks import check_refusal, on_disk

from sciml_diffusion.data.container import grid_of, to_tensor, variables_of
from sciml_diffusion.data.open import open_path
from sciml_diffusion.data.readers import weatherbench2
from sciml_diffusion.data.stores import is_url
from sciml_diffusion.evaluate.places import latitude_weights

pytest.importorskip("zarr")
RADIUS, OMEGA, SPEED = 6.371e6, 7.292e-5, 20.0
LAT, LON = np.linspace(-87.1875, 87.1875, 32), np.arange(64) * 5.625
LEVELS = [500, 850]
TIME = np.datetime64("2020-02-28", "ns") + np.arange(6) * np.timedelta64(6, "h")


def analysis() -> xr.Dataset:
    """The layout of 64 x 32 points: latitude ascends, longitude comes first."""
    phi = np.radians(LAT)
    share = np.ones((len(TIME), len(LEVELS), len(LON), 1)) * np.array([1.0, 0.5])[:, None, None]
    dims = ("time", "level", "longitude", "latitude")
    z = -(RADIUS * OMEGA * SPEED * share + (SPEED * share) ** 2 / 2) * np.sin(phi) ** 2
    u = SPEED * share * np.cos(phi)
    fields = {
        "geopotential": (dims, z.astype("f4"), {"units": "m**2 s**-2"}),
        "u_component_of_wind": (dims, u.astype("f4"), {"units": "m s**-1"}),
        "2m_temperature": ((dims[0], *dims[2:]), 280 + 0 * u[:, 0].astype("f4"), {"units": "K"}),
        "land_sea_mask": (dims[2:], (LAT > 0) * np.ones((64, 1), "f4")),
    }
    return xr.Dataset(fields, {"time": TIME, "level": LEVELS, "latitude": LAT, "longitude": LON})


@pytest.fixture
def store(tmp_path):
    analysis().to_zarr(tmp_path / "store", consolidated=False)
    return tmp_path / "store"


def test_short_names_and_balance(store):
    """f u + u^2 tan(lat) / a = -dz/dlat / a: holds for z, u and latitude that belong together, at each level."""
    ds = open_path(store)
    assert set(ds.data_vars) == {"z", "u", "t2m", "lsm"} and on_disk(ds.z)
    assert ds.z.dims == ("time", "level", "longitude", "latitude")  # the file's own order and direction
    assert ds.latitude.values[0] < 0 and grid_of(ds).periods == (360.0, None)
    phi = np.radians(ds.latitude)
    slope = ds.z.astype("f8").differentiate("latitude") * 180 / np.pi / RADIUS
    balance = ds.u * 2 * OMEGA * np.sin(phi) + ds.u**2 * np.tan(phi) / RADIUS
    # second-order differences over 5.6 degrees: 2 (dphi)^2 / 3 = 0.6 % of 3e-3
    np.testing.assert_allclose(balance.isel(latitude=slice(1, -1)), -slope.isel(latitude=slice(1, -1)), atol=3e-5)
    assert [v["name"] for v in variables_of(ds)] == ["t2m", "z500", "z850", "u500", "u850"]  # by long name
    assert to_tensor(ds).shape == (6, 5, 64, 32)


def test_static_fields_have_no_time(store):
    ds = open_path(store, variables=["land_sea_mask", "t2m"])
    assert set(ds.data_vars) == {"lsm", "t2m"} and ds.lsm.dims == ("longitude", "latitude")
    weights = latitude_weights(ds.latitude.values)
    assert weights.mean() == pytest.approx(1, abs=1e-12)
    # half of the sphere lies north of the equator; weights are areas between sines of the edges, not cosines
    assert float((ds.lsm.mean("longitude") * weights).mean()) == pytest.approx(0.5, abs=1e-7)
    # the cap beyond 84.375 degrees is (1 - sin) / 2 of the sphere, and the mean weight of 32 bands is 1
    np.testing.assert_allclose(weights[0], 16 * (1 - np.sin(np.radians(84.375))), rtol=1e-9)


def test_forecasts(tmp_path):
    lead = np.arange(3) * 6
    members = np.arange(2)
    values = 280 + lead[:, None, None] + 100 * members[:, None, None, None] + np.zeros((4, 2, 3, 32, 64))
    dims = ("time", "number", "prediction_timedelta", "latitude", "longitude")
    coords = {"time": TIME[:4], "number": members, "latitude": LAT[::-1], "longitude": LON}
    coords["prediction_timedelta"] = ("prediction_timedelta", lead, {"units": "hours"})
    xr.Dataset({"2m_temperature": (dims, values.astype("f4"))}, coords).to_zarr(tmp_path / "f", consolidated=False)
    ds = open_path(tmp_path / "f")
    assert ds.t2m.dims == ("realization", "time", "lead_time", "latitude", "longitude") and on_disk(ds.t2m)
    np.testing.assert_array_equal(ds.lead_time, lead * np.timedelta64(1, "h"))
    np.testing.assert_array_equal(ds.t2m[1, 0, :, 0, 0], 380 + lead)
    assert ds.latitude.values[0] > 0  # decreasing latitude stays


def test_climatology(tmp_path):
    """Value = day of the year + hour / 100; the anomaly of that value is zero, in leap years and others."""
    hours, days = np.arange(0, 24, 6), np.arange(1, 367)
    values = (days[None, :] + hours[:, None] / 100)[..., None, None] + np.zeros((1, 1, 2, 3))
    dims = ("hour", "dayofyear", "latitude", "longitude")
    coords = {"hour": hours, "dayofyear": days, "latitude": [10.0, 20.0], "longitude": [0.0, 1.0, 2.0]}
    xr.Dataset({"2m_temperature": (dims, values.astype("f4"))}, coords).to_zarr(tmp_path / "c", consolidated=False)
    ds = open_path(tmp_path / "c")
    assert ds.t2m.shape == (4 * 366, 2, 3) and on_disk(ds.t2m) and "leap year" in ds.attrs["climatology"]
    np.testing.assert_allclose(ds.t2m.isel(time=[1463, 0, 4], latitude=1, longitude=slice(1)), [[366.18], [1], [2]])
    for day in ("2019-03-01T06", "2020-03-01T18", "2020-12-31T00"):
        date = pd.Timestamp(day)
        found = weatherbench2.at_dates(ds, [date])
        np.testing.assert_allclose(found.t2m, date.day_of_year + date.hour / 100, rtol=1e-6)
        assert found.time.values[0] == np.datetime64(day)
    with pytest.raises(ValueError, match="no value for the hour.*the hours 0, 6, 12, 18"):
        weatherbench2.at_dates(ds, np.array(["2020-01-01T01"], "datetime64[ns]"))


def test_behind_a_url(store):
    """The memory of fsspec stands for a bucket."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.put(str(store), "/bucket/store", recursive=True)
    try:
        assert is_url("memory://bucket/store") and is_url("gs:/weatherbench2/x.zarr") and not is_url(store)
        ds = weatherbench2.read("memory://bucket/store", variables="z")
        assert "2m_temperature" not in ds and on_disk(ds.geopotential)
        assert float(ds.geopotential[0, 0, 0, 16]) < 0
        with pytest.raises((FileNotFoundError, ValueError), match="memory://bucket/nothing"):
            weatherbench2.read("memory://bucket/nothing")
    finally:
        memory.rm("/bucket", recursive=True)


def test_what_a_bucket_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ImportError, match="pip install gcsfs"):
        weatherbench2.read("gs://weatherbench2/datasets/era5/none.zarr")
    with pytest.raises(ValueError, match="cannot be read.*network"):
        weatherbench2.read("ftp://127.0.0.1:9/none.zarr")


def test_wrong_stores(store, tmp_path):
    with pytest.raises(ValueError, match="no rain; it has 2m_temperature"):
        open_path(store, variables="rain")
    ds = analysis().rename(time="prediction_timedelta").drop_vars("land_sea_mask").expand_dims(time=TIME[:1])
    ds = ds.assign_coords(prediction_timedelta=("prediction_timedelta", np.arange(6), {"units": "fortnights"}))
    ds.to_zarr(tmp_path / "odd", consolidated=False)
    check_refusal(tmp_path / "odd", "fortnights")
