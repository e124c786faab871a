"""MATLAB layouts of FNO, PINO and DiffusionPDE, written here. Truths: our solvers of Burgers, Navier-Stokes and Darcy
made the numbers; the right order of axes solves the equation, the wrong one does not."""

import math

import numpy as np
import pytest
import torch
from data.matlab_files import save_matlab
from scipy.io import savemat

from sciml_diffusion.data.axis_order import fno_forcing, navier_stokes_order
from sciml_diffusion.data.container import grid_of, to_tensor
from sciml_diffusion.data.open import open_path
from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.physics.elliptic.darcy import Darcy
from sciml_diffusion.physics.elliptic.helmholtz import Helmholtz
from sciml_diffusion.physics.elliptic.poisson import Poisson
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.navier_stokes import NavierStokes

NU, POINTS = 1e-3, 24
VERSIONS = ["v5", "v5-packed", "v7.3"]


def forcing(grid: Grid) -> torch.Tensor:
    """0.1 (sin + cos)(2 pi (x + y)), which does not change when x and y are exchanged."""
    x = 2 * math.pi * torch.from_numpy(grid.coordinates[0].copy())
    return 0.1 * (torch.sin(x[:, None] + x) + torch.cos(x[:, None] + x))


@pytest.fixture(scope="module")
def vortices() -> np.ndarray:
    """FNO's equation from three smooth states: (sample 3, time 4, x, y), one unit of time between frames."""
    grid = Grid.periodic((POINTS, POINTS), (1.0, 1.0), dims=("x", "y"))
    x, y = torch.meshgrid(*(2 * math.pi * torch.from_numpy(c.copy()) for c in grid.coordinates), indexing="ij")
    waves = [torch.sin(x + s) * torch.cos(2 * y) + 0.5 * torch.cos(3 * x + y * (s + 1)) for s in range(3)]
    return NavierStokes(grid, NU, forcing=forcing(grid)).solve(torch.stack(waves)[:, None], 3.0, 4)[:, 0].numpy()


@pytest.fixture
def fno(tmp_path, vortices):
    """Writes a, u and t as FNO does; `swapped` exchanges x and y, as some programs that read v7.3 do."""

    def write(version="v7.3", swapped=False, frames=vortices, **changes):
        frames = frames.swapaxes(2, 3) if swapped else frames
        arrays = {"a": frames[:, 0], "u": frames[:, 1:].transpose(0, 2, 3, 1), "t": np.arange(1.0, 4)[None]} | changes
        kept = {name: np.asarray(array, "f4") for name, array in arrays.items() if array is not None}
        return save_matlab(tmp_path / "ns.mat", version, **kept)

    return write


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("swapped", [False, True])
def test_order_of_axes_is_the_one_that_solves_the_equation(fno, vortices, version, swapped):
    """An interval in the middle, solved again in the order found: float32 on disk; in the other order it fails."""
    ds = open_path(fno(version, swapped), viscosity=NU)
    assert ds.vorticity.dims == ("sample", "time", *(("y", "x") if swapped else ("x", "y")))
    np.testing.assert_array_equal(ds.time, [0, 1, 2, 3])
    np.testing.assert_array_equal(ds.vorticity.transpose("sample", "time", "x", "y"), vortices.astype("f4"))
    w = to_tensor(ds, dtype=torch.float64)[:, 1:3, 0]
    for dims in (("x", "y"), ("y", "x")):
        grid = Grid(dims, grid_of(ds).coordinates, grid_of(ds).periods)
        end = NavierStokes(grid, ds.attrs["nu"], forcing=forcing(grid)).solve(w[:, :1], 1.0, 2)[:, 0, 1]
        error = float((end - w[:, 1]).norm() / (w[:, 1] - w[:, 0]).norm())
        assert error < 1e-4 if dims == grid_of(ds).dims else error > 0.3


@pytest.mark.parametrize("version", VERSIONS)
def test_order_of_axes_is_found_without_the_viscosity(fno, version):
    for swapped, dims in ((True, ("y", "x")), (False, ("x", "y"))):
        ds = open_path(fno(version, swapped))
        assert ds.vorticity.dims[2:] == dims and "nu" not in ds.attrs


