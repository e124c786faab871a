"""One door to all fields. Truths: what went in, file by file; the first reader that knows a folder."""

import numpy as np
import pytest
import xarray as xr

import sciml_diffusion as sd


def fields(start: int) -> xr.Dataset:
    time = np.datetime64("2020-01-01T00", "ns") + np.arange(start, start + 3) * np.timedelta64(1, "h")
    values = np.random.default_rng(start).normal(size=(3, 4, 5)).astype("float32")
    axes = {"latitude": np.linspace(53, 50, 4), "longitude": np.linspace(0, 4, 5)}
    return xr.Dataset({"t2m": (("time", "latitude", "longitude"), values, {"units": "K"})}, {"time": time, **axes})


def test_a_folder_of_files_is_one_series(tmp_path):
    for part in (0, 3, 6):
        fields(part).to_netcdf(tmp_path / f"part{part}.nc", engine="h5netcdf")
    opened = sd.open_dataset(tmp_path)
    assert opened.sizes["time"] == 9
    np.testing.assert_array_equal(opened["t2m"].values, np.concatenate([fields(p)["t2m"].values for p in (0, 3, 6)]))


def test_a_zarr_store_and_a_generated_folder_are_data_sets_of_their_own(tmp_path):
    fields(0).to_zarr(tmp_path / "store")
    assert sd.open_dataset(tmp_path / "store").sizes["time"] == 3
    with pytest.raises(FileNotFoundError, match="holds no file"):
        (tmp_path / "empty").mkdir()
        sd.open_dataset(tmp_path / "empty")


def test_own_arrays_and_names(tmp_path):
    u = np.zeros((2, 3, 8))
    made = sd.from_arrays(
        {"u": u}, ("sample", "time", "x"), {"time": [0, 1, 2], "x": np.arange(8) / 8}, periodic=("x",)
    )
    assert made["u"].shape == (2, 3, 8) and made["x"].attrs["period"] == pytest.approx(1)
    renamed = sd.from_xarray(fields(0).rename(t2m="temp"), rename={"temp": "t2m"})
    assert set(renamed.data_vars) == {"t2m"}


def test_an_unreachable_url_says_so():
    with pytest.raises((ValueError, ImportError, FileNotFoundError), match="gs://nowhere"):
        sd.open_dataset("gs://nowhere/at-all.zarr")
