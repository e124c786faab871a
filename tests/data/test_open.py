"""Files by content. Truth: the fields that the test wrote, in each layout; and the errors for what is no such file."""

import importlib.util
import io
import pickle
import zipfile

import numpy as np
import pytest
import xarray as xr

from sciml_diffusion.data.container import to_tensor, variables_of
from sciml_diffusion.data.open import open_path

PACKING = 0.51 * (330 - 260 + 60) / 65000 + 4e-5  # half a step of the widest packing, and float32 at 330


@pytest.mark.parametrize("engine", ["scipy", "h5netcdf"])
@pytest.mark.parametrize("expver", [False, True])
def test_legacy_layout_gives_the_fields_back(legacy, truth, engine, expver):
    ds = open_path(legacy(engine=engine, expver=expver, name="no_suffix_that_helps"))
    assert set(ds.dims) == {"time", "latitude", "longitude"}
    assert ds.t2m.dims == ("time", "latitude", "longitude") and ds.t2m.dtype == np.float32
    assert ds.t2m.dtype.isnative and ds.t2m.attrs["units"] == "K"
    assert ds.time.dtype == np.dtype("datetime64[ns]")
    for axis in ("time", "latitude", "longitude"):  # halves and quarters of a degree are exact in float32
        np.testing.assert_array_equal(ds[axis], truth[axis])
    for name in ("t2m", "u10"):
        np.testing.assert_allclose(ds[name], truth[name], atol=PACKING, rtol=0)


def test_new_layout_gives_the_fields_back(modern, truth):
    ds = open_path(modern())
    assert ds.t.dims == ("time", "level", "latitude", "longitude")
    assert not {"number", "expver", "valid_time"} & set(ds.variables)
    np.testing.assert_array_equal(ds.level, [850, 500])
    np.testing.assert_array_equal(ds.time, truth.time)
    np.testing.assert_allclose(ds.t.sel(level=500), truth.t2m + 1, atol=4e-5)  # float32 at 300
    assert [v["name"] for v in variables_of(ds)] == ["t850", "t500", "u850", "u500"]
    np.testing.assert_allclose(to_tensor(ds, ["u500"])[:, 0], truth.u10 + 1, atol=4e-6)


def test_data_stay_on_disk_until_they_are_used(tmp_path):
    """Two frames of a packed field cost less memory than the whole field at any precision."""
    import tracemalloc

    field = xr.Dataset(
        {"u": (("time", "x"), np.zeros((400, 5000), "i2"))}, coords={"time": np.arange(400.0), "x": np.arange(5000.0)}
    )
    field["u"].attrs = {"scale_factor": 0.5, "add_offset": 1.0}
    field.to_netcdf(tmp_path / "u.nc", engine="h5netcdf")
    tracemalloc.start()
    ds = open_path(tmp_path / "u.nc")
    frame = ds.u.isel(time=slice(3, 5)).values
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(frame, np.ones((2, 5000)))
    assert frame.dtype == np.float32
    assert peak < 4e6  # the whole field has 8 MB as float32 and 4 MB as int16
    np.testing.assert_array_equal(ds.u.isel(time=[5, 2], x=[1, 7, 0]).transpose().values, np.ones((3, 2)))


def test_own_files_keep_samples_and_model_time(tmp_path):
    """Seconds of model time stay numbers: they do not become time differences."""
    time = xr.DataArray(np.linspace(0, 1, 6), dims="time", attrs={"units": "s"})
    u = np.random.default_rng(1).standard_normal((3, 6, 8)).astype("f4")
    coords = {"sample": np.arange(3), "time": time, "x": ("x", np.arange(8) / 8, {"period": 1.0})}
    xr.Dataset({"u": (("sample", "time", "x"), u)}, coords=coords).to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    ds = open_path(tmp_path / "b.nc")
    assert ds.u.dims == ("sample", "time", "x")
    np.testing.assert_array_equal(ds.u, u)
    np.testing.assert_array_equal(ds.time, time)


def test_saving_an_opened_file_does_not_pack_it_again(legacy, tmp_path):
    """An anomaly of 1e4 K does not fit the int16 packing of the source, which must be forgotten."""
    ds = open_path(legacy()) + 1e4
    ds.to_netcdf(tmp_path / "again.nc", engine="h5netcdf")
    np.testing.assert_array_equal(open_path(tmp_path / "again.nc").t2m, ds.t2m)


def test_zip_of_the_data_store(truth, tmp_path):
    """A mixed request arrives as a ZIP named .nc; its parts are joined on their common times."""
    with zipfile.ZipFile(tmp_path / "request.nc", "w") as archive:
        for variable, part in (("t2m", truth), ("u10", truth.isel(time=slice(2, None)))):
            buffer = tmp_path / f"{variable}.part"
            part[[variable]].rename(time="valid_time").to_netcdf(buffer, engine="h5netcdf")
            archive.writestr(f"data_{variable}.nc", buffer.read_bytes())
    ds = open_path(tmp_path / "request.nc")
    assert set(ds.data_vars) == {"t2m", "u10"} and ds.sizes["time"] == 28
    np.testing.assert_allclose(ds.u10, truth.u10[2:], rtol=1e-6)


