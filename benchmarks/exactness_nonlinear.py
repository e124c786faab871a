"""Nonlinear problems in the plane, known by quadrature: every method of the catalogue that takes them.

    python benchmarks/exactness_nonlinear.py [--quick] [--seed SEED]

plane-bend: a Gaussian read by tanh(u) + 0.3 u^2; plane-ring: by |x|; plane-mixture: 25 modes read by a saturating
instrument; plane-outlier: the ring under Student's t noise; plane-switch: the bend reports only "above 1.5". 1000
members, 100 steps, each with several seeds; error_ratio = sliced W1 over that of as many exact draws (mean of 20), with
its 95 % interval over seeds. mean_error is in posterior std. Members that are not finite (`finite` is the share of the
others) count in no score.
"""

import common
import torch
from analytic import F64
from common import Report
from exactness_run import EXACT, interval, pooled, run
from quadrature import PlaneProblem, nonlinear2
from torch import Tensor

from sciml_diffusion.inverse.catalogue import METHODS
from sciml_diffusion.observations.censored import Censored
from sciml_diffusion.observations.noise_laws import StudentT

MEMBERS, STEPS = 1000, 100
APART = {"unknown-noise"}  # answers another question


def beds() -> dict[str, PlaneProblem]:
    """The five problems by name."""
    std, cut = torch.tensor([0.3], dtype=F64), torch.tensor([1.5 - 1e-6], dtype=F64)
    return {
        "plane-bend": nonlinear2("bend"),
        "plane-ring": nonlinear2("ring"),
        "plane-mixture": nonlinear2("mixture"),
        "plane-outlier": nonlinear2("ring", StudentT(std, torch.tensor([3.0], dtype=F64))),
        "plane-switch": nonlinear2("bend", Censored(std, cut, cut)),
    }


def scores(x: Tensor, weights: Tensor, problem: PlaneProblem) -> dict[str, float]:
    """sliced_w1, mean_error, std_ratio and the share of finite members; x (K, 2), normalised weights (K,)."""
    finite = torch.isfinite(x).all(1) & torch.isfinite(weights)
    x, w = x[finite], weights[finite] / weights[finite].sum()
    posterior = problem.posterior
    mean = w @ x
    std = (w @ (x - mean) ** 2).sqrt()
    return {
        "sliced_w1": posterior.sliced_w1(x, w) if len(x) else torch.inf,
        "mean_error": float((((mean - posterior.mean) / posterior.std) ** 2).mean().sqrt()),
        "std_ratio": float((std / posterior.std).mean()),
        "finite": float(finite.double().mean()),
    }


def rows(report: Report, quick: bool, seed: int) -> None:
    """Adds a row for each problem and method; a method that refuses a problem has its reason in `failed`."""
    seeds, steps = (1, 50) if quick else (10, STEPS)
    flat = torch.full((MEMBERS,), 1 / MEMBERS, dtype=F64)
    for case, problem in beds().items():
        g = torch.Generator().manual_seed(100)
        exact = [scores(problem.posterior.draw(MEMBERS, g), flat, problem) for _ in range(EXACT)]
        limit = pooled(exact)
        head = {"case": case, "problems": seeds, "members": MEMBERS, "steps": steps}
        report.add(**head, method="exact", error_ratio=1.0, **limit)
        for name in (name for name, needs in METHODS.items() if needs != "linear" and name not in APART):
            several = []
            try:
                for n in range(seeds):
                    ensemble, facts = run(name, problem, MEMBERS, seed + 10 + n, steps)
                    several.append(scores(ensemble.x[0], ensemble.weights[0], problem) | facts)
            except (ValueError, TypeError) as refused:
                report.add(**head, method=name, failed=str(refused))
                continue
            ratio = interval([row["sliced_w1"] for row in several], [limit["sliced_w1"]] * seeds)
            report.add(**head, method=name, **ratio, **pooled(several))


def main() -> None:
    """Runs all problems and writes the report."""
    given = common.parser(__doc__.split("\n")[0]).parse_args()
    torch.set_num_threads(1)
    report = Report("exactness_nonlinear", given.quick, given.seed)
    rows(report, given.quick, given.seed)
    report.write()


if __name__ == "__main__":
    main()
