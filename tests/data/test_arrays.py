"""A user's own data. Truths: the numbers given; Burgers solved again on what comes out; numpy on the whole."""

import math
import tracemalloc

import numpy as np
import pytest
import torch
import xarray as xr

from sciml_diffusion.data.arrays import from_arrays, from_xarray
from sciml_diffusion.data.container import grid_of, to_tensor
from sciml_diffusion.data.folder import open_folder
from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.physics.grid import Grid

X, T = 32, 6
TIME = np.linspace(0, 0.5, T)
POSITIONS = np.arange(X) / X
COORDS = {"time": TIME, "x": POSITIONS}
DIMS = ("sample", "time", "x")


@pytest.fixture(scope="module")
def waves() -> np.ndarray:
    """Burgers with nu = 0.02 and 0.04: (sample 2, time, x)."""
    x = torch.from_numpy(POSITIONS)
    u0 = torch.stack([torch.sin(2 * math.pi * x), torch.cos(2 * math.pi * x)])[:, None]
    nu = torch.tensor([0.02, 0.04], dtype=torch.float64)
    return Burgers(Grid.periodic((X,), (1.0,)), nu).solve(0.5 * u0, 0.5, T)[:, 0].numpy()


def test_arrays_come_out_as_physics_understands_them(waves):
    """An interval solved again on the container's own grid, times and viscosities gives the next frame."""
    ds = from_arrays(
        {"u": waves}, DIMS, COORDS, {"u": "m s-1", "x": "m", "time": "s"}, ("x",), {"nu": [0.02, 0.04], "seed": 3}
    )
    assert ds.u.attrs["units"] == "m s-1" and ds.x.attrs == {"units": "m", "period": 1.0}
    assert ds.nu.dims == ("sample",) and ds.attrs["seed"] == 3
    u = to_tensor(ds, dtype=torch.float64)[:, :, 0]
    solver = Burgers(grid_of(ds), torch.from_numpy(ds.nu.values))
    end = solver.solve(u[:, 2:3], float(ds.time[3] - ds.time[2]), 2)[:, 0, 1]
    assert (end - u[:, 3]).abs().max() < 1e-4  # float32, and what lies above n / 3


@pytest.mark.parametrize(
    "kind",
    [
        lambda u: torch.from_numpy(u).requires_grad_(),
        lambda u: torch.from_numpy(u).flip(-1).flip(-1),
        lambda u: u.astype(">f8"),
        lambda u: u[:, ::-1][:, ::-1],
        lambda u: np.asfortranarray(u.astype("f4")),
        lambda u: u.tolist(),
    ],
)
def test_arrays_of_every_kind(waves, kind):
    ds = from_arrays({"u": kind(waves)}, DIMS, COORDS)
    np.testing.assert_array_equal(ds.u, waves.astype("f4"))
    assert ds.u.dtype == np.float32 and ds.u.dtype.isnative
    torch.from_numpy(ds.u.values)


def test_axes_that_decrease_and_values_that_are_infinite_are_taken(waves):
    """Infinite values are named when they are used (`to_tensor`), as those of a file are."""
    ds = from_arrays({"u": np.where(waves == waves.max(), np.inf, waves)}, DIMS, COORDS | {"x": POSITIONS[::-1]})
    assert list(ds.x.values) == list(POSITIONS[::-1]) and np.isinf(ds.u).any()


def test_arrays_are_copied(waves):
    given = waves.astype("f4")
    ds = from_arrays({"u": given}, DIMS, COORDS)
    given[:] = 0
    np.testing.assert_array_equal(ds.u, waves.astype("f4"))


