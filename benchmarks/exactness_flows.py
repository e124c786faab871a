"""Weighted flows (AFDPS and Feynman-Kac correctors) against exact draws, as published and in their general form.

    python benchmarks/exactness_flows.py [--quick] [--seed SEED]

gmm2: six posterior modes in the plane, one observation; error_ratio = sliced W1 over the mean of that of 20 ensembles
of as many exact draws. annealed: p^2 of the same prior, without data; ratio to exact draws of it.
"""

import time
import warnings

import common
import exactness
import torch
from analytic import F64, MixturePosterior, Problem, gmm2
from common import Report

from sciml_diffusion.inverse.afdps import AFDPS
from sciml_diffusion.inverse.feynman_kac import FeynmanKac
from sciml_diffusion.samplers.streams import MemberStreams

EXACT = 20
FORMS = {
    "afdps": {},
    "afdps-g4": {"g2": 4.0},
    "afdps-g8": {"g2": 8.0},
    "afdps-c0.5": {"g2": 1.0},
    "afdps-langevin": {"g2": 0.0, "langevin": 3},
    "afdps-c1-heat": {"g2": 1.0, "c": 1.0},
    "afdps-published": {"g2": 1.0, "c": 1.0, "potential": "constant"},
}


def exact_error(posterior: MixturePosterior, members: int) -> float:
    """Mean sliced W1 of ensembles of exact draws."""
    generator, flat = torch.Generator().manual_seed(100), torch.full((members,), 1 / members, dtype=F64)
    draws = (posterior.draw(members, generator) for _ in range(EXACT))
    return sum(exactness.sliced_w1(x, flat, posterior) for x in draws) / EXACT


def posterior_row(report: Report, problem: Problem, form: str, members: int, steps: int, seeds: list[int]) -> None:
    """One row: a form of AFDPS on gmm2, pooled over seeds."""
    rows = []
    cells = problem.denoiser.means
    exact_cells = exactness.cell_weights(problem.posterior, cells)
    for seed in seeds:
        begun, streams = time.perf_counter(), MemberStreams(seed, [0], range(members), F64)
        ensemble = AFDPS(problem.sigmas(steps), **FORMS[form]).sample(problem.denoiser, problem.observation, streams)
        seconds, facts, x, w = time.perf_counter() - begun, ensemble.diagnostics, ensemble.x[0], ensemble.weights[0]
        row = {k: float(facts[k][0]) for k in ("roots", "family_ess", "resamplings")}
        row |= {"sw": exactness.sliced_w1(x, w, problem.posterior), "seconds": seconds}
        row |= {"mode_tv": exactness.mode_tv(x, w, cells, exact_cells), "network_calls": facts["network_calls"]}
        row["log_evidence_error"] = abs(float(facts["log_evidence"][0]) - problem.posterior.log_evidence)
        rows.append(row)
    pooled = {k: sum(row[k] for row in rows) / len(rows) for k in rows[0]}
    ratio = pooled["sw"] / exact_error(problem.posterior, members)
    head = {"case": "gmm2", "method": form, "members": members, "steps": steps, "repeats": len(seeds)}
    report.add(**head, weighted=True, error_ratio=ratio, **pooled)


def annealed_row(report: Report, problem: Problem, members: int, steps: int, seed: int) -> None:
    """One row: p^2 of the prior of gmm2, whose modes hardly overlap: weights squared, covariance halved."""
    prior = problem.denoiser
    blind = torch.full((1,), 1e9, dtype=F64)  # an observation that says nothing: the law itself
    truth = MixturePosterior(
        2 * prior.log_weights, prior.means, torch.eye(2, dtype=F64) / 2, problem.observation.operator.matrix,
        problem.observation.y[0], blind,
    )  # fmt: skip
    begun, streams = time.perf_counter(), MemberStreams(seed, [0], range(members), F64)
    ensemble = FeynmanKac(problem.sigmas(steps), [2.0]).sample([prior], streams)
    seconds, facts = time.perf_counter() - begun, ensemble.diagnostics
    error = exactness.sliced_w1(ensemble.x[0], ensemble.weights[0], truth)
    head = {"case": "annealed", "method": "feynman-kac", "members": members, "steps": steps, "weighted": True}
    facts = {k: float(facts[k][0]) for k in ("roots", "family_ess", "resamplings")}
    report.add(**head, error_ratio=error / exact_error(truth, members), sw=error, seconds=seconds, **facts)


def rows(report: Report, quick: bool, seed: int) -> None:
    """Adds the rows of the weighted flows to a report."""
    problem = gmm2()
    plan = [(1000, 100, 4)] if quick else [(1000, 100, 10), (1000, 400, 10), (20_000, 100, 2), (20_000, 400, 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # collapse is in the row, as roots and family_ess
        for members, steps, repeats in plan:
            small = members == 1000
            for form in FORMS if small else ("afdps", "afdps-g4", "afdps-g8"):
                posterior_row(report, problem, form, members, steps, [seed + 1000 + s for s in range(repeats)])
        annealed_row(report, problem, 1000 if quick else 4000, 100 if quick else 400, seed)


def main() -> None:
    """Runs the rows and writes the report."""
    given = common.parser(__doc__.split("\n")[0]).parse_args()
    report = Report("exactness_flows", given.quick, given.seed)
    rows(report, given.quick, given.seed)
    report.write()


if __name__ == "__main__":
    main()
