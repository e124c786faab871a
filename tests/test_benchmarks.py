"""Benchmarks can be started: what they import exists. Truths: the modules themselves, bytes that torch's calls move."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="benchmarks come with the repository, not with the package"
)
TRAFFIC = """
import torch
from solver_throughput import bytes_per_step, problems, repeated, rows
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Traffic(TorchDispatchMode):  # bytes that calls read and write; views move none
    moved = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        read, written = ([x for x in tree_leaves(y) if isinstance(x, torch.Tensor)] for y in ((args, kwargs), out))
        places = {x.untyped_storage().data_ptr() for x in read}
        if not any(x.untyped_storage().data_ptr() in places for x in written):
            self.moved += sum(x.nbytes for x in read + written)
        return out


for name, problem in problems(True).items():
    solver, dtype = problem["make"]("etdrk4"), torch.float32
    state, step = solver.start(repeated(problem["u0"], 64, dtype, "cpu")), solver.stepper(1e-3)
    with torch.no_grad(), Traffic() as traffic:
        step(state, 0)
    ratio = traffic.moved / 64 / bytes_per_step(name, solver.grid.sizes, solver.modes.kept, dtype)
    assert 1 <= ratio < 4, (name, ratio)
found = list(rows("cpu", True, most=1))
assert [row["case"].split()[1] for row in found] == ["copy", *2 * ["navier-stokes"], *2 * ["burgers"]]
assert all(abs(row["trajectories_per_second"] * row["seconds"] - 1) < 1e-12 for row in found[1:])
assert all(row["bandwidth_share"] > 0 for row in found[1:])
"""


def test_modules_of_the_accuracy_benchmark_import():
    """In a process of their own, with the path of the script, and each offers `rows`."""
    code = (
        "import common, solver_accuracy as s\n"
        "from importlib import import_module\n"
        "assert s.MODULES and all(callable(import_module(f'accuracy.{m}').rows) for m in s.MODULES), s.MODULES"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


def test_throughput_counts_no_more_than_is_moved():
    """The least that is counted is at most what torch's calls in a step move, and no less than a quarter of it."""
    run = subprocess.run([sys.executable, "-c", TRAFFIC], cwd=BENCHMARKS, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