def test_steady_fields_masks_and_dates():
    a = np.random.default_rng(0).random((3, 4, 5))
    steady = from_arrays({"a": a, "u": 2 * a}, ("sample", "y", "x"), {"y": np.arange(4.0), "x": np.arange(5.0)})
    assert steady.u.dims == ("sample", "time", "y", "x") and list(steady.time) == [0.0]
    dims = {"t2m": ("time", "latitude", "longitude"), "lsm": ("latitude", "longitude")}
    dates = np.datetime64("2020-01-01T00", "h") + np.arange(3)
    coords = {"time": dates, "latitude": [50.0, 49, 48, 47], "longitude": [358.0, 359, 0, 1, 2]}
    ds = from_arrays({"t2m": a, "lsm": a[0] > 0.5}, dims, coords, {"t2m": "K"})
    assert ds.lsm.dims == ("latitude", "longitude") and ds.time.dtype.kind == "M"
    assert list(ds.longitude) == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dims": None}, r"shape \(2, 6, 32\), which does not tell its axes; give dims="),
        ({"dims": ("sample", "x")}, "do not name its 3 axes"),
        ({"dims": ("batch", "time", "x")}, "unknown dims batch of u; known are sample"),
        ({"dims": ("x", "time", "x")}, "do not name its 3 axes"),
        ({"coords": {"x": POSITIONS}}, "coords lacks time; give their values"),
        ({"coords": COORDS | {"y": [0]}}, "coords has y; the fields have the dims sample, time, x"),
        ({"coords": COORDS | {"time": TIME[1:]}}, r"time has the shape \(5,\); the fields have 6"),
        ({"coords": COORDS | {"time": TIME[::-1]}}, "times do not increase"),
        ({"coords": COORDS | {"x": POSITIONS * np.nan}}, "coordinate x has 32 of 32 values that are not finite"),
        ({"coords": COORDS | {"time": np.append(TIME[:-1], np.inf)}}, "coordinate time has 1 of 6 values that are not"),
        ({"coords": COORDS | {"x": np.sin(9 * POSITIONS)}}, "x neither increases nor decreases"),
        ({"coords": COORDS | {"x": np.append(POSITIONS[:-1], POSITIONS[-2])}}, "x neither increases nor decreases"),
        ({"coords": COORDS | {"x": list("ab" * 16)}}, "coordinate x has the type <U1; numbers are needed"),
        ({"fields": {"u": np.zeros((0, T, X))}}, "0 values along sample"),
        (
            {"fields": {"u": np.full((2, T, X), 1e39)}},
            r"u holds 384 values beyond float32 \(3.4e\+38\), such as 1e\+39",
        ),
        ({"fields": {"u": torch.full((2, T, X), -1e39, dtype=torch.float64)}}, r"such as -1e\+39; rescale"),
        ({"units": {"u": 3}}, "units are texts.*got 3 for u"),
        ({"units": {"v": "m"}}, "units has 'v'"),
        ({"periodic": ("y",)}, "periodic has 'y'; the spatial dims are x"),
        ({"periodic": ("x",), "coords": COORDS | {"x": POSITIONS**2}}, "steps of the periodic axis x are not even"),
        ({"periodic": {"x": 1.0}, "coords": COORDS | {"x": np.linspace(0, 1, X)}}, "leave out the end point"),
        ({"parameters": {"nu": [1.0, 2.0, 3.0]}}, r"nu has the shape \(3,\); expected one number or shape \(2,\)"),
    ],
)
def test_what_does_not_fit_is_named(waves, changes, message):
    with pytest.raises(ValueError, match=message):
        from_arrays(**({"fields": {"u": waves}, "dims": DIMS, "coords": COORDS} | changes))


def test_what_is_no_field():
    with pytest.raises(TypeError, match="arrays by name"):
        from_arrays(np.zeros((2, 3)), ("time", "x"))
    for values in (np.zeros((2, 3), complex), torch.zeros(2, 3, dtype=torch.complex64), np.array([["a"]])):
        with pytest.raises(TypeError, match="complex|real numbers"):
            from_arrays({"u": values}, ("time", "x"))
    with pytest.raises(ValueError, match="x has 3 values in u and 4 in v"):
        from_arrays({"u": np.zeros((2, 3)), "v": np.zeros((2, 4))}, ("time", "x"), {})


def test_xarray_with_other_names(waves):
    given = xr.Dataset({"vel": (("run", "t", "pos"), waves.astype("f4"))}, {"t": TIME, "pos": POSITIONS})
    ds = from_xarray(given, {"run": "sample", "t": "time", "pos": "x", "vel": "u"}, {"u": "m s-1", "x": "m"})
    assert ds.u.dims == DIMS and ds.u.attrs["units"] == "m s-1" and ds.x.attrs["units"] == "m"
    assert "units" not in given.vel.attrs
    assert from_xarray(given.vel.rename(run="sample", t="time", pos="x")).vel.equals(ds.u.rename("vel"))
    with pytest.raises(ValueError, match="no 'velocity' to rename; the dataset has pos, run, t, vel"):
        from_xarray(given, {"velocity": "u"})
    with pytest.raises(ValueError, match="unknown dims|no time axis"):
        from_xarray(given)
    with pytest.raises(TypeError, match="see from_arrays"):
        from_xarray(waves)


@pytest.fixture
def folder(tmp_path, waves):
    """Writes `count` files run1.nc, ..., each one sample (with or without the dim) or one piece of the times."""

    def write(count=11, along="sample", keep=True, **changes):
        place = tmp_path / "runs"
        place.mkdir(exist_ok=True)
        (place / "README.md").write_text("words")
        (place / ".hidden").write_text("")
        for i in range(count):
            u = (waves[:1] if keep else waves[0]) + i
            ds = xr.Dataset(
                {"u": (DIMS if keep else DIMS[1:], u.astype("f4"))}, COORDS, {"nu": 0.1 * i, "made": "by me"}
            )
            if along == "time":
                ds = ds.assign_coords(time=TIME + i)
            if i == changes.get("odd"):
                ds = changes["change"](ds)
            ds.to_netcdf(place / f"run{i + 1}.nc", engine="h5netcdf")
        return place

    return write


