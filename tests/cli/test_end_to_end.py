"""From generated trajectories to a scored posterior by the command alone. Truth used: what each verb promises to write.

Everything is tiny (16 points, 16 frames, 20 training steps): the numbers are checked for order of magnitude only; the
tests of the rooms check their exactness.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sciml_diffusion as sd
from sciml_diffusion.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
TINY = ["preset.network.width=8", "preset.network.multipliers=[1]", "preset.config.batch=4", "preset.config.levels=2"]
TINY += ["preset.config.validate_every=10", "preset.config.device=cpu"]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with generated fields in fields/ and a prior trained on them in prior/."""
    work = tmp_path_factory.mktemp("work")
    data = ["data.points=16", "data.frames=16", "data.nu=0.1", "progress=false"]
    assert main(["generate", "samples=24", *data, f"out={work}/fields"]) == 0
    train = ["train", f"data={work}/fields/fields.nc", "steps=20", "name=tiny", *TINY, f"out={work}/prior"]
    assert main(train) == 0
    return work


def test_generated_fields_and_prior_are_whole(work, capsys):
    fields = xr.open_dataset(work / "fields" / "fields.nc")
    assert dict(fields.sizes) == {"sample": 24, "time": 16, "x": 16}
    assert np.isfinite(fields["u"]).all()
    assert {p.name for p in (work / "prior" / "prior").iterdir()} == {"prior.json", "prior.safetensors"}
    assert len((work / "prior" / "train.jsonl").read_text().splitlines()) == 2
    assert json.loads((work / "prior" / "metrics.json").read_text())["tiny"]["training"]["steps"] == 20
    assert main(["info", str(work / "prior")]) == 0
    out = capsys.readouterr().out
    assert "window: 16 frames" in out and "name: tiny" in out and "sciml-diffusion train" in out


def test_sample_draws_from_the_trained_prior(work):
    assert main(["sample", f"prior={work}/prior", "members=3", "steps=4", "sampler=heun", f"out={work}/sample"]) == 0
    samples = xr.open_dataset(work / "sample" / "samples.nc")
    assert samples["u"].dims == ("realization", "time", "x")
    assert samples["u"].shape == (3, 16, 16)
    # the generating law has a standard deviation near 0.4 at t = 0 and less later; a broken scale would be far off
    assert 0.02 < float(samples["u"].std()) < 2


@pytest.mark.parametrize("method", ["auto", "mmps", "smc", "dps"])
def test_posterior_and_its_evaluation_agree(work, method):
    """evaluate on the run folder gives the scores that posterior gave, with the same sensors left out."""
    words = [f"data={work}/fields/fields.nc", "sample=20", "stations=4", "std=0.01", "members=8", "steps=6"]
    out = work / method
    assert main(["posterior", f"prior={work}/prior", f"method={method}", *words, f"out={out}"]) == 0
    assert {p.name for p in out.iterdir()} == {
        "config.yaml", "metrics.json", "posterior.nc", "posterior.png", "sensors.nc", "versions.json",
    }  # fmt: skip
    post = xr.open_dataset(out / "posterior.nc")
    assert post["u"].sizes == {"realization": 8, "time": 16, "x": 16}
    np.testing.assert_allclose(post["weight"].sum("realization"), 1, atol=1e-6)  # float32 or better on disk
    truth = [f"truth={work}/fields/fields.nc", "sample=20"]
    assert main(["evaluate", f"run={out}", *truth, f"out={work}/{method}-scores"]) == 0
    first, second = (json.loads((f / "metrics.json").read_text()) for f in (out, work / f"{method}-scores"))
    (first,), (second,) = first["tiny"].values(), second["tiny"].values()
    assert first["crps"] == pytest.approx(second["crps"], rel=1e-4)  # the fields are stored in float32
    assert 0 <= first["coverage90"] <= 1


def test_a_csv_of_sensors_in_and_a_csv_of_held_out_sensors(work):
    u = xr.open_dataset(work / "fields" / "fields.nc")["u"].isel(sample=21, drop=True)
    table = u.isel(x=slice(1, None, 5)).to_dataframe().reset_index().rename(columns={"u": "value"})
    table["std"] = 0.01
    table.to_csv(work / "stations.csv", index=False)
    held = u.isel(x=slice(3, None, 5)).to_dataframe().reset_index().rename(columns={"u": "value"})
    held.assign(std=0.01).to_csv(work / "held_out.csv", index=False)
    words = [f"prior={work}/prior", f"obs={work}/stations.csv", "members=8", "steps=6", "folds=2"]
    assert main(["posterior", *words, f"out={work}/csv"]) == 0
    assert np.isfinite(json.loads((work / "csv" / "metrics.json").read_text())["tiny"]["auto"]["crps"])
    assert main(["evaluate", f"run={work}/csv", f"truth={work}/held_out.csv", f"out={work}/csv-scores"]) == 0
    scores = json.loads((work / "csv-scores" / "metrics.json").read_text())["tiny"]["auto"]
    assert scores["points"] == len(held)
    assert scores["rmse"] < pd.read_csv(work / "held_out.csv")["value"].std()
    sd.observe(work / "held_out.csv").to_netcdf(work / "held_out.nc", engine="h5netcdf")
    assert main(["evaluate", f"run={work}/csv", f"truth={work}/held_out.nc", f"out={work}/nc-scores"]) == 0
    assert json.loads((work / "nc-scores" / "metrics.json").read_text())["tiny"]["auto"] == scores


def test_wrong_input_of_a_posterior_is_answered_in_words_and_nothing_is_written(work, capsys):
    before = sorted(work.rglob("*"))
    bad = work / "bad.csv"
    for row, word in (("0.1,0.5,1,0.1,v", "variable"), ("0.1,0.5,1,-1,u", "std"), ("-9,0.5,1,0.1,u", "-9")):
        bad.write_text(f"time,x,value,std,variable\n{row}\n")
        assert main(["posterior", f"prior={work}/prior", f"obs={bad}", "steps=4", f"out={work}/never"]) == 2
        err = capsys.readouterr().err
        assert word in err and "Traceback" not in err
    bad.unlink()
    (work / "cut.nc").write_bytes((work / "fields" / "fields.nc").read_bytes()[:2000])
    assert main(["train", f"data={work}/cut.nc", f"out={work}/never"]) == 2
    assert "cut.nc" in capsys.readouterr().err
    (work / "cut.nc").unlink()
    assert sorted(work.rglob("*")) == before


def test_ctrl_c_during_training_leaves_a_run_that_goes_on(work, capsys):
    out = work / "stopped"
    words = ["train", f"data={work}/fields/fields.nc", *TINY, f"out={out}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sciml_diffusion.cli.main", *words, "steps=1000000", "preset.config.patience=1000000"],
        cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (out.with_name("stopped.partial") / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "resume=true" in err and "Traceback" not in err
    assert not out.exists()
    again = [*words, "preset.config.patience=1000000"]
    assert main([*again, "steps=10"]) == 2
    assert "unfinished run" in capsys.readouterr().err
    assert main([*again, "steps=10", "resume=true"]) == 0
    steps = json.loads((out / "metrics.json").read_text())["stopped"]["training"]["steps"]
    assert steps >= 10  # it kept what the interrupted run had done, and had nothing left to do
    assert main([*again, "steps=10"]) == 2
    assert "finished run" in capsys.readouterr().err
