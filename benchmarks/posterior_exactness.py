"""How far posterior samplers are from posteriors known in closed form: the prior is exact, so every error is theirs.

    python benchmarks/posterior_exactness.py [--quick] [--jobs N] [--azula PYTHON | --make-peers] [--only BED]

gmm-D-M: 25 modes in D dimensions, M observations, 1000 members, 100 steps, 20 problems (5 in the quick run);
error_ratio = sliced W1 over the mean of that of 20 ensembles of exact draws, with a 95 % interval over problems. gmm2:
one planar mixture, with ensembles of 100 to 20 000 members. grf-64, grf-64x64: Gaussian fields under 5 % point sensors
of std 0.1, 200 and 64 members; error_ratio = z_rms over that of exact draws; crps_ratio is to the exact posterior.
grfmix-64x64: see exactness_grfmix.py. Azula's methods run on the same problems where an environment of their own is
given. Nonlinear data: exactness_nonlinear.py, exactness_lorenz.py; denoisers trained on samples of these laws:
exactness_trained.py.
"""

import json
import os
from concurrent.futures import ProcessPoolExecutor

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of every process

import common
import exactness_gmm
import torch
from analytic import Problem, gmm, gmm2, grf
from common import Report
from exactness_fields import METHODS, field
from exactness_gmm import BIASED, CONVERGENCE, WEIGHTED, convergence, mixture, slope
from exactness_grfmix import rows as grfmix_rows
from exactness_peers import add_arguments, interpreter_of, peer_rows
from exactness_run import interval, pooled

FEW = ("auto", "smc", "mmps-jacobian", "dps-0.3", "afdps")


class Rows:
    """What a part of the benchmark in another process adds its rows to."""

    def __init__(self):
        self.rows: list[dict] = []

    def add(self, **row) -> dict:
        """Keeps a row; returns it."""
        self.rows.append(row)
        return row


def collected(part, quick: bool, seed: int) -> list[dict]:
    """Rows of a part that writes to a report."""
    torch.set_num_threads(1)
    rows = Rows()
    part(rows, quick, seed)
    return rows.rows


def tasks(quick: bool, seed: int) -> dict[str, tuple]:
    """Parts of the run, the longest first: a name, a function and its arguments."""
    problems = 5 if quick else 20
    parts: dict[str, tuple] = {}
    if not quick:
        parts |= {f"gmm-800-{m}": (mixture, 800, m, problems, ("auto",), seed) for m in (4, 2, 1)}
        parts["gmm2 20000"] = (convergence, 20_000, 400, 4, ("auto", "afdps"), seed)
        parts |= {f"gmm-80-{m}": (mixture, 80, m, problems, FEW, seed) for m in (4, 2, 1)}
        parts["gmm2 10000"] = (convergence, 10_000, 100, 3, CONVERGENCE, seed)
    sizes = [2] if quick else [4, 2, 1]
    parts["grfmix"] = (collected, grfmix_rows, quick, seed)
    parts |= {f"gmm-8-{m}": (mixture, 8, m, problems, FEW if quick else (*WEIGHTED, *BIASED), seed) for m in sizes}
    parts["grf-64x64"] = (field, 2, 1 if quick else 3, METHODS[2], seed)
    parts["grf-64"] = (field, 1, 5 if quick else 20, METHODS[1], seed)
    parts["gmm2 1000"] = (convergence, 1000, 100, 4 if quick else 10, FEW if quick else CONVERGENCE, seed)
    if not quick:
        parts["gmm2 100"] = (convergence, 100, 100, 20, CONVERGENCE, seed)
    return parts


def peers(interpreter, ours: list[dict], quick: bool, seed: int) -> list[dict]:
    """Azula's methods on five problems of the small beds and one of each larger one, pooled; limits as for ours."""
    beds: dict[str, list[Problem]] = {"gmm-8-2": [gmm(8, 2, n) for n in range(5)], "gmm2": [gmm2()]}
    beds["grf-64"] = [grf(1, n) for n in range(5)]
    if not quick:
        beds |= {f"gmm-8-{m}": [gmm(8, m, n) for n in range(5)] for m in (1, 4)}
        beds["grf-64x64"] = [grf(2, 0)]
    members = {name: {"grf-64": 200, "grf-64x64": 64}.get(name, 1000) for name in beds}
    found, out = peer_rows(beds, members, 100, interpreter, seed=seed), []
    for case, problems in beds.items():
        key = "z_rms" if case.startswith("grf") else "sw"
        if key == "sw":
            floor = [exactness_gmm.limits(p, members[case], n) for n, p in enumerate(problems)]
        else:
            floor = [next(r["z_rms"] for r in ours if (r["case"], r["method"]) == (case, "exact"))] * len(problems)
        for method in dict.fromkeys(r["method"] for r in found if r["case"] == case):
            rows = [r for r in found if (r["case"], r["method"]) == (case, method)]
            head = {"case": case, "problems": len(rows), "members": members[case], "steps": 100, "method": method}
            if any("error" in r for r in rows):
                out.append(head | {"failed": next(r["error"] for r in rows if "error" in r)})
                continue
            scores = [{k: v for k, v in r.items() if k not in (*head, "problem")} for r in rows]
            out.append(head | interval([r[key] for r in rows], floor) | pooled(scores))
    return out


def replace_rows(report: Report) -> None:
    """Writes the results that are there with the rows of these cases replaced; each new row names its own commit."""
    path = common.RESULTS / f"{report.name}{'-quick' if report.quick else ''}.json"
    document, known = json.loads(path.read_text()), {(row["case"], row.get("members")) for row in report.rows}
    kept = [
        r for r in document["rows"] if r["method"].startswith("azula") or (r["case"], r.get("members")) not in known
    ]
    document["rows"] = [*({**row, "commit": common.commit()} for row in report.rows), *kept]
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=1) + "\n")
    os.replace(partial, path)


def main() -> None:
    """Runs the parts that were asked for, several at once where that is asked for, and writes the report."""
    asked = common.parser(__doc__.split("\n")[0])
    add_arguments(asked)
    asked.add_argument("--jobs", type=int, default=1, help="parts that run at once, a core each")
    asked.add_argument("--only", help="parts whose name begins so; their rows replace those in the committed results")
    given = asked.parse_args()
    torch.set_num_threads(1)
    report, parts = Report("posterior_exactness", given.quick, given.seed), tasks(given.quick, given.seed)
    parts = {name: part for name, part in parts.items() if name.startswith(given.only or "")}
    with ProcessPoolExecutor(given.jobs) as pool:
        for future in [pool.submit(*part) for part in parts.values()]:
            for row in future.result():
                report.add(**row)
    if given.only:
        replace_rows(report)
        return
    for method in () if given.quick else CONVERGENCE:
        report.add(case="gmm2 slope", method=method, slope=slope(report.rows, method))
    if interpreter := interpreter_of(given):
        for row in peers(interpreter, report.rows, given.quick, given.seed):
            report.add(**row)
    report.write()


if __name__ == "__main__":
    main()
