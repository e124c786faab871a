"""A denoiser trained on samples of grf-64, on the same bed: the error of the prior and that of the sampler, told apart.

Prior error: the denoising error over the exact denoiser's, by noise level; and the posterior by kriging with the
covariance that the trained prior's own samples have, where no posterior sampler is at work. Sampler error: the same
sampler with the exact denoiser, its covariance hidden. The sum of both: the sampler with the trained denoiser.
"""

import math
import time

import exactness
import torch
from analytic import F64, Kriging, Problem, grf, grf_prior
from common import Report

from sciml_diffusion.denoisers.anchored import AnchoredDenoiser
from sciml_diffusion.denoisers.backbones.unet import UNet
from sciml_diffusion.denoisers.base import Denoiser
from sciml_diffusion.denoisers.basis import FourierBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.denoisers.precondition import PreconditionedDenoiser
from sciml_diffusion.inverse.mmps import MMPS
from sciml_diffusion.inverse.tsmc import TwistedSMC
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.samplers.ode import Heun
from sciml_diffusion.samplers.streams import MemberStreams
from sciml_diffusion.training.augment import random_shift
from sciml_diffusion.training.calibrate import calibrate
from sciml_diffusion.training.fit import FitConfig, fit
from sciml_diffusion.training.objective import DenoisingLoss
from sciml_diffusion.training.spectral import fit_spectral

CASE, TRAIN, CHECK, MEMBERS, STEPS = "grf-64-trained", 1000, 250, 200, 32
LEVELS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


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


def trained(report: Report, quick: bool, seed: int) -> None:
    """Trains both kinds of network and adds their rows."""
    begun = time.perf_counter()
    exact, generator = grf_prior(1), torch.Generator().manual_seed(seed + 1)
    train, check, test = (_fields(exact, n, generator) for n in (TRAIN, CHECK, 1000))
    network, anchored = _network(train, check, quick, seed), _anchored(train, check, quick, seed)
    report.add(case=CASE, method="training", samples=TRAIN, seconds=time.perf_counter() - begun)
    for level in LEVELS:
        errors = {name: _error(d, test, level) for name, d in (("network", network), ("anchored", anchored))}
        limit = _error(exact.float(), test, level)
        for name, error in errors.items():
            report.add(case=CASE, method=f"denoising {name}", sigma=level, error_ratio=error / limit)
    problems = [grf(1, s) for s in range(1 if quick else 2)]
    flat, limits = torch.full((MEMBERS,), 1 / MEMBERS, dtype=F64), []
    for n, problem in enumerate(problems):
        draws = problem.posterior.draw(20 * MEMBERS, torch.Generator().manual_seed(100 + n)).split(MEMBERS)
        limits.append(_mean([_scores(problem, x, flat) for x in draws]))
    limit = _mean(limits)
    head = {"case": CASE, "problems": len(problems), "members": MEMBERS, "steps": STEPS}
    report.add(**head, method="exact", error_ratio=1.0, seconds=0.0, **limit)
    learned = {
        "prior error: kriging, moments of the network's samples": _moments(network, problems[0]),
        "prior error: kriging, moments of the training samples": fit_spectral(train).double(),
    }
    for name, prior in learned.items():
        rows = [_scores(p, _kriged(prior, p, seed + n), flat) for n, p in enumerate(problems)]
        _add(report, head, name, rows, limit, 0.0)
    jacobian = {"sampler error: mmps-jacobian, exact denoiser": Hidden(grf_prior(1).float())}
    jacobian |= {"both: mmps-jacobian, network": network}
    for name, prior in jacobian.items():
        _sampled(report, head, name, prior, lambda s: MMPS(s, covariance="jacobian"), problems, limit)
    for name, method in (("mmps", MMPS), ("smc", TwistedSMC)):
        _sampled(report, head, f"both: {name}, anchored", anchored, method, problems, limit)


def _fields(exact: GaussianDenoiser, n: int, generator: torch.Generator) -> torch.Tensor:
    z = torch.randn(n, *exact.event, generator=generator, dtype=F64)
    return exact.basis.inverse(exact.variance.sqrt() * z).float()


