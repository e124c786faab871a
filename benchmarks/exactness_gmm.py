"""Mixtures of 25 Gaussians in 2 to 800 dimensions under a few observations: who finds the weights of the modes?

error_ratio = sliced W1 to the exact posterior over the mean of that of 20 ensembles of exact draws, pooled over
problems with a 95 % interval over them. `oracle` is the ancestral sampler with the exact denoiser of the posterior on
the same grid: what is left is discretisation and Monte Carlo.
"""

import math
import time

import exactness
import torch
from analytic import F64, Problem, gmm, gmm2
from exactness_run import EXACT, interval, pooled, run

from sciml_diffusion.denoisers.basis import MatrixBasis
from sciml_diffusion.denoisers.mixture import MixtureDenoiser
from sciml_diffusion.samplers.sde import Ancestral
from sciml_diffusion.samplers.streams import MemberStreams

MEMBERS, STEPS = 1000, 100
BIASED = ("mmps-jacobian", "pigdm", "sda", "dps-0.1", "dps-0.3", "dps-1", "daps")
WEIGHTED = ("auto", "smc", "afdps", "afdps-published")
CONVERGENCE = ("auto", "smc", "afdps", "mmps-jacobian", "pigdm", "dps-0.3", "daps")


def limits(problem: Problem, members: int, n: int) -> float:
    """Mean sliced W1 of 20 ensembles of exact draws."""
    g, flat = torch.Generator().manual_seed(100 + n), torch.full((members,), 1 / members, dtype=F64)
    draws = (problem.posterior.draw(members, g) for _ in range(EXACT))
    return sum(exactness.sliced_w1(x, flat, problem.posterior) for x in draws) / EXACT


def oracle(problem: Problem, members: int, seed: int) -> tuple[torch.Tensor, dict]:
    """Members of the sampler that knows the posterior's own denoiser, with shape (K, d)."""
    posterior, d = problem.posterior, problem.posterior.means.shape[1]
    values, vectors = torch.linalg.eigh(posterior.covariance)
    basis = MatrixBasis(vectors.T.contiguous(), (d,))
    denoiser = MixtureDenoiser(posterior.weights.log(), posterior.means, basis, values.clamp_min(1e-9)[None])
    streams = MemberStreams(seed, [0], range(members), F64)
    begun = time.perf_counter()
    x = Ancestral(problem.sigmas(STEPS))(denoiser, streams)
    return x, {"weighted": False, "seconds": time.perf_counter() - begun, "network_calls": STEPS}


def mixture(d: int, m: int, problems: int, methods: tuple[str, ...], seed: int) -> list[dict]:
    """Rows of one bed gmm-d-m, pooled over its problems; one ensemble of 1000 members a problem and method."""
    made = [gmm(d, m, n) for n in range(problems)]
    cells, dtype = made[0].denoiser.means.to(F64), torch.float32 if d > 100 else F64
    floor = [limits(problem, MEMBERS, n) for n, problem in enumerate(made)]
    exact_cells = [exactness.cell_weights(p.posterior, cells, 100_000 if d < 100 else 20_000) for p in made]
    head, out = {"case": f"gmm-{d}-{m}", "problems": problems, "members": MEMBERS, "steps": STEPS}, []
    for method in (*methods, "oracle"):
        rows = []
        for n, (problem, weights) in enumerate(zip(made, exact_cells, strict=True)):
            if method == "oracle":
                (x, facts), w = oracle(problem, MEMBERS, seed + 10 + n), torch.full((MEMBERS,), 1 / MEMBERS, dtype=F64)
            else:
                ensemble, facts = run(method, problem, MEMBERS, seed + 10 + n, STEPS, dtype)
                x, w = ensemble.x[0].to(F64), ensemble.weights[0]
            error = exactness.sliced_w1(x, w, problem.posterior)
            rows.append({"sw": error, "mode_tv": exactness.mode_tv(x, w, cells, weights)} | facts)
        found = pooled(rows)
        out.append(head | {"method": method} | interval([r["sw"] for r in rows], floor) | found)
    return out


def convergence(members: int, steps: int, repeats: int, methods: tuple[str, ...], seed: int) -> list[dict]:
    """Rows of gmm2 at one ensemble size: errors fall as N^-1/2 where a method is consistent, and stay elsewhere."""
    problem, out = gmm2(), []
    cells = problem.denoiser.means
    weights = exactness.cell_weights(problem.posterior, cells)
    floor = limits(problem, members, 0)
    for method in methods:
        rows = []
        for repeat in range(repeats):
            ensemble, facts = run(method, problem, members, seed + 1000 + repeat, steps)
            x, w = ensemble.x[0], ensemble.weights[0]
            error = exactness.sliced_w1(x, w, problem.posterior)
            rows.append({"sw": error, "mode_tv": exactness.mode_tv(x, w, cells, weights)} | facts)
        head = {"case": "gmm2", "problems": 1, "repeats": repeats, "members": members, "steps": steps}
        ratio = interval([r["sw"] for r in rows], [floor] * repeats)
        out.append(head | {"method": method, "exact_sw": floor} | ratio | pooled(rows))
    return out


def slope(rows: list[dict], method: str) -> float:
    """d ln(error) / d ln(N) of a method between the smallest and the largest ensemble of gmm2 with 100 steps."""
    mine = (r for r in rows if (r["case"], r["method"], r.get("steps")) == ("gmm2", method, 100))
    points = sorted((r["members"], r["sw"]) for r in mine)
    (n0, e0), (n1, e1) = points[0], points[-1]
    return math.log(e1 / e0) / math.log(n1 / n0)