@pytest.mark.parametrize("keep", [False, True])
def test_files_become_samples_in_the_order_of_numbers(folder, waves, keep):
    ds = open_folder(folder(keep=keep))
    assert ds.u.dims == DIMS
    expected = np.stack([waves[0] + i for i in range(11)]).astype("f4")
    np.testing.assert_array_equal(ds.u, expected)
    np.testing.assert_array_equal(ds.sample, np.arange(11))
    np.testing.assert_allclose(ds.nu, 0.1 * np.arange(11))
    assert ds.attrs["made"] == "by me" and "nu" not in ds.attrs
    for key in ((3,), ([10, 2, 2], 1), (slice(None, None, 4), [5, 0], 7), (slice(0),), (-1, -1, slice(3, 5))):
        whole = expected
        for axis in reversed(range(len(key))):
            whole = whole[(slice(None),) * axis + (key[axis],)]
        np.testing.assert_array_equal(ds.u[key], whole)


def test_files_become_times(folder, waves):
    ds = open_folder(folder(3, "time", keep=False))
    assert ds.u.dims == ("time", "x") and ds.sizes["time"] == 3 * T
    np.testing.assert_array_equal(ds.u, np.concatenate([waves[0] + i for i in range(3)]).astype("f4"))
    np.testing.assert_allclose(ds.time, np.concatenate([TIME + i for i in range(3)]))


def test_a_folder_is_read_file_by_file(folder, tmp_path):
    """One frame of one of 4 files of 4 MB costs less than two files."""
    place = tmp_path / "large"
    place.mkdir()
    for i in range(4):
        u = np.full((1000, 1000), float(i), "f4")
        xr.Dataset({"u": (("time", "x"), u)}, {"time": np.arange(1000.0), "x": np.arange(1000.0)}).to_netcdf(
            place / f"{i}.nc", engine="h5netcdf"
        )
    tracemalloc.start()
    ds = open_folder(place)
    assert float(ds.u.isel(sample=3, time=5).mean()) == 3.0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ds.u.shape == (4, 1000, 1000)
    assert peak < 8e6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ds: ds.rename(u="v"), r'run3.nc holds v, run1.nc holds u: two kinds .* in sample; .*"run1.nc"'),
        (lambda ds: ds.assign(v=ds.u), "run3.nc holds u, v, run1.nc holds u: two kinds of files that share u"),
        (lambda ds: ds.assign(m=("sample", [1.0])), "run3.nc holds u, m, run1.nc holds u; one kind"),
        (lambda ds: ds.assign_coords(time=ds.time + 0.1), "run3.nc has other values of time than run1.nc$"),
        (
            lambda ds: ds.isel(x=slice(16), time=slice(3)).assign_attrs(title="Wells"),
            "run3.nc has other values of x than run1.nc; the files are Wells and of no title",
        ),
        (lambda ds: ds.isel(x=slice(16)), "run3.nc has other values of x than run1.nc"),
        (lambda ds: ds.assign_coords(x=ds.x + 0.5), "run3.nc has other values of x"),
        (
            lambda ds: ds.assign_coords(time=ds.time + 1),
            'run3.nc has other values of time than run1.nc; .*along="time"',
        ),
        (
            lambda ds: ds.assign(u=ds.u.assign_attrs(units="m")),
            r"run3.nc: u is in m, in run1.nc in none; convert .* from_xarray\(..., units=",
        ),
        (lambda ds: ds.isel(sample=0), "run3.nc: u has the dims"),
    ],
)
def test_the_odd_file_out_is_named(folder, change, message):
    with pytest.raises(ValueError, match=message):
        open_folder(folder(4, odd=2, change=change))


def test_folders_that_are_none(folder, tmp_path):
    place = folder(2)
    with pytest.raises(FileNotFoundError, match="no folder"):
        open_folder(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match="open it with open_path"):
        open_folder(place / "run1.nc")
    with pytest.raises(FileNotFoundError, match=r"holds no file \*.h5"):
        open_folder(place, pattern="*.h5")
    with pytest.raises(ValueError, match='along is "sample" or "time"'):
        open_folder(place, along="x")
    (place / "notes.dat").write_text("words")
    with pytest.raises(ValueError, match="notes.dat is of no known format"):
        open_folder(place)
    assert open_folder(place, pattern="*.nc").sizes["sample"] == 2
    with pytest.raises(ValueError, match="run2.nc begins at 0"):
        open_folder(place, along="time", pattern="*.nc")
