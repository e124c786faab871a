"""The README's example of a forward model runs as it stands. Truth: its shapes, and a gradient that is not zero."""

import re
from pathlib import Path

TEXT = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_forward_model_runs_and_has_a_gradient():
    (block,) = (code for code in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if "NavierStokes" in code)
    names: dict = {}
    exec(block, names)
    assert names["w"].shape == (8, 1, 6, 64, 64)
    assert names["w0"].grad.isfinite().all() and names["w0"].grad.abs().max() > 0
