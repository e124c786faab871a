"""PDEBench's layouts of several fields, written here: gases, Darcy, one group for a sample, smoke in a stream.

Truths: a stream that carries a wave, a Darcy flux balance, decay at a known rate, smoke that follows the wind.
"""

import h5py
import numpy as np
import pytest
import torch

from sciml_diffusion.data.container import grid_of, to_tensor
from sciml_diffusion.data.open import open_path
from sciml_diffusion.physics.elliptic.darcy import Darcy
from sciml_diffusion.physics.grid import Grid


@pytest.fixture
def flow(tmp_path):
    """A uniform stream that carries a density wave, rho(x - t), p = 1: an exact solution without viscosity."""

    def write(dimensions=2, **attrs):
        n, t = 16, 0.1 * np.arange(4)
        x = -1 + (np.arange(n) + 0.5) * 2 / n
        rho = 1 + 0.2 * np.sin(np.pi * (x - t[:, None]))
        rho = rho.reshape(1, 4, n, *(1,) * (dimensions - 1)) * np.ones((10, 4, *(n,) * dimensions))
        with h5py.File(tmp_path / "flow", "w") as file:
            file["density"], file["pressure"] = rho.astype("f4"), np.ones_like(rho, "f4")
            for axis in "xyz"[:dimensions]:
                file[f"V{axis}"] = np.full_like(rho, float(axis == "x"), "f4")
                file[f"{axis}-coordinate"] = x.astype("f4")
            file["t-coordinate"] = np.append(t, 0.4).astype("f4")
            file.attrs.update({"eta": 1e-8, "zeta": 1e-8} | attrs)
        return tmp_path / "flow"

    return write


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_flow_moves_along_x(flow, dimensions):
    """rho_t + (rho v_x)_x = 0 in central differences, to their order: 0.1^2, (2/16)^2 times third derivatives."""
    ds = open_path(flow(dimensions, M=0.1), boundary="periodic", split="test")
    velocities = ["velocity_x", "velocity_y", "velocity_z"][:dimensions]
    assert list(ds.data_vars) == ["density", *velocities, "pressure"]
    assert ds.sizes["sample"] == 1 and ds.attrs["M"] == 0.1 and ds.attrs["gamma"] == pytest.approx(5 / 3)
    assert grid_of(ds).periods == (pytest.approx(2.0),) * dimensions
    flux = ds.density * ds[velocities[0]]
    rate = (ds.density.diff("time", label="lower") / ds.time.diff("time", label="lower")).isel(time=0)
    slope = (flux.roll(x=-1) - flux.roll(x=1)) / 0.25
    wrong = float(abs(rate + slope.isel(time=slice(2)).mean("time")).max())
    assert wrong < 0.03 < 0.2 * float(abs(rate).max())
    if dimensions > 1:
        assert float(abs(ds.density.diff("y")).max()) == 0


def test_boundary_of_a_flow_is_asked_for(flow):
    ds = open_path(flow())
    assert "not stated" in ds.attrs["boundary"] and grid_of(ds).periods == (None, None)
    assert "outflow" in open_path(flow(), boundary="outflow").attrs["boundary"]
    assert open_path(flow(), boundary="trans").attrs == open_path(flow(), boundary="outflow").attrs
    with pytest.raises(ValueError, match='"periodic" or "outflow"'):
        open_path(flow(), boundary="open")


def test_flow_with_parts_that_do_not_fit(flow):
    path = flow()
    with h5py.File(path, "a") as file:
        del file["Vy"]
        file["Vy"] = np.zeros((10, 3, 16, 16), "f4")
    with pytest.raises(ValueError, match="velocity_y has the sizes"):
        open_path(path)


def test_darcy_solves_its_equation(tmp_path):
    """Our solutions with PDEBench's stencil: what is read has no residual but float32 of u, over h^2."""
    n, beta = 16, 2.0
    x = (np.arange(n) + 0.5) / n
    a = np.where(np.random.default_rng(0).standard_normal((20, 1, 4, 4)) > 0, 1.0, 0.1).repeat(4, 2).repeat(4, 3)
    u = Darcy(Grid.cells((n, n), (1.0, 1.0)), beta, "inside", "arithmetic").solve(torch.from_numpy(a))
    with h5py.File(tmp_path / "darcy", "w") as file:
        file["tensor"], file["nu"] = u.numpy().astype("f4"), a[:, 0].astype("f4")
        file["x-coordinate"] = file["y-coordinate"] = x.astype("f4")
        file.attrs["beta"] = beta
    ds = open_path(tmp_path / "darcy", split="train")
    assert ds.u.dims == ds.a.dims == ("sample", "time", "x", "y") and ds.sizes["sample"] == 18
    assert list(ds.time) == [0.0] and grid_of(ds).periods == (None, None)
    problem = Darcy(grid_of(ds), ds.attrs["beta"], ds.attrs["points"], ds.attrs["faces"])
    fields = to_tensor(ds, ["a", "u"], dtype=torch.float64)[:, 0]
    assert problem.residual(fields[:, :1], fields[:, 1:]).abs().max() < 1e-3 * beta
    assert problem.residual(fields[:, :1].mT, fields[:, 1:]).abs().max() > 0.3 * beta
    np.testing.assert_array_equal(ds.a.isel(sample=[3, 1], time=0, x=4), a[[5, 3], 0, 4].astype("f4"))


