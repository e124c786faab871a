"""What the beds with trained denoisers share: an exact denoiser made as poor as a network, and the split of the error.

An error at K steps is told apart into parts that add up to it, each over the error of as many exact draws:

    trained, K = 1 (Monte Carlo) + rest + discretisation + score,
    rest = hidden, 4K - 1,  discretisation = hidden, K - hidden, 4K,  score = trained, K - hidden, K,

hidden being the exact denoiser without its closed forms, on the same random numbers. `rest` is what more steps leave:
the bias of a method, and the spread of its weights. `score_fine` is the score's part at 4K steps.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from analytic import F64, Problem
from common import Report
from torch import Tensor, nn

from sciml_diffusion.denoisers.anchored import AnchoredDenoiser
from sciml_diffusion.denoisers.base import Denoiser, expand
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.inverse.mmps import MMPS
from sciml_diffusion.inverse.tsmc import TwistedSMC
from sciml_diffusion.samplers.streams import MemberStreams
from sciml_diffusion.training.calibrate import calibrate

METHODS = {"smc": TwistedSMC, "mmps": MMPS}
FACTOR = 4  # more steps, by which discretisation is seen


class Hidden(Denoiser):
    """The exact denoiser as a network would be: without a covariance, a mean or an exact start.

    Arguments:
        inner: the exact denoiser.
    """

    def __init__(self, inner: Denoiser):
        super().__init__()
        self.inner, self.event = inner, inner.event

    def forward(self, x_t, sigma):
        return self.inner(x_t, sigma)


class ExactNetwork(nn.Module):
    """The backbone F = P^{-1/2} (D - D_G) with which an anchored denoiser is the exact one; see `AnchoredDenoiser`.

    Arguments:
        exact: D.
        anchor: of D_G and P.
    """

    def __init__(self, exact: Denoiser, anchor: GaussianDenoiser):
        super().__init__()
        self.exact, self.anchor = exact, anchor

    def forward(self, inputs: Tensor, c_noise: Tensor) -> Tensor:
        """Returns F, with shape (N, C, H, W); inputs (N, 2 C, H, W) and c_noise (N,) as of any backbone."""
        sigma, basis = (4 * c_noise).exp(), self.anchor.basis
        scaled, shift = inputs.chunk(2, 1)
        x_t = self.anchor.mean + scaled * (1 + expand(sigma, scaled) ** 2).sqrt()
        c = basis(self.exact(x_t, sigma) - self.anchor.mean - shift)
        return basis.inverse(c * (1 / self.anchor.variance + expand(sigma, c) ** -2).sqrt())


def anchored_exact(
    exact: Denoiser, anchor: GaussianDenoiser, nodes: Tensor, check: Tensor, seed: int
) -> AnchoredDenoiser:
    """The exact denoiser, knowing of its covariance what a trained one does: the error on validation data.

    Its trust in the network is 1, for the network is right.

    Arguments:
        exact: in float32.
        anchor: that of the trained denoiser.
        nodes: ln sigma, with shape (n,).
        check: validation data, with shape (M, *event).
        seed: of the noise.
    """
    denoiser = AnchoredDenoiser.untrained(anchor, ExactNetwork(exact, anchor), nodes)
    ratio = calibrate(denoiser, check, seed=seed).ratio
    return AnchoredDenoiser(anchor, denoiser.backbone, nodes, denoiser.beta, ratio).eval().requires_grad_(False)


@dataclass(frozen=True)
class Bed:
    """Problems of one prior, members and fewest steps of an ensemble, its scores, and the one that is the error.

    Arguments:
        case: name in the rows.
        problems: with one prior, and exact posteriors.
        members, steps: K of an ensemble, and of the coarser grid.
        key: of the score whose ratio to that of exact draws is error_ratio.
        score: (problem, x (K, *event), weights (K,)) -> scores.
        ensembles: of exact draws for each problem.
    """

    case: str
    problems: list[Problem]
    members: int
    steps: int
    key: str
    score: Callable[[Problem, Tensor, Tensor], dict]
    ensembles: int = 20

    def head(self, method: str, part: str) -> dict:
        """The columns that every row of posteriors begins with."""
        return {
            "case": self.case, "method": method, "part": part, "problems": len(self.problems), "members": self.members
        }  # fmt: skip


def denoising(report: Report, case: str, denoisers: dict[str, Denoiser], exact: Denoiser, x: Tensor, levels) -> None:
    """Rows of the mean squared denoising error over the exact denoiser's by noise level; x (N, *event)."""
    for sigma in levels:
        limit = _error(exact, x, sigma)
        for name, denoiser in denoisers.items():
            ratio = _error(denoiser, x, sigma) / limit
            report.add(case=case, method=name, part="denoising", sigma=sigma, error_ratio=ratio)


