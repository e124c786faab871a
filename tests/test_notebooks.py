"""Notebooks run from top to bottom. Truth used: a script and its notebook hold the same cells, and no cell fails.

The quick profile replaces the cell tagged `parameters`: fewer grid points, members and steps.
"""

import ast
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted((ROOT / "notebooks").glob("*.py"))
QUICK = {"own_data": 'window, members, steps, coarsen = "4h", 8, 6, 4'}


def code(notebook) -> list[str]:
    """The text of the code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_every_script_has_a_quick_profile():
    assert {path.stem for path in SCRIPTS} == set(QUICK)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_notebook_is_its_executed_script(script):
    """Committed outputs belong to the committed text; none is an error, and one is a picture."""
    notebook = jupytext.read(script.with_suffix(".ipynb"))
    assert code(notebook) == code(jupytext.read(script)), f"run: jupytext --to ipynb --execute {script.name}"
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not any(output.output_type == "error" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_script_runs_on_its_quick_profile(script, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = jupytext.read(script)
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    cell.source += f"\n{QUICK[script.stem]}"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = [data["text/plain"] for data in outputs if "text/plain" in data]
    scores = [ast.literal_eval(text) for text in texts if text.startswith("{'crps'")]
    assert len(scores) == 2
    for values in scores:
        # the prior mean alone errs by about 2 degrees; eight members in six steps from 16 stations do better than that
        assert 0 < values["crps"] < 2
        assert 0 <= values["coverage90"] <= 1