@pytest.mark.parametrize("version", VERSIONS)
def test_an_order_that_cannot_be_found_is_asked_for(fno, vortices, version):
    """A state symmetric in x and y, and one that solves no such equation."""
    symmetric = vortices + vortices.swapaxes(2, 3)
    noise = np.random.default_rng(0).standard_normal(vortices.shape)
    for frames in (symmetric, noise):
        path = fno(version, frames=frames)
        with pytest.raises(ValueError, match='give axes="xy" or axes="yx", or viscosity='):
            open_path(path)
        with pytest.raises(ValueError, match="for viscosity 0.001, .* check viscosity= and dt="):
            open_path(path, viscosity=NU)
        assert open_path(path, axes="yx").vorticity.dims[2:] == ("y", "x")
    with pytest.raises(ValueError, match='axes is "xy" or "yx"'):
        open_path(fno(), axes="x")
    some = vortices[:, :2]
    assert navier_stokes_order(some[:, 0], some[:, 1], 1.0, (NU,), fno_forcing) == "xy"
    assert navier_stokes_order(some[:, 0], some[:, 0] + 1e-3, 1.0, (NU,), fno_forcing) is None


def test_initial_state_comes_first_and_pieces_join(fno, vortices):
    """Every way to ask for frames across the seam between a and u gives what numpy gives."""
    w = open_path(fno("v7.3"), axes="xy").vorticity
    truth = vortices.astype("f4")
    for key in (
        (0,),
        (slice(None), 0),
        (1, slice(0, 2)),
        (slice(1), slice(1, None, 2), 3),
        ([2, 0], [3, 0, 1], slice(2, 5), [4, 1]),
        (slice(None), slice(None, None, -1)),
        (0, [], 1),
        (slice(None), -1, slice(None), -1),
    ):
        expected = truth
        for axis in reversed(range(len(key))):
            expected = expected[(slice(None),) * axis + (key[axis],)]
        np.testing.assert_array_equal(w[key], expected, err_msg=str(key))


def test_a_sample_of_v73_is_read_alone(fno, monkeypatch):
    from sciml_diffusion.data import matlab

    blocks, whole = [], matlab.outer
    monkeypatch.setattr(matlab, "outer", lambda array, key: blocks.append(whole(array, key)) or blocks[-1])
    ds = open_path(fno(), axes="xy")
    blocks.clear()
    ds.vorticity.isel(sample=1, time=2).compute()
    assert max(block.size for block in blocks) == POINTS**2


def test_times(fno):
    with pytest.raises(ValueError, match="give dt= > 0"):
        open_path(fno("v5", t=None))
    np.testing.assert_array_equal(open_path(fno("v5", t=None), dt=0.5, axes="xy").time, [0, 0.5, 1, 1.5])
    tenths = open_path(fno("v5", t=np.array([[0.1, 0.2, 0.3]])), axes="xy")
    np.testing.assert_allclose(tenths.time, [0, 0.1, 0.2, 0.3], rtol=1e-6)


def test_shapes_that_do_not_fit(fno, vortices):
    with pytest.raises(ValueError, match=r"expected; got \(3, 24, 20\) and \(3, 24, 24, 3\)"):
        open_path(fno("v5", a=np.zeros((3, 24, 20))))
    with pytest.raises(ValueError, match="lacks a and u"):
        open_path(fno("v5", a=None), format="fno_mat")


@pytest.fixture(scope="module")
def waves() -> np.ndarray:
    """Burgers, nu = 0.01, on 32 points: (sample 4, time 32, x), t in [0, 1]."""
    x = torch.arange(32, dtype=torch.float64) / 32
    u0 = torch.stack([torch.sin(2 * math.pi * x + s) + 0.2 * s for s in range(4)])[:, None]
    return Burgers(Grid.periodic((32,), (1.0,)), 0.01).solve(0.5 * u0, 1.0, 32)[:, 0].numpy()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("order", ["tx", "xt"])
def test_trajectories_of_burgers_in_both_orders(tmp_path, waves, version, order):
    """Time and space have the same size; where output repeats input tells them apart. The equation holds."""
    output = waves if order == "tx" else waves.swapaxes(1, 2)
    path = save_matlab(tmp_path / "b", version, input=waves[:, 0], output=output, visc=np.array([[0.01]]))
    ds = open_path(path)
    np.testing.assert_array_equal(ds.u, waves.astype("f4"))
    u = to_tensor(ds, dtype=torch.float64)[:, :, 0]
    dt = float(ds.time[1])
    again = Burgers(grid_of(ds), ds.attrs["nu"]).solve(u[:, 5:6], dt, 2)[:, 0, 1]
    assert (again - u[:, 6]).abs().max() < 1e-3 * (u[:, 6] - u[:, 5]).abs().max()  # 32 points resolve 0.01 to 1e-4


