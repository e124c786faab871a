"""pdearena's layouts. Truths: no divergence on staggered faces, Kuramoto-Sivashinsky's own solver, rigid rotation.

Streamfunction psi at the corners of cells: vx = (psi_{j+1} - psi_j) / dy on the lower x faces and vy = -(psi_{i+1} -
psi_i) / dx on the lower y faces have no divergence, to rounding. Rotation of the sphere: u = U cos(lat), vorticity
2 U sin(lat) / a.
"""

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
from reader_checks import check_refusal, on_disk

from sciml_diffusion.data.container import grid_of
from sciml_diffusion.data.open import open_path
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.kuramoto_sivashinsky import KuramotoSivashinsky

N, T, X, Y, L = 2, 3, 16, 16, 32.0


@pytest.fixture
def flow(tmp_path):
    """The Navier-Stokes file: smoke in centres, velocities on lower faces, x that ends at L as in real files."""

    def write(group="train", times=None, name="flow", **change):
        corners = np.linspace(0, L, X + 1)
        psi = np.sin(np.pi * corners / L)[:, None] ** 2 * np.sin(2 * np.pi * corners / L)
        step = L / X
        vx, vy = np.diff(psi, axis=1)[:X] / step, -np.diff(psi, axis=0)[:, :Y] / step
        centres = (np.arange(X) + 0.5) * step
        smoke = np.exp(-((centres[:, None] - 8) ** 2 + (centres - 20) ** 2) / 20)
        scale = (1 + np.arange(N))[:, None, None, None] * np.ones((1, T, 1, 1))
        t = 18 + 1.5 * np.arange(T) * np.ones((N, 1)) if times is None else times
        edges = np.linspace(0, L, X) * np.ones((N, 1))
        content = {"u": scale * smoke, "vx": scale * vx, "vy": scale * vy, "t": t, "x": edges, "y": edges}
        content |= {
            "dt": np.full(N, 1.5),
            "dx": np.full(N, L / 15),
            "dy": np.full(N, L / 15),
            "buo_y": np.array([0.2, 0.5]),
        }
        with h5py.File(tmp_path / name, "w") as file:
            for key, values in (content | change).items():
                if values is not None:
                    file[f"{group}/{key}"] = values
        return tmp_path / name

    return write


def test_faces_and_centres(flow):
    ds = open_path(flow())
    assert ds.velocity_x.dims == ("sample", "time", "x", "y") and ds.attrs["split"] == "train"
    assert {name: field.attrs["units"] for name, field in ds.data_vars.items() if "time" in field.dims} == {
        "smoke": "1",
        "velocity_x": "1",
        "velocity_y": "1",
    }
    np.testing.assert_allclose(ds.x, (np.arange(X) + 0.5) * L / X)
    assert grid_of(ds).periods == (None, None)
    # faces as the attributes say: half a cell below the centres, so a cell lies between its own and the next face
    assert "lower faces" in ds.velocity_x.attrs["location"] and ds.attrs["staggered"] == "velocity_x, velocity_y"
    vx, vy = (ds[name].values.astype("f8") for name in ("velocity_x", "velocity_y"))
    out = np.diff(vx, axis=2)[:, :, :, :-1] + np.diff(vy, axis=3)[:, :, :-1]
    assert np.abs(vx).max() > 0.1
    np.testing.assert_allclose(out, 0, atol=1e-6)  # float32 of values up to 0.4
    centre = (ds.smoke * ds.x).sum(["x", "y"]) / ds.smoke.sum(["x", "y"])
    np.testing.assert_allclose(centre, 8, atol=0.1)  # the tail of the cloud at the wall; half a cell would be 1.0
    np.testing.assert_array_equal(ds.buo_y, [0.2, 0.5])
    np.testing.assert_array_equal(ds.time, [18, 19.5, 21])


def test_flow_stays_on_disk(flow):
    path = flow()
    ds = open_path(path)
    assert on_disk(ds.smoke)
    part = ds.velocity_x.isel(sample=1, x=[7, 2])
    with h5py.File(path) as file:
        np.testing.assert_array_equal(part, file["train/vx"][1][:, [7, 2]].astype("f4"))
    flow(buo_y=np.zeros(N))
    with pytest.raises(ValueError, match="has changed"):
        ds.smoke.load()


def test_wrong_flow_files(flow, tmp_path):
    check_refusal(flow(name="a", buo_y=None), "no buo_y")
    check_refusal(flow(name="b", vy=np.zeros((N, T, X, Y + 1))), "differ in shape")
    check_refusal(flow(name="c", t=np.zeros((N, T))), "do not increase")
    path = flow(name="d")
    with h5py.File(path, "a") as file:
        file.copy("train", "valid")
    check_refusal(path, "choose the group", "train, valid", format="pdearena")
    assert open_path(path, format="pdearena", group="valid").attrs["split"] == "valid"
    cut = flow(name="cut")
    cut.write_bytes(cut.read_bytes()[:4000])
    check_refusal(cut, "damaged")


