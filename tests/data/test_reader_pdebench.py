"""PDEBench's layout of one field, written here. Truths: our solver's Burgers, and the numbers that were written."""

import math

import h5py
import numpy as np
import pytest
import torch
import xarray as xr

from sciml_diffusion.data.container import grid_of, to_tensor
from sciml_diffusion.data.open import open_path
from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.physics.grid import Grid

NU = 0.1  # by which PDEBench would name the file; the viscosity is NU / pi
FRAMES, CELLS = 6, 64


@pytest.fixture(scope="module")
def burgers() -> np.ndarray:
    """20 solutions of u_t + (u^2/2)_x = (NU/pi) u_xx on cell centres, (20, FRAMES, CELLS)."""
    x = (torch.arange(CELLS, dtype=torch.float64) + 0.5) / CELLS
    phases = torch.arange(20, dtype=torch.float64)[:, None, None]
    u0 = torch.sin(2 * math.pi * x + phases) + 0.3 * torch.cos(4 * math.pi * x - phases)
    grid = Grid.periodic((CELLS,), (1.0,))
    return Burgers(grid, NU / math.pi).solve(u0, 0.25, FRAMES)[:, 0].numpy()


@pytest.fixture
def scalar(tmp_path, burgers):
    """Writes the scalar layout, with one time too many."""

    def write(name="no_suffix", attrs=None, times=FRAMES + 1, **datasets):
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            file["tensor"] = burgers.astype("f4")
            file["x-coordinate"] = ((np.arange(CELLS) + 0.5) / CELLS).astype("f4")
            file["t-coordinate"] = 0.05 * np.arange(times, dtype="f4")
            file.attrs.update({"Nu": NU} if attrs is None else attrs)
            for key, value in datasets.items():
                key = key.replace("_", "-")
                if key in file:
                    del file[key]
                if value is not None:
                    file[key] = value
        return path

    return write


def test_viscosity_is_nu_over_pi(scalar):
    """One interval solved again with the attribute `nu` gives the next frame; with `Nu` it does not."""
    ds = open_path(scalar())
    assert ds.attrs["nu"] == pytest.approx(NU / math.pi) and ds.attrs["Nu"] == NU
    assert ds.u.dims == ("sample", "time", "x") and ds.sizes["time"] == FRAMES
    np.testing.assert_allclose(ds.time, 0.05 * np.arange(FRAMES), rtol=1e-6)
    u = to_tensor(ds.isel(sample=slice(3)), dtype=torch.float64)
    start, end, dt = u[:, 2], u[:, 3], float(ds.time[3] - ds.time[2])
    errors = {
        name: (Burgers(grid_of(ds), ds.attrs[name]).solve(start, dt, 2)[:, :, -1] - end).abs().max().item()
        for name in ("nu", "Nu")
    }
    assert errors["nu"] < 2e-5  # float32 on disk, at most 1.3, and modes above n / 3
    assert errors["Nu"] > 0.05


def test_axis_closes_and_positions_are_cell_centres(scalar):
    ds = open_path(scalar())
    grid = grid_of(ds)
    assert grid.periods[0] == pytest.approx(1.0, rel=1e-5)  # float32 coordinates
    assert ds.x[0] == pytest.approx(0.5 / CELLS)
    mean = ds.u.mean("x")
    assert float(abs(mean - mean.isel(time=0)).max()) < 1e-6  # conserved; float32


def test_the_first_tenth_is_the_test(scalar, burgers):
    path = scalar()
    test, train = open_path(path, split="test"), open_path(path, split="train")
    assert list(test.sample) == [0, 1] and list(train.sample) == list(range(2, 20))
    np.testing.assert_array_equal(test.u, burgers[:2].astype("f4"))
    np.testing.assert_array_equal(train.u.isel(sample=-1), burgers[-1].astype("f4"))
    with pytest.raises(ValueError, match='"train", "test" or None'):
        open_path(path, split="valid")