def test_frames_without_the_initial_state(tmp_path, waves):
    path = save_matlab(tmp_path / "b", "v5", input=waves[:, 0], output=waves[:, 1:])
    ds = open_path(path)
    assert ds.sizes["time"] == 32 and "nu" not in ds.attrs
    np.testing.assert_array_equal(ds.u.isel(time=0), waves[:, 0].astype("f4"))
    np.testing.assert_array_equal(ds.u.isel(time=-1), waves[:, -1].astype("f4"))
    assert open_path(path, viscosity=0.01).sizes["time"] == 32  # the first interval, solved


@pytest.mark.parametrize("order", ["tx", "xt"])
@pytest.mark.parametrize("frames", [2, 4, 30])
@pytest.mark.parametrize("viscosity", [None, 0.01])
def test_an_input_that_output_does_not_continue(tmp_path, waves, order, frames, viscosity):
    """The initial states of other samples, beside few frames or many, with the equation or without."""
    later = waves[:, np.linspace(1, 31, frames).astype(int)]
    output = later if order == "tx" else later.swapaxes(1, 2)
    path = save_matlab(tmp_path / "b", "v5", input=waves[[2, 3, 0, 1], 0], output=output)
    with pytest.raises(ValueError, match="neither begins with input nor continues it.*join=True if so, join=False"):
        open_path(path, viscosity=viscosity)
    alone, both = (open_path(path, viscosity=viscosity, join=join) for join in (False, True))
    np.testing.assert_array_equal(alone.u, later.astype("f4"))
    assert both.sizes["time"] == frames + 1 and list(alone.time[[0, -1]]) == list(both.time[[0, -1]]) == [0.0, 1.0]


def test_orders_that_stay_open(tmp_path, waves):
    path = save_matlab(tmp_path / "b", "v5", input=waves[:, 0] + 1, output=waves)
    with pytest.raises(ValueError, match='repeats input nowhere.*axes="tx" or axes="xt"'):
        open_path(path)
    with pytest.raises(ValueError, match="nor continues it"):
        open_path(path, axes="xt", viscosity=0.01)
    assert open_path(path, axes="xt", viscosity=0.01, join=True).sizes["time"] == 33
    with pytest.raises(ValueError, match="output of shape .* was expected"):
        open_path(save_matlab(tmp_path / "b", "v5", input=waves[:, 0], output=waves[..., :30]), axes="tx")


def test_first_and_last_states_of_burgers(tmp_path, waves):
    """FNO's a and u: solving from a to t = 1 gives u."""
    ds = open_path(save_matlab(tmp_path / "b", "v5", a=waves[:, 0], u=waves[:, -1]), viscosity=0.01)
    assert list(ds.time) == [0.0, 1.0]
    u = to_tensor(ds, dtype=torch.float64)[:, :, 0]
    end = Burgers(grid_of(ds), ds.attrs["nu"]).solve(u[:, :1], 1.0, 2)[:, 0, 1]
    assert (end - u[:, 1]).abs().max() < 1e-4  # float32, and other steps


def layers(points: int, nodes: bool) -> tuple[np.ndarray, np.ndarray]:
    """Two samples of -(a u')' = 1 across x, in closed form with a = 3: u = x (1 - x) / 6, times a profile in y."""
    x = np.linspace(0, 1, points) if nodes else (np.arange(points) + 0.5) / points
    u = x[:, None] * (1 - x[:, None]) * x * (1 - x)
    return np.full((2, points, points), 3.0), np.stack([u, 2 * u])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("nodes", [False, True])
@pytest.mark.parametrize("names", [("coeff", "sol"), ("thresh_a_data", "thresh_p_data")])
def test_darcy_points_are_nodes_where_the_rim_is_zero(tmp_path, version, nodes, names):
    """u = x (1 - x) y (1 - y) is recovered at the coordinates that the reader gives."""
    a, u = layers(21, nodes)
    ds = open_path(save_matlab(tmp_path / "d", version, **dict(zip(names, (a, u), strict=True))))
    x, y = ds.x, ds.y
    np.testing.assert_allclose(ds.u.isel(sample=0, time=0), x * (1 - x) * y * (1 - y), atol=1e-7)
    assert ds.a.dims == ("sample", "time", "x", "y") and float(ds.a.min()) == 3
    assert ("nodes" in ds.attrs["grid"]) == nodes


