"""Error against wall time of our spectral solvers, of peers, and of the public recipe, on one core in one run.

Two problems to T = 1 in float64: two-dimensional Navier-Stokes in vorticity form at 128^2 (nu = 0.02 on the torus of
length 2 pi, random vortices of rms 3, resolved to 1e-7), and Burgers at 1024 points (nu = 0.005). The error is
the relative L2 distance at T = 1 from our solution with steps four times finer than any listed; a peer's own finest
solution must agree with it. Seconds are steps times the seconds of a step, the fastest of three timed calls of several
steps; batch 64 has 64 different initial fields. The rows `at-error` compare the fewest listed steps with which each
reaches an error; `ratio` is ours over the best peer.

The public recipe is that of FNO's data: Crank-Nicolson and forward Euler with h = 1e-4, timed over 200 steps and
scaled.

The rows `throughput` are those of solver_throughput.py, on a GPU where there is one.

Peers (exponax, jax-cfd) live in an environment of their own: `--make-peers` creates benchmarks/.peers with pip, or
`--peers PYTHON` names an interpreter that has them; without either they are left out.

    python benchmarks/solver_speed.py [--quick] [--make-peers | --peers PYTHON]
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import ROOT, Report, parser
from solver_throughput import rows as throughput
from speed_problems import BATCHES, problems

PEERS = ROOT / "benchmarks" / ".peers"
TARGETS = (1e-3, 1e-5, 1e-7)
OURS = ("etdrk4", "etdrk2")
RECIPE_STEPS, RECIPE_TIMED = 10000, 200


def seconds_per_step(solver, u0: torch.Tensor, dt: float, steps: int, repeats: int = 3) -> float:
    """The fastest of some calls of several steps from fields of shape (B, C, *S), over their number."""
    state, step, times = solver.start(u0), solver.stepper(dt), []
    for repeat in range(repeats + 1):
        begun, moving = time.perf_counter(), state
        for n in range(steps):
            moving = step(moving, n)
        times += [time.perf_counter() - begun] if repeat else []
    return min(times) / steps


@torch.no_grad()
def ours(name: str, problem: dict, reference: torch.Tensor, timed: int) -> list[dict]:
    """Rows of our schemes."""
    rows, u0 = [], problem["u0"]
    for scheme in OURS:
        solver = problem["make"](scheme)
        for steps in problem["steps"]:
            end = solver.solve(u0[:1], 1.0, 2, steps, check=False)[:, :, -1]
            row = {"case": name, "method": f"ours {scheme.upper()}", "steps": steps, "error": relative(end, reference)}
            for batch in BATCHES:
                per_step = seconds_per_step(solver, u0[:batch], 1 / steps, max(2, timed // batch))
                rows.append(row | {"batch": batch, "seconds": steps * per_step})
    return rows


def relative(u: torch.Tensor, reference: torch.Tensor) -> float:
    """|u - reference| / |reference| of fields of one shape."""
    return float((u - reference).norm() / reference.norm())


def peers(interpreter: Path, given: dict, references: dict, timed: int) -> list[dict]:
    """Rows of the peers, run by their own interpreter on the same cores."""
    with tempfile.TemporaryDirectory() as folder:
        data, results = Path(folder) / "problems.npz", Path(folder) / "results.json"
        arrays = {"timed": timed}
        for name, problem in given.items():
            arrays |= {f"{name}/{k}": problem[k] for k in ("nu", "steps")} | {f"{name}/u0": problem["u0"].numpy()}
            arrays[f"{name}/reference"] = references[name].numpy()
        np.savez(data, **arrays)
        script = Path(__file__).with_name("speed_peers.py")
        subprocess.run([interpreter, script, data, results], check=True, env=os.environ | {"JAX_PLATFORMS": "cpu"})
        found = json.loads(results.read_text())
    print("peers:", found["versions"])
    return found["rows"]


def at_error(rows: list[dict], case: str, batch: int, target: float) -> dict | None:
    """The seconds of each method at the fewest listed steps that reach an error; ours over the best peer."""
    seconds = {}
    for row in rows:
        if (row["case"], row["batch"]) == (case, batch) and row["error"] <= target:
            seconds[row["method"]] = min(row["seconds"], seconds.get(row["method"], math.inf))
    mine = {method: s for method, s in seconds.items() if method.startswith("ours")}
    others = {method: s for method, s in seconds.items() if method not in mine}
    if not mine or not others:
        return None
    first, best = min(mine, key=mine.get), min(others, key=others.get)
    return {
        "case": f"at-error {case}", "batch": batch, "error": target, "method": first, "seconds": mine[first],
        "peer": best, "peer_seconds": others[best], "ratio": mine[first] / others[best],
    }  # fmt: skip


def recipe(problem: dict) -> list[dict]:
    """The public recipe, timed over some steps and scaled to T = 1."""
    solver, rows = problem["make"]("cn-fe"), []
    for batch in BATCHES:
        steps = max(2, RECIPE_TIMED // batch)
        with torch.no_grad():
            seconds = RECIPE_STEPS * seconds_per_step(solver, problem["u0"][:batch], 1 / RECIPE_STEPS, steps, 1)
        rows.append({"method": "recipe CN-FE, h = 1e-4", "steps": RECIPE_STEPS, "batch": batch, "seconds": seconds})
    return rows


def interpreter_of(arguments) -> Path | None:
    """The interpreter of the peers' environment, made where that is asked for."""
    if arguments.peers:
        return Path(arguments.peers)
    if arguments.make_peers and not (PEERS / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
        subprocess.run([PEERS / "bin" / "pip", "install", "-q", "exponax", "jax-cfd", "jax[cpu]"], check=True)
    return PEERS / "bin" / "python" if (PEERS / "bin" / "python").exists() else None


def main() -> None:
    """Prints the rows and a table."""
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument("--peers", help="an interpreter that has exponax and jax-cfd")
    arguments.add_argument("--make-peers", action="store_true", help="make that environment in benchmarks/.peers")
    arguments = arguments.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    report, timed, given = Report("solver_speed", arguments.quick, arguments.seed), 256, problems(arguments.quick)
    references, rows = {}, []
    for name, problem in given.items():
        with torch.no_grad():
            fine = problem["make"]("etdrk4").solve(problem["u0"][:1], 1.0, 2, 4 * problem["steps"][-1], check=False)
        references[name] = fine[:, :, -1]
        rows += ours(name, problem, references[name], timed)
    interpreter = interpreter_of(arguments)
    rows += peers(interpreter, given, references, timed) if interpreter else []
    for row in rows:
        report.add(**row)
    for row in recipe(given["navier-stokes"]):
        report.add(case="navier-stokes", **row)
    for name in given:
        for batch in BATCHES:
            for target in TARGETS:
                if row := at_error(rows, name, batch, target):
                    report.add(**row)
    for row in throughput("cuda" if torch.cuda.is_available() else "cpu", arguments.quick):
        report.add(**row)
    report.write()


if __name__ == "__main__":
    main()
