"""The Well. Truth: Taylor-Green vortices, whose velocity is free of divergence and whose strain is known.

u = sin(ax) cos(by), v = -(a/b) cos(ax) sin(by) on [0, 2) x [0, 1), a = pi, b = 2 pi: u_x + v_y = 0.
"""

import h5py
import numpy as np
import pytest
from reader_checks import check_refusal, on_disk

from sciml_diffusion.data.container import grid_of, to_tensor
from sciml_diffusion.data.open import open_path

N, T, X, Y = 3, 4, 16, 12
TIME = 0.5 * np.arange(T)
A, B = np.pi, 2 * np.pi


def group(file, name: str, fields: dict[str, tuple[np.ndarray, dict]]):
    """A group of fields with its attribute field_names; h5py turns an empty list into floats, as in real files."""
    part = file.create_group(name)
    part.attrs["field_names"] = list(fields)
    for key, (values, attrs) in fields.items():
        part.create_dataset(key, data=values).attrs.update(attrs)


def attributes(sample=True, time=True, dims=(True, True)) -> dict:
    return {"sample_varying": sample, "time_varying": time, "dim_varying": np.array(dims)}


@pytest.fixture
def well(tmp_path):
    """Writes the layout; times of shape (N, T) make them vary by sample."""

    def write(times=TIME, boundary="PERIODIC", name="file"):
        x, y = np.arange(X) / 8, np.arange(Y) / 12
        xx, yy = np.meshgrid(x, y, indexing="ij")
        amplitude = (1 + np.arange(N))[:, None, None, None] * np.exp(-TIME)[None, :, None, None]
        u = amplitude * np.sin(A * xx) * np.cos(B * yy)
        v = -amplitude * A / B * np.cos(A * xx) * np.sin(B * yy)
        strain = amplitude * A * np.cos(A * xx) * np.cos(B * yy)  # u_x
        tensor = np.stack([np.stack([strain, 0 * strain], -1), np.stack([0 * strain, -strain], -1)], -1)
        with h5py.File(tmp_path / name, "w") as file:
            file.attrs.update({"dataset_name": "vortices", "grid_type": "cartesian", "n_spatial_dims": 2})
            file.attrs.update({"n_trajectories": N, "simulation_parameters": ["Re"], "Re": 100.0})
            space = file.create_group("dimensions")
            space.attrs["spatial_dims"] = ["x", "y"]
            space.create_dataset("time", data=times).attrs["sample_varying"] = np.ndim(times) == 2
            for dim, values in {"x": x, "y": y}.items():
                space.create_dataset(dim, data=values.astype("f4")).attrs["sample_varying"] = False
                part = file.create_group(f"boundary_conditions/{dim}_ends")
                part.attrs.update({"associated_dims": [dim], "bc_type": "PERIODIC" if dim == "x" else boundary})
            scalars = {
                "Re": (100.0, {"sample_varying": False, "time_varying": False}),
                "amplitude": (1.0 + np.arange(N), {"sample_varying": True, "time_varying": False}),
            }
            group(file, "scalars", scalars)
            profile = attributes(sample=False, time=False, dims=(False, True))
            fields = {"tracer": (u.astype("f4"), attributes()), "profile": (np.cos(B * y).astype("f4"), profile)}
            group(file, "t0_fields", fields)
            group(file, "t1_fields", {"velocity": (np.stack([u, v], -1).astype("f4"), attributes())})
            group(file, "t2_fields", {"gradient": (tensor.astype("f4"), attributes())})
        return tmp_path / name

    return write


def derivative(values: np.ndarray, axis: int, length: float) -> np.ndarray:
    """Spectral derivative along an axis of equal steps."""
    k = 2j * np.pi * np.fft.fftfreq(values.shape[axis], length / values.shape[axis])
    k = k.reshape([-1 if i == axis % values.ndim else 1 for i in range(values.ndim)])
    return np.fft.ifft(k * np.fft.fft(values, axis=axis), axis=axis).real


