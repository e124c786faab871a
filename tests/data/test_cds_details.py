"""What the Climate Data Store's files bring beside their fields. Truths: rain of a known rate, summed in each way.

Rain falls at the rate r(t) = 1 + sin(2 pi t / 24 h) mm per hour; sums over hours are its exact integrals R(t2) - R(t1).
"""

import zipfile

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sciml_diffusion.data.accumulations import mark_accumulations, per_step
from sciml_diffusion.data.container import canonical
from sciml_diffusion.data.open import open_path

START = np.datetime64("2020-01-01T00", "ns")
HOUR = np.timedelta64(1, "h")
LATITUDE, LONGITUDE = np.array([52.0, 51.0]), np.array([0.0, 1.0, 2.0])


def total(hours: np.ndarray) -> np.ndarray:
    """R: rain since the start, in m."""
    return 1e-3 * (hours + 24 / (2 * np.pi) * (1 - np.cos(2 * np.pi * hours / 24)))


def rain(values: np.ndarray, time: np.ndarray, **attrs) -> xr.Dataset:
    """Rain that is the same everywhere."""
    field = np.asarray(values)[:, None, None] + np.zeros((1, 2, 3))
    coords = {"time": time, "latitude": LATITUDE, "longitude": LONGITUDE}
    return xr.Dataset({"tp": (("time", "latitude", "longitude"), field, {"units": "m"} | attrs)}, coords)


def hourly(count: int = 49) -> np.ndarray:
    return np.arange(1, count)


def test_accumulations_are_marked_and_instants_are_not(truth, tmp_path):
    hours = hourly()
    ds = rain(total(hours) - total(hours - 1), START + hours * HOUR)
    ds["t2m"] = ds.tp.copy().assign_attrs(units="K", GRIB_stepType="instant")
    ds["e"] = ds.tp.copy().assign_attrs(units="J")  # an energy of another kind, not evaporation
    ds["mtpr"] = ds.tp.copy().assign_attrs(units="kg m**-2 s**-1", GRIB_stepType="avg")
    ds.to_netcdf(tmp_path / "tp.nc", engine="h5netcdf")
    ds = open_path(tmp_path / "tp.nc")
    assert ds.tp.attrs["cell_methods"] == "time: sum" and "hour that ends here" in ds.tp.attrs["comment"]
    assert ds.mtpr.attrs["cell_methods"] == "time: mean"
    assert "cell_methods" not in ds.t2m.attrs and "cell_methods" not in ds.e.attrs
    # nothing was changed: the sum over the first day is the rain of the day, 24 mm
    np.testing.assert_allclose(ds.tp[:24].sum("time"), total(24.0), rtol=1e-6)


