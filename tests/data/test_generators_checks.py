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


TOO_FINE = [
    ("burgers", {"nu": 1e-9}, "nu = 1e-09 needs 2.19e.09 points .* at most 65536"),
    ("burgers", {"nu": 1e-320}, "needs inf points"),
    ("navier-stokes", {"nu": 1e-20}, "nu = 1e-20 needs 2e.10 points .* at most 4096"),
    ("kolmogorov", {"reynolds": 1e30}, "reynolds = 1e.30 needs 1e.16 points"),
    ("kuramoto-sivashinsky", {"length": 1e9}, "length = 1e.09 needs 4e.09 points"),
    ("kuramoto-sivashinsky", {"length": -1}, "expected length > 0"),
    ("burgers-dirichlet", {"refinement": 10**5}, "refinement x .points . 1. <= 65536"),
    ("burgers-shock", {"solver_points": 2**26}, "solver_points <= 65536 .got 67108864"),
    ("compressible", {"solver_points": 2**26}, "solver_points <= 65536"),
]
TOO_FINE += [(n, {"points": 10**20}, "points <= (65536|4096) .got 1") for n in LEAVES]


@pytest.mark.parametrize(("name", "settings", "words"), TOO_FINE)
def test_grids_that_no_memory_holds_are_refused(name, settings, words):
    if "points" in settings and "solver_points" in LEAVES[name]:
        settings = settings | {"solver_points": None}
    with pytest.raises(ValueError, match=words):
        instantiate(LEAVES[name] | settings)


@pytest.mark.parametrize(("points", "enough", "expected"), [(64, 0, 64), (64, 64, 64), (64, 65, 128), (48, 97, 192)])
def test_the_grid_is_doubled_until_it_is_enough(points, enough, expected):
    generator = instantiate(LEAVES["burgers"] | {"points": points, "solver_points": None})
    assert generator.doubled(enough, "nu") == expected


ENDLESS = [
    ("shallow-water", {"viscosity": 1e12}, "ShallowWater has the stability limit .* more than 4194304 substeps"),
    ("burgers", {"duration": 1e300}, "Burgers makes at most 4194304 substeps"),
    ("kuramoto-sivashinsky", {"spin_up": 1e12}, "spin_up of at most 1e.06"),
]


@pytest.mark.parametrize(("name", "settings", "words"), ENDLESS)
def test_runs_that_would_not_end_are_refused(name, settings, words):
    with pytest.raises(ValueError, match=words):
        instantiate(LEAVES[name] | settings).solve_block(0, 0)
