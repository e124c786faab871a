"""Calibration by simulation: ranks of 200 truths among posterior members, with bands that hold for whole curves.

    python benchmarks/calibration.py [--quick] [--seed SEED] [--cases grf-64 burgers-prior burgers-held-out]

Pairs (truth, data) from the law that a method is told, or from another: `grf-64` draws Gaussian fields on a circle seen
by 3 sensors, whose posterior is known (row `exact`; `exact x 0.8` shrinks its spread, and must be caught);
`burgers-prior` draws truths from the shipped network itself, so that only the sampler is tested; `burgers-held-out`
takes simulations that nothing was trained on, so that network and sampler are. Burgers is seen at 40 random places of
space and time with noise of 5 % of its standard deviation. All pairs travel as windows of one observation.

Ranked are three values of the field, its mean, and the log-likelihood of the data. p_points (the least of three, times
three), p_mean and p_log_likelihood are probabilities that uniform ranks depart as far from uniform; p_value is the
least of the five times five, `calibrated` where it is above 0.05, and `verdict` says in words what is worst. Of 20
calibrated methods one would still fall below. coverage90 is over all points. The full run draws the curves of each case
to benchmarks/results/calibration-CASE.png; rows of cases that are not run stay.
"""

import json
import os
import time
import warnings
from dataclasses import dataclass
from functools import partial

import common
import torch
from analytic import F64, grf
from torch import Tensor

from sciml_diffusion import api
from sciml_diffusion.baselines.kriging import ClosedForm
from sciml_diffusion.denoisers.base import Denoiser
from sciml_diffusion.ensemble import WeightedEnsemble
from sciml_diffusion.evaluate.calibration import Band, draw_rank_ecdf, verdict
from sciml_diffusion.evaluate.figures import new_figure
from sciml_diffusion.evaluate.scores import coverage, pit
from sciml_diffusion.inverse.base import PosteriorMethod
from sciml_diffusion.inverse.catalogue import METHODS
from sciml_diffusion.leaves import leaf
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Weighted
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.sde import Ancestral
from sciml_diffusion.samplers.streams import MemberStreams

HELD_OUT, SENSORS, NOISE = 2_000_000, 40, 0.05
POINTS, ROWS = 3, 100  # values ranked; members of the network's windows in memory at once
SLOW = {"block-moves": {"sweeps": 4}}  # options that differ from the leaves
BURGERS = {  # leaf, options, steps: those of the lowest CRPS for their cost among the catalogue
    "mmps": ("mmps", {}, 8),
    "mmps-surrogate": ("mmps", {"covariance": "surrogate"}, 16),
    "daps": ("daps", {}, 16),
}


@dataclass(frozen=True)
class Pairs:
    """Truths with their data, and the law that methods are told.

    Arguments:
        case: name.
        denoiser: of that law.
        sigma_range: noise levels for it.
        truth: with shape (B, *event), in the denoiser's space.
        observation: y with shape (B, m).
    """

    case: str
    denoiser: Denoiser
    sigma_range: tuple[float, float]
    truth: Tensor
    observation: Observation

    def method(self, name: str, steps: int, options: dict) -> PosteriorMethod:
        """A method of the catalogue from its leaf."""
        target, arguments = leaf("posterior", name, "posterior method", "", options, ("sigmas",))
        return target(karras_sigmas(steps, *self.sigma_range), **arguments)


def gaussian_fields(count: int, seed: int) -> Pairs:
    """Draws of the periodic field of 64 points, all seen by the same sensors."""
    problem, g = grf(1, seed), torch.Generator().manual_seed(seed + 1)
    denoiser, operator, std = problem.denoiser, problem.observation.operator, problem.observation.std
    z = torch.randn(count, *denoiser.event, generator=g, dtype=F64)
    truth = denoiser.mean + denoiser.surrogate(torch.tensor(torch.inf, dtype=F64)).sqrt(z)
    y = operator(truth) + std * torch.randn(count, operator.m, generator=g, dtype=F64)
    return Pairs("grf-64", denoiser, problem.sigma_range, truth, Observation(operator, y, std))