def test_components_lie_along_their_axes(well):
    ds = open_path(well())
    assert ds.velocity_x.dims == ("sample", "time", "x", "y")
    u, v = (ds[name].values.astype("f8") for name in ("velocity_x", "velocity_y"))
    ux, vy = derivative(u, -2, 2.0), derivative(v, -1, 1.0)
    assert np.abs(ux).max() > 1
    np.testing.assert_allclose(ux + vy, 0, atol=2e-5)  # float32 of values up to 3, times k up to 2 pi 6
    np.testing.assert_allclose(ds.gradient_xx, ux, atol=2e-5)
    np.testing.assert_allclose(ds.gradient_yy, vy, atol=2e-5)
    np.testing.assert_array_equal(ds.gradient_xy, 0)


def test_grid_parameters_and_what_does_not_vary(well):
    ds = open_path(well(boundary="WALL"))
    grid = grid_of(ds)
    assert grid.dims == ("x", "y") and grid.periods == (pytest.approx(2.0), None)
    assert ds.attrs["boundary"] == "x: periodic, y: wall" and ds.attrs["Re"] == 100.0
    assert not {"n_spatial_dims", "n_trajectories"} & set(ds.attrs)
    assert {ds[name].attrs["units"] for name in ("tracer", "velocity_x", "gradient_xy", "profile")} == {""}
    np.testing.assert_array_equal(ds.amplitude, [1, 2, 3])
    np.testing.assert_array_equal(ds.time, TIME)
    assert ds.profile.dims == ("sample", "x", "y")
    np.testing.assert_allclose(ds.profile.isel(sample=[2, 0], x=slice(3, 6)).std(["sample", "x"]), 0, atol=1e-7)
    np.testing.assert_allclose(ds.profile[1, 4], np.cos(B * ds.y), atol=1e-6)
    assert to_tensor(ds, ["velocity_x", "tracer"]).shape == (N, T, 2, X, Y)


def test_times_that_differ_by_sample(well):
    ds = open_path(well(times=TIME + np.arange(N)[:, None]))
    np.testing.assert_array_equal(ds.time, TIME)
    np.testing.assert_array_equal(ds.start_time, [0, 1, 2])
    ds = open_path(well(times=TIME * (1 + np.arange(N)[:, None]), name="other"))
    np.testing.assert_array_equal(ds.time, np.arange(T))
    np.testing.assert_array_equal(ds.model_time[2], 3 * TIME)


def test_parts_are_read_when_they_are_used(well):
    path = well()
    ds = open_path(path)
    assert on_disk(ds.velocity_y) and on_disk(ds.profile)
    part = ds.velocity_y.isel(sample=[2, 0], time=slice(None, None, 2), x=5)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(part, file["t1_fields/velocity"][()][[2, 0], ::2, 5, :, 1])
        np.testing.assert_array_equal(ds.gradient_yy[1, 2], file["t2_fields/gradient"][1, 2, ..., 1, 1])


def test_empty_groups(well):
    path = well()
    with h5py.File(path, "a") as file:
        del file["t2_fields"]
        group(file, "t2_fields", {})
        assert file["t2_fields"].attrs["field_names"].dtype == np.float64
    assert "velocity_x" in open_path(path)


def test_what_is_missing_or_does_not_fit(well, tmp_path):
    def broken(name, change):
        path = well(name=name)
        with h5py.File(path, "a") as file:
            change(file)
        return path

    check_refusal(
        broken("a", lambda f: f["dimensions"].attrs.__delitem__("spatial_dims")), "not complete", "spatial_dims"
    )
    check_refusal(broken("b", lambda f: f["t1_fields"].__delitem__("velocity")), "velocity")
    check_refusal(broken("c", lambda f: f["t0_fields/tracer"].attrs.update({"time_varying": False})), "shape", "tracer")
    check_refusal(broken("d", lambda f: f["dimensions"].attrs.update({"spatial_dims": ["lon", "depth"]})), "not known")
    cut = well(name="cut")
    cut.write_bytes(cut.read_bytes()[:3000])
    check_refusal(cut, "damaged")
    changed = well(name="changed")
    ds = open_path(changed)
    well(name="changed", times=TIME + 1)
    with pytest.raises(ValueError, match="has changed"):
        ds.tracer.load()