def test_zarr_store(truth, tmp_path):
    pytest.importorskip("zarr")
    truth.to_zarr(tmp_path / "store", consolidated=False)
    np.testing.assert_allclose(open_path(tmp_path / "store").t2m, truth.t2m, rtol=1e-6)


def _rewrite(path):
    path.write_bytes(bytes(path.stat().st_size))


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize("change", [_rewrite, _cut, lambda path: path.unlink()], ids=["other", "cut", "gone"])
@pytest.mark.parametrize("engine", ["scipy", "h5netcdf"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_a_file_that_changes_after_opening_is_not_read(tmp_path, change, engine, kind):
    coords = {"sample": [0, 1], "time": np.arange(5.0), "x": np.arange(80.0)}
    u = np.random.default_rng(0).standard_normal((2, 5, 80)).astype(kind)
    fields = xr.Dataset({"u": (("sample", "time", "x"), u), "nu": ("sample", [0.1, 0.2])}, coords)
    fields.to_netcdf(tmp_path / "u.nc", engine=engine)
    ds = open_path(tmp_path / "u.nc")
    assert ds.nu.dtype == np.float64 and ds.u.dtype == np.float32
    np.testing.assert_array_equal(ds.u[1, 2:4].values, u[1, 2:4].astype("f4"))
    assert ds.nu.values[1] == 0.2
    ds = open_path(tmp_path / "u.nc")
    copy = pickle.loads(pickle.dumps(ds))  # as workers get it
    np.testing.assert_array_equal(copy.u.values, u.astype("f4"))
    change(tmp_path / "u.nc")
    for part in (ds.u[0], ds.u[:, -1], ds.nu):
        with pytest.raises(ValueError, match="u.nc has changed since it was opened"):
            part.load()


@pytest.mark.parametrize("name", ["t2m", "2m_temperature"])  # any store, and one of WeatherBench 2
@pytest.mark.parametrize("how", ["remove", "empty", "put"])
def test_a_zarr_store_that_changes_after_opening_is_not_read(truth, tmp_path, how, name):
    pytest.importorskip("zarr")
    store = tmp_path / "store"
    truth.rename(t2m=name).to_zarr(store, consolidated=False)
    ds = open_path(store)
    assert ("WeatherBench" in ds.attrs.get("title", "")) == (name != "t2m")
    assert np.isfinite(ds.t2m.isel(time=0).values).all()
    chunk = max((p for p in (store / name).rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    if how == "remove":
        chunk.unlink()
    elif how == "empty":
        chunk.write_bytes(b"")
    else:
        (store / name / "other").write_bytes(b"new")
    with pytest.raises(ValueError, match="store has changed since it was opened"):
        ds.t2m.isel(time=1).load()


def _refuses(path, kind, *words) -> str:
    """The message of the refusal, which names the file and holds the words."""
    with pytest.raises(kind) as caught:
        open_path(path)
    message = str(caught.value)
    assert path.name in message
    for word in words:
        assert word in message, message
    return message


def test_missing_folder_empty_and_unknown(tmp_path):
    assert _refuses(tmp_path / "nothing.nc", FileNotFoundError, "no file")
    assert _refuses(tmp_path, IsADirectoryError, "folder")
    for content, word in (
        (b"", "empty"),
        (b"time,latitude\n1,2\n", "no known format"),
        (b"CDF\x05" + bytes(60), "CDF-5"),
    ):
        (tmp_path / "f.nc").write_bytes(content)
        assert _refuses(tmp_path / "f.nc", ValueError, word)


@pytest.mark.parametrize("engine", ["scipy", "h5netcdf"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.95])
def test_truncated(legacy, tmp_path, engine, part):
    content = legacy(engine=engine).read_bytes()
    (tmp_path / "cut.nc").write_bytes(content[: int(part * len(content))])
    assert _refuses(tmp_path / "cut.nc", ValueError, "damaged or incomplete")


def test_truncated_zip_and_a_zip_of_something_else(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "words")
    (tmp_path / "z.nc").write_bytes(buffer.getvalue())
    assert _refuses(tmp_path / "z.nc", ValueError, "readme.txt")
    (tmp_path / "z.nc").write_bytes(buffer.getvalue()[:20])
    assert _refuses(tmp_path / "z.nc", ValueError, "damaged or incomplete")


def test_without_time_or_with_unknown_dims(truth, tmp_path):
    truth.isel(time=0, drop=True).to_netcdf(tmp_path / "still.nc", engine="h5netcdf")
    assert _refuses(tmp_path / "still.nc", ValueError, "no time axis", "expand_dims")
    truth.rename(longitude="cell").to_netcdf(tmp_path / "cells.nc", engine="h5netcdf")
    assert _refuses(tmp_path / "cells.nc", ValueError, "unknown dims cell", "rename")


def test_another_calendar(tmp_path):
    time = ("time", [0, 1, 2], {"units": "days since 2000-01-01", "calendar": "noleap"})
    ds = xr.Dataset({"u": (("time", "x"), np.zeros((3, 4)))}, coords={"time": time, "x": np.arange(4.0)})
    ds.to_netcdf(tmp_path / "noleap.nc", engine="h5netcdf")
    assert _refuses(tmp_path / "noleap.nc", ValueError, "standard calendar")


def test_hdf5_that_is_not_netcdf(tmp_path):
    import h5py

    with h5py.File(tmp_path / "array.h5", "w") as file:
        file["tensor"] = np.zeros((3, 4))
    words = ("tensor (3, 4)", "no named dims", "t-coordinate", "format=", "pdebench_scalar", "from_arrays")
    assert _refuses(tmp_path / "array.h5", ValueError, *words)
    with h5py.File(tmp_path / "groups.h5", "w") as file:
        file["t0_fields/u"] = np.zeros((3, 4))
    assert _refuses(tmp_path / "groups.h5", ValueError, "no variables at the top", "t0_fields (a group)", "format=")


def test_what_is_in_a_file_of_no_known_format_is_said(tmp_path):
    """Arrays, tensors and text that no reader claims: what was found, the formats' names, the options."""
    import torch
    from scipy.io import savemat

    array = np.zeros((3, 4))
    always = ("format=", "from_arrays", "fno_mat", "dt=")
    np.save(tmp_path / "a.npy", array)
    assert _refuses(tmp_path / "a.npy", ValueError, "no known format", "NumPy array of shape (3, 4)", *always)
    savemat(tmp_path / "a.mat", {"speed": array})
    assert _refuses(tmp_path / "a.mat", ValueError, "no known format", "MATLAB with speed (3, 4)", *always)
    (tmp_path / "a.csv").write_text("time,u\n1,2\n")
    assert _refuses(tmp_path / "a.csv", ValueError, "it is text: 'time,u", *always)
    (tmp_path / "a.json").write_text('{"u": [1, 2]}')
    assert _refuses(tmp_path / "a.json", ValueError, "JSON", *always)
    torch.save({"speed": torch.zeros(3, 4)}, tmp_path / "a.pt")
    said = _refuses(tmp_path / "a.pt", ValueError, "torch file with speed (3, 4)", "tensors x and y", *always)
    np.savez(tmp_path / "a.npz", u=array, t=array[0])
    said += _refuses(tmp_path / "a.npz", ValueError, ".npz, with u, t", "from_arrays")
    assert "damaged" not in said


def test_grib_without_the_extra_names_it(tmp_path, monkeypatch):
    (tmp_path / "f.nc").write_bytes(b"GRIB" + bytes(40) + b"7777")
    find = importlib.util.find_spec
    monkeypatch.setattr("sciml_diffusion.data.open.find_spec", lambda name: None if name == "cfgrib" else find(name))
    assert _refuses(tmp_path / "f.nc", ImportError, "pip install 'sciml_diffusion[grib]'")


def test_grib_cut_short(tmp_path):
    pytest.importorskip("cfgrib")
    (tmp_path / "f.grib").write_bytes(b"GRIB" + bytes(400))
    assert _refuses(tmp_path / "f.grib", ValueError, "last message")


def test_grib_round_trip_through_eccodes(truth, tmp_path):
    """Two messages of a regular grid, written with eccodes at 24 bits; cfgrib must not leave an index file behind."""
    eccodes = pytest.importorskip("eccodes")
    pytest.importorskip("cfgrib")
    with (tmp_path / "f.bin").open("wb") as file:
        for hour in (0, 1):
            message = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
            keys = {
                "Ni": 5,
                "Nj": 4,
                "latitudeOfFirstGridPointInDegrees": 52.0,
                "latitudeOfLastGridPointInDegrees": 50.5,
            }
            keys |= {"longitudeOfFirstGridPointInDegrees": 358.5, "longitudeOfLastGridPointInDegrees": 0.5}
            keys |= {"iDirectionIncrementInDegrees": 0.5, "jDirectionIncrementInDegrees": 0.5, "bitsPerValue": 24}
            keys |= {"paramId": 167, "dataDate": 20200228, "dataTime": 100 * hour}
            for key, value in keys.items():
                eccodes.codes_set(message, key, value)
            eccodes.codes_set_values(message, truth.t2m.values[hour].ravel())
            eccodes.codes_write(message, file)
            eccodes.codes_release(message)
    before = set(tmp_path.iterdir())
    ds = open_path(tmp_path / "f.bin")
    np.testing.assert_array_equal(ds.time, truth.time[:2])
    np.testing.assert_array_equal(ds.longitude, truth.longitude)
    np.testing.assert_allclose(ds.t2m, truth.t2m[:2], atol=4e-5)
    assert set(tmp_path.iterdir()) == before
