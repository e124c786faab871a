"""WDNO's two layouts. Truths: a solution of the forced Burgers' equation made for the test, and a cloud that drifts.

u = sin(pi x) e^{-t/8} solves u_t + u u_x = nu u_xx + f with f = (pi^2 nu - 1/8) u + (pi/2) sin(2 pi x) e^{-t/4}.
"""

import os

import numpy as np
import pytest
import torch
from reader_checks import check_refusal, on_disk

from sciml_diffusion.data.container import to_tensor
from sciml_diffusion.data.open import open_path

NU, POINTS = 0.01, 120
X = (16 * np.arange(POINTS) + 1) / 1921


class Code:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("true",)


def solution(t: np.ndarray) -> np.ndarray:
    return np.sin(np.pi * X) * np.exp(-t / 8)[:, None]


def force(t: np.ndarray) -> np.ndarray:
    convection = np.pi / 2 * np.sin(2 * np.pi * X) * np.exp(-t / 4)[:, None]
    return (np.pi**2 * NU - 1 / 8) * solution(t) + convection


@pytest.fixture
def burgers(tmp_path):
    """The dictionary of two samples, the second of which is the mirror image -u(1 - x): a solution too."""

    def write(name="train", **change):
        t = 0.1 * np.arange(81)
        u, f = solution(t), force(t[:-1] + 0.05)  # what acts between two frames, at its middle
        content = {"u": torch.tensor(np.stack([u, -u]), dtype=torch.float32)}
        content |= {"f": torch.tensor(np.stack([f, -f]), dtype=torch.float32)} | change
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


def test_the_force_acts_between_the_frames(burgers):
    ds = open_path(burgers())
    assert ds.attrs["nu"] == NU and ds.u.dims == ds.f.dims == ("sample", "time", "x")
    u, f = (ds[name][0].values.astype("f8") for name in ("u", "f"))
    dt, x = float(ds.time[1]), ds.x.values
    middle = (u[1:] + u[:-1]) / 2
    ux, dx = np.gradient(middle, x, axis=1), x[1] - x[0]
    uxx = (middle[:, 2:] - 2 * middle[:, 1:-1] + middle[:, :-2]) / dx**2
    residual = ((u[1:] - u[:-1]) / dt)[:, 1:-1] + (middle * ux)[:, 1:-1] - NU * uxx - f[:-1, 1:-1]
    # 2e-3: second-order differences, dx^2 pi^3 / 6 of u u_x; a force shifted by one frame is off by 0.02
    assert np.abs(residual).max() < 2e-3
    np.testing.assert_array_equal(f[-1], 0)


def test_burgers_stays_on_disk(burgers):
    path = burgers()
    ds = open_path(path)
    assert on_disk(ds.u) and on_disk(ds.f)
    np.testing.assert_array_equal(ds.f.isel(sample=1, time=[80, 3], x=slice(4, 9))[0], 0)
    np.testing.assert_array_equal(ds.f.isel(sample=1, time=[80, 3], x=slice(4, 9))[1], ds.f.values[1, 3, 4:9])
    assert ds.f.isel(time=80, sample=[0, 1]).shape == (2, POINTS)
    assert to_tensor(ds).shape == (2, 81, 2, POINTS)


def test_wrong_burgers_files(burgers, tmp_path):
    check_refusal(burgers(f=torch.zeros(2, 81, POINTS)), "shape", format="wdno_burgers")
    torch.save({"u": torch.zeros(2, 81, POINTS)}, tmp_path / "alone")
    check_refusal(tmp_path / "alone", "no f", format="wdno_burgers")
    check_refusal(burgers("code", extra=Code()), "could run code")
    path = burgers("cut")
    path.write_bytes(path.read_bytes()[:20_000])
    check_refusal(path, "damaged", format="wdno_burgers")