@pytest.mark.parametrize("version", VERSIONS)
def test_darcy_solves_its_equation(tmp_path, version):
    """A solution of ours on nodes: what is read has a small residual on the stencil that the attributes name, and a
    large one where the coefficient of the file is turned around. 1e-3: float32 of u, over h^2."""
    rng, points = np.random.default_rng(0), 21
    a = torch.from_numpy(np.where(rng.standard_normal((3, 1, 3, 3)) > 0, 12.0, 3.0)).repeat_interleave(7, 2)
    a = a.repeat_interleave(7, 3)
    u = Darcy(Grid.nodes((points, points), (1.0, 1.0)), points="nodes", faces="arithmetic").solve(a)
    ds = open_path(save_matlab(tmp_path / "d", version, coeff=a[:, 0].numpy(), sol=u[:, 0].numpy().astype("f4")))
    problem = Darcy(grid_of(ds), points=ds.attrs["points"], faces=ds.attrs["faces"])
    fields = to_tensor(ds, ["a", "u"], dtype=torch.float64)[:, 0]
    coefficient, solution = fields[:, :1], fields[:, 1:]
    assert problem.residual(coefficient, solution).abs().max() < 1e-3  # of f = 1
    assert problem.residual(coefficient.mT, solution).abs().max() > 0.3


def test_both_kinds_of_coefficients_and_sources(tmp_path):
    a, u = layers(16, False)
    both = {"thresh_a_data": a, "thresh_p_data": u, "lognorm_a_data": a / 3, "lognorm_p_data": u * 3}
    path = save_matlab(tmp_path / "d", "v7.3", **both)
    assert float(open_path(path).a.max()) == 3
    assert float(open_path(path, coefficient="lognormal").a.max()) == 1
    with pytest.raises(ValueError, match='"thresh" or "lognormal"'):
        open_path(path, coefficient="smooth")


@pytest.mark.parametrize(("name", "k"), [("phi_data", 0.0), ("psi_data", 1.0)])
def test_sources_and_solutions_satisfy_the_equation(tmp_path, name, k):
    """Our solutions of random sources: what is read has no residual but float32 of u, over h^2."""
    f = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 1, 17, 17)))
    grid = Grid.nodes((17, 17), (1.0, 1.0))
    u = (Helmholtz(grid, k, points="nodes") if k else Poisson(grid, points="nodes")).solve(f)
    arrays = {"f_data": f[:, 0].numpy(), name: u[:, 0].numpy()}
    ds = open_path(save_matlab(tmp_path / "p", "v5", **arrays))
    assert ds.attrs.get("k", 0.0) == k
    problem = Helmholtz(grid_of(ds), ds.attrs["k"], points="nodes") if k else Poisson(grid_of(ds), points="nodes")
    fields = to_tensor(ds, ["f", "u"], dtype=torch.float64)[:, 0]
    source, solution = fields[:, :1], fields[:, 1:]
    assert problem.residual(source, solution).abs().max() < 1e-4
    assert problem.residual(source.mT, solution).abs().max() > 1
    with pytest.raises(ValueError, match="of one shape"):
        open_path(save_matlab(tmp_path / "p", "v5", **(arrays | {"f_data": f[:, 0, :9].numpy()})))


@pytest.mark.parametrize("version", VERSIONS)
def test_damaged(fno, tmp_path, version):
    whole = fno(version).read_bytes()
    for part in (0.2, 0.8):
        (tmp_path / "cut").write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(ValueError, match="damaged or incomplete"):
            open_path(tmp_path / "cut", axes="xy").compute()


def test_a_file_that_changes(fno):
    path = fno("v5")
    ds = open_path(path)
    savemat(path, {"a": np.zeros(3)})
    with pytest.raises(ValueError, match="has changed since it was opened"):
        ds.vorticity.compute()


def test_other_byte_order(tmp_path, waves):
    """Big-endian numbers in HDF5 read as native float32."""
    path = save_matlab(tmp_path / "b", "v7.3", a=waves[:, 0].astype(">f8"), u=waves[:, -1].astype(">f8"))
    u = open_path(path).u.values
    assert u.dtype.isnative and torch.from_numpy(u).shape == (4, 2, 32)
    np.testing.assert_array_equal(u[:, 0], waves[:, 0].astype("f4"))