@pytest.mark.parametrize("first", [1, 5])
def test_sums_since_midnight(first):
    """ERA5-Land: the value at 00 UTC is the sum of the day before."""
    hours = np.arange(first, 60)
    midnight = 24 * ((hours - 1) // 24)
    land = rain(total(hours) - total(midnight), START + hours * HOUR)
    steps = per_step(land.tp, "midnight")
    kept = hours if first == 1 else hours[1:]  # a first sum of several hours is left out
    np.testing.assert_array_equal(steps.time, START + kept * HOUR)
    expected = np.broadcast_to((total(kept) - total(kept - 1))[:, None, None], steps.shape)
    np.testing.assert_allclose(steps, expected, atol=1e-15)
    assert steps.attrs["units"] == "m" and "time before" in steps.attrs["comment"]


def test_sums_since_the_start_of_a_forecast():
    lead = np.array([3, 6, 12])
    field = xr.DataArray(total(lead), dims="lead_time", coords={"lead_time": lead * HOUR}, attrs={"units": "m"})
    np.testing.assert_allclose(per_step(field, "start"), np.diff(total(np.array([0, 3, 6, 12]))), atol=1e-15)
    with pytest.raises(ValueError, match="need the dim 'time'"):
        per_step(field, "midnight")
    with pytest.raises(ValueError, match='"midnight" or "start"'):
        per_step(field, "noon")


def era5_grib() -> tuple[xr.Dataset, np.ndarray]:
    """Rain as cfgrib gives it: forecasts from 18 and 06 UTC with steps of 1 to 12 hours, the first day asked for."""
    starts = np.array([-6, 6, 18])
    steps = np.arange(1, 13)
    hours = starts[:, None] + steps
    values = np.where((hours >= 0) & (hours < 24), total(hours) - total(hours - 1), np.nan)[..., None, None]
    coords = {"time": START + starts * HOUR, "step": steps * HOUR, "latitude": LATITUDE, "longitude": LONGITUDE}
    coords |= {"valid_time": (("time", "step"), START + hours * HOUR), "number": 0, "surface": 0.0}
    field = (("time", "step", "latitude", "longitude"), values + np.zeros((1, 1, 2, 3)), {"GRIB_stepType": "accum"})
    return xr.Dataset({"tp": field}, coords), np.arange(24)


def test_steps_that_make_one_series():
    raw, hours = era5_grib()
    ds = mark_accumulations(canonical(raw))
    assert ds.tp.dims == ("time", "latitude", "longitude") and ds.tp.attrs["cell_methods"] == "time: sum"
    np.testing.assert_array_equal(ds.time, START + hours * HOUR)
    np.testing.assert_allclose(ds.tp[:, 1, 2], total(hours) - total(hours - 1), rtol=1e-6)
    one = canonical(raw.isel(time=1))  # a single forecast: its valid times
    np.testing.assert_array_equal(one.time, START + np.arange(7, 19) * HOUR)


def test_forecasts_that_overlap_are_not_one_series():
    raw, _ = era5_grib()
    raw = raw.assign_coords(valid_time=(("time", "step"), START + np.add.outer(6 * np.arange(3), np.arange(12)) * HOUR))
    with pytest.raises(ValueError, match="forecasts of 12 steps; choose one"):
        canonical(raw)


def test_preliminary_times_are_told(modern):
    """The version as a text at each time, as the new layout has it."""
    ds = open_path(modern())
    assert ds.attrs["expver"].startswith("preliminary (ERA5T, expver 5) from 2020-02-28T20:00 on")
    assert "expver" not in ds.coords


@pytest.mark.parametrize("units", ["Pa", "hPa", "millibars"])
@pytest.mark.parametrize("single", [False, True])
def test_levels_in_any_unit(truth, units, single):
    scale = 100 if units == "Pa" else 1
    levels = xr.DataArray([85000.0, 50000.0], dims="isobaricInPa") * scale / 100
    ds = truth.expand_dims(isobaricInPa=levels.values)
    ds["isobaricInPa"].attrs["units"] = units
    ds = canonical(ds.isel(isobaricInPa=0) if single else ds)
    np.testing.assert_array_equal(ds.level, 850 if single else [850, 500])  # descending stays
    assert ds.level.attrs["units"] == "hPa" and ds.level.ndim == 1 - single


def parts(path, *fields: xr.Dataset):
    """A ZIP of NetCDF files, as a request for instants and sums brings it."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, field in enumerate(fields):
            part = path.with_suffix(f".{number}")
            field.rename(time="valid_time").to_netcdf(part, engine="h5netcdf")
            archive.write(part, f"data_stream-oper_stepType-{number}.nc")
    return path


def test_a_zip_of_instants_and_sums(tmp_path):
    hours = hourly(24)
    sums = rain(total(hours) - total(hours - 1), START + hours * HOUR, GRIB_stepType="accum")
    instants = sums.rename(tp="t2m")
    instants["t2m"].attrs = {"units": "K", "GRIB_stepType": "instant"}
    ds = open_path(parts(tmp_path / "request.nc", instants, sums))
    assert ds.tp.attrs["cell_methods"] == "time: sum" and "cell_methods" not in ds.t2m.attrs
    np.testing.assert_allclose(ds.tp, sums.tp, rtol=1e-6)


def test_mixed_units_are_refused(tmp_path):
    first = rain(np.ones(3), START + np.arange(3) * HOUR)
    second = rain(np.full(3, 1e3), START + np.arange(3) * HOUR, units="mm")
    with pytest.raises(ValueError, match="tp is in m in one part and in mm in another"):
        open_path(parts(tmp_path / "mixed.nc", first, second))


def test_longitudes_of_a_region_across_greenwich_and_latitudes_downwards(legacy, truth):
    ds = open_path(legacy())
    np.testing.assert_array_equal(ds.longitude, truth.longitude)
    assert (np.diff(ds.latitude) < 0).all() and (np.diff(ds.longitude) > 0).all()
    assert pd.DatetimeIndex(ds.time.values).tz is None


def test_accumulations_in_grib(tmp_path):
    """The same forecasts as messages: what cfgrib makes of them is what `era5_grib` imitates."""
    eccodes = pytest.importorskip("eccodes")
    raw, hours = era5_grib()
    with (tmp_path / "tp").open("wb") as file:
        for start in raw.time.values:
            for step in raw.step.values:
                field = raw.tp.sel(time=start, step=step).values
                if np.isnan(field).any():
                    continue
                message = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
                date = pd.Timestamp(start)
                keys = {"dataDate": int(date.strftime("%Y%m%d")), "dataTime": date.hour * 100, "Ni": 3, "Nj": 2}
                keys |= {"latitudeOfFirstGridPointInDegrees": 52, "latitudeOfLastGridPointInDegrees": 51}
                keys |= {"longitudeOfFirstGridPointInDegrees": 0, "longitudeOfLastGridPointInDegrees": 2}
                keys |= {"iDirectionIncrementInDegrees": 1, "jDirectionIncrementInDegrees": 1}
                keys |= {"stepType": "accum", "stepRange": f"0-{step // HOUR}", "bitsPerValue": 24}
                for key, value in keys.items():
                    eccodes.codes_set(message, key, value)
                eccodes.codes_set(message, "paramId", 228)  # tp
                eccodes.codes_set_values(message, field.ravel())
                eccodes.codes_write(message, file)
                eccodes.codes_release(message)
    ds = open_path(tmp_path / "tp")
    assert ds.tp.dims == ("time", "latitude", "longitude") and ds.tp.attrs["cell_methods"] == "time: sum"
    np.testing.assert_array_equal(ds.time, START + hours * HOUR)
    np.testing.assert_allclose(ds.tp[:, 1, 2], total(hours) - total(hours - 1), rtol=1e-6)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["tp"]