@pytest.fixture
def chaos(tmp_path):
    """Two runs of the solver in domains of different lengths, with equal times or without."""

    def write(same: bool, name="ks", **more):
        lengths = [22.0, 22.0] if same else [22.0, 25.0]
        runs = []
        for length in lengths:
            grid = Grid.periodic((64,), (length,))
            x = torch.from_numpy(grid.coordinates[0])
            u0 = torch.cos(2 * np.pi * x / length) * (1 + torch.sin(2 * np.pi * x / length))
            runs.append(KuramotoSivashinsky(grid).solve(u0[None, None], 4.0, 9, 40)[0, 0].numpy())
        with h5py.File(tmp_path / name, "w") as file:
            file["test/pde_9-64"] = np.stack(runs)
            file["test/dx"], file["test/dt"] = np.array(lengths) / 64, np.full(2, 0.5)
            for key, values in more.items():
                file[f"test/{key}"] = values
        return tmp_path / name

    return write


def test_kuramoto_sivashinsky(chaos):
    """The solver, restarted from a stored frame on the stored grid and times, gives the next frames."""
    ds = open_path(chaos(same=True))
    grid = grid_of(ds)
    assert grid.periods == (pytest.approx(22.0),)
    start = torch.from_numpy(ds.u.values[:, 2].astype("f8"))[:, None]
    again = KuramotoSivashinsky(grid).solve(start, float(ds.time[5] - ds.time[2]), 4, 10)
    # float32 of the start, 6e-8 relative, grows by e^{0.1 t} only
    np.testing.assert_allclose(again[:, 0], ds.u[:, 2:6], atol=1e-5)


def test_lengths_that_differ_by_sample(chaos):
    ds = open_path(chaos(same=False))
    np.testing.assert_allclose(ds.length_x, [22, 25])
    assert ds.u.attrs["units"] == "1"
    assert ds.x.attrs["period"] == 1.0
    np.testing.assert_allclose(ds.x, np.arange(64) / 64)
    path = chaos(same=False, name="two", **{"pde_9-32": np.zeros((2, 9, 32))})
    check_refusal(path, "choose the array", "pde_9-32, pde_9-64")
    assert open_path(path, array="pde_9-32").u.shape == (2, 9, 32)


def rotation(speed: float) -> xr.Dataset:
    """Winds of a sphere that rotates as a whole, on a Gaussian-like grid without poles."""
    lat, lon = np.linspace(80, -80, 9), np.arange(0, 360, 30.0)
    radius = 6.371e6
    u = speed * np.cos(np.radians(lat))[:, None] * np.ones((1, 1, 9, 12))
    vor = 2 * speed / radius * np.sin(np.radians(lat))[:, None] * np.ones((1, 1, 9, 12))
    dims = ("time", "lev", "lat", "lon")
    fields = {"u": u, "v": 0 * u, "vor": vor, "pres": 1e3 + 0 * u}
    fields = {name: (dims, np.repeat(values, 3, axis=0).astype("f4")) for name, values in fields.items()}
    time = np.datetime64("2000-01-01", "ns") + np.arange(3) * np.timedelta64(12, "h")
    return xr.Dataset(fields, {"time": time, "lev": [0.5], "lat": lat, "lon": lon})


@pytest.mark.parametrize("kind", ["runs", "store"])
def test_shallow_water(tmp_path, kind):
    if kind == "store":
        pytest.importorskip("zarr")
        both = xr.concat([rotation(10.0), rotation(30.0)], xr.DataArray([0, 1], dims="b", name="b"))
        both.to_zarr(tmp_path / "swe", consolidated=False)
    else:
        for run, speed in enumerate((10.0, 30.0)):
            folder = tmp_path / "swe" / f"seed={run}" / "run0001"
            folder.mkdir(parents=True)
            rotation(speed).to_netcdf(folder / "output.nc", engine="h5netcdf")
    ds = open_path(tmp_path / "swe")
    assert ds.u.dims == ("sample", "time", "latitude", "longitude") and on_disk(ds.vor)
    assert {ds[name].attrs["units"] for name in ("u", "v", "vor", "pres")} == {""}  # the files name none
    np.testing.assert_allclose(ds.u[:, 0, 4, 0], [10, 30], rtol=1e-6)  # at the equator
    phi = np.radians(ds.latitude)
    np.testing.assert_allclose(ds.vor * np.cos(phi), ds.u * (2 / 6.371e6 * np.sin(phi)), atol=1e-12)
    assert grid_of(ds).periods == (None, 360.0)


def test_shallow_water_runs_that_differ(tmp_path):
    for run, name in enumerate(("u", "vor")):
        folder = tmp_path / f"seed={run}" / "run0001"
        folder.mkdir(parents=True)
        rotation(1.0).drop_vars(name if run else []).to_netcdf(folder / "output.nc", engine="h5netcdf")
    check_refusal(tmp_path, "lacks vor")
    (tmp_path / "seed=1" / "run0001" / "output.nc").write_bytes(b"nothing")
    check_refusal(tmp_path, "damaged or no NetCDF")
