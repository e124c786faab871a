"""Simulated sensors. Truths: fields linear in every axis, and the moments of the noise."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sciml_diffusion.observations.simulate import simulate
from sciml_diffusion.observations.table import read_table, table_units

TIMES = np.datetime64("2019-03-26", "ns") + np.arange(10) * np.timedelta64(1, "h")


def fields(frames=10):
    latitude, longitude = np.linspace(60, 50, 11), np.linspace(-10, 2, 13)
    t, y, x = np.meshgrid(np.arange(frames), latitude, longitude, indexing="ij")
    dims = ("time", "latitude", "longitude")
    data = {"t2m": (dims, 280 + y * x / 100 + t, {"units": "K"}), "u10": (dims, y - x - 2 * t, {"units": "m s-1"})}
    return xr.Dataset(data, {"time": TIMES[:frames], "latitude": latitude, "longitude": longitude})


def places(table):
    return np.unique(np.column_stack([table["latitude"], table["longitude"]]), axis=0)


def test_truth_is_interpolated_between_grid_points():
    table = simulate(fields(), 12, 0.1, seed=0)
    assert table.sizes["observation"] == 10 * 2 * 12 and table_units(table) == {"t2m": "K", "u10": "m s-1"}
    hour = (table["time"].values - TIMES[0]) / np.timedelta64(1, "h")
    y, x = table["latitude"].values, table["longitude"].values
    truth = np.where(table["variable"].values == "t2m", 280 + y * x / 100 + hour, y - x - 2 * hour)
    assert np.allclose(table["truth"], truth, rtol=0, atol=1e-10)  # rounding at values near 280
    assert y.min() >= 50 and y.max() <= 60 and x.min() >= -10 and x.max() <= 2
    assert len(places(table)) == 12 and not np.isin(y, fields()["latitude"]).any()


def test_noise_has_the_stated_size():
    table = simulate(fields(), 200, {"t2m": 0.1, "u10": 2.0}, seed=1)
    z = ((table["value"] - table["truth"]) / table["std"]).values
    assert table["std"].values[table["variable"].values == "u10"].tolist() == [2.0] * 2000
    # 4000 independent normals: mean within 4 / sqrt(4000), variance within 4 sqrt(2 / 4000)
    assert abs(z.mean()) < 0.064 and abs(z.var() - 1) < 0.09


def test_sensors_depend_on_the_seed_alone():
    many = simulate(fields(), 8, 0.1, seed=3)
    few = simulate(fields(4), 8, 0.5, seed=3, variable="t2m", every=2)
    assert np.array_equal(places(many), places(few))
    assert not np.array_equal(places(many), places(simulate(fields(), 8, 0.1, seed=4)))
    assert many.identical(simulate(fields(), 8, 0.1, seed=3))


def test_more_times_and_more_stations_keep_what_was_there():
    table = simulate(fields(), 8, 0.1, seed=3)
    shorter = simulate(fields(4), 8, 0.1, seed=3)
    assert shorter.equals(table.isel(observation=slice(None, shorter.sizes["observation"])))
    fewer = simulate(fields(), 3, 0.1, seed=3)
    assert np.array_equal(fewer["latitude"].values[:3], table["latitude"].values[:3])


def test_every_takes_frames_from_the_first():
    table = simulate(fields(), 2, 0.1, seed=0, every=4)
    assert np.unique(table["time"]).tolist() == TIMES[::4].astype(np.int64).tolist()


def test_snapped_stations_sit_on_distinct_grid_points():
    table = simulate(fields(2), 143, 0.1, seed=0, variable="t2m", snap=True)
    assert len(places(table)) == 143
    at = fields(2)["t2m"].sel(time=table["time"], latitude=table["latitude"], longitude=table["longitude"])
    assert np.array_equal(table["truth"].values, at.values)
    with pytest.raises(ValueError, match="144 distinct stations do not fit"):
        simulate(fields(), 144, 0.1, seed=0, snap=True)


@pytest.mark.parametrize(
    "stations",
    [
        {"latitude": [51.0, 52.5], "longitude": [-1.0, 0.25], "station": ["a", "b"]},
        pd.DataFrame({"lat": [51.0, 52.5], "lon": [-1.0, 0.25], "station": ["a", "b"]}),
        np.array([[51.0, -1.0], [52.5, 0.25]]),
        xr.Dataset(
            {"station": ("n", ["a", "b"])}, {"latitude": ("n", [51.0, 52.5]), "longitude": ("n", [359.0, 360.25])}
        ),
    ],
)
def test_given_stations(stations):
    table = simulate(fields(), stations, 0.1, seed=0, variable="u10", every=10)
    assert np.allclose(table["truth"], [52.0, 52.25], rtol=0, atol=1e-11)
    assert table["station"].values.tolist() in (["a", "b"], ["s00", "s01"])


def test_stations_of_another_table_serve_again():
    first = simulate(fields(3), 5, 0.1, seed=0, variable="t2m")
    again = simulate(fields(), first, 0.1, seed=1)
    assert np.array_equal(places(first), places(again)) and len(np.unique(again["station"])) == 5


def test_a_simulated_table_is_read_back_whole():
    table = simulate(fields(), 4, 0.1, seed=0)
    assert read_table(table).identical(table)


def test_model_time_and_a_periodic_axis():
    x = np.arange(8) / 8
    data = xr.Dataset(
        {"u": (("time", "x"), np.stack([x, 2 * x]))}, {"time": [0.0, 0.5], "x": ("x", x, {"period": 1.0})}
    )
    table = simulate(data, {"x": [0.25, 15 / 16]}, 0.01, seed=0)
    assert table["time"].values.tolist() == [0.0, 0.0, 0.5, 0.5]
    assert np.allclose(table["truth"], [0.25, 7 / 16, 0.5, 7 / 8], rtol=0, atol=1e-14)
    random = simulate(data, 500, 0.01, seed=0)["x"].values
    assert random.min() >= 0 and 0.9 < random.max() < 1.0
    bounded = data.assign_coords(x=x)
    with pytest.raises(ValueError, match="1 positions lie outside the domain"):
        simulate(bounded, {"x": [0.25, 15 / 16]}, 0.01, seed=0)


def test_missing_cells_are_left_out_and_counted():
    data = fields(2)
    data["t2m"][:, :5] = np.nan
    with pytest.warns(UserWarning, match="the field is missing there"):
        table = simulate(data, 30, 0.1, seed=0, variable="t2m")
    assert np.isfinite(table["value"]).all() and table["latitude"].max() <= 55


ERRORS = {
    "variable": ({"variable": "t3m"}, "no fields named \\['t3m'\\]"),
    "std": ({"std": 0.0}, "std must be"),
    "std of a variable": ({"std": {"t2m": 0.1}}, "std must be .*'u10': None"),
    "stations": ({"stations": 0}, "at least 1"),
    "every": ({"every": 0}, "positive integer"),
    "outside": ({"stations": {"latitude": [48.0], "longitude": [0.0]}}, "outside the domain .* latitude 48"),
    "column": ({"stations": {"latitude": [51.0]}}, "need a column 'longitude'"),
    "array": ({"stations": np.zeros((3, 3))}, "has shape \\(m, 2\\)"),
    "snap": ({"stations": {"latitude": [51.0], "longitude": [0.0]}, "snap": True}, "random stations"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    arguments, text = ERRORS[name]
    with pytest.raises(ValueError, match=text):
        simulate(fields(), **{"stations": 2, "std": 0.1, "seed": 0} | arguments)


def test_dims_to_choose_from_are_refused():
    with pytest.raises(ValueError, match="fields.isel\\(sample=0\\)"):
        simulate(fields().expand_dims("sample"), 2, 0.1, seed=0)
    with pytest.raises(ValueError, match="needs time"):
        simulate(fields().isel(time=0, drop=True), 2, 0.1, seed=0)
    with pytest.raises(ValueError, match="no coordinates"):
        simulate(fields().drop_vars("latitude"), 2, 0.1, seed=0)