@pytest.fixture
def smoke(tmp_path):
    """Runs in which a cloud drifts along x by 0.25 and along y by 0.05 points of the solver in each step."""

    def write(order="xy", runs=2, speed=(0.25, 0.05)):
        t, grid = 8.0 * np.arange(33), 2.0 * np.arange(64)
        for run in range(runs):
            folder = tmp_path / f"sim_{run:06d}"
            folder.mkdir(exist_ok=True)
            y, x, time = np.meshgrid(grid, grid, t, indexing="ij")
            centre = (30 + speed[0] * time, 40 + 10 * run + speed[1] * time)
            cloud = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 100)
            velocity = {"x": np.full_like(x, speed[0]), "y": np.full_like(x, speed[1])}
            velocity = np.stack([velocity[axis] for axis in order], 2)
            velocity[:, :, 1, 0] = velocity[:, :, 0, 0]
            left = np.linspace(0, 1, 33)[:, None] * np.array([3.0, 1, 0, 0, 0, 0, 0, 0])
            arrays = {"Density": cloud[:, :, None], "Velocity": velocity, "Control": 0.1 * velocity, "Smoke": left}
            for name, values in arrays.items():
                np.save(folder / f"{name}.npy", values.astype("f4"))
        return tmp_path

    return write


@pytest.mark.parametrize("order", ["xy", "yx"])
def test_the_cloud_moves_with_the_velocity(smoke, order):
    ds = open_path(smoke(order))
    assert ds.density.dims == ("sample", "time", "y", "x") and dict(ds.sizes)["sample"] == 2
    weight = ds.density.astype("f8")
    total = weight.sum(["y", "x"])
    for axis in ("x", "y"):
        centre = (weight * ds[axis]).sum(["y", "x"]) / total
        speed = centre.diff("time") / np.diff(ds.time)
        stored = ds[f"velocity_{axis}"].astype("f8")
        # the cloud is smooth on the grid and vanishes at its rim, so sums are integrals; float32
        np.testing.assert_allclose(speed, stored[:, 1:].mean(["y", "x"]), atol=1e-4)
    assert set(ds.data_vars) == {"density", "velocity_x", "velocity_y", "control_x", "control_y", "smoke"}
    np.testing.assert_allclose(ds.smoke[:, 1:], 0.25, rtol=1e-6)
    np.testing.assert_array_equal(ds.smoke[:, 0], 0)
    assert ds.time.values[-1] == 256 and ds.x.values[-1] == 126 and float(ds.density.sample[1]) == 1


def test_smoke_stays_on_disk_and_notices_changes(smoke):
    path = smoke()
    ds = open_path(path)
    assert on_disk(ds.density) and on_disk(ds.smoke)
    stored = np.load(path / "sim_000001" / "Density.npy")[3:5, 7, 0].T
    np.testing.assert_array_equal(ds.density.isel(sample=1, y=slice(3, 5), x=7), stored)
    assert ds.smoke.isel(sample=[1, 0], time=[3], y=2).shape == (2, 1, 64)
    np.save(path / "sim_000001" / "Density.npy", np.zeros((64, 64, 1, 33)))
    np.testing.assert_array_equal(ds.density[0, 0, 0, 0], ds.density.isel(sample=0)[0, 0, 0])
    with pytest.raises(ValueError, match="sim_000001.*has changed"):
        ds.density.isel(sample=1).load()


def test_wrong_smoke_folders(smoke, tmp_path):
    path = smoke(speed=(0.1, 0.1))
    check_refusal(path, "does not tell which component is x", "components=")
    assert "velocity_x" in open_path(path, components="yx")
    check_refusal(path, '"xy" or "yx"', components="zz")
    np.save(path / "sim_000000" / "Velocity.npy", np.zeros((64, 64, 3, 33)))
    check_refusal(path, "Velocity.npy has the shape", components="xy")
    (path / "sim_000001" / "Smoke.npy").unlink()
    check_refusal(path, "lacks", "Smoke.npy")
