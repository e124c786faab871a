"""What the benchmark scripts share: arguments, one form of results, one look of tables."""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("torch", "numpy", "scipy", "xarray")
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]  # the package, and the closed-form truths of the tests


def parser(description: str) -> argparse.ArgumentParser:
    """Returns a parser that knows `--quick` and `--seed`; a script adds its own."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--quick", action="store_true", help="minutes on 2 cores; writes NAME-quick.json")
    made.add_argument("--seed", type=int, default=0)
    return made


class Report:
    """Collects rows, prints them as a table, and writes benchmarks/results/NAME[-quick].json, whole or not at all.

    Arguments:
        name: of the script.
        quick: whether this is the short run.
        seed: of the run.
        device: what it ran on; by default the machine's processor and its number of threads.
    """

    def __init__(self, name: str, quick: bool, seed: int, device: str | None = None):
        self.name, self.quick, self.seed, self.rows = name, quick, seed, []
        self.device, self.begun = device or _processor(), time.perf_counter()

    def add(self, **row) -> dict:
        """Adds a row (flat: strings, numbers, booleans) and prints it at once; returns it."""
        self.rows.append({k: _plain(v) for k, v in row.items()})
        print("  ".join(f"{k}={_text(v)}" for k, v in self.rows[-1].items()), flush=True)
        return self.rows[-1]

    def write(self) -> Path:
        """Writes the JSON and prints one table for each set of columns; returns the path."""
        meta = {
            "commit": commit(),
            "versions": {"python": platform.python_version(), **{p: metadata.version(p) for p in PACKAGES}},
            "device": self.device,
            "seconds": round(time.perf_counter() - self.begun, 1),
            "seed": self.seed,
        }
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.name}{'-quick' if self.quick else ''}.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps({"meta": meta, "rows": self.rows}, indent=1) + "\n")
        os.replace(partial, path)
        print()
        for columns in dict.fromkeys(tuple(row) for row in self.rows):
            print(table([row for row in self.rows if tuple(row) == columns]), end="\n\n")
        print(f"{path.relative_to(ROOT)}: {len(self.rows)} rows, {meta['seconds']} s on {self.device}")
        return path


def table(rows: list[dict]) -> str:
    """Returns rows with the same keys as a table in plain text."""
    cells = [list(rows[0]), *([_text(v) for v in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells)


def _plain(value):
    """A number, string or boolean as JSON knows it, from whatever array library."""
    return value.item() if hasattr(value, "item") else value


def _text(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def commit() -> str:
    """Short name of the commit that runs, "unknown" outside of a repository."""
    run = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"


def _processor() -> str:
    threads = os.environ.get("OMP_NUM_THREADS", os.cpu_count())
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"CPU, {name}, {threads} thread{'s' if str(threads) != '1' else ''}"
