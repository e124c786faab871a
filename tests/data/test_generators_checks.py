"""What generators refuse when they are made, and which errors of a solver are worth half the step."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from sciml_diffusion.cli.build import instantiate
from sciml_diffusion.data.generators.base import Generator, Variable

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "data"
LEAVES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
NUMBERS = [
    (name, key) for name, leaf in LEAVES.items() for key, value in leaf.items()
    if isinstance(value, (int, float)) and not isinstance(value, bool)
]  # fmt: skip
FINE = [name for name, leaf in LEAVES.items() if "solver_points" in leaf]


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize(("name", "key"), NUMBERS)
def test_every_number_must_be_finite(name, key, value):
    with pytest.raises(ValueError, match=f"a finite {key} "):
        instantiate(LEAVES[name] | {key: value})


@pytest.mark.parametrize("name", FINE)
def test_the_grid_of_the_solver_is_no_coarser_than_what_is_kept(name):
    for points in (0, -64, 32):
        with pytest.raises(ValueError, match=f"solver_points >= points = 64 .got {points}"):
            instantiate(LEAVES[name] | {"points": 64, "solver_points": points})


@pytest.mark.parametrize("name", LEAVES)
def test_a_grid_has_points(name):
    for points in (0, -4):
        with pytest.raises(ValueError, match="points >= 1"):
            instantiate(LEAVES[name] | {"points": points})


@dataclass(frozen=True)
class Failing(Generator):
    """Fails with these words at the usual step; at half of it where `always`."""

    words: str
    always: bool = False

    name, title, equation, law, boundary, solver, block = "failing", "", "", "", "", "", 2
    variables, axes = (Variable("u", ("x",), "u"),), {"x": (np.zeros(3), {})}

    def solve(self, seed: int, samples: range, refine: int) -> dict:
        """Ones with shape (B, 3)."""
        if refine == 1 or self.always:
            raise ValueError(self.words)
        return {"u": np.ones((len(samples), 3))}


WORTH_IT = [
    "sample 1 is not finite at time 0.5; check",
    "the time step 0.1 of Burgers is above the stability limit 0.05; use substeps >= 2 (got 1)",
    "sample 1 has no stable step at time 0.5 (limit 0); check",
    "sample 1 has the density -0.1 in cell 3 at time 0.5; it must be > 0",
    "sample 1 has the pressure -0.1 in cell 3 at time 0.5; it must be > 0",
]


@pytest.mark.parametrize("words", WORTH_IT)
def test_half_the_step_is_tried_where_the_step_was_too_long(words):
    assert (Failing(words).solve_block(0, 3)["u"] == 1).all()
    said = words.replace("sample 1", "sample 7").split("(")[0]
    with pytest.raises(ValueError, match=rf"{said}.*\(seed 0; tried with the usual step and with half of it\)"):
        Failing(words, always=True).solve_block(0, 3)


def test_other_errors_are_told_at_once():
    with pytest.raises(ValueError, match="^another thing$"):
        Failing("another thing").solve_block(0, 3)
