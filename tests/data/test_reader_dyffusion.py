"""DYffusion's layouts. Truths: flow between walls with its known profile, springs that swing, boxes of known means."""

import json

import numpy as np
import pytest
import xarray as xr
from reader_checks import check_refusal, on_disk

from sciml_diffusion.data.open import open_path

X, Y, T = 221, 42, 3


class Code:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return print, ("code",)


def write(folder, system: str, arrays: dict, trajectories: list[dict]) -> None:
    folder.mkdir(exist_ok=True)
    meta = {"system": system, "metadata": {}, "trajectories": trajectories}
    (folder / "system_meta.json").write_text(json.dumps(meta))
    np.savez_compressed(folder / "trajectories.npz", **arrays)


@pytest.fixture
def channel(tmp_path):
    """Poiseuille flow u = 4 U y (H - y) / H^2, p = 8 nu U (L - x) / H^2 in a channel of 2.2 x 0.41, by trajectory U."""

    def write_channel(**change):
        x, y = np.meshgrid(0.01 * np.arange(X), 0.01 * np.arange(Y), indexing="ij")
        arrays, trajectories = {"vertices": np.stack([x.ravel(), y.ravel()], -1)}, []
        for i, speed in enumerate((1.0, 1.5)):
            u = 4 * speed * y * (0.41 - y) / 0.41**2
            p = np.stack([np.stack([u.ravel(), 0 * u.ravel()], -1)] * T)
            mask = np.zeros((X * Y, 2), bool)
            mask[:, 1] = ((x - 0.5) ** 2 + (y - 0.2) ** 2 < 0.052**2).ravel()
            arrays |= {f"r{i}_solutions": p.astype("f4"), f"r{i}_t": 0.08 * np.arange(1, T + 1), f"r{i}_mask": mask}
            arrays |= {f"r{i}_pressures": np.stack([(8e-3 * speed * (2.2 - x) / 0.41**2).ravel()] * T).astype("f4")}
            keys = {"p": f"r{i}_solutions", "q": f"r{i}_pressures", "t": f"r{i}_t", "extra_fixed_mask": f"r{i}_mask"}
            trajectory = {"name": f"r{i}", "num_time_steps": T, "viscosity": 1e-3, "in_velocity": speed}
            trajectories.append(trajectory | {"field_keys": keys | {"vertices": "vertices"}})
        write(tmp_path / "ns", "navier-stokes", arrays | change, trajectories)
        return tmp_path / "ns"

    return write_channel


def test_channel_flow(channel):
    """nu u_yy = p_x: the pressure gradient carries the friction, which holds only with x and y where they belong."""
    ds = open_path(channel())
    assert ds.velocity_x.dims == ("sample", "time", "x", "y") and ds.velocity_x.shape == (2, T, X, Y)
    u, p = ds.velocity_x.astype("f8"), ds.pressure.astype("f8")
    friction = ds.attrs["viscosity"] * u.differentiate("y").differentiate("y").isel(y=slice(2, -2))
    # exact for parabolas but for float32 over dy^2: 1e-3 * 1e-7 / 1e-4
    np.testing.assert_allclose(friction, p.differentiate("x").isel(y=slice(2, -2)), atol=2e-5)
    assert float(abs(friction).min()) > 0.04
    np.testing.assert_allclose(u.isel(y=[0, -1]), 0, atol=1e-6)
    np.testing.assert_allclose(ds.in_velocity, [1, 1.5])
    np.testing.assert_allclose(ds.time, [0.08, 0.16, 0.24])
    centre = (ds.obstacle * ds.x).sum(["x", "y"]) / ds.obstacle.sum(["x", "y"])
    np.testing.assert_allclose(centre, 0.5, atol=1e-6)  # 1 inside the cylinder


def test_channel_stays_on_disk(channel):
    path = channel()
    ds = open_path(path)
    assert on_disk(ds.velocity_x) and on_disk(ds.pressure)
    part = ds.pressure.isel(sample=1, time=[2, 0], x=slice(0, 3), y=5)
    with np.load(path / "trajectories.npz") as stored:
        np.testing.assert_array_equal(part, stored["r1_pressures"].reshape(T, X, Y)[[2, 0], :3, 5])
    channel(extra=np.zeros(3))
    with pytest.raises(ValueError, match="has changed"):
        ds.pressure.load()


