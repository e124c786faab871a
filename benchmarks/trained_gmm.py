"""gmm-8: a network without an anchor, trained on draws of a mixture of 25 Gaussians in 8 dimensions, two sensors.

The network is a residual perceptron that sees the noise level; data are divided by their standard deviation; it starts
from N(0, sigma_max^2), as it knows neither mean nor covariance. error_ratio: sliced W1 over that of exact draws.
"""

import math
import time

import exactness
import torch
from analytic import F64, MixturePosterior, Problem, gmm
from common import Report
from torch import Tensor, nn
from trained_parts import Bed, Hidden, denoising, floor, split

from sciml_diffusion.denoisers.base import Denoiser
from sciml_diffusion.denoisers.mixture import MixtureDenoiser
from sciml_diffusion.denoisers.precondition import PreconditionedDenoiser
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Matrix
from sciml_diffusion.training.fit import FitConfig, fit
from sciml_diffusion.training.objective import DenoisingLoss

CASE, TRAIN, CHECK, MEMBERS, STEPS = "gmm-8-trained", 50_000, 1000, 500, 50
LEVELS = (0.1, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)


class Perceptron(nn.Module):
    """F(x, c_noise): residual blocks of two layers, the noise level added to each; zero when new.

    Arguments:
        d: coordinates of x.
        width: of the blocks.
        blocks: their number.
    """

    def __init__(self, d: int, width: int = 128, blocks: int = 3):
        super().__init__()
        self.register_buffer("frequencies", 2 * math.pi * torch.logspace(-2, 3, 16, base=2))
        self.first, self.noise = nn.Linear(d, width), nn.Linear(32, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(blocks)
        )
        self.last = nn.Linear(width, d)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        """Shapes (N, d) and (N,) -> (N, d)."""
        phases = c_noise[:, None] * self.frequencies
        noise = self.noise(torch.cat([phases.sin(), phases.cos()], 1))
        h = self.first(x)
        for block in self.blocks:
            h = h + block(h + noise)
        return self.last(nn.functional.silu(h))


class Rescaled(Denoiser):
    """D(x_t, sigma) = s D'(x_t / s, sigma / s), for a denoiser D' of x / s.

    Arguments:
        inner: D'.
        scale: s > 0.
    """

    def __init__(self, inner: Denoiser, scale: float):
        super().__init__()
        self.inner, self.scale, self.event = inner, scale, inner.event

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Shape (N, *event); sigma () or (N,)."""
        return self.scale * self.inner(x_t / self.scale, sigma / self.scale)


def rows(report: Report, quick: bool, seed: int) -> None:
    """Trains the network and adds its rows."""
    begun, bed = time.perf_counter(), _bed(1 if quick else 4)
    exact = bed.problems[0].denoiser
    generator = torch.Generator().manual_seed(seed + 1)
    train, check, test = (draws(exact, n, generator).float() for n in (TRAIN, CHECK, 4000))
    network = _trained(train, check, bed.problems[0].sigma_range, quick, seed)
    report.add(case=CASE, method="network", part="training", samples=TRAIN, seconds=time.perf_counter() - begun)
    plain = Hidden(MixtureDenoiser(exact.log_weights, exact.means, exact.basis, exact.variances).float())
    denoising(report, CASE, {"network": network}, plain, test, LEVELS)
    limit = floor(report, bed)
    for name in ("smc", "mmps"):
        split(report, bed, limit, name, (network, plain), seed)


def draws(exact: MixtureDenoiser, n: int, generator: torch.Generator) -> Tensor:
    """Exact draws of the prior, with shape (n, d)."""
    k = torch.multinomial(exact.log_weights.exp(), n, replacement=True, generator=generator)
    return exact.means[k] + torch.randn(n, *exact.event, generator=generator, dtype=F64)


def _trained(train: Tensor, check: Tensor, sigma_range: tuple, quick: bool, seed: int) -> Rescaled:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        denoiser = PreconditionedDenoiser(Perceptron(train.shape[1]), train.shape[1:])
    scale = float(train.std())
    objective = DenoisingLoss(tuple(s / scale for s in sigma_range), "log-normal")
    steps = 400 if quick else 4000
    config = FitConfig(steps, 256, 2e-3, validate_every=steps // 10, check=512, device="cpu")
    fit(denoiser, train / scale, check / scale, objective, config, seed=seed, progress=False)
    return Rescaled(denoiser, scale).eval().requires_grad_(False)


def _bed(problems: int) -> Bed:
    """Sensors and noise as in gmm(8, 2, n), for truths of the one prior of gmm(8, 2, 0)."""
    first, made = gmm(8, 2, 0), []
    prior = first.denoiser
    for n in range(problems):
        sensors, g = gmm(8, 2, n).observation, torch.Generator().manual_seed(200 + n)
        matrix, std = sensors.operator.rows(F64), sensors.std
        y = draws(prior, 1, g) @ matrix.T + std * torch.randn(1, 2, generator=g, dtype=F64)
        posterior = MixturePosterior(prior.log_weights, prior.means, torch.eye(8, dtype=F64), matrix, y[0], std)
        made.append(Problem(prior, Observation(Matrix(matrix, (8,)), y, std), first.sigma_range, posterior))
    cells = {id(p): exactness.cell_weights(p.posterior, prior.means, 20_000) for p in made}

    def score(problem: Problem, x: Tensor, weights: Tensor) -> dict:
        tv = exactness.mode_tv(x, weights, prior.means, cells[id(problem)])
        return {"sw": exactness.sliced_w1(x, weights, problem.posterior), "mode_tv": tv}

    return Bed(CASE, made, MEMBERS, STEPS, "sw", score)
