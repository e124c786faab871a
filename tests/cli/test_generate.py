"""sciml-diffusion generate. Truths: the folder is what the facade makes in memory; a run goes on, or refuses to."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import sciml_diffusion as sd
from sciml_diffusion.cli.main import main
from sciml_diffusion.cli.usage import leaves
from sciml_diffusion.data import write

TINY = ["generate", "data=poisson", "data.points=9", "progress=false"]


def same(folder: Path, samples: int) -> bool:
    """Whether a folder holds what the facade makes."""
    expected = sd.generate("poisson", samples=samples, seed=0, points=9)
    with sd.open_dataset(folder) as ds:
        xr.testing.assert_allclose(ds.load(), expected, rtol=0, atol=0)
        return ds.attrs["seed"] == 0


@pytest.mark.parametrize("format", ["netcdf", "zarr"])
def test_a_run_folder_is_opened_and_described(tmp_path, capsys, format):
    out = tmp_path / "run"
    assert main([*TINY, "samples=5", "shard=2", f"format={format}", f"out={out}"]) == 0
    assert "5 samples of poisson" in capsys.readouterr().out
    ending = {"netcdf": "nc", "zarr": "zarr"}[format]
    assert {p.name for p in out.iterdir()} == {
        "config.yaml", "versions.json", "metrics.json", "manifest.json", "statistics.json", "README.md",
        *(f"fields-0000{n}.{ending}" for n in range(3)),
    }  # fmt: skip
    assert same(out, 5)
    speed = json.loads((out / "metrics.json").read_text())["poisson"]["generate"]
    assert speed["samples"] == speed["made"] == 5 and speed["per_second"] == pytest.approx(5 / speed["seconds"])
    assert main(["info", str(out)]) == 0
    text = capsys.readouterr().out
    assert "run in" in text and "Lap u = f" in text


def test_an_interrupted_run_is_kept_and_goes_on_with_its_own_settings(tmp_path, monkeypatch, capsys):
    out, usual, made = tmp_path / "run", write._write, []

    def interrupted(ds, folder, name):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(name)
        return usual(ds, folder, name)

    words = [*TINY, "samples=6", "shard=2", f"out={out}"]
    monkeypatch.setattr(write, "_write", interrupted)
    assert main(words) == 130
    assert "resume=true" in capsys.readouterr().err
    assert not out.exists() and len(list((tmp_path / "run.partial").glob("fields-*.nc"))) == 2
    monkeypatch.setattr(write, "_write", usual)
    assert main(words) == 2
    assert "unfinished run; resume=true" in capsys.readouterr().err
    assert main([*words, "data.points=17", "resume=true"]) == 2
    assert "begun with data.points=9, now it is 17" in capsys.readouterr().err
    assert main([*words, "resume=true", "workers=2"]) == 0  # the number of processes may change
    assert "2 made in" in capsys.readouterr().out
    assert same(out, 6) and not (tmp_path / "run.partial").exists()
    assert main(words) == 2
    assert "finished run" in capsys.readouterr().err
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert main([*words, "resume=true"]) == 0
    assert f"nothing was left to do: {out} holds all 6 samples" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in out.iterdir()} == before and same(out, 6)
    (out / "fields-00001.nc").unlink()
    assert main([*words, "resume=true"]) == 0
    assert "2 made in" in capsys.readouterr().out and same(out, 6)
    assert main([*words, "resume=true", "overwrite=true"]) == 2
    assert "give one of them" in capsys.readouterr().err and same(out, 6)


def test_a_run_that_fails_before_its_first_file_leaves_nothing(tmp_path, capsys):
    for word, answer in (
        ("format=csv", "known are netcdf, zarr"),
        ("shard=0", "shard >= 1"),
        ("samples=0", "samples >= 1"),
        ("workers=0", "workers >= 1"),
        ("data.points=2", "points >= 4"),
        ("data.alpha=0.5", "alpha > 1"),
    ):
        assert main([*TINY, "samples=2", word, f"out={tmp_path}/run"]) == 2
        err = capsys.readouterr().err
        assert answer in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_help_shows_the_settings_of_the_equation_that_is_named(capsys):
    assert main(["generate", "data=darcy", "--help"]) == 0
    text = capsys.readouterr().out
    assert "data.coefficient: two-phase" in text and all(name in text for name in leaves("data"))
    assert main(["generate", "--help"]) == 0
    assert "data.nu: 0.01" in capsys.readouterr().out


def test_later_samples_and_other_seeds(tmp_path):
    """start=3 goes on where three samples ended; another seed is another set."""
    assert main([*TINY, "samples=2", "start=3", f"out={tmp_path}/later"]) == 0
    later, whole = sd.open_dataset(tmp_path / "later"), sd.generate("poisson", samples=5, points=9)
    assert np.array_equal(later.u, whole.u[3:]) and later.sample.values.tolist() == [3, 4]
    assert not np.allclose(sd.generate("poisson", samples=2, seed=1, points=9).u, whole.u[:2])


def test_the_card_of_generated_data_is_shown_and_their_absence_explained(capsys):
    assert main(["info", "kolmogorov"]) == 0
    assert "w_t + u w_x + v w_y" in capsys.readouterr().out
    with pytest.raises(ValueError, match="is not stored but generated: `sciml-diffusion generate data=darcy`"):
        sd.open_dataset("darcy")


def test_a_damaged_folder_is_told_by_info_and_train(tmp_path, capsys):
    """One bit of the numbers is turned, the size stays; then the manifest is cut off, or empty."""
    out = tmp_path / "run"
    assert main([*TINY, "samples=4", "shard=2", f"out={out}"]) == 0
    assert main(["info", str(out)]) == 0
    assert f"checksums: 2 files of {out} as generated, 4 samples" in capsys.readouterr().out
    path, manifest = out / "fields-00001.nc", out / "manifest.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    for words in (["info", str(out)], ["train", f"data={out}", f"out={tmp_path}/prior"]):
        assert main(words) == 2
        assert f"{path} is missing or damaged (its checksum differs)" in capsys.readouterr().err
    path.write_bytes(whole)
    text = manifest.read_text()
    for damaged in (text[:-20], text[:10], ""):
        manifest.write_text(damaged)
        for words in (["info", str(out)], ["train", f"data={out}", f"out={tmp_path}/prior"]):
            assert main(words) == 2
            err = capsys.readouterr().err
            assert f"{manifest} is damaged" in err and "Traceback" not in err
    assert not (tmp_path / "prior").exists()


def test_a_block_that_is_solved_for_a_few_samples_is_told(tmp_path, capsys):
    """Poisson comes in blocks of 16: samples 15 and 16 need two; the bar counts what is solved."""
    words = ["generate", "data=poisson", "data.points=9", "samples=2"]
    assert main([*words, "start=15", f"out={tmp_path}/two"]) == 0
    said = capsys.readouterr()
    assert "poisson comes in blocks of 16: 32 samples are solved, 2 kept" in said.out and "32/32" in said.err
    assert main([*words, "samples=16", f"out={tmp_path}/whole"]) == 0
    assert "blocks" not in capsys.readouterr().out
    assert main(["generate", "--help"]) == 0
    assert "64 samples for burgers" in capsys.readouterr().out