def burgers(count: int, seed: int, drawn: bool) -> Pairs:
    """Trajectories of Burgers' equation, drawn from the shipped prior or simulated anew."""
    prior, g = api.load_prior("burgers"), torch.Generator().manual_seed(seed + 2)
    if drawn:
        sampler = Ancestral(karras_sigmas(32, *prior.sigma_range))
        parts = torch.arange(count).split(ROWS)
        truth = torch.cat([sampler(prior.denoiser, MemberStreams(seed + 3, p.tolist(), [0])) for p in parts])
    else:
        fields = api.generate("burgers", count, HELD_OUT + seed)
        truth = prior.codec.encode(torch.from_numpy(fields.u.values[:, None]).to(prior.dtype))
    places = torch.randperm(truth[0].numel(), generator=g)[:SENSORS, None]
    operator, std = Weighted(places, torch.ones(SENSORS, 1), prior.denoiser.event), torch.full((SENSORS,), NOISE)
    y = operator(truth) + std * torch.randn(count, SENSORS, generator=g)
    name = "burgers-prior" if drawn else "burgers-held-out"
    return Pairs(name, prior.denoiser, prior.sigma_range, truth, Observation(operator, y, std))


def with_unknown_noise(pairs: Pairs, low: float, high: float, seed: int) -> Pairs:
    """The same truths with the noise of each pair scaled by a factor, log-uniform on [low, high]."""
    g, seen = torch.Generator().manual_seed(seed + 4), pairs.observation
    scale = low * (high / low) ** torch.rand(len(seen.y), 1, generator=g, dtype=F64)
    y = seen.operator(pairs.truth) + scale * (seen.y - seen.operator(pairs.truth))
    return Pairs(pairs.case, pairs.denoiser, pairs.sigma_range, pairs.truth, Observation(seen.operator, y, seen.std))


