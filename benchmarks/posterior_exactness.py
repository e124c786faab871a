"""How far posterior samplers are from posteriors known in closed form: the prior is exact, so every error is theirs.

    python benchmarks/posterior_exactness.py [--quick] [--trained] [--seed SEED]

gmm-D-M: 25 modes in D dimensions, M observations, 1000 members, 100 steps, five problems, with several runs of smc;
error_ratio = sliced W1 over the mean of that of 20 ensembles of exact draws. grf-64, grf-64x64: Gaussian fields under
5 % point sensors of std 0.1, 200 and 64 members, 100 steps; error_ratio = z_rms over that of exact draws; crps_ratio is
to the exact posterior. The full run has more mixtures and problems; --trained (part of the full run) adds a denoiser
that was trained on samples of grf-64.
"""

import time
import warnings

import common
import exactness
import torch
from analytic import F64, Problem, gmm, gmm2, grf
from common import Report

from sciml_diffusion.ensemble import WeightedEnsemble
from sciml_diffusion.inverse.dps import DPS
from sciml_diffusion.inverse.mmps import MMPS
from sciml_diffusion.inverse.tsmc import TwistedSMC
from sciml_diffusion.samplers.streams import MemberStreams

STEPS, EXACT = 100, 20
METHODS = {
    "smc": TwistedSMC,
    "mmps": MMPS,
    "mmps-jacobian": lambda s: MMPS(s, covariance="jacobian"),
    "dps-0.1": lambda s: DPS(s, zeta=0.1),
    "dps-0.3": lambda s: DPS(s, zeta=0.3),
    "dps-1": lambda s: DPS(s, zeta=1.0),
}


def run(method: str, problem: Problem, members: int, seed: int, steps: int = STEPS) -> tuple[WeightedEnsemble, dict]:
    """One ensemble for one problem, and what it cost and reports of itself."""
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # collapse is in the row, as roots and ess
        streams = MemberStreams(seed, [0], range(members), F64)
        ensemble = METHODS[method](problem.sigmas(steps)).sample(problem.denoiser, problem.observation, streams)
    facts = {
        "weighted": method == "smc",
        "ess": float(ensemble.ess[0]),
        "network_calls": ensemble.diagnostics["network_calls"],
        "operator_calls": ensemble.diagnostics["operator_calls"],
        "seconds": time.perf_counter() - begun,
    }
    if method == "smc":
        facts |= {k: float(ensemble.diagnostics[k][0]) for k in ("roots", "family_ess")}
        facts["log_weight_variance"] = float(ensemble.log_weights[0].var())
        error = float(ensemble.diagnostics["log_evidence"][0]) - problem.posterior.log_evidence
        facts["log_evidence_error"] = abs(error)
    return ensemble, facts


def mixtures(report: Report, case: str, problems: list[Problem], seed: int, repeats: int, members: int = 1000) -> None:
    """Rows of one mixture case, pooled over its problems."""
    cells = problems[0].denoiser.means
    limits, exact_cells = [], []
    for n, problem in enumerate(problems):
        generator, flat = torch.Generator().manual_seed(100 + n), torch.full((members,), 1 / members, dtype=F64)
        draws = [problem.posterior.draw(members, generator) for _ in range(EXACT)]
        limits.append(sum(exactness.sliced_w1(x, flat, problem.posterior) for x in draws) / EXACT)
        exact_cells.append(exactness.cell_weights(problem.posterior, cells))
    for method in ("smc", "mmps-jacobian", "dps-0.1", "dps-1"):
        rows, times = [], repeats if method == "smc" else 1
        for n, (problem, weights) in enumerate(zip(problems, exact_cells, strict=True)):
            for repeat in range(times):
                ensemble, facts = run(method, problem, members, seed + 10 + n + 100 * repeat)
                x, w = ensemble.x[0], ensemble.weights[0]
                error = exactness.sliced_w1(x, w, problem.posterior)
                rows.append({"sw": error, "mode_tv": exactness.mode_tv(x, w, cells, weights), **facts})
        pooled = mean_row(rows)
        ratio = pooled["sw"] / _mean(limits)
        worst = max(_mean([r["sw"] for r in rows[n * times :][:times]]) / limit for n, limit in enumerate(limits))
        head = {"case": case, "method": method, "problems": len(problems), "members": members, "steps": STEPS}
        head["repeats"] = times
        report.add(**head, error_ratio=ratio, worst_ratio=worst, **pooled)


def fields(report: Report, case: str, problems: list[Problem], members: int, seed: int) -> None:
    """Rows of one Gaussian field, pooled over its problems."""
    limits, stds = [], [problem.posterior.stationary_std() for problem in problems]
    for n, (problem, std) in enumerate(zip(problems, stds, strict=True)):
        generator, flat = torch.Generator().manual_seed(100 + n), torch.full((members,), 1 / members, dtype=F64)
        draws = (problem.posterior.draw(members, generator) for _ in range(EXACT))
        limits.append(mean_row([exactness.field_scores(x, flat, problem.posterior, std) for x in draws]))
    limit = mean_row(limits)
    head = {"case": case, "problems": len(problems), "members": members, "steps": STEPS}
    report.add(**head, method="exact", error_ratio=1.0, **limit)
    for method in ("smc", "mmps", "mmps-jacobian", "dps-0.3", "dps-1"):
        if method == "mmps-jacobian" and len(problems[0].observation.std) > 10:
            continue  # as many passes a step as sensors: the surrogate is the same covariance for nothing
        rows = []
        for n, (problem, std) in enumerate(zip(problems, stds, strict=True)):
            ensemble, facts = run(method, problem, members, seed + 50 + n)
            rows.append(exactness.field_scores(ensemble.x[0], ensemble.weights[0], problem.posterior, std) | facts)
        pooled = mean_row(rows)
        report.add(**head, method=method, error_ratio=pooled["z_rms"] / limit["z_rms"], **pooled)


def mean_row(rows: list[dict]) -> dict:
    """Means over problems; for what must be small the largest."""
    worst = ("log_weight_variance", "log_evidence_error")
    return {k: max(r[k] for r in rows) if k in worst else _mean([r[k] for r in rows]) for k in rows[0]}


def _mean(values: list):
    return values[0] if isinstance(values[0], bool) else sum(values) / len(values)


def main() -> None:
    """Runs the cases that were asked for and writes the report."""
    asked = common.parser(__doc__.split("\n")[0])
    asked.add_argument("--trained", action="store_true", help="also train a denoiser on grf-64; part of the full run")
    given = asked.parse_args()
    report = Report("posterior_exactness", given.quick, given.seed)
    for d, m, repeats in [(8, 2, 4)] if given.quick else [(8, 2, 4), (8, 1, 2), (8, 4, 2), (80, 2, 1)]:
        mixtures(report, f"gmm-{d}-{m}", [gmm(d, m, seed) for seed in range(5)], given.seed, repeats)
    if not given.quick:
        mixtures(report, "gmm2", [gmm2()], given.seed, 8)
    fields(report, "grf-64", [grf(1, seed) for seed in range(5)], 200, given.seed)
    fields(report, "grf-64x64", [grf(2, seed) for seed in range(1 if given.quick else 3)], 64, given.seed)
    if given.trained or not given.quick:
        from exactness_trained import trained

        trained(report, given.quick, given.seed)
    report.write()


if __name__ == "__main__":
    main()
