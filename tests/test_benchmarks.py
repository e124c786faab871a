"""Benchmarks can be started: what they import exists. Truth: the modules themselves."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="benchmarks come with the repository, not with the package")
def test_modules_of_the_accuracy_benchmark_import():
    """In a process of their own, with the path of the script, and each offers `rows`."""
    code = (
        "import common, solver_accuracy as s\n"
        "from importlib import import_module\n"
        "assert s.MODULES and all(callable(import_module(f'accuracy.{m}').rows) for m in s.MODULES), s.MODULES"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
