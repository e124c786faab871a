"""Run folders. Truth used: a run is there whole, with its record, or not at all; a finished one is kept."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from sciml_diffusion.cli.info import describe
from sciml_diffusion.cli.run_folder import RunFolder


def finished(out: Path, text: str = "first", **more) -> Path:
    """Makes a finished run with one result."""
    with RunFolder("sample", settings(out, **more)) as folder:
        folder.path("result.txt").write_text(text)
        folder.metrics = {"case": {"method": {"crps": np.float64(0.5), "histogram": torch.arange(2), "members": 4}}}
    return out


def settings(out: Path | None, **more):
    """A configuration as the verbs make it."""
    return OmegaConf.create({"out": str(out) if out else None, "seed": 7, "overwrite": False} | more)


def listing(folder: Path) -> list[str]:
    """Everything below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_finished_run_holds_its_record(tmp_path):
    out = finished(tmp_path / "deep" / "run")
    assert listing(out) == ["config.yaml", "metrics.json", "result.txt", "versions.json"]
    assert OmegaConf.load(out / "config.yaml").seed == 7
    versions = json.loads((out / "versions.json").read_text())
    assert versions["packages"]["torch"].startswith("2.")
    assert {"sciml_diffusion", "python", "platform", "commit", "seed", "seconds", "command"} <= set(versions)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics == {"case": {"method": {"crps": 0.5, "histogram": [0, 1], "members": 4}}}
    text = describe(str(out))
    assert "result.txt" in text and "0.5" in text and "seed: 7" in text


def test_a_failed_run_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), RunFolder("sample", settings(tmp_path / "deep" / "run")) as folder:
        folder.path("result.txt").write_text("half")
        raise RuntimeError
    assert listing(tmp_path) == []


def test_numbers_that_cannot_be_recorded_fail_the_run_and_leave_nothing(tmp_path):
    with pytest.raises(TypeError, match="JSON"), RunFolder("sample", settings(tmp_path / "run")) as folder:
        folder.metrics = {"case": object()}
    assert listing(tmp_path) == []


def test_a_finished_run_is_kept(tmp_path):
    out = finished(tmp_path / "run")
    with pytest.raises(FileExistsError, match="overwrite=true"):
        finished(out, "second")
    assert (out / "result.txt").read_text() == "first"
    finished(out, "second", overwrite=True)
    assert (out / "result.txt").read_text() == "second"
    assert listing(tmp_path) == ["run"] + [f"run/{name}" for name in listing(out)]


def test_a_failed_second_run_keeps_the_first(tmp_path):
    out = finished(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt), RunFolder("sample", settings(out, overwrite=True)) as folder:
        folder.path("result.txt").write_text("second")
        raise KeyboardInterrupt
    assert (out / "result.txt").read_text() == "first"
    assert not (tmp_path / "run.partial").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_that_are_no_run_are_never_touched(tmp_path, overwrite):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="no run of this program"):
        finished(out, overwrite=overwrite)
    with pytest.raises(FileExistsError, match="is a file"):
        finished(out / "chapter.tex", overwrite=overwrite)
    assert (out / "chapter.tex").read_text() == "years of work"


def interrupted(out: Path, **more) -> None:
    """A resumable run that stops after its checkpoint."""
    with pytest.raises(KeyboardInterrupt), RunFolder("train", settings(out, **more), resumable=True) as folder:
        folder.path("checkpoint").write_text("step 5")
        raise KeyboardInterrupt


def test_an_interrupted_training_is_marked_and_resumed(tmp_path, capsys):
    out = tmp_path / "run"
    interrupted(out)
    assert "resume=true" in capsys.readouterr().err
    assert not out.exists()
    assert "unfinished" in describe(f"{out}.partial")
    with pytest.raises(FileExistsError, match="unfinished run; resume=true"):
        interrupted(out)
    with RunFolder("train", settings(out, resume=True), resumable=True) as folder:
        assert folder.path("checkpoint").read_text() == "step 5"
    assert (out / "checkpoint").read_text() == "step 5"
    assert not (tmp_path / "run.partial").exists()


def test_a_finished_training_goes_on_from_a_copy(tmp_path):
    out = tmp_path / "run"
    with RunFolder("train", settings(out), resumable=True) as folder:
        folder.path("checkpoint").write_text("step 9")
    with pytest.raises(FileExistsError, match="overwrite=true replaces it, resume=true"):
        RunFolder("train", settings(out), resumable=True)
    interrupted(out, resume=True)
    assert (out / "checkpoint").read_text() == "step 9"
    assert (tmp_path / "run.partial" / "checkpoint").read_text() == "step 5"
    assert not (tmp_path / "run.partial" / "metrics.json").exists()
    with RunFolder("train", settings(out, overwrite=True), resumable=True) as folder:
        assert not folder.path("checkpoint").exists()


def test_a_finished_training_that_cannot_go_on_leaves_no_copy(tmp_path):
    out = finished(tmp_path / "run")
    go_on = RunFolder("train", settings(out, resume=True), resumable=True)
    with pytest.raises(ValueError, match="damaged"), go_on:
        raise ValueError("the checkpoint is damaged")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    assert (out / "result.txt").read_text() == "first"


def test_a_run_goes_on_with_its_own_settings_only(tmp_path):
    out = tmp_path / "run"
    interrupted(out, data="a.nc", steps=10)
    with pytest.raises(ValueError, match="begun with data=a.nc, now it is b.nc"):
        RunFolder("train", settings(out, data="b.nc", steps=10, resume=True), resumable=True)
    assert (tmp_path / "run.partial" / "checkpoint").is_file()
    with RunFolder("train", settings(out, data="a.nc", steps=20, resume=True), resumable=True) as folder:
        assert folder.resuming
    with pytest.raises(ValueError, match="begun with data=a.nc"):
        RunFolder("train", settings(out, data="b.nc", resume=True), resumable=True)
    assert not (tmp_path / "run.partial").exists()


def test_the_default_folder_is_named_by_verb_and_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with RunFolder("sample", settings(None)) as folder:
        pass
    assert folder.out.parent == Path("runs/sample")
    assert (tmp_path / folder.out / "metrics.json").is_file()


@pytest.mark.parametrize("more", [{"resume": True}, {"overwrite": True}, {}])
def test_a_folder_in_which_another_process_writes_is_left_alone(tmp_path, more):
    out, lock = tmp_path / "run", tmp_path / "run.partial" / "running.pid"
    interrupted(out)
    assert not lock.exists()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        lock.write_text(f"{other.pid}\n")
        with pytest.raises(FileExistsError, match=rf"another run .pid {other.pid}. writes to"):
            RunFolder("train", settings(out, **more), resumable=True)
        assert (lock.parent / "checkpoint").read_text() == "step 5"
    with RunFolder("train", settings(out, **more or {"resume": True}), resumable=True) as folder:
        assert folder.path("running.pid").read_text() == f"{os.getpid()}\n"  # the other one is gone
    assert "running.pid" not in listing(out)


def test_of_two_runs_that_begin_at_once_one_is_refused(tmp_path):
    one = RunFolder("train", settings(tmp_path / "run", resume=True), resumable=True)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        one.partial.mkdir()
        (one.partial / "running.pid").write_text(f"{other.pid}\n")
        with pytest.raises(FileExistsError, match="another run"), one:
            pass
        assert (one.partial / "running.pid").read_text() == f"{other.pid}\n"


def test_going_on_and_starting_anew_exclude_each_other(tmp_path):
    with pytest.raises(ValueError, match="give one of them"):
        RunFolder("train", settings(tmp_path / "run", resume=True, overwrite=True), resumable=True)
