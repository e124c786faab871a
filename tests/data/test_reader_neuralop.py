"""neuraloperator's torch files: two real ones, and what must be refused. Truths: Burgers solved again; a maximum
principle for Darcy; the numbers that were written."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from sciml_diffusion.data.container import grid_of, to_tensor
from sciml_diffusion.data.open import open_path
from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.resources import resource_folder

SAMPLES = resource_folder("datasets") / "samples" / "neuralop"


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_burgers_is_what_the_viscosity_in_the_file_makes_of_the_initial_state():
    """16 points in place of the finer grid cost a few per cent at the last frame; half the time does not fit it."""
    ds = open_path(SAMPLES / "burgers_train_16.pt")
    assert ds.u.dims == ("sample", "time", "x") and ds.attrs["nu"] == pytest.approx(0.01)
    np.testing.assert_allclose(ds.time, np.arange(17) / 16)
    u = to_tensor(ds, dtype=torch.float64)[:, :, 0]
    solved = Burgers(grid_of(ds), ds.attrs["nu"]).solve(u[:, 0][:, None], 1.0, 17)[:, 0]
    errors = [float((solved[:, n] - u[:, 16]).norm() / u[:, 16].norm()) for n in (8, 16)]
    assert errors[1] < 0.05 < 0.3 < errors[0]
    assert (u.mean(-1) - u[:, :1].mean(-1)).abs().max() < 3e-3  # conserved, but for the sampling


def test_darcy_is_positive_inside_and_small_on_the_rim():
    ds = open_path(SAMPLES / "darcy_test_16.pt")
    assert ds.a.dims == ds.u.dims == ("sample", "time", "x", "y") and list(ds.time) == [0.0]
    assert set(np.unique(ds.a)) == {0.0, 1.0} and ds.a.dtype == np.float32
    mean = ds.u.mean("sample").isel(time=0)
    assert float(abs(mean.isel(x=0)).max()) < 0.02 < 0.4 < float(mean.max())
    inside = ds.u.isel(time=0, x=slice(2, 14), y=slice(2, 14))
    # less resistance, less pressure: a and u go against each other
    assert float(np.corrcoef(ds.a.mean(("x", "y", "time")), inside.mean(("x", "y")))[0, 1]) < -0.5


def test_real_files_are_opened_by_content(tmp_path):
    (tmp_path / "data.nc").write_bytes((SAMPLES / "darcy_test_16.pt").read_bytes())
    assert open_path(tmp_path / "data.nc").identical(open_path(SAMPLES / "darcy_test_16.pt"))


@pytest.fixture
def saved(tmp_path):
    """Saves the Burgers layout: a strided view into a larger tensor, as the published files do."""

    def write(**changes):
        y = torch.arange(16.0 * 5 * 60, dtype=torch.float64).reshape(16, 5, 60).permute(2, 1, 0)[:20]
        content = {"x": y[:, 0], "y": y, "visc": torch.full((1, 1), 0.02)} | changes
        torch.save({k: v for k, v in content.items() if v is not None}, tmp_path / "f.pt")
        return tmp_path / "f.pt", y

    return write


def test_views_into_larger_tensors_leave_them_behind(saved):
    """What is read owns its memory and no more than it holds."""
    path, y = saved()
    ds = open_path(path)
    part = ds.u.isel(sample=[3, 5], time=2).values
    np.testing.assert_array_equal(part, y[[3, 5], 2].numpy())
    assert part.base is None or part.base.nbytes == part.nbytes
    path.unlink()  # nothing holds on to the file
    assert part[0, 0] == float(y[3, 2, 0])


def test_nothing_is_read_at_opening(saved, monkeypatch):
    from sciml_diffusion.data.readers import neuralop_pt

    blocks, whole = [], neuralop_pt.outer
    monkeypatch.setattr(neuralop_pt, "outer", lambda array, key: blocks.append(whole(array, key)) or blocks[-1])
    ds = open_path(saved()[0])
    assert not blocks
    ds.u.isel(sample=2).compute()
    assert [block.shape for block in blocks] == [(5, 16)]


def test_wrong_content(saved):
    y = torch.zeros(4, 5, 16)
    with pytest.raises(ValueError, match="no known format|not NetCDF"):
        open_path(saved(x=None)[0])
    with pytest.raises(ValueError, match="lacks the tensors x and y; it has y, visc"):
        open_path(saved(x=None)[0], format="neuralop_pt")
    with pytest.raises(ValueError, match=r"got \(7, 16\) and \(20, 5, 16\)"):
        open_path(saved(x=torch.zeros(7, 16))[0], format="neuralop_pt")
    with pytest.raises(ValueError, match=r"y\[:, 0\] is not x"):
        open_path(saved(x=torch.ones(4, 16), y=y)[0])
    square = torch.rand(4, 8, 8, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match='equation="darcy" or "navier-stokes"'):
        open_path(saved(x=square, y=square)[0])
    ds = open_path(saved(x=square, y=square)[0], equation="navier-stokes")
    assert list(ds.data_vars) == ["f", "vorticity"] and grid_of(ds).periods == (1.0, 1.0)


@pytest.mark.parametrize("kind", ["archive", "legacy", "pickle"])
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path, kind):
    marker, path = tmp_path / "ran", tmp_path / "f.pt"
    content = {"x": torch.zeros(3, 4), "y": torch.zeros(3, 2, 4), "z": Malicious(marker)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "archive")
    for name in (None, "neuralop_pt"):
        with pytest.raises(ValueError, match="could run code, so it is refused"):
            open_path(path, format=name)
    assert not marker.exists()


def test_legacy_torch_files_are_read(tmp_path):
    content = {"x": torch.zeros(3, 4), "y": torch.zeros(3, 2, 4)}
    torch.save(content, tmp_path / "f", _use_new_zipfile_serialization=False)
    assert dict(open_path(tmp_path / "f").sizes) == {"sample": 3, "time": 2, "x": 4}


def test_damaged(saved, tmp_path):
    whole = saved()[0].read_bytes()
    for part in (0.3, 0.9):
        (tmp_path / "cut").write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(ValueError, match="damaged or incomplete"):
            open_path(tmp_path / "cut")


def test_a_file_that_changes(saved):
    path, _ = saved()
    ds = open_path(path)
    torch.save({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="has changed since it was opened"):
        ds.u.compute()
