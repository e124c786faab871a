"""The README's examples run as they stand. Truths: shapes, a gradient that is not zero, maxima as measured."""

import re
from pathlib import Path

import numpy as np

TEXT = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")


def run(word: str) -> dict:
    """What the one example that holds a word leaves behind."""
    (block,) = (code for code in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if word in code)
    names: dict = {}
    exec(block, names)
    return names


def test_the_forward_model_runs_and_has_a_gradient():
    names = run("NavierStokes")
    assert names["w"].shape == (8, 1, 6, 64, 64)
    assert names["w0"].grad.isfinite().all() and names["w0"].grad.abs().max() > 0


def test_maxima_that_were_measured_are_met():
    names = run("sd.measure")
    field = names["post"]["t2m"]
    assert field.sizes["realization"] == 16 and str(field["time"].values[0])[:13] == "2019-03-31T08"
    warmest = field.max("time").values[:, [8, 16, 24], [20, 24, 30]]
    # members lie about the measured maxima with the stated error of 0.3 K, less what the prior adds
    assert np.abs(warmest.mean(0) - [281.5, 283.0, 284.5]).max() < 0.6 and warmest.std(0).max() < 0.6