def test_springs(tmp_path):
    """q' = p for unit masses, on the lattice of 10 x 10."""
    t = 0.01 * np.arange(1, 50)
    node = np.arange(100)
    q = np.sin(t)[:, None, None] * np.stack([node, -node], -1)
    p = np.cos(t)[:, None, None] * np.stack([node, -node], -1)
    keys = {"p": "p", "q": "q", "t": "t"}
    trajectory = {"name": "one", "num_time_steps": len(t), "field_keys": keys, "noise_sigma": 0}
    write(tmp_path / "springs", "spring-mesh", {"p": p, "q": q, "t": t}, [trajectory])
    ds = open_path(tmp_path / "springs")
    assert ds.position_x.shape == (1, 49, 10, 10)
    swing = ds.position_y.astype("f8").differentiate("time")[:, 1:-1]
    np.testing.assert_allclose(swing, ds.momentum_y[:, 1:-1], atol=99 * 2e-5 + 1e-3)  # dt^2/6 and float32 over dt
    np.testing.assert_allclose(ds.position_x[0, 0, 3, 4], 34 * np.sin(0.01), rtol=1e-6)  # row-major


def test_wrong_folders(channel, tmp_path):
    check_refusal(channel(r1_mask=np.zeros((5, 2))), "extra_fixed_mask")
    check_refusal(channel(r1_t=np.arange(5.0)), "frames")
    path = channel(r1_pressures=np.zeros((T, 7)))
    check_refusal(path, "r1_pressures has the shape")
    (path / "trajectories.npz").write_bytes((path / "trajectories.npz").read_bytes()[:5000])
    check_refusal(path, "damaged")
    np.savez(path / "trajectories.npz", r0_t=np.array([Code()], dtype=object))
    check_refusal(path, "could run code")
    np.savez(path / "trajectories.npz", r0_t=np.arange(T))
    check_refusal(path, "does not hold")
    meta = json.loads((path / "system_meta.json").read_text())
    for text, word in (
        ("{", "not the expected JSON"),
        (json.dumps(meta | {"system": "wave"}), "'wave' is not known"),
        (json.dumps(meta | {"trajectories": []}), "no trajectories"),
        (json.dumps({"system": "spring-mesh"}), "trajectories"),
    ):
        (path / "system_meta.json").write_text(text)
        check_refusal(path, word)


@pytest.fixture
def boxes(tmp_path):
    """Boxes of 60 x 60 points whose temperature is 20 + number of the box + day / 10."""

    def write_boxes(days=(4, 4), name="boxes"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for number, count in enumerate(days):
            time = np.datetime64("2018-12-30", "ns") + np.arange(count) * np.timedelta64(1, "D")
            values = 20 + number + np.arange(count)[:, None, None] / 10 + np.zeros((count, 60, 60))
            values[:, 0, 0] = np.nan  # land
            coords = {"time": time, "lat": np.arange(60) / 4 - 7.5, "lon": 200 + 15 * number + np.arange(60) / 4}
            ds = xr.Dataset({"sst": (("time", "lat", "lon"), values.astype("f4"), {"units": "degC"})}, coords)
            encoding = {"sst": {"zlib": True}, "time": {"units": "days since 1800-01-01"}}
            ds.to_netcdf(folder / f"sst.day.mean.box{84 + number}.nc", engine="h5netcdf", encoding=encoding)
        return folder

    return write_boxes


def test_boxes_become_samples(boxes):
    ds = open_path(boxes())
    assert ds.sst.dims == ("sample", "time", "y", "x") and ds.sst.shape == (2, 4, 60, 60) and on_disk(ds.sst)
    np.testing.assert_allclose(ds.sst.mean(["y", "x"]), 20 + np.arange(2)[:, None] + np.arange(4) / 10, rtol=1e-6)
    assert int(ds.sst.isnull().sum()) == 8 and ds.sst.attrs["units"] == "degC"
    assert ds.time.values[2] == np.datetime64("2019-01-01") and list(ds.west) == [200, 215] and ds.south[0] == -7.5
    np.testing.assert_array_equal(ds.sst.isel(sample=[1], time=slice(2, None), y=5, x=[3, 1]).shape, (1, 2, 2))


def test_wrong_boxes(boxes):
    check_refusal(boxes(days=(4, 3), name="uneven"), "other sizes or times")
    path = boxes(name="notes")
    ds = open_path(path)
    box = path / "sst.day.mean.box85.nc"
    box.write_bytes(box.read_bytes()[:2000])
    with pytest.raises(ValueError, match="has changed"):
        ds.sst.load()
    check_refusal(path, "box85.nc is no box of sst")
