"""NumPy layouts of PINO and DiffusionPDE, written here. Truths: our Navier-Stokes under Kolmogorov forcing; Burgers;
the affine maps of the format; the numbers that were written."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from sciml_diffusion.data.container import grid_of, to_tensor
from sciml_diffusion.data.open import open_path
from sciml_diffusion.data.readers.diffusion_pde_folder import SCALES
from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.navier_stokes import NavierStokes

NU, POINTS, DT = 0.02, 24, 0.05
LENGTH = 2 * math.pi


@pytest.fixture(scope="module")
def vortices() -> np.ndarray:
    """Windows of one run, (sample 3, time 5, x, y); each begins with the frame that ends the one before."""
    grid = Grid.periodic((POINTS, POINTS), (LENGTH, LENGTH), dims=("x", "y"))
    x, y = torch.meshgrid(*(torch.from_numpy(c.copy()) for c in grid.coordinates), indexing="ij")
    w0 = (3 * torch.sin(x) * torch.cos(2 * y) + 2 * torch.cos(3 * x + y))[None, None]
    run = NavierStokes(grid, NU, forcing=-4 * torch.cos(4 * y)).solve(w0, 12 * DT, 13)[0, 0].numpy()
    return np.stack([run[4 * i : 4 * i + 5] for i in range(3)])


@pytest.fixture
def pino(tmp_path, vortices):
    def write(values=vortices, name="w.npy"):
        np.save(tmp_path / name, values)
        return tmp_path / name

    return write


@pytest.mark.parametrize("swapped", [False, True])
def test_order_of_axes_under_a_force_along_x(pino, vortices, swapped):
    """The interval from sample 1, frame 2 solves the equation in the order found: float32; not in the other."""
    path = pino((vortices.swapaxes(2, 3) if swapped else vortices).astype("f4"))
    ds = open_path(path, dt=DT, length=LENGTH, viscosity=NU)
    assert ds.vorticity.dims[2:] == (("y", "x") if swapped else ("x", "y"))
    np.testing.assert_array_equal(ds.vorticity.transpose("sample", "time", "x", "y"), vortices.astype("f4"))
    w = to_tensor(ds.isel(sample=[1]), dtype=torch.float64)[:, 2:4, 0]
    for dims in (("x", "y"), ("y", "x")):
        grid = Grid(dims, grid_of(ds).coordinates, grid_of(ds).periods)
        x = y = torch.from_numpy(grid.coordinates[0].copy())
        f = -4 * torch.cos(4 * (y[None] if dims == ("x", "y") else x[:, None])).expand(POINTS, POINTS)
        end = NavierStokes(grid, ds.attrs["nu"], forcing=f).solve(w[:, :1], DT, 2)[:, 0, 1]
        error = float((end - w[:, 1]).norm() / (w[:, 1] - w[:, 0]).norm())
        assert error < 1e-4 if dims == grid_of(ds).dims else error > 0.3


def test_windows_of_one_run_are_marked(pino, vortices):
    ds = open_path(pino(), dt=DT, length=LENGTH)
    assert ds.attrs["consecutive_samples"] == 1 and "never at random" in ds.attrs["samples"]
    np.testing.assert_array_equal(ds.vorticity[0, -1], ds.vorticity[1, 0])
    np.testing.assert_allclose(ds.time, DT * np.arange(5))
    assert grid_of(ds).periods == pytest.approx((LENGTH, LENGTH))
    np.testing.assert_allclose(open_path(pino(), duration=0.2, length=1).time, ds.time)


def test_times_lengths_and_orders_are_asked_for(pino):
    with pytest.raises(ValueError, match=r"w.npy holds no times and positions; give dt= .* and length= ") as caught:
        open_path(pino())
    message = str(caught.value)
    assert "(path, dt=0.1, length=1), on the command line 'options={dt: 0.1, length: 1}'. PINO" in message
    with pytest.raises(ValueError, match=r"w.npy holds no times; give dt= .time between its 5 frames. or .*dt=0.1\)"):
        open_path(pino(), length=1)
    with pytest.raises(ValueError, match="not both; got 1 and 2"):
        open_path(pino(), dt=1, duration=2)
    with pytest.raises(ValueError, match="w.npy: length is a number > 0; got -2"):
        open_path(pino(), dt=1, length=-2)
    with pytest.raises(ValueError, match="dt and duration are numbers > 0"):
        open_path(pino(), dt=-1, length=1)
    with pytest.raises(ValueError, match=r"w.npy holds no positions; give length= .*\(path, length=1\)"):
        open_path(pino(), dt=DT)
    with pytest.raises(ValueError, match='check dt= and viscosity=, or give axes="xy"'):
        open_path(pino(), dt=100 * DT, length=LENGTH, viscosity=NU)
    with pytest.raises(ValueError, match='axes is "xy" or "yx"'):
        open_path(pino(), dt=DT, length=LENGTH, axes="yz")


def test_formats_that_the_shape_leaves_open_are_asked_for(pino):
    """(N, T, X, Y) and (N, X, Y, T) with all but the samples equal; and time last told by the shape."""
    cube = np.random.default_rng(0).standard_normal((2, 6, 6, 6))
    with pytest.raises(ValueError, match="diffusion_pde_bounded or pino_npy; say which with format="):
        open_path(pino(cube), dt=1, length=1)
    path = pino(cube)
    first = open_path(path, format="pino_npy", dt=1, length=1).vorticity
    last = open_path(path, format="diffusion_pde_bounded", dt=1, length=1).v
    np.testing.assert_array_equal(first[0, 2], cube[0, 2].astype("f4"))
    np.testing.assert_array_equal(last[0, 2], cube[0, ..., 2].astype("f4"))
    with pytest.raises(ValueError, match=r"w.npy holds no times and positions; .* 'options=\{dt: 0.1, length: 1\}'"):
        open_path(pino(cube[..., :4]))
    told = open_path(pino(cube[..., :4]), duration=3, length=1)
    assert told.v.dims == ("sample", "time", "x", "y") and told.sizes["time"] == 4
    assert grid_of(told).periods == (None, None)
    with pytest.raises(ValueError, match="no known format"):
        open_path(pino(np.zeros((3, 4))))
    with pytest.raises(ValueError, match="got the shape"):
        open_path(pino(np.zeros((3, 4))), format="pino_npy", dt=1, length=1)


def test_memory_maps_are_read_in_slabs(pino, monkeypatch):
    from sciml_diffusion.data.readers import pino_npy

    blocks, whole = [], pino_npy.outer
    monkeypatch.setattr(pino_npy, "outer", lambda array, key: blocks.append(whole(array, key)) or blocks[-1])
    ds = open_path(pino(), dt=DT, length=LENGTH)
    assert not blocks
    values = ds.vorticity.isel(sample=1, time=slice(2, 4)).values
    assert [block.shape for block in blocks] == [(2, POINTS, POINTS)]
    assert values.base is None or not isinstance(values.base, np.memmap)


def test_other_byte_order_and_fortran_order(pino, vortices):
    for values in (vortices.astype(">f4"), np.asfortranarray(vortices)):
        w = open_path(pino(values), dt=DT, length=LENGTH).vorticity.values
        assert w.dtype == np.float32 and w.dtype.isnative and torch.from_numpy(w).is_contiguous()
        np.testing.assert_array_equal(w, vortices.astype("f4"))


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_objects_damage_and_change(pino, tmp_path):
    marker = tmp_path / "ran"
    np.save(tmp_path / "o.npy", np.array([Malicious(marker)], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="could run code, so it is refused"):
        open_path(tmp_path / "o.npy")
    assert not marker.exists()
    whole = pino().read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged or incomplete"):
        open_path(tmp_path / "cut", dt=DT, length=LENGTH)
    path = pino()
    ds = open_path(path, dt=DT, length=LENGTH)
    np.save(path, np.zeros((1, 5, 24, 24)))
    with pytest.raises(ValueError, match="has changed since it was opened"):
        ds.vorticity.compute()


@pytest.fixture
def folder(tmp_path):
    """Writes merge_0.npy, merge_1.npy, ..., in float64 as the method does."""

    def write(samples):
        (tmp_path / "merged").mkdir(exist_ok=True)
        for i, sample in enumerate(samples):
            np.save(tmp_path / "merged" / f"merge_{i}.npy", sample)
        return tmp_path / "merged"

    return write


def test_scaled_darcy_comes_back_in_physical_units(folder):
    """value = 0.2 a - 1.5 and 115 u - 0.9, as the training files are made; twelve files, so that 10 follows 9."""
    rng = np.random.default_rng(0)
    a = np.where(rng.standard_normal((12, 16, 16)) > 0, 12.0, 3.0)
    u = 0.01 * rng.random((12, 16, 16))
    path = folder(np.stack([0.2 * a - 1.5, 115 * u - 0.9], axis=-1))
    ds = open_path(path, dataset="darcy")
    np.testing.assert_allclose(ds.a[:, 0], a, rtol=1e-6)
    np.testing.assert_allclose(ds.u[:, 0], u, atol=1e-9)
    assert list(ds.sample) == list(range(12)) and list(ds.time) == [0.0]
    np.testing.assert_allclose(ds.u[[11, 3], 0, 2, 4:8], u[[11, 3], 2, 4:8], atol=1e-9)
    assert "12" in str(float(ds.a.max()))
    with pytest.raises(ValueError, match="give dataset=, one of darcy, poisson.* 'options={dataset: ns-nonbounded, du"):
        open_path(path)
    with pytest.raises(ValueError, match=r"samples of shape \(S, S, 1\)"):
        open_path(path, dataset="burgers")


@pytest.mark.parametrize("dataset", [name for name in SCALES if name.startswith("ns")])
def test_two_states_become_two_times(folder, dataset):
    states = np.random.default_rng(0).standard_normal((3, 8, 8, 2))
    with pytest.raises(ValueError, match="give duration=.* 'options={dataset: ns-.*bounded, duration: 1}'"):
        open_path(folder(states), dataset=dataset)
    ds = open_path(folder(states), dataset=dataset, duration=1.0)
    (field,) = ds.data_vars.values()
    factor = {"ns-nonbounded": 1.6, "ns-bounded": 10.0}[dataset]
    np.testing.assert_allclose(field, factor * states.transpose(0, 3, 1, 2), rtol=1e-6)
    np.testing.assert_allclose(field[1:, -1, 3], factor * states[1:, 3, :, 1], rtol=1e-6)
    assert list(ds.time) == [0.0, 1.0]
    own = open_path(folder(states), dataset=dataset, duration=1.0, scales=((1.0, 2.0), (0.0, 1.0)))
    np.testing.assert_allclose(next(iter(own.data_vars.values()))[:, 0], 2 * (states[..., 0] + 1), rtol=1e-6)


@pytest.mark.parametrize("order", ["tx", "xt"])
def test_order_of_burgers_in_a_folder(folder, order):
    """No initial state beside it: the first frames are solved in both orders."""
    x = torch.arange(32, dtype=torch.float64) / 32
    u0 = torch.stack([torch.sin(2 * math.pi * x + s) for s in range(2)])[:, None]
    u = Burgers(Grid.periodic((32,), (1.0,)), 0.01).solve(0.5 * u0, 1.0, 32)[:, 0].numpy()
    stored = (u if order == "tx" else u.swapaxes(1, 2))[..., None] / 1.415
    ds = open_path(folder(stored), dataset="burgers")
    np.testing.assert_allclose(ds.u, u, atol=1e-6)
    noise = folder(np.random.default_rng(0).standard_normal((2, 32, 32, 1)))
    with pytest.raises(ValueError, match='axes="tx" or axes="xt"'):
        open_path(noise, dataset="burgers")
    assert open_path(noise, dataset="burgers", axes="xt").u.dims == ("sample", "time", "x")


def test_an_odd_file_in_a_folder_is_named(folder):
    path = folder(np.zeros((4, 8, 8, 2)))
    ds = open_path(path, dataset="poisson")
    np.save(path / "merge_2.npy", np.zeros((4, 4, 2)))
    ds.u[:2].compute()
    with pytest.raises(ValueError, match="merge_2.npy has changed"):
        ds.u.compute()
    with pytest.raises(ValueError, match=r"merge_2.npy has the shape \(4, 4, 2\), the first file"):
        open_path(path, dataset="poisson").u.compute()