def run(pairs: Pairs, method: PosteriorMethod, members: int, seed: int) -> WeightedEnsemble:
    """Members for all pairs, some windows at a time where a network is asked."""
    dtype, parts = pairs.truth.dtype, []
    share = len(pairs.truth) if dtype == F64 else max(1, ROWS // members)
    for first in range(0, len(pairs.truth), share):
        seen = pairs.observation.select(slice(first, first + share))
        streams = MemberStreams(seed, range(first, first + len(seen.y)), range(members), dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # collapse is in the row, as ess
            parts.append(method.sample(pairs.denoiser, seen, streams))
    calls = {"network_calls": max(p.diagnostics["network_calls"] for p in parts)}
    return WeightedEnsemble(torch.cat([p.x for p in parts]), torch.cat([p.log_weights for p in parts]), calls)


def narrowed(pairs: Pairs, scale: float, members: int, seed: int) -> WeightedEnsemble:
    """Exact members drawn together to their mean."""
    exact = run(pairs, ClosedForm(), members, seed)
    mean = exact.x.mean(1, keepdim=True)
    return WeightedEnsemble(mean + scale * (exact.x - mean), exact.log_weights)


def ranks(pairs: Pairs, ensemble: WeightedEnsemble, seed: int) -> tuple[dict[str, Tensor], float]:
    """Ranks of each quantity, with shape (B,), and the coverage of all points."""
    g, x, weights = torch.Generator().manual_seed(seed + 5), ensemble.x, ensemble.weights
    members, last = x.shape[1], x[0, 0].numel()
    seen = set(pairs.observation.operator.index.flatten().tolist())
    free = torch.tensor([n for n in range(last) if n not in seen])
    places = free[torch.randperm(len(free), generator=g)[:POINTS]]
    truth, drawn = pairs.truth.flatten(1), x.flatten(2)
    found = {f"point {n + 1}": pit(drawn[..., p], truth[:, p], g, weights) for n, p in enumerate(places)}
    found["mean"] = pit(drawn.mean(-1), truth.mean(-1), g, weights)
    likelihood = pairs.observation.log_likelihood(x.flatten(0, 1)).reshape(-1, members)
    found["log-likelihood"] = pit(likelihood, pairs.observation.log_likelihood(pairs.truth), g, weights)
    return found, float(coverage(pit(drawn, truth, g, weights)))


def judged(found: dict[str, Tensor], band: Band) -> dict:
    """p-values and the verdict on the worst quantity."""
    p = {name: band.p_value(u) for name, u in found.items()}
    worst, value = min(p, key=p.get), min(1.0, len(p) * min(p.values()))
    return {
        "p_points": min(1.0, POINTS * min(v for k, v in p.items() if k.startswith("point"))),
        "p_mean": p["mean"],
        "p_log_likelihood": p["log-likelihood"],
        "p_value": value,
        "calibrated": value > 0.05,
        "verdict": "calibrated" if value > 0.05 else f"{verdict(found[worst], band)} ({worst})",
    }


class Study:
    """Rows and rank curves of all cases.

    Arguments:
        report: where rows go.
        count: pairs.
    """

    def __init__(self, report: common.Report, count: int):
        self.report, self.band, self.curves = report, Band(count), {}

    def add(self, pairs: Pairs, name: str, make, steps: int, members: int) -> None:
        """One row; `make()` gives the ensemble. Methods that do not take the case are skipped in words."""
        begun, head = time.process_time(), {"case": pairs.case, "method": name, "steps": steps, "members": members}
        try:
            ensemble = make()
        except (ValueError, TypeError) as error:
            self.report.add(**head, skipped=str(error).split(". ")[0])
            return
        seconds = time.process_time() - begun
        if not ensemble.x.isfinite().all():
            self.report.add(**head, skipped="members that are not finite")
            return
        found, share = ranks(pairs, ensemble, self.report.seed)
        self.curves.setdefault(pairs.case, {})[name] = found
        spent = {"network_calls": ensemble.diagnostics.get("network_calls", 0), "seconds": seconds}
        scored = {"coverage90": share, "ess": ensemble.ess.mean()}
        self.report.add(**head, pairs=self.band.n, **judged(found, self.band), **scored, **spent)

    def gaussian(self, pairs: Pairs, members: int, steps: int) -> None:
        """Exact draws, exact draws that are too narrow, and every method of the catalogue."""
        seed = self.report.seed
        self.add(pairs, "exact", partial(run, pairs, ClosedForm(), members, seed), 0, members)
        self.add(pairs, "exact x 0.8", partial(narrowed, pairs, 0.8, members, seed), 0, members)
        for name in METHODS:
            told = with_unknown_noise(pairs, 0.1, 10.0, seed) if name == "unknown-noise" else pairs
            method = told.method(name, steps, SLOW.get(name, {}))
            self.add(told, name, partial(run, told, method, members, seed), steps, members)

    def network(self, pairs: Pairs, members: int) -> None:
        """The methods chosen for a network."""
        for name, (base, options, steps) in BURGERS.items():
            method = pairs.method(base, steps, options)
            self.add(pairs, name, partial(run, pairs, method, members, self.report.seed), steps, members)

    def draw(self) -> None:
        """Rank ECDF minus the diagonal over the band, a picture for each case."""
        shown = ("point 1", "mean", "log-likelihood")
        for case, methods in self.curves.items():
            figure, axes = new_figure(1, len(shown), (4.2 * len(shown), 4))
            for axis, quantity in zip(axes[0], shown, strict=True):
                draw_rank_ecdf(axis, {n: u[quantity] for n, u in methods.items()}, self.band, f"{case}: {quantity}")
                axis.set_xlabel("rank of the truth")
            axes[0, 0].set_ylabel("ECDF - expected")
            lines = axes[0, 0].get_legend_handles_labels()
            figure.legend(*lines, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
            path = common.RESULTS / f"calibration-{case}.png"
            figure.savefig(path.with_suffix(".partial"), format="png", dpi=90)
            os.replace(path.with_suffix(".partial"), path)


def kept(cases: list[str]) -> list[dict]:
    """Committed rows of the cases that are not run this time."""
    path = common.RESULTS / "calibration.json"
    return [r for r in json.loads(path.read_text())["rows"] if r["case"] not in cases] if path.is_file() else []


def main() -> None:
    """Runs the cases that were asked for and writes the report."""
    cases = ("grf-64", "burgers-prior", "burgers-held-out")
    arguments = common.parser(__doc__.split("\n")[0])
    arguments.add_argument("--cases", nargs="*", choices=cases, default=cases)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    report = common.Report("calibration", options.quick, options.seed)
    study, seed = Study(report, 40 if options.quick else 200), options.seed
    if "grf-64" in options.cases:
        members, steps = (15, 16) if options.quick else (31, 32)
        study.gaussian(gaussian_fields(study.band.n, seed), members, steps)
    for name in options.cases:
        if name.startswith("burgers"):
            study.network(burgers(study.band.n, seed, name == "burgers-prior"), 2 if options.quick else 3)
    if not options.quick:
        study.draw()
        report.rows = kept(options.cases) + report.rows
    report.write()


if __name__ == "__main__":
    main()
