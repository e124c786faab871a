"""The container. Truth: fields of the test's own making, and coordinates worked out by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from sciml_diffusion.data.container import canonical, from_tensor, grid_of, split_levels, to_tensor, variables_of
from sciml_diffusion.data.finite import without_broken_samples
from sciml_diffusion.physics.grid import Grid


def fields(longitude, latitude=(50.0, 51.0), times=3) -> xr.Dataset:
    """t2m = 1000 latitude + longitude (mod 360), so that every value says where it belongs."""
    longitude, latitude = np.asarray(longitude, float), np.asarray(latitude, float)
    where = 1000 * latitude[:, None] + np.mod(longitude, 360)
    values = np.broadcast_to(where, (times, *where.shape)).copy()
    time = np.datetime64("2020-01-01") + np.arange(times) * np.timedelta64(1, "h")
    dims = ("time", "latitude", "longitude")
    return xr.Dataset({"t2m": (dims, values)}, coords={"time": time, "latitude": latitude, "longitude": longitude})


@pytest.mark.parametrize(
    "given, expected",
    [
        ([350, 355, 0, 5], [-10, -5, 0, 5]),  # written across Greenwich
        ([0, 5, 350, 355], [-10, -5, 0, 5]),  # the same region sorted: cut at the gap
        ([5, 0, 355, 350], [5, 0, -5, -10]),  # westward stays westward
        ([355, 350, 5, 0], [5, 0, -5, -10]),
        ([359.75, 0], [-0.25, 0]),
        ([358.5, 359.5, 360.5], [-1.5, -0.5, 0.5]),
        ([170, 175, -180, -175], [170, 175, 180, 185]),  # written across the date line
        ([-10, -5, 0, 5], [-10, -5, 0, 5]),
        ([340, 345, 350], [340, 345, 350]),  # one piece: as the user has it
        ([10, 5, 0], [10, 5, 0]),
        ([0, 1, 2, 50], [0, 1, 2, 50]),  # uneven, but one piece
        (range(0, 360, 30), range(0, 360, 30)),
        (range(0, 361, 30), range(0, 361, 30)),
        ([0, 90, -180, -90], [0, 90, 180, 270]),
    ],
)
def test_longitudes_are_one_piece_and_values_stay_in_place(given, expected):
    ds = canonical(fields(given))
    np.testing.assert_allclose(ds.longitude, list(expected), atol=1e-12)  # sums of numbers exact in binary
    where = 1000 * ds.latitude.values[:, None] + np.mod(ds.longitude.values, 360)
    np.testing.assert_array_equal(ds.t2m.values[0], where.astype("f4"))


def test_latitude_keeps_the_users_direction():
    for latitude in ([50, 51, 52], [52, 51, 50]):
        ds = canonical(fields([0, 1, 2], latitude))
        np.testing.assert_array_equal(ds.latitude, latitude)
        np.testing.assert_array_equal(grid_of(ds).coordinates[0], latitude)


def test_names_order_and_types():
    ds = fields([0, 1, 2]).rename(t2m="2m_temperature", latitude="lat", longitude="Lon", time="valid_time")
    ds = ds.transpose("Lon", "lat", "valid_time").assign_coords(number=3, step=np.timedelta64(0, "h"), surface=0.0)
    ds["crs"] = 0
    ds["time_bnds"] = (("valid_time", "bnds"), np.zeros((3, 2)))
    ds["valid_time"].attrs["bounds"] = "time_bnds"
    out = canonical(ds)
    assert set(out.variables) == {"t2m", "time", "latitude", "longitude"}
    assert out.t2m.dims == ("time", "longitude", "latitude")  # time first, space in the user's own order
    assert out.t2m.dtype == np.float32
    assert grid_of(out).dims == ("longitude", "latitude")


def test_a_second_pass_changes_nothing(truth):
    once = canonical(truth)
    xr.testing.assert_identical(canonical(once), once)
    xr.testing.assert_identical(canonical(once.t2m), once[["t2m"]])


def test_times_become_utc_without_a_zone():
    utc = pd.date_range("2020-06-01", periods=3, freq="h")
    summer = pd.date_range("2020-06-01 02:00", periods=3, freq="h", tz="Europe/Paris")
    texts = ["2020-06-01T00:00Z", "2020-06-01T03:00+02:00", "2020-06-01T02:00Z"]
    for given in (summer.astype(object), np.array(texts), utc.astype("datetime64[s]")):
        out = canonical(fields([0, 1]).assign_coords(time=("time", np.asarray(given))))
        assert out.time.dtype == np.dtype("datetime64[ns]")
        np.testing.assert_array_equal(out.time, utc.values)


def test_valid_time_replaces_the_start_of_a_forecast():
    ds = fields([0, 1])
    valid = ds.time.values + np.timedelta64(6, "h")
    ds = ds.assign_coords(valid_time=("time", valid), step=np.timedelta64(6, "h"))
    np.testing.assert_array_equal(canonical(ds).time, valid)
    np.testing.assert_array_equal(canonical(ds.isel(time=1)).time, valid[1:2])


def test_one_field_with_a_scalar_time_gets_the_dim():
    out = canonical(fields([0, 1]).isel(time=2))
    assert out.t2m.dims == ("time", "latitude", "longitude") and out.sizes["time"] == 1


def test_levels_in_pascal_and_members():
    ds = xr.concat([fields([0, 1]), fields([0, 1]) + 1], "plev").assign_coords(
        plev=("plev", [85000.0, 50000.0], {"units": "Pa"})
    )
    out = canonical(ds.expand_dims(number=[0, 1]).rename(t2m="temperature"))
    assert out.t.dims == ("realization", "time", "level", "latitude", "longitude")
    np.testing.assert_array_equal(out.level, [850, 500])
    assert list(split_levels(out).data_vars) == ["t850", "t500"]
    assert to_tensor(out).shape == (2, 3, 2, 2, 2)


def _refuses(ds, *words) -> str:
    """The message of the refusal, which holds the words."""
    with pytest.raises(ValueError) as caught:
        canonical(ds)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    return str(caught.value)


def test_refusals_say_what_to_do():
    good = fields([0, 1])
    assert _refuses(good.isel(time=0, drop=True), "no time axis", "expand_dims")
    assert _refuses(good.drop_vars("time"), "without values", "assign_coords")
    assert _refuses(good.isel(time=[0, 1, 1]), "more than once", "drop_duplicates")
    assert _refuses(good.isel(time=[0, 1, 0]), "more than once", "drop_duplicates")
    assert _refuses(good.isel(time=[0, 2, 1]), "do not increase", "sortby")
    assert _refuses(
        good.assign_coords(time=[np.datetime64("2020"), np.datetime64("NaT"), np.datetime64("2021")]), "missing"
    )
    assert _refuses(good.assign_coords(time=np.array(["2020-02-30", "2020-03-01", "2020-03-02"])), "convert_calendar")
    assert _refuses(good.rename(longitude="station"), "unknown dims station", "rename")
    batch = good.expand_dims(batch=[0, 1])
    assert "axis of space" not in _refuses(batch, "ds.rename({'batch': 'sample'}) where it counts", "ds.isel(batch=0)")
    assert _refuses(batch.rename(longitude="x").isel(latitude=0, drop=True), "{'batch': 'sample'}", "{'batch': 'y'}")
    assert "'sample'})" not in _refuses(batch.expand_dims(sample=[0]), "{'batch': 'x'}")
    assert _refuses(good.expand_dims(step=[0, 1]), "2 steps", "isel(step=0)")
    assert _refuses(good.mean(("latitude", "longitude")), "no variable has both")
    with pytest.raises(TypeError, match="ndarray"):
        canonical(np.zeros(3))


def test_periods():
    globe = canonical(fields(np.arange(0, 360, 2.5)))
    assert grid_of(globe).periods == (None, 360.0)
    assert grid_of(canonical(fields(np.arange(357.5, -2.5, -2.5)))).periods == (None, 360.0)
    for longitude in (np.arange(0, 357.5, 2.5), np.arange(0, 362.5, 2.5)):  # a column short, a column twice
        assert grid_of(canonical(fields(longitude))).periods == (None, None)
    coords = {"time": [0.0, 0.1], "x": np.arange(4) / 4}
    line = xr.Dataset({"u": (("time", "x"), np.zeros((2, 4)))}, coords=coords)
    assert grid_of(line).periods == (None,)
    assert grid_of(line.assign_attrs(periodic="x", period=1.0)).periods == (1.0,)
    line["x"].attrs["period"] = 2.0
    assert grid_of(line).periods == (2.0,)
    plane = line.expand_dims(y=3).assign_coords(y=[0.0, 1.0, 2.0]).transpose("time", "y", "x").drop_attrs()
    assert grid_of(plane.assign_attrs(periodic="y, x", period=[3.0, 1.0])).periods == (3.0, 1.0)
    with pytest.raises(ValueError, match="coordinate values"):
        grid_of(line.drop_vars("x"))


@pytest.mark.parametrize("lead", [None, "sample", "realization"])
def test_tensor_round_trip(lead):
    """Exact: float64 there and back; the channel c, frame n, point (i, j) carry a number that names them."""
    grid = Grid(("latitude", "longitude"), (np.array([2.0, 1.0, 0.0]), np.arange(4.0)), (None, None))
    shape = ((5,) if lead else ()) + (6, 2, 3, 4)
    x = torch.arange(np.prod(shape), dtype=torch.float64).reshape(shape)
    time = np.datetime64("2020-01-01", "ns") + np.arange(6) * np.timedelta64(1, "h")
    kinds = (
        {"name": "u10", "units": "m s-1", "standard_name": "eastward_wind", "long_name": ""},
        {"name": "t2m", "units": "K"},
    )
    ds = from_tensor(x, time, grid, kinds, lead=lead or "sample")
    assert ds.u10.dims == ((lead,) if lead else ()) + ("time", "latitude", "longitude")
    assert float(ds.t2m.isel(time=2, latitude=1, longitude=3)[(0,) if lead else ()]) == 24 * 2 + 12 + 4 + 3
    assert torch.equal(to_tensor(ds, ["u10", "t2m"], dtype=torch.float64), x)
    assert torch.equal(to_tensor(ds, ["t2m"]), x.float()[..., 1:, :, :])
    assert variables_of(ds)[0] == kinds[0]
    assert grid_of(ds).sizes == (3, 4)
    with pytest.raises(ValueError, match="shape"):
        from_tensor(x[..., :2], time, grid, kinds)


def test_to_tensor_refuses_unknown_names_and_missing_values():
    ds = canonical(fields([0, 1]))
    with pytest.raises(ValueError, match="'t2n'.*they have t2m"):
        to_tensor(ds, ["t2n"])
    holes = ds.where(ds.longitude > 0)
    with pytest.raises(ValueError, match=r"t2m holds 6 missing values \(NaN\) of 12"):
        to_tensor(holes)
    assert int(torch.isnan(to_tensor(holes, missing=True)).sum()) == 6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("lead", ["sample", "realization", None])
def test_values_that_are_not_finite_are_named_by_sample_and_time(value, lead):
    u = np.zeros((4, 5, 8), "f4")
    u[2, 3, 1:3] = u[2, 4, 0] = u[3, 0, 0] = value
    coords = {"time": np.arange(5) / 4, "x": np.arange(8.0)} | ({lead: [10, 11, 12, 13]} if lead else {})
    ds = xr.Dataset({"u": ((lead, "time", "x"), u) if lead else (("time", "x"), u[2])}, coords)
    kind = "missing values" if np.isnan(value) else "infinite values"
    where = f"{lead} 12 at time 0.75" if lead else "first at time 0.75"
    with pytest.raises(ValueError, match=f"u holds {4 if lead else 3} {kind}.* of .*{where}") as caught:
        to_tensor(ds)
    assert ("without_broken_samples" in str(caught.value)) == (lead == "sample")
    if np.isnan(value):
        assert torch.isnan(to_tensor(ds, missing=True)).any()
        assert lead != "sample" or torch.equal(to_tensor(without_broken_samples(ds)), torch.zeros(2, 5, 1, 8))
    else:
        with pytest.raises(ValueError, match="infinite"):
            to_tensor(ds, missing=True)
    if lead:  # both kinds in one field
        ds.u[0, 1, 0], ds.u[0, 2, 0] = np.inf, np.nan
        with pytest.raises(
            ValueError, match=rf"missing values \(NaN\) and . infinite values of .*{lead} 10 at time 0.25"
        ):
            to_tensor(ds)