@pytest.fixture
def groups(tmp_path):
    """Writes one group per sample: the heat equation on two components, or one; keys begin at 0007."""

    def write(axes="xy", components=2, odd=None, count=11):
        n, t = 8, np.linspace(0, 1, 5)
        x = -1 + (np.arange(n) + 0.5) * 2 / n
        with h5py.File(tmp_path / "groups", "w") as file:
            for number in range(7, 7 + count):
                shape = (5, *(n,) * len(axes), components)
                decay = np.exp(-t).reshape(-1, *(1,) * (len(axes) + 1))
                data = number * decay * np.arange(1, components + 1) * np.ones(shape)
                group = file.create_group(f"{number:04d}")
                group["data"] = (data[:, ..., :1] if number == odd else data).astype("f4")
                group["grid/t"] = t.astype("f4")
                for axis in axes:
                    group[f"grid/{axis}"] = x.astype("f4")
                group.attrs["config"] = "name: test\nsim:\n  Du: 1E-3\n  k: 0.005\n  seed: 3\n  n: many\n"
        return tmp_path / "groups"

    return write


@pytest.mark.parametrize(("axes", "components", "names"), [("x", 1, ["u"]), ("xy", 2, ["u", "v"]), ("xy", 1, ["h"])])
def test_groups_become_samples(groups, axes, components, names):
    ds = open_path(groups(axes, components))
    assert list(ds.data_vars) == names and ds[names[0]].dims == ("sample", "time", *axes)
    assert list(ds.sample) == list(range(7, 18))
    for i, name in enumerate(names):
        expected = ds.sample * np.exp(-ds.time) * (i + 1)
        np.testing.assert_allclose(ds[name].isel(x=0), expected.broadcast_like(ds[name].isel(x=0)), rtol=1e-6)
    assert ds.attrs["Du"] == 1e-3 and ds.attrs["k"] == 0.005 and not {"seed", "n"} & set(ds.attrs)
    assert list(open_path(groups(axes, components), split="test").sample) == [7]


def test_groups_are_opened_one_by_one(groups, monkeypatch):
    from sciml_diffusion.data.readers import pdebench_groups

    blocks, whole = [], pdebench_groups.outer
    monkeypatch.setattr(
        pdebench_groups, "outer", lambda array, key: blocks.append(getattr(array, "name", "")) or whole(array, key)
    )
    ds = open_path(groups())
    assert not blocks
    values = ds.v.isel(sample=[4, 2], time=slice(1, 3), y=3).values
    assert sorted(blocks) == ["/0009/data", "/0011/data"] and values.shape == (2, 2, 8)
    assert ds.u.isel(sample=slice(0)).values.shape == (0, 5, 8, 8)


def test_a_group_that_is_unlike_the_first_is_named(groups):
    assert open_path(groups()).attrs["test_samples"] == "the first 1 of 11"
    assert "test_samples" not in open_path(groups(count=9)).attrs
    with pytest.raises(ValueError, match=r"group 0009 has data of shape .*, the first one, 0007, .*; 1 of 11 groups"):
        open_path(groups(odd=9))
    path = groups()
    with h5py.File(path, "a") as file:
        del file["0011/data"]
    with pytest.raises(ValueError, match="group 0011 has data of shape None"):
        open_path(path)
    with pytest.raises(ValueError, match=r"expected \(T, X\[, Y\], C\)"):
        open_path(groups("x", 3))


@pytest.fixture
def incompressible(tmp_path):
    """Smoke in a stream along x; frames after the third were never written."""

    def write(latest=2, config="domain_size:\n- 2\n- 1\nNU: 0.01\n", late=0.0):
        rng = np.random.default_rng(0)
        with h5py.File(tmp_path / "ns", "w") as file:
            velocity = np.zeros((2, 5, 8, 4, 2), "f4")
            velocity[:, :3, ..., 0] = 1.0
            particles = np.zeros((2, 5, 8, 4, 1), "f4")
            particles[:, :3, ..., 0] = np.eye(3, 8)[None, :, :, None]  # one cell further along x in each frame
            times = np.zeros((2, 5), "f4")
            times[:, :3] = 0.25 * np.arange(3)
            times[1, :3] += late
            kind = {"compression": "lzf", "shuffle": True}
            file.create_dataset("velocity", data=velocity, chunks=(1, 1, 8, 4, 2), **kind)
            file.create_dataset("particles", data=particles, chunks=(1, 1, 8, 4, 1), **kind)
            file["force"], file["t"] = rng.standard_normal((2, 8, 4, 2)).astype("f4"), times
            file.attrs["latestIndex"] = latest
            if config:
                file.attrs["config"] = config
        return tmp_path / "ns"

    return write


def test_unwritten_frames_are_left_out_and_smoke_follows_the_wind(incompressible):
    """In one frame the smoke moves by velocity times dt: one cell along x, none along y."""
    ds = open_path(incompressible())
    assert dict(ds.sizes) == {"sample": 2, "time": 3, "x": 8, "y": 4}
    assert ds.attrs["nu"] == 0.01 and grid_of(ds).spacings == pytest.approx((0.25, 0.25))
    assert ds.force_x.dims == ("sample", "x", "y")
    centre = (ds.smoke * ds.x).sum("x") / ds.smoke.sum("x")
    moved = centre.diff("time") / ds.time.diff("time")
    np.testing.assert_allclose(moved, ds.velocity_x.isel(time=slice(1, None), x=0), rtol=1e-5)
    assert float(abs(ds.velocity_y).max()) == 0


def test_incompressible_with_parts_missing(incompressible):
    with pytest.raises(ValueError, match="0 of 5 frames were written"):
        open_path(incompressible(latest=-1))
    with pytest.raises(ValueError, match="give length="):
        open_path(incompressible(config=None))
    assert "nu" not in open_path(incompressible(config=None), length=(1, 1)).attrs
    late = open_path(incompressible(late=1.0))
    np.testing.assert_array_equal(late.start_time, [0, 1])
