"""grfmix-64x64: a small U-Net on a fitted Gaussian, trained on draws of fields with six hidden bumps, 205 sensors.

What it states of its covariance is its error on validation data; the exact denoiser that it is compared with knows the
same of itself and no more. error_ratio: z_rms over that of exact draws; crps_ratio and mode_error as in
exactness_grfmix.py.
"""

import math
import time

import torch
from analytic import F64, Problem, grfmix
from common import Report
from exactness_grfmix import exact_crps, scores
from torch import Tensor, nn
from trained_parts import Bed, anchored_exact, denoising, floor, split

from sciml_diffusion.denoisers.anchored import AnchoredDenoiser
from sciml_diffusion.denoisers.backbones.unet import UNet
from sciml_diffusion.denoisers.mixture import MixtureDenoiser
from sciml_diffusion.training.calibrate import calibrate
from sciml_diffusion.training.fit import FitConfig, fit
from sciml_diffusion.training.objective import DenoisingLoss
from sciml_diffusion.training.spectral import fit_spectral

CASE, TRAIN, CHECK, MEMBERS, STEPS = "grfmix-64x64-trained", 5000, 400, 64, 16
LEVELS = (0.1, 0.3, 1.0, 3.0, 6.0, 10.0, 30.0)


class Placed(nn.Module):
    """A backbone that also sees learned maps, so that it knows where in the window it is: the law has no symmetry.

    Arguments:
        backbone: takes `maps` channels more than are given.
        maps: number of maps.
        size: (H, W).
    """

    def __init__(self, backbone: nn.Module, maps: int, size: tuple[int, int]):
        super().__init__()
        self.backbone = backbone
        angle = [2 * math.pi * torch.arange(n) / n for n in size]
        waves = [f(a) for a in torch.meshgrid(*angle, indexing="ij") for f in (torch.sin, torch.cos)]
        self.maps = nn.Parameter(torch.stack((waves * maps)[:maps]))

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        """Shapes (N, C, H, W) and (N,) -> (N, C_out, H, W)."""
        return self.backbone(torch.cat([x, self.maps.expand(len(x), *self.maps.shape)], 1), c_noise)


def rows(report: Report, quick: bool, seed: int) -> None:
    """Trains the network and adds its rows."""
    begun, bed = time.perf_counter(), _bed(1 if quick else 2)
    problem, generator = bed.problems[0], torch.Generator().manual_seed(seed + 1)
    samples = (1000, 128, 100) if quick else (TRAIN, CHECK, 250)
    train, check, test = (draws(problem.denoiser, n, generator) for n in samples)
    anchor, nodes = fit_spectral(train), torch.linspace(*(math.log(s) for s in problem.sigma_range), 12)
    trained = _trained(AnchoredDenoiser.untrained(anchor, _backbone(seed), nodes), train, check, quick, seed)
    seconds = time.perf_counter() - begun
    report.add(case=CASE, method="anchored", part="training", samples=samples[0], seconds=seconds)
    prior = problem.denoiser
    exact = MixtureDenoiser(prior.log_weights, prior.means, prior.basis, prior.variances).float()
    denoising(report, CASE, {"anchored": trained, "anchor": anchor}, exact, test, LEVELS)
    known, limit = anchored_exact(exact, anchor, nodes, check, seed), floor(report, bed)
    for name in ("smc", "mmps"):
        split(report, bed, limit, name, (trained, known), seed)


def draws(exact: MixtureDenoiser, n: int, generator: torch.Generator) -> Tensor:
    """Draws of the prior, with shape (n, *event), float32."""
    k = torch.multinomial(exact.log_weights.exp(), n, replacement=True, generator=generator)
    z = torch.randn(n, *exact.event, generator=generator)
    return exact.means[k].float() + exact.basis.inverse(exact.variances[0].sqrt().float() * z)


def _backbone(seed: int) -> Placed:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = UNet(2 + 8, 1, 24, (1, 2, 2), 1, ("periodic", "periodic"), patch=4, attention=False)
        return Placed(net, 8, (64, 64))


def _trained(denoiser: AnchoredDenoiser, train: Tensor, check: Tensor, quick: bool, seed: int) -> AnchoredDenoiser:
    low, high = (math.exp(float(s)) for s in denoiser.log_sigma[[0, -1]])
    objective = DenoisingLoss((low, high), "log-normal", log_mean=2.0, log_std=1.0)
    config = FitConfig(60 if quick else 800, 16, 2e-3, validate_every=30 if quick else 200, check=64, device="cpu")
    fit(denoiser, train, check, objective, config, seed=seed, progress=False)
    return calibrate(denoiser.requires_grad_(False), check, seed=seed)


def _bed(problems: int) -> Bed:
    made = [grfmix(n) for n in range(problems)]
    limits = {id(p): exact_crps(p.posterior) for p in made}

    def score(problem: Problem, x: Tensor, weights: Tensor) -> dict:
        return scores(x.to(F64), weights.to(F64), problem.posterior, limits[id(problem)])

    return Bed(CASE, made, MEMBERS, STEPS, "z_rms", score, ensembles=4)
