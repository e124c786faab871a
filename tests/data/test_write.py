"""Trajectories on disk. Truths: a generator whose samples are known numbers; the statistics of numpy; the files."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml_diffusion.data import write
from sciml_diffusion.data.generate import generate
from sciml_diffusion.data.generators.base import Generator, Variable, times
from sciml_diffusion.data.generators.burgers import BurgersGenerator
from sciml_diffusion.data.manifest import Manifest, verify_trajectories
from sciml_diffusion.data.moments import trajectory_statistics
from sciml_diffusion.data.probe import Probe
from sciml_diffusion.data.readers import shards
from sciml_diffusion.data.write import write_trajectories

SOLVED = []  # blocks that the counting generator has solved


@dataclass(frozen=True)
class Counting(Generator):
    """u(sample, time, x) = 100 seed + sample + time / 8 + x, m(x) = x, p(sample) = -sample."""

    points: int = 3
    frames: int = 5
    bad: int = -1  # a sample that is never finite
    shy: int = -1  # a sample that is finite with half the step only
    name = "counting"
    title, equation, law, boundary, solver = "Counting", "u = s + t + x", "none", "none", "none"
    block, largest = 4, 1 << 16

    @property
    def variables(self):
        u = Variable("u", ("time", "x"), "count")
        return u, Variable("m", ("x",), "mask", shared=True), Variable("p", (), "parameter", "kg")

    @property
    def axes(self):
        return times(1.0, self.frames) | {"x": (np.arange(float(self.points)), {"units": "1", "long_name": "x"})}

    def solve(self, seed, samples, refine):
        SOLVED.append(samples.start // self.block)
        t, x = (self.axes[d][0] for d in ("time", "x"))
        u = 100.0 * seed + np.array(samples)[:, None, None] + t[:, None] / 8 + x
        for sample in (self.bad, self.shy):
            if sample in samples and (sample == self.bad or refine == 1):
                u[samples.index(sample), 2:] = np.nan
        return {"u": u, "m": x, "p": -np.array(samples, float)}


@pytest.fixture(autouse=True)
def forget():
    SOLVED.clear()


def content(folder: Path) -> xr.Dataset:
    with shards.read(folder) as ds:
        return ds.load()


def test_the_folder_holds_what_was_asked_for(tmp_path):
    done = write_trajectories(Counting(), tmp_path / "a", 5, seed=2, start=3)
    assert done[:3] == (5, 5, ["fields.nc"])
    assert {p.name for p in (tmp_path / "a").iterdir()} == {
        "fields.nc", "manifest.json", "statistics.json", "README.md",
    }  # fmt: skip
    ds = xr.open_dataset(tmp_path / "a" / "fields.nc", engine="h5netcdf")
    assert ds.u.dims == ("sample", "time", "x") and ds.m.dims == ("x",) and ds.p.dims == ("sample",)
    assert ds.sample.values.tolist() == [3, 4, 5, 6, 7]
    expected = 200 + ds.sample + ds.time / 8 + ds.x
    assert np.array_equal(ds.u, expected)  # all are multiples of 1/32 below 2^24: exact in float32
    assert np.array_equal(ds.p, -ds.sample) and np.array_equal(ds.m, ds.x)
    assert ds.u.encoding["chunksizes"] == (1, 5, 3) and ds.u.dtype == np.float32
    assert ds.attrs["equation"] == "u = s + t + x" and ds.attrs["seed"] == 2 and ds.attrs["points"] == 3
    assert ds.p.attrs["units"] == "kg"
    assert verify_trajectories(tmp_path / "a") == 5
    card = (tmp_path / "a" / "README.md").read_text()
    assert "u = s + t + x" in card and "from index 3 of seed 2" in card and "| p | sample | parameter | kg |" in card


@pytest.mark.parametrize("format", ["netcdf", "zarr"])
@pytest.mark.parametrize("shard", [1, 6, 11])
def test_files_of_any_size_hold_the_same(tmp_path, shard, format):
    """11 samples from 2 on: blocks 0 to 3, each solved once, though neither files nor start fit them."""
    write_trajectories(Counting(), tmp_path / "a", 11, seed=0, start=2, shard=shard, format=format)
    assert sorted(SOLVED) == [0, 1, 2, 3]
    assert len(Manifest.load(tmp_path / "a").shards) == -(-11 // shard)
    assert shards.recognises(Probe(tmp_path / "a")) and not shards.recognises(Probe(tmp_path))
    got, expected = content(tmp_path / "a"), generate(Counting(), 11, 0, start=2)
    xr.testing.assert_identical(got, expected)
    lazy = shards.read(tmp_path / "a")
    for key in [{"sample": [9, 0, 5]}, {"sample": 7, "time": slice(1, None, 2)}, {"sample": slice(3, 9), "x": [2, 0]}]:
        xr.testing.assert_identical(lazy.isel(key).load(), expected.isel(key))
    assert lazy.isel(sample=[]).u.values.shape == (0, 5, 3)


def test_worker_processes_change_nothing(tmp_path):
    """Bit for bit, on a real solver: each block is solved on one thread whatever the number of processes."""
    generator = BurgersGenerator(16, 5, nu=0.1)
    write_trajectories(generator, tmp_path / "one", 100, seed=1, shard=30)
    write_trajectories(generator, tmp_path / "two", 100, seed=1, shard=70, workers=2)
    xr.testing.assert_identical(content(tmp_path / "one"), content(tmp_path / "two"))
    one, two = (json.loads((tmp_path / name / "statistics.json").read_text()) for name in ("one", "two"))
    assert one["u"]["values"]["std"] == pytest.approx(two["u"]["values"]["std"], rel=1e-12)  # sums in another order


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    """The third file is interrupted while it is written: the first two stay, nothing half-written does."""
    usual, calls = write._write, []

    def interrupted(ds, folder, name):
        calls.append(name)
        if len(calls) == 3:
            (folder / f"{name}{write.PART}").write_bytes(b"half")
            raise KeyboardInterrupt
        return usual(ds, folder, name)

    monkeypatch.setattr(write, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_trajectories(Counting(), tmp_path, 16, seed=0, shard=4)
    assert [s["first"] for s in Manifest.load(tmp_path).shards] == [0, 4]
    with pytest.raises(ValueError, match="8 of 16 samples; resume=true"):
        verify_trajectories(tmp_path)
    assert content(tmp_path).sizes["sample"] == 8  # what is whole can be read already
    monkeypatch.setattr(write, "_write", usual)
    before = (tmp_path / "fields-00000.nc").stat().st_mtime_ns
    with pytest.raises(FileExistsError, match="resume=true"):
        write_trajectories(Counting(), tmp_path, 16, seed=0, shard=4)
    SOLVED.clear()
    done = write_trajectories(Counting(), tmp_path, 16, seed=0, shard=4, resume=True)
    assert (done.samples, done.made) == (16, 8) and SOLVED == [2, 3]
    assert (tmp_path / "fields-00000.nc").stat().st_mtime_ns == before
    xr.testing.assert_identical(content(tmp_path), generate(Counting(), 16, 0))
    assert not list(tmp_path.glob(f"*{write.PART}"))


def test_a_file_that_breaks_off_leaves_nothing(tmp_path, monkeypatch):
    def broken(self, path, **options):
        Path(path).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", broken)
    with pytest.raises(OSError, match="no space"):
        write_trajectories(Counting(), tmp_path, 4, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_damage_is_seen_and_mended(tmp_path):
    write_trajectories(Counting(), tmp_path, 8, seed=0, shard=4)
    lazy = shards.read(tmp_path)
    path = tmp_path / "fields-00001.nc"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"fields-00001.nc has changed since it was opened"):
        lazy.u.isel(sample=5).load()
    with pytest.raises(ValueError, match=r"fields-00001.nc is missing or damaged"):
        verify_trajectories(tmp_path)
    with pytest.raises(ValueError, match="checksum"):
        shards.read(tmp_path, verify=True)
    path.write_bytes(data[:-100])
    with pytest.raises(ValueError, match="its manifest says"):
        shards.read(tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match="missing"):
        shards.read(tmp_path)
    assert write_trajectories(Counting(), tmp_path, 8, seed=0, shard=4, resume=True).made == 4
    xr.testing.assert_identical(content(tmp_path), generate(Counting(), 8, 0))


def test_a_damaged_manifest_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder of generated trajectories"):
        Manifest.load(tmp_path)
    (tmp_path / "manifest.json").write_text('{"kind": "sciml_diffusion trajectories", "request": {}')
    for text in ('{"request": {}', '{"request": {}, "shards": []}', '{"more": 1}', "[]"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(ValueError, match="damaged"):
            Manifest.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "begun with seed=0, now it is 1"),
        ({"samples": 12}, "begun with samples=8, now it is 12"),
        ({"shard": 2}, "begun with shard=4, now it is 2"),
        ({"format": "zarr"}, "begun with format=netcdf"),
        ({"generator": Counting(points=4)}, "begun with points=3, now it is 4"),
        ({"generator": BurgersGenerator()}, "begun with"),
    ],
)
def test_another_request_is_refused(tmp_path, change, words):
    usual = {"generator": Counting(), "samples": 8, "seed": 0, "shard": 4}
    write_trajectories(folder=tmp_path, **usual)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=words):
        write_trajectories(folder=tmp_path, resume=True, **{**usual, **change})
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_statistics_are_those_of_numpy(tmp_path):
    generator = BurgersGenerator(16, 5, nu=0.1)
    write_trajectories(generator, tmp_path, 70, seed=0, shard=33)
    u = content(tmp_path).u.values.astype(np.float64)
    known = json.loads((tmp_path / "statistics.json").read_text())["u"]
    for kind, values in (("values", u), ("increments", np.diff(u, axis=1))):
        assert known[kind]["count"] == values.size
        assert known[kind]["min"] == values.min() and known[kind]["max"] == values.max()
        # sums of 5600 terms in another order
        assert known[kind]["mean"] == pytest.approx(values.mean(), rel=1e-9, abs=1e-15)
        assert known[kind]["std"] == pytest.approx(values.std(), rel=1e-12)
    chosen = [3, 60, 4]
    part = trajectory_statistics(shards.read(tmp_path), chosen)["u"]["values"]
    assert part["std"] == pytest.approx(u[chosen].std(), rel=1e-12) and part["count"] == u[chosen].size


def test_statistics_of_large_numbers_with_small_spread_and_of_missing_values():
    """A mean of 1e6 with a spread of 1: the textbook formula <x^2> - <x>^2 in float32 would give nonsense."""
    rng = np.random.default_rng(0)
    x = (1e6 + rng.standard_normal((130, 4, 7))).astype(np.float32)
    x[5, 2, 3] = np.nan
    ds = xr.Dataset({"t": (("sample", "time", "x"), x), "mask": ("x", np.ones(7))})
    found = trajectory_statistics(ds)
    assert set(found) == {"t"}
    exact = x.astype(np.float64)
    assert found["t"]["values"]["count"] == x.size - 1
    assert found["t"]["values"]["std"] == pytest.approx(np.nanstd(exact), rel=1e-9)
    with pytest.raises(ValueError, match="no dim 'sample'"):
        trajectory_statistics(ds.isel(sample=0))
    with pytest.raises(ValueError, match="at least one"):
        trajectory_statistics(ds, [])


def test_a_sample_that_is_not_finite_is_named_and_half_the_step_is_tried(tmp_path):
    assert np.isfinite(generate(Counting(shy=6), 8, 0).u).all()
    assert SOLVED == [0, 1, 1]
    with pytest.raises(ValueError, match=r"sample 6 is not finite in u at time 0.5 \(seed 3; .* half of it"):
        write_trajectories(Counting(bad=6), tmp_path / "a", 8, seed=3, shard=4)
    assert Manifest.load(tmp_path / "a").samples == 4


def test_refusals(tmp_path, monkeypatch):
    for wrong in ({"samples": 0}, {"seed": -1}, {"start": -1}, {"workers": 0}, {"shard": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} >= "):
            write_trajectories(**{"generator": Counting(), "folder": tmp_path, "samples": 2, "seed": 0} | wrong)
    with pytest.raises(ValueError, match="known are netcdf, zarr"):
        write_trajectories(Counting(), tmp_path, 2, 0, format="csv")
    with pytest.raises(OSError, match="ask for fewer samples"):
        write_trajectories(Counting(), tmp_path, 10**15, 0, shard=10**14)
    monkeypatch.setattr(write, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"sciml_diffusion\[zarr\]"):
        write_trajectories(Counting(), tmp_path, 2, 0, format="zarr")
    assert list(tmp_path.iterdir()) == []


def test_large_requests_are_cut_into_files_of_whole_blocks():
    """1 MiB a sample: 512 fit into one file, 513 make files of 256 MiB."""
    generator = Counting(points=2**16, frames=4)
    assert generator.bytes_per_sample == 2**20 + 4
    assert write._shard(generator, 500, None) == 500
    assert write._shard(generator, 600, None) == 252  # a multiple of the block of 4
