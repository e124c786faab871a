"""Truth: for x ~ N(mu, C) every prediction of every training is known; wrapped, it must be the exact denoiser.

The networks here are closed forms written from the law of (x, z) given x' = a x + s z, a and s from the schedule's own
t, by the formulas of the papers and not by those of the package.
"""

import math

import pytest
import torch
from analytic import F64, small_gaussian
from torch import nn

from sciml_diffusion.denoisers.conventions import ConvertedDenoiser, ddpm_betas
from sciml_diffusion.denoisers.schedules import VE, Cosine, DiscreteVP, Flow, LinearVP
from sciml_diffusion.inverse.mmps import MMPS
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams

ABAR = torch.cumprod(1 - ddpm_betas(), 0)


def _of_abar(abar):
    return abar.sqrt(), (1 - abar).sqrt()


def _nichol(t):
    return torch.cos(math.pi / 2 * (t + 0.008) / 1.008) ** 2 / math.cos(math.pi / 2 * 0.008 / 1.008) ** 2


SCHEDULES = {  # the schedule, and a and s as its paper writes them
    "ddpm": (DiscreteVP(ddpm_betas()), lambda t: _of_abar(ABAR[t.round().long()])),
    "ddpm-whole": (DiscreteVP(ddpm_betas(), whole=True), lambda t: _of_abar(ABAR[t.long()])),
    "vp": (LinearVP(), lambda t: _of_abar(torch.exp(-0.1 * t - 19.9 * t**2 / 2))),
    "vp-1000": (LinearVP(scale=1000.0), lambda t: _of_abar(torch.exp(-0.1e-3 * t - 19.9e-6 * t**2 / 2))),
    "cosine": (Cosine(), lambda t: _of_abar(_nichol(t))),
    "cosine-plain": (Cosine(0.0), lambda t: (torch.cos(math.pi / 2 * t), torch.sin(math.pi / 2 * t))),
    "flow": (Flow(), lambda t: (1 - t, t)),
    "flow-data-at-one": (Flow(data_at_one=True), lambda t: (t, 1 - t)),
    "ve": (VE(), lambda t: (torch.ones_like(t), t)),
    "edm": (VE(log=0.25), lambda t: (torch.ones_like(t), torch.exp(4 * t))),
}
PAIRS = [(s, p) for s in SCHEDULES for p in ("x", "noise", "v", "score") if "flow" not in s]
PAIRS += [("flow", "velocity"), ("flow-data-at-one", "velocity"), ("edm", "edm")]
# sigmas that DDPM has, so that a whole k is right for them, up to its interpolation
SIGMAS = [float((1 / ABAR[k] - 1).sqrt()) for k in (3, 200, 600, 990)]


class Exact(nn.Module):
    """What a perfectly trained network predicts for N(mu, C), from the x' and t that it is fed."""

    def __init__(self, gaussian, scales, prediction, data_at_one, data_std=0.5):
        super().__init__()
        self.mean, self.basis, self.variance = gaussian.mean, gaussian.basis, gaussian.variance
        self.scales, self.prediction, self.sign, self.data_std = scales, prediction, 1 - 2 * data_at_one, data_std

    def forward(self, seen, t):
        a, s = (part[:, None] for part in self.scales(t))
        if self.prediction == "edm":
            seen = seen * (s**2 + self.data_std**2).sqrt()
        white = self.basis(seen - a * self.mean) / (a**2 * self.variance + s**2)  # (a^2 C + s^2)^{-1} (x' - a mu)
        x = self.mean + self.basis.inverse(a * self.variance * white)
        z = self.basis.inverse(s * white)
        skip = self.data_std**2 / (s**2 + self.data_std**2)
        return {
            "x": x, "noise": z, "v": a * z - s * x, "velocity": self.sign * (z - x), "score": -z / s,
            "edm": (x - skip * seen) / (s * self.data_std / (s**2 + self.data_std**2).sqrt()),
        }[self.prediction]  # fmt: skip


def _wrapped(name, prediction):
    gaussian, _ = small_gaussian()
    schedule, scales = SCHEDULES[name]
    network = Exact(gaussian, scales, prediction, getattr(schedule, "data_at_one", False))
    return gaussian, ConvertedDenoiser(network, (6,), schedule, prediction)


@pytest.mark.parametrize("name,prediction", PAIRS)
def test_wrapped_network_is_the_exact_denoiser(name, prediction):
    gaussian, wrapped = _wrapped(name, prediction)
    x_t = 3 * torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=F64)
    for sigma in SIGMAS:
        sigma = torch.tensor(sigma, dtype=F64)
        # rounding: s is a difference of a from 1 at small sigma, and D one of terms of order sigma at large ones
        torch.testing.assert_close(wrapped(x_t, sigma), gaussian(x_t, sigma), rtol=0, atol=1e-9)
    each = torch.tensor(SIGMAS, dtype=F64)
    torch.testing.assert_close(wrapped(x_t, each), gaussian(x_t, each), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_gives_back_its_sigma(name):
    schedule, scales = SCHEDULES[name]
    sigma = torch.tensor(SIGMAS, dtype=F64)
    alpha, t = schedule(sigma)
    a, s = scales(t)
    torch.testing.assert_close(s / a, sigma, rtol=1e-9, atol=0)  # cos and exp lose digits near the ends
    torch.testing.assert_close(alpha, a, rtol=1e-9, atol=1e-12)
    grid = torch.logspace(-3, 3, 40, dtype=F64)
    steps = schedule.time(grid).diff() * (-1 if name == "flow-data-at-one" else 1)
    assert (steps >= 0).all() and torch.isfinite(schedule.time(grid)).all()


def test_ddpm_time_is_linear_in_log_sigma_between_steps():
    schedule = SCHEDULES["ddpm"][0]
    sigma = (torch.tensor(SIGMAS[1], dtype=F64) * (1 / ABAR[201] - 1).sqrt()).sqrt()
    assert abs(float(schedule.time(sigma)) - 200.5) < 1e-6


@pytest.mark.parametrize("name,prediction", [("vp", "noise"), ("flow", "velocity")])
def test_samplers_and_posteriors_take_it(name, prediction):
    gaussian, wrapped = _wrapped(name, prediction)
    _, observation = small_gaussian()
    method = MMPS(karras_sigmas(8, 0.05, 10.0), covariance="jacobian", tolerance=1e-12, iterations=8)
    gaussian.surrogate = gaussian.prior_mean = lambda *args: None  # as much as the network knows
    x = [method.sample(d, observation, MemberStreams(0, [0], range(5), F64)).x for d in (gaussian, wrapped)]
    torch.testing.assert_close(x[0], x[1], rtol=0, atol=1e-8)  # autograd through the wrap against a closed form


def test_bad_arguments_are_refused():
    network = nn.Identity()
    with pytest.raises(ValueError, match="prediction must be one of"):
        ConvertedDenoiser(network, (6,), LinearVP(), "epsilon")
    with pytest.raises(ValueError, match="belongs to Flow"):
        ConvertedDenoiser(network, (6,), LinearVP(), "velocity")
    with pytest.raises(ValueError, match="data_std"):
        ConvertedDenoiser(network, (6,), VE(), "edm", 0.0)
    with pytest.raises(ValueError, match="betas"):
        DiscreteVP(torch.tensor([0.1, 1.5]))
    with pytest.raises(ValueError, match="beta_min"):
        LinearVP(2.0, 1.0)
    with pytest.raises(ValueError, match="offset"):
        Cosine(-1.0)
