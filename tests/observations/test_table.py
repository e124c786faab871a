"""Sensor tables. Truth: tables small enough to work out by hand."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sciml_diffusion.observations.table import read_table, spatial_dims, table_units
from sciml_diffusion.observations.units import convert_std, convert_units

NOON = np.datetime64("2019-03-26T12:00", "ns")


def frame(**columns):
    base = {"time": "2019-03-26T12:00Z", "latitude": [51.0, 52.0, 53.0], "longitude": [-1.0, 0.0, 1.0]}
    return pd.DataFrame(base | {"value": [280.0, 281.0, 282.0], "std": 0.1, "variable": "t2m"} | columns)


def write(path, text):
    path.write_text(text)
    return path


def test_the_form_of_a_table():
    table = read_table(frame(units="K", station=["a", "b", "c"]))
    assert dict(table.sizes) == {"observation": 3} and set(table.data_vars) == {"value", "std"}
    assert set(table.coords) == {"time", "latitude", "longitude", "variable", "station"}
    assert table["time"].dtype == "datetime64[ns]" and (table["time"].values == NOON).all()
    assert table["value"].values.tolist() == [280, 281, 282] and table["std"].values.tolist() == [0.1] * 3
    assert table["station"].values.tolist() == ["a", "b", "c"] and table["variable"].values.tolist() == ["t2m"] * 3
    assert json.loads(table.attrs["units"]) == {"t2m": "K"} == table_units(table)
    assert spatial_dims(table) == ("latitude", "longitude")


def test_reading_a_table_again_changes_nothing(tmp_path):
    table = read_table(frame(units="K"))
    table["truth"] = table["value"] + 1
    assert read_table(table).identical(table)
    table.to_netcdf(tmp_path / "table.nc")
    with xr.open_dataset(tmp_path / "table.nc") as stored:
        assert read_table(stored).equals(table)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv(tmp_path, separator):
    lines = [
        "Time, Lat, Lon, t2m [degC], sigma, Site",
        "2019-03-26T12:00Z, 51, -1, 7.5, 0.1, 007",
        "2019-03-26 13:30+01:00, 52, 0, 8.5, 0.2, Wick",
    ]
    table = read_table(write(tmp_path / "t.csv", "\ufeff" + "\n".join(lines).replace(", ", separator)))
    assert table["variable"].values.tolist() == ["t2m"] * 2 and table_units(table) == {"t2m": "degC"}
    assert table["station"].values.tolist() == ["007", "Wick"]
    assert (table["time"].values == NOON + np.array([0, 30]) * np.timedelta64(1, "m")).all()
    assert table["value"].values.tolist() == [7.5, 8.5] and table["std"].values.tolist() == [0.1, 0.2]
    assert table["latitude"].values.tolist() == [51, 52] and table["longitude"].values.tolist() == [-1, 0]


@pytest.mark.parametrize(
    "times",
    [
        ["2019-03-26T12:00Z", "2019-03-26T12:00", "2019-03-26 13:00+01:00"],
        ["2019-03-26T06:30:00-05:30", "20190326T1200Z", "2019-03-26T12:00:00.000"],
        pd.DatetimeIndex(["2019-03-26T12:00"] * 3),
        pd.DatetimeIndex(["2019-03-26T12:00"] * 3, tz="Europe/London"),
        pd.DatetimeIndex(["2019-03-31T13:00"] * 3, tz="Europe/London"),
        [dt.datetime(2019, 3, 26, 12), dt.datetime(2019, 3, 26, 12, tzinfo=dt.UTC), pd.Timestamp(NOON)],
        [dt.datetime(2019, 3, 26, 13, tzinfo=dt.timezone(dt.timedelta(hours=1)))] * 3,
    ],
)
def test_times_are_utc(times):
    day = np.datetime64("2019-03-31T12:00", "ns") if str(times[0]).startswith("2019-03-31") else NOON
    assert (read_table(frame(time=times))["time"].values == day).all()


def test_dates_alone_and_the_index_as_time():
    assert read_table(frame(time="2019-03-26"))["time"].values[0] == np.datetime64("2019-03-26")
    indexed = frame().drop(columns="time").set_index(pd.DatetimeIndex([NOON] * 3))
    assert (read_table(indexed)["time"].values == NOON).all()


def test_numbers_are_model_time():
    table = read_table(pd.DataFrame({"time": [0.0, 0.5], "x": [0.1, 0.9], "value": [1.0, 2.0]}), std=0.1)
    assert table["time"].values.tolist() == [0.0, 0.5] and spatial_dims(table) == ("x",)
    assert table["variable"].values.tolist() == ["", ""] and table["std"].values.tolist() == [0.1, 0.1]


@pytest.mark.parametrize("columns", [{"lat": "latitude", "lng": "longitude", "datetime": "time", "temp": "value"}])
def test_common_names(columns):
    other = frame().drop(columns="variable").rename(columns={v: k for k, v in columns.items()})
    table = read_table(other, variable="t2m")
    assert table.equals(read_table(frame()))


def test_the_variable_is_found_in_the_header_or_the_argument():
    plain = frame().drop(columns="variable")
    assert read_table(plain)["variable"].values.tolist() == [""] * 3
    assert read_table(plain, variable="u10")["variable"].values.tolist() == ["u10"] * 3
    assert read_table(plain.rename(columns={"value": "t2m"}))["variable"].values.tolist() == ["t2m"] * 3
    wide = plain.rename(columns={"value": "t2m"}).assign(u10=3.0)
    with pytest.warns(UserWarning, match="not used: \\['u10'\\]"):
        assert read_table(wide, variable="t2m")["value"].values.tolist() == [280, 281, 282]


def test_other_spatial_names():
    other = frame().rename(columns={"latitude": "northing", "longitude": "easting"})
    assert spatial_dims(read_table(other)) == ("northing", "easting")
    with pytest.warns(UserWarning, match="not used"):
        assert spatial_dims(read_table(other, dims=("easting",))) == ("easting",)
    with pytest.warns(UserWarning, match="elevation"):
        assert spatial_dims(read_table(frame(elevation=10.0))) == ("latitude", "longitude")


def test_stations_are_told_apart_by_their_place():
    table = read_table(
        frame(latitude=[51.0, 52, 51], longitude=[0.0, 0, 0], time=["2019-03-26", "2019-03-26", "2019-03-27"])
    )
    assert table["station"].values.tolist() == ["s00", "s01", "s00"]
    table = read_table(frame(station=["Wick", None, " "]))
    assert table["station"].values.tolist() == ["Wick", "unnamed00", "unnamed01"]


def test_missing_rows_are_dropped_and_counted():
    broken = pd.concat(
        [frame(), frame(value=[np.nan, 281, 282], time=["2019-03-27", None, "2019-03-27"], station=None)]
    )
    broken.iloc[5, broken.columns.get_loc("latitude")] = np.nan
    with pytest.warns(UserWarning, match="3 of 6 rows .* 1 without a value, 1 without a time, 1 without a position"):
        assert read_table(broken).sizes["observation"] == 3


def test_blank_lines_and_empty_cells_of_a_csv(tmp_path):
    text = "time,x,value,std\n0,0.1,1.0,0.1\n\n0,0.3,,0.1\n0,0.5,NA,0.1\n"
    with pytest.warns(UserWarning, match="2 of 3 rows .* 2 without a value"):
        assert read_table(write(tmp_path / "t.csv", text)).sizes["observation"] == 1


def test_exact_duplicates_are_dropped():
    with pytest.warns(UserWarning, match="3 rows of the table repeat"):
        table = read_table(pd.concat([frame(), frame()]))
    assert table.equals(read_table(frame()))


def test_conflicting_duplicates_are_merged_by_inverse_variance():
    twice = pd.concat([frame(std=1.0), frame(value=[284.0, 281.0, 282.0], std=[0.5, 1.0, 2.0])])
    with pytest.warns(UserWarning) as caught:
        table = read_table(twice)
    assert ["1 rows" in str(w.message) or "4 rows" in str(w.message) for w in caught] == [True, True]
    # precisions 1 and 4: mean (280 + 4 * 284) / 5 and std 1 / sqrt(5); precisions 1 and 1/4: std 1 / sqrt(1.25)
    assert np.allclose(table["value"], [283.2, 281.0, 282.0], rtol=1e-14)
    assert np.allclose(table["std"], [5**-0.5, 1.0, 1.25**-0.5], rtol=1e-14)


def test_other_places_times_variables_or_stations_are_no_duplicates():
    base = {"latitude": 51.0, "longitude": 0.0, "station": "a"}
    assert read_table(frame(**base, time=["2019-03-26", "2019-03-27", "2019-03-28"])).sizes["observation"] == 3
    assert read_table(frame(**base, variable=["t2m", "u10", "v10"])).sizes["observation"] == 3
    assert read_table(frame(**base | {"station": ["a", "b", "c"]})).sizes["observation"] == 3
    assert read_table(frame(**base | {"latitude": [51.0, 51.1, 51.2]})).sizes["observation"] == 3


def test_std_from_the_table_or_the_argument():
    assert read_table(frame().drop(columns="std"), std=0.3)["std"].values.tolist() == [0.3] * 3
    assert read_table(frame(variable=["a", "b", "a"]).drop(columns="std"), std={"a": 1, "b": 2})[
        "std"
    ].values.tolist() == [1, 2, 1]
    with pytest.warns(UserWarning, match="2 rows state their own std"):
        assert read_table(frame(std=[0.1, None, 0.2]), std=0.5)["std"].values.tolist() == [0.1, 0.5, 0.2]


def test_units_by_row_are_made_one():
    table = read_table(frame(units=["degC", "K", "°C"], value=[10.0, 283.15, 0.0]))
    assert table_units(table) == {"t2m": "degC"}
    assert np.allclose(table["value"], [10, 10, 0], rtol=0, atol=1e-12) and table["std"].values.tolist() == [0.1] * 3
    table = read_table(frame(units=["Pa", "hPa", "Pa"], value=[1e5, 1e3, 9e4]))
    assert np.allclose(table["value"], [1e5, 1e5, 9e4]) and np.allclose(table["std"], [0.1, 10, 0.1])


def test_units_from_argument_header_and_attributes():
    plain = frame()
    assert table_units(read_table(plain)) == {"t2m": ""}
    assert table_units(read_table(plain, units="degC")) == {"t2m": "degC"}
    assert table_units(read_table(plain, units={"t2m": "degC", "u10": "m/s"})) == {"t2m": "degC"}
    assert table_units(read_table(plain.rename(columns={"value": "value (degC)"}))) == {"t2m": "degC"}
    data = xr.Dataset.from_dataframe(plain.drop(columns="time")).assign(time=NOON)
    data["value"].attrs["units"] = "K"
    table = read_table(data)
    assert table_units(table) == {"t2m": "K"} and (table["time"].values == NOON).all()


def test_std_in_other_units_than_the_values():
    table = read_table(frame().rename(columns={"value": "value [Pa]", "std": "std [hPa]"}))
    assert np.allclose(table["std"], 10.0) and table["value"].values.tolist() == [280, 281, 282]


ERRORS = {
    "text for a number": ({"value": ["1", "warm", "2"]}, {}, "'value' must hold finite numbers; row 1: 'warm'"),
    "infinite value": ({"value": [np.inf, 1, 2]}, {}, "'value' must hold finite numbers; row 0"),
    "text for a latitude": ({"latitude": ["51N", "52N", "53N"]}, {}, "rows 0, 1, 2"),
    "latitude": ({"latitude": [51.0, 91, -95]}, {}, "latitude must lie in .* rows 1, 2: 91"),
    "longitude": ({"longitude": [-9999.0, 0, 0]}, {}, "longitude must lie in .* row 0"),
    "std zero": ({"std": [0.1, 0, 0.1]}, {}, "std must be finite and > 0; row 1: 0"),
    "std negative": ({"std": [0.1, 0.1, -2]}, {}, "row 2: -2"),
    "std missing": ({"std": [None, 0.1, 0.2]}, {}, "row 0: nan; correct"),
    "std infinite": ({"std": [np.inf, 0.1, 0.2]}, {}, "'std' must hold finite numbers; row 0"),
    "std nowhere": ({"std": np.nan}, {}, "give std="),
    "std lacks a variable": ({"std": np.nan}, {"std": {"u10": 1.0}}, "std must be"),
    "std argument": ({"std": np.nan}, {"std": -1.0}, "std must be"),
    "time": ({"time": ["2019-03-26", "26 March", "noon"]}, {}, "ISO 8601 .* rows 1, 2: '26 March'"),
    "nothing left": ({"value": np.nan}, {}, "no observations are left of the 3"),
    "variable argument": ({}, {"variable": "u10"}, "also holds \\['t2m'\\]"),
    "variable in some rows": ({"variable": ["t2m", None, ""]}, {}, "rows 1, 2"),
    "units disagree": ({"units": "K"}, {"units": "degC"}, "'K', the argument units 'degC'"),
    "units in some rows": ({"units": ["K", "", "K"]}, {}, "row 1: no units"),
    "units of two kinds": ({"units": ["K", "hPa", "K"]}, {}, "'hPa' to 'K'"),
    "unknown dims": ({}, {"dims": ("x",)}, "not all columns"),
    "two times": ({"timestamp": "2019-03-26"}, {}, "could all be the time"),
    "two stations": ({"site": 1, "id": 2}, {}, "could all be the station"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_name_what_is_wrong(name):
    columns, arguments, text = ERRORS[name]
    with pytest.raises(ValueError, match=text):
        read_table(frame(**columns), **arguments)


@pytest.mark.parametrize(
    ("drop", "rename", "text"),
    [
        (["time"], {}, "no time column"),
        (["longitude"], {}, "a latitude but no longitude"),
        (["latitude", "longitude"], {"variable": "v"}, "no positions|which column"),
        (["value"], {}, "which column holds the values"),
        ([], {"time": "date", "value": "obs", "std": "time"}, "could all be the time"),
    ],
)
def test_missing_columns(drop, rename, text):
    with pytest.raises(ValueError, match=text):
        read_table(frame().drop(columns=drop).rename(columns=rename))


def test_dates_as_numbers_are_no_model_time():
    with pytest.raises(ValueError, match="write dates as"):
        read_table(frame(time=20190326).rename(columns={"time": "date"}))


def test_rows_of_a_csv_are_named_by_their_lines(tmp_path):
    with pytest.raises(ValueError, match="line 4: 'cold'"):
        read_table(write(tmp_path / "t.csv", "time,x,value,std\n0,0.1,1.0,0.1\n\n0,0.3,cold,0.1\n"))


def test_sources_that_are_no_table(tmp_path):
    with pytest.raises(FileNotFoundError, match="no table"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="cannot be read as CSV"):
        read_table(write(tmp_path / "empty.csv", ""))
    with pytest.raises(ValueError, match="cannot be read as CSV"):
        read_table(write(tmp_path / "ragged.csv", "time,x,value,std\n0,1,2,3,4\n0,1,2,3\n"))
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match="cannot be read as CSV"):
        read_table(tmp_path / "binary.csv")
    with pytest.raises(TypeError, match="got list"):
        read_table([1, 2])
    with pytest.raises(ValueError, match="one dimension"):
        read_table(xr.Dataset({"value": (("time", "x"), np.zeros((2, 2)))}))


@pytest.mark.parametrize(
    ("value", "source", "target", "truth"),
    [
        (0.0, "degC", "K", 273.15),
        (273.15, "K", "°C", 0.0),
        (212.0, "degF", "degC", 100.0),
        (32.0, "F", "kelvin", 273.15),
        (1013.25, "hPa", "Pa", 101325.0),
        (101325.0, "Pa", "mbar", 1013.25),
        (5.0, "furlong", "furlong", 5.0),
        (5.0, "m/s", "m s-1", 5.0),
    ],
)
def test_units(value, source, target, truth):
    assert np.isclose(convert_units(np.array([value]), source, target)[0], truth, rtol=1e-13, atol=1e-11)


def test_std_takes_the_scale_alone():
    assert convert_std(np.array([0.5]), "degC", "K")[0] == 0.5
    assert np.isclose(convert_std(np.array([1.8]), "degF", "K")[0], 1.0, rtol=1e-14)
    assert convert_std(np.array([2.0]), "hPa", "Pa")[0] == 200.0


@pytest.mark.parametrize("mark", [-9999, -999.0, 9999.0, 1e20])
def test_a_mark_of_missing_values_is_no_value(mark):
    with pytest.warns(UserWarning) as told:
        table = read_table(frame(value=[5.0, mark, -7.0], units="degC"))
    assert table["value"].values.tolist() == [5.0, -7.0]
    said = [str(w.message) for w in told]
    assert said[0] == f"1 rows of the table hold {mark:g}, taken as missing values" and "1 without a value" in said[1]


def test_a_number_among_its_like_is_no_mark():
    assert read_table(frame(value=[9000.0, 9999.0, 11000.0]))["value"].values.tolist() == [9000, 9999, 11000]
    assert read_table(frame(value=[-9999.0] * 3))["value"].size == 3


@pytest.mark.parametrize(("source", "target"), [("K", "hPa"), ("furlong", "K"), ("", "K")])
def test_unknown_units_name_both(source, target):
    with pytest.raises(ValueError, match=f"'{source}' to '{target}'"):
        convert_units(np.zeros(1), source, target)
