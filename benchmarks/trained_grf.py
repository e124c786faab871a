"""grf-64: networks with and without a Gaussian anchor, trained on draws of a Gaussian field under point sensors.

Without an anchor: all that the network knows of the covariance it has learned, and so kriging with the moments of its
samples is the error of the prior alone, where no posterior sampler is at work. On the spectral Gaussian of the same
samples: it states a covariance. error_ratio: `error` over that of exact draws, with error^2 = z_rms^2 +
(std_ratio - 1)^2, the squared distance of Gaussian marginals: few steps without a covariance lose spread, not the mean.
"""

import math
import time

import exactness
import torch
from analytic import F64, Kriging, Problem, grf, grf_prior
from common import Report
from torch import Tensor
from trained_parts import Bed, Hidden, anchored_exact, denoising, floor, mean, split

from sciml_diffusion.denoisers.anchored import AnchoredDenoiser
from sciml_diffusion.denoisers.backbones.unet import UNet
from sciml_diffusion.denoisers.base import Denoiser
from sciml_diffusion.denoisers.basis import FourierBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.denoisers.precondition import PreconditionedDenoiser
from sciml_diffusion.samplers.ode import Heun
from sciml_diffusion.samplers.streams import MemberStreams
from sciml_diffusion.training.augment import random_shift
from sciml_diffusion.training.calibrate import calibrate
from sciml_diffusion.training.fit import FitConfig, fit
from sciml_diffusion.training.objective import DenoisingLoss
from sciml_diffusion.training.spectral import fit_spectral

CASE, TRAIN, CHECK, MEMBERS, STEPS = "grf-64-trained", 1000, 250, 100, 16
LEVELS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def rows(report: Report, quick: bool, seed: int) -> None:
    """Trains both kinds of network and adds their rows."""
    begun, exact, generator = time.perf_counter(), grf_prior(1), torch.Generator().manual_seed(seed + 1)
    train, check, test = (draws(exact, n, generator) for n in (TRAIN, CHECK, 1000))
    nodes = torch.linspace(*(math.log(s) for s in grf(1, 0).sigma_range), 12)
    network, anchor = PreconditionedDenoiser(_backbone(1, seed), exact.event), fit_spectral(train)
    anchored = AnchoredDenoiser.untrained(anchor, _backbone(2, seed), nodes)
    for denoiser in (network, anchored):
        _fit(denoiser, train, check, quick, seed)
    anchored = calibrate(anchored, check, seed=seed).requires_grad_(False)
    report.add(case=CASE, method="both", part="training", samples=TRAIN, seconds=time.perf_counter() - begun)
    plain = Hidden(grf_prior(1).float())
    denoising(report, CASE, {"network": network, "anchored": anchored}, plain, test, LEVELS)
    bed = _bed(1 if quick else 2)
    limit = floor(report, bed)
    _priors(report, bed, limit, {"network's samples": _moments(network, bed), "training samples": anchor}, seed)
    split(report, bed, limit, "smc network", (network, plain), seed)
    split(report, bed, limit, "mmps network", (network, plain), seed)
    known = anchored_exact(plain.inner, anchor, nodes, check, seed)
    split(report, bed, limit, "smc anchored", (anchored, known), seed)
    split(report, bed, limit, "mmps anchored", (anchored, known), seed)


def draws(exact: GaussianDenoiser, n: int, generator: torch.Generator) -> Tensor:
    """Draws of a field, with shape (n, *event), float32."""
    z = torch.randn(n, *exact.event, generator=generator, dtype=F64)
    return exact.basis.inverse(exact.variance.sqrt() * z).float()


def _bed(problems: int) -> Bed:
    def score(problem: Problem, x: Tensor, weights: Tensor) -> dict:
        found = exactness.field_scores(x, weights, problem.posterior, problem.posterior.stationary_std())
        return {"error": math.hypot(found["z_rms"], found["std_ratio"] - 1)} | found

    return Bed(CASE, [grf(1, n) for n in range(problems)], MEMBERS, STEPS, "error", score)


def _backbone(channels: int, seed: int) -> UNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet(channels, 1, width=24, multipliers=(1, 2), boundary=("reflect", "periodic"), patch=2)


def _fit(denoiser, train: Tensor, check: Tensor, quick: bool, seed: int) -> None:
    objective = DenoisingLoss(grf(1, 0).sigma_range, "log-normal", log_mean=-0.7, log_std=1.6)
    config = FitConfig(100 if quick else 600, 32, 2e-3, validate_every=100, device="cpu")
    fit(denoiser, train, check, objective, config, seed=seed, augment=random_shift, progress=False)
    denoiser.eval().requires_grad_(False)


def _priors(report: Report, bed: Bed, limit: dict, priors: dict[str, GaussianDenoiser], seed: int) -> None:
    """Rows of kriging with learned moments: what the prior is wrong by, without a sampler's error."""
    flat = torch.full((MEMBERS,), 1 / MEMBERS, dtype=F64)
    for name, prior in priors.items():
        found = []
        for n, problem in enumerate(bed.problems):
            kriged = Kriging(prior.double(), problem.observation)
            found.append(bed.score(problem, kriged.draw(MEMBERS, torch.Generator().manual_seed(seed + n)), flat))
        scores = mean(found)
        ratio = scores["error"] / limit["error"]
        report.add(**bed.head(f"kriging, moments of the {name}", "prior"), error_ratio=ratio, **scores)
        prior.float()


def _moments(network: Denoiser, bed: Bed) -> GaussianDenoiser:
    """The Gaussian with the mean and the spectrum of 500 samples of a trained prior (Heun: no noise of its own)."""
    x = Heun(bed.problems[0].sigmas(16))(network, MemberStreams(3, [0], range(500))).double()
    middle = x.mean((0, 3), keepdim=True)[0].expand(x.shape[1:])
    square = (FourierBasis(1)(x - middle) ** 2).mean(0)
    return GaussianDenoiser(middle.contiguous(), FourierBasis(1), (square + square.flip(-1).roll(1, -1)) / 2)