@torch.no_grad()
def _error(denoiser: Denoiser, x: Tensor, sigma: float) -> float:
    """On x of shape (N, *event), with the same noise for every denoiser."""
    generator, total = torch.Generator().manual_seed(17), 0.0
    for part in x.split(250):
        z = torch.randn(part.shape, generator=generator, dtype=part.dtype)
        total += float((denoiser(part + sigma * z, torch.tensor(sigma)) - part).double().square().sum())
    return total / x.numel()


def floor(report: Report, bed: Bed) -> dict:
    """Adds the row of exact draws, the Monte Carlo part of every error; returns its mean scores."""
    flat, rows = torch.full((bed.members,), 1 / bed.members, dtype=F64), []
    for n, problem in enumerate(bed.problems):
        g = torch.Generator().manual_seed(100 + n)
        draws = (problem.posterior.draw(bed.members, g) for _ in range(bed.ensembles))
        rows += [bed.score(problem, x, flat) for x in draws]
    limit = mean(rows)
    report.add(**bed.head("exact", "monte carlo"), error_ratio=1.0, **limit)
    return limit


def split(report: Report, bed: Bed, limit: dict, name: str, pair: tuple[Denoiser, Denoiser], seed: int) -> None:
    """Rows of one method with the trained and the exact denoiser at K and 4K steps, and of the parts of its error.

    Arguments:
        report, bed: where the rows go, and what is solved.
        limit: see `floor`.
        name: of the method in `METHODS`, with more after a space.
        pair: the trained denoiser and the exact one.
        seed: of the streams.
    """
    few, many = bed.steps, FACTOR * bed.steps
    error: dict[tuple[str, int], Tensor] = {}
    for part, denoiser in zip(("trained", "exact, hidden"), pair, strict=True):
        for steps in (few, many):
            begun = time.perf_counter()
            rows = [_sampled(bed, p, name, denoiser, steps, seed + 50 + n) for n, p in enumerate(bed.problems)]
            seconds = (time.perf_counter() - begun) / len(rows)
            error[part, steps] = torch.tensor([row[bed.key] for row in rows], dtype=F64) / limit[bed.key]
            ratio = float(error[part, steps].mean())
            report.add(**bed.head(name, part), steps=steps, error_ratio=ratio, seconds=seconds, **mean(rows))
    fine, coarse = (error["exact, hidden", steps] for steps in (many, few))
    parts = {"monte_carlo": 1.0, "rest": fine.mean() - 1, "discretisation": (coarse - fine).mean()}
    parts |= {"score": (error["trained", few] - coarse).mean(), "score_fine": (error["trained", many] - fine).mean()}
    report.add(**bed.head(name, "split"), steps=few, error_ratio=error["trained", few].mean(), **parts)


def _sampled(bed: Bed, problem: Problem, name: str, prior: Denoiser, steps: int, seed: int) -> dict:
    """Scores of one ensemble, its ESS and its network calls."""
    streams = MemberStreams(seed, [0], range(bed.members))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # collapse is in the row, as ess
        method = METHODS[name.split()[0]](problem.sigmas(steps))
        ensemble = method.sample(prior, problem.observation.to(torch.float32, "cpu"), streams)
    facts = {"ess": float(ensemble.ess[0]), "network_calls": ensemble.diagnostics["network_calls"]}
    return bed.score(problem, ensemble.x[0].double(), ensemble.weights[0]) | facts


def mean(rows: list[dict]) -> dict:
    """Means of the columns of rows with the same keys."""
    return {k: sum(row[k] for row in rows) / len(rows) for k in rows[0]}
