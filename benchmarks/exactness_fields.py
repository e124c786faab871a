"""Gaussian fields under 5 % point sensors of std 0.1: error_ratio = z_rms over that of as many exact draws."""

import exactness
import torch
from analytic import F64, grf
from exactness_run import EXACT, interval, pooled, run

STEPS = 100
MEMBERS = {1: 200, 2: 64}
METHODS = {
    1: ("auto", "smc", "mmps", "mmps-jacobian", "pigdm", "sda", "dps-0.3", "dps-1", "daps", "split-gibbs", "afdps"),
    2: ("auto", "smc", "mmps", "pigdm", "dps-1", "daps", "afdps"),
}


def field(axes: int, problems: int, methods: tuple[str, ...], seed: int) -> list[dict]:
    """Rows of grf-64 or grf-64x64, pooled over problems, with as many exact draws first."""
    members = MEMBERS[axes]
    made = [grf(axes, n) for n in range(problems)]
    stds = [problem.posterior.stationary_std() for problem in made]
    flat, floor = torch.full((members,), 1 / members, dtype=F64), []
    for n, (problem, std) in enumerate(zip(made, stds, strict=True)):
        g = torch.Generator().manual_seed(100 + n)
        draws = (problem.posterior.draw(members, g) for _ in range(EXACT))
        floor.append(pooled([exactness.field_scores(x, flat, problem.posterior, std) for x in draws]))
    case = "grf-64" if axes == 1 else "grf-64x64"
    head, limit = {"case": case, "problems": problems, "members": members, "steps": STEPS}, [r["z_rms"] for r in floor]
    out = [head | {"method": "exact"} | interval(limit, limit) | pooled(floor)]
    for method in methods:
        rows = []
        for n, (problem, std) in enumerate(zip(made, stds, strict=True)):
            ensemble, facts = run(method, problem, members, seed + 50 + n, STEPS)
            score = exactness.field_scores(ensemble.x[0], ensemble.weights[0], problem.posterior, std)
            rows.append(score | facts)
        out.append(head | {"method": method} | interval([r["z_rms"] for r in rows], limit) | pooled(rows))
    return out