def _config(quick: bool) -> FitConfig:
    steps = 400 if quick else 800
    return FitConfig(steps=steps, batch=64, learning_rate=2e-3, validate_every=100, device="cpu")


def _backbone(channels: int, seed: int) -> UNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet(channels, 1, width=24, multipliers=(1, 2), blocks=2, boundary=("reflect", "periodic"))


def _objective() -> DenoisingLoss:
    return DenoisingLoss(grf(1, 0).sigma_range, "log-normal", log_mean=-0.7, log_std=1.6)


def _network(train, check, quick: bool, seed: int) -> PreconditionedDenoiser:
    """Without an anchor: all that it knows of the covariance it has learned."""
    denoiser = PreconditionedDenoiser(_backbone(1, seed), train.shape[1:])
    fit(denoiser, train, check, _objective(), _config(quick), seed=seed, augment=random_shift, progress=False)
    return denoiser.eval().requires_grad_(False)


def _anchored(train, check, quick: bool, seed: int) -> AnchoredDenoiser:
    """On the spectral Gaussian of the same samples."""
    log_sigma = torch.linspace(*(math.log(s) for s in grf(1, 0).sigma_range), 12)
    denoiser = AnchoredDenoiser.untrained(fit_spectral(train), _backbone(2, seed), log_sigma)
    fit(denoiser, train, check, _objective(), _config(quick), seed=seed, augment=random_shift, progress=False)
    return calibrate(denoiser, check, seed=seed).eval().requires_grad_(False)


@torch.no_grad()
def _error(denoiser: Denoiser, x: torch.Tensor, sigma: float) -> float:
    """Mean squared denoising error on x, with the same noise for every denoiser; x (N, *event)."""
    z = torch.randn(x.shape, generator=torch.Generator().manual_seed(17), dtype=x.dtype)
    return float(((denoiser(x + sigma * z, torch.tensor(sigma)) - x) ** 2).mean())


def _moments(network: Denoiser, problem: Problem) -> GaussianDenoiser:
    """The Gaussian with the mean and the spectrum of 1000 samples of a trained prior (Heun: no noise of its own)."""
    x = Heun(problem.sigmas(STEPS))(network, MemberStreams(3, [0], range(1000))).double()
    mean = x.mean((0, 3), keepdim=True)[0].expand(x.shape[1:])
    square = (FourierBasis(1)(x - mean) ** 2).mean(0)
    return GaussianDenoiser(mean.contiguous(), FourierBasis(1), (square + square.flip(-1).roll(1, -1)) / 2)


def _kriged(prior: GaussianDenoiser, problem: Problem, seed: int) -> torch.Tensor:
    return Kriging(prior, problem.observation).draw(MEMBERS, torch.Generator().manual_seed(seed))


def _sampled(report: Report, head: dict, name: str, prior: Denoiser, make, problems: list, limit: dict) -> None:
    begun, rows = time.perf_counter(), []
    for n, problem in enumerate(problems):
        data: Observation = problem.observation.to(torch.float32, "cpu")
        streams = MemberStreams(50 + n, [0], range(MEMBERS))
        ensemble = make(problem.sigmas(STEPS)).sample(prior, data, streams)
        facts = {"ess": float(ensemble.ess[0]), "network_calls": ensemble.diagnostics["network_calls"]}
        rows.append(_scores(problem, ensemble.x[0].double(), ensemble.weights[0]) | facts)
    _add(report, head, name, rows, limit, (time.perf_counter() - begun) / len(problems))


def _scores(problem: Problem, x: torch.Tensor, weights: torch.Tensor) -> dict:
    return exactness.field_scores(x, weights, problem.posterior, problem.posterior.stationary_std())


def _add(report: Report, head: dict, name: str, rows: list[dict], limit: dict, seconds: float) -> None:
    pooled = _mean(rows)
    report.add(**head, method=name, error_ratio=pooled["z_rms"] / limit["z_rms"], seconds=seconds, **pooled)


def _mean(rows: list[dict]) -> dict:
    return {k: sum(row[k] for row in rows) / len(rows) for k in rows[0]}