@pytest.mark.parametrize(
    ("attrs", "equation", "numbers"),
    [
        ({"beta": 0.4}, "u_t + beta u_x = 0", {"beta": 0.4}),
        ({"Nu": 0.5, "rho": 1.0}, "rho u", {"nu": 0.5, "rho": 1.0}),
        ({}, "not stated", {}),
    ],
)
def test_the_attributes_tell_the_equation(scalar, attrs, equation, numbers):
    ds = open_path(scalar(attrs=attrs))
    assert equation in ds.attrs["equation"]
    assert {name: ds.attrs[name] for name in numbers} == numbers
    assert ("nu" in ds.attrs) == ("nu" in numbers)


def test_parameters_can_be_given(scalar):
    assert open_path(scalar(attrs={}), parameters={"Nu": 1.0}).attrs["nu"] == pytest.approx(1 / math.pi)
    with pytest.raises(ValueError, match="got gamma"):
        open_path(scalar(attrs={}), parameters={"gamma": 1.0})


def test_opening_reads_nothing_and_one_sample_reads_a_slab(scalar, monkeypatch):
    """Counted at the one place where bytes leave the file."""
    from sciml_diffusion.data.readers import pieces

    blocks, whole = [], pieces.outer
    monkeypatch.setattr(pieces, "outer", lambda array, key: blocks.append(whole(array, key)) or blocks[-1])
    ds = open_path(scalar())
    assert not blocks
    ds.u.isel(sample=4, time=slice(2)).compute()
    assert [block.shape for block in blocks] == [(2, CELLS)]
    ds.u.isel(sample=[7, 3], x=slice(None, None, 4)).compute()
    assert blocks[-1].shape == (2, FRAMES, CELLS // 4)


def test_the_order_of_samples_asked_for_is_kept(scalar, burgers):
    ds = open_path(scalar())
    np.testing.assert_array_equal(ds.u.isel(sample=[7, 3, 3], time=-1), burgers[[7, 3, 3], -1].astype("f4"))


def test_other_byte_order(scalar, burgers):
    u = open_path(scalar(tensor=burgers.astype(">f8"))).u.values
    assert u.dtype.isnative
    np.testing.assert_array_equal(u, burgers.astype("f4"))
    torch.from_numpy(u)


def test_a_file_that_changes_under_a_job(scalar):
    path = scalar()
    ds = open_path(path)
    with h5py.File(path, "a") as file:
        file["more"] = np.zeros(1000)
    with pytest.raises(ValueError, match="has changed since it was opened"):
        ds.u.isel(sample=0).compute()


def test_damaged_and_inconsistent_files(scalar, tmp_path):
    whole = scalar().read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged or incomplete"):
        open_path(tmp_path / "cut")
    with pytest.raises(ValueError, match="6 frames and 3 times"):
        open_path(scalar(times=3))
    with pytest.raises(ValueError, match="5 positions, the fields have 64"):
        open_path(scalar(x_coordinate=np.arange(5.0)))
    with pytest.raises(ValueError, match="lacks t-coordinate; it has"):
        open_path(scalar(t_coordinate=None), format="pdebench_scalar")
    with pytest.raises(ValueError, match="pdebench_scalar files: .*lenght"):
        open_path(scalar(), lenght=2)


def test_broken_samples_are_named(scalar, burgers):
    """A blow-up is found with its sample and time, without loading the file at once."""
    from sciml_diffusion.data.finite import broken_samples, without_broken_samples

    broken = burgers.copy()
    broken[7, 3:] = np.nan
    broken[12, 5, 2] = np.inf
    ds = open_path(scalar(tensor=broken))
    assert broken_samples(ds) == {7: "u at time 0.15", 12: "u at time 0.25"}
    kept = without_broken_samples(ds)
    assert kept.sizes["sample"] == 18 and not {7, 12} & set(kept.sample.values)
    assert np.isfinite(kept.u).all()
    assert broken_samples(kept) == {} and without_broken_samples(kept).identical(kept)
    with pytest.raises(ValueError, match="every sample"):
        without_broken_samples(xr.full_like(ds, np.nan))
