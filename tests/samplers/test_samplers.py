"""Truth: for a Gaussian the flow is x_sigma - mu = ((C + sigma^2) / (C + sigma_0^2))^{1/2} (x_0 - mu)."""

import math

import pytest
import torch
from analytic import F64, small_gaussian
from registry import SAMPLERS

from sciml_diffusion.denoisers.base import Denoiser
from sciml_diffusion.samplers.grids import karras_sigmas, log_sigmas
from sciml_diffusion.samplers.ode import Euler, Heun
from sciml_diffusion.samplers.sde import Ancestral, bridge
from sciml_diffusion.samplers.streams import MemberStreams


class Bare(Denoiser):
    """A Gaussian's denoiser that keeps its covariance to itself, but starts from the exact marginal."""

    def __init__(self, gaussian):
        super().__init__()
        self.gaussian, self.event = gaussian, gaussian.event

    def forward(self, x_t, sigma):
        return self.gaussian(x_t, sigma)

    def start(self, sigma, streams):
        return self.gaussian.start(sigma, streams)


def _prior():
    denoiser, _ = small_gaussian()
    return denoiser, denoiser.surrogate(torch.tensor(torch.inf, dtype=F64)).apply(torch.eye(6, dtype=F64))


@pytest.mark.parametrize(("sampler", "order"), [(Euler, 1), (Heun, 2)])
def test_order_of_the_ode_samplers(sampler, order):
    denoiser, _ = _prior()
    begin, end = 2.0, 0.5
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0), dtype=F64)
    scale = ((denoiser.variance + end**2) / (denoiser.variance + begin**2)).sqrt()
    truth = denoiser.mean + denoiser.basis.inverse(scale * denoiser.basis(x - denoiser.mean))
    counts, errors = [16, 32, 64, 128], []
    for n in counts:
        sigmas = torch.linspace(begin, end, n + 1, dtype=F64)
        stepper, x_t = sampler(karras_sigmas(2, 0.1, 1.0)), x
        for k in range(n):
            x_t = stepper.step(denoiser, x_t, sigmas[k], sigmas[k + 1], None)
        errors.append(float((x_t - truth).norm()))
    logs = torch.tensor([[math.log(n), math.log(e)] for n, e in zip(counts, errors, strict=True)], dtype=F64)
    centred = logs - logs.mean(0)
    slope = -float((centred[:, 0] * centred[:, 1]).sum() / (centred[:, 0] ** 2).sum())
    assert abs(slope - order) < 0.1  # higher orders still count a little at 16 steps


def test_ancestral_is_exact_for_a_gaussian_in_four_steps():
    denoiser, covariance = _prior()
    n = 20_000
    x = Ancestral(karras_sigmas(4, 0.05, 3.0))(denoiser, MemberStreams(0, [0], range(n), F64))
    variance = covariance.diagonal()
    assert ((x.mean(0) - denoiser.mean) / (variance / n).sqrt()).abs().max() < 4
    error = (torch.cov(x.T) - covariance) / ((variance[:, None] * variance + covariance**2) / n).sqrt()
    assert error.abs().max() < 4  # standard errors of a Gaussian sample covariance


def test_ancestral_without_a_surrogate_is_under_dispersed_as_the_recursion_says():
    denoiser, _ = _prior()
    sigmas, n = karras_sigmas(4, 0.05, 3.0), 20_000
    x = Ancestral(sigmas)(Bare(denoiser), MemberStreams(0, [0], range(n), F64))
    v = denoiser.variance + sigmas[0] ** 2  # var <- (1 - c + c g)^2 var + sigma_s^2 c, g = C / (C + sigma_t^2)
    for s_t, s_s in zip(sigmas, sigmas[1:], strict=False):
        c, gain = 1 - (s_s / s_t) ** 2, denoiser.variance / (denoiser.variance + s_t**2)
        v = (1 - c + c * gain) ** 2 * v + s_s**2 * c
    found = denoiser.basis(x - denoiser.mean).var(0)
    assert ((found - v) / (v * (2 / n) ** 0.5)).abs().max() < 4
    assert (v < denoiser.variance).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_tends_to_the_law_of_the_denoiser(name):
    denoiser, covariance = _prior()
    n, done = 2500, []
    x = SAMPLERS[name](karras_sigmas(100, 0.01, 10.0))(denoiser, MemberStreams(1, [0], range(n), F64), done.append)
    variance = covariance.diagonal()
    assert done == list(range(1, 101))
    assert ((x.mean(0) - denoiser.mean) / (variance / n).sqrt()).abs().max() < 4
    # 4 standard errors of a variance are 11 %; Euler's bias at 100 steps adds at most 6 %
    assert ((x.var(0) - variance) / variance).abs().max() < 0.17


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_do_not_depend_on_the_batch(name):
    denoiser, _ = _prior()
    sampler = SAMPLERS[name](karras_sigmas(6, 0.05, 3.0))
    whole = sampler(denoiser, MemberStreams(2, [0, 1], range(3), F64))
    parts = torch.cat([sampler(denoiser, MemberStreams(2, [b], range(3), F64)) for b in range(2)])
    torch.testing.assert_close(whole, parts, rtol=0, atol=1e-10)  # the design's bound for closed forms


def test_bridge_has_the_law_of_the_noising_process():
    n = 20_000
    streams = MemberStreams(0, [0], range(n), F64)
    sigma_t, sigma_s = torch.tensor(2.0, dtype=F64), torch.tensor(1.2, dtype=F64)
    x = torch.full((n, 1), 3.0, dtype=F64)
    x_t = x + sigma_t * streams.normal((1,))
    x_s = bridge(x_t, x, sigma_t, sigma_s, streams)
    # marginally x_s = x + sigma_s z, and Cov(x_s, x_t) = sigma_s^2
    assert abs(float((x_s - x).var()) / 1.44 - 1) < 4 * (2 / n) ** 0.5
    product = ((x_s - x) * (x_t - x)).flatten()
    assert abs(float(product.mean()) - 1.44) < 4 * float(product.std()) / n**0.5
    assert torch.equal(bridge(x_t, x, sigma_t, torch.zeros((), dtype=F64), streams), x)


@pytest.mark.parametrize("grid", [karras_sigmas, log_sigmas])
def test_grids_run_from_the_largest_level_to_zero(grid):
    sigmas = grid(10, 0.02, 5.0)
    assert len(sigmas) == 11 and sigmas[-1] == 0 and (sigmas.diff() < 0).all()
    assert abs(float(sigmas[0]) - 5) < 1e-12 and abs(float(sigmas[9]) - 0.02) < 1e-12


@pytest.mark.parametrize(
    ("steps", "low", "high", "word"), [(1, 0.1, 1, "2 steps"), (8, 1, 0.1, "sigma_min"), (8, 0, 1, "0 < sigma_min")]
)
def test_grids_refuse_what_does_not_decrease(steps, low, high, word):
    with pytest.raises(ValueError, match=word):
        karras_sigmas(steps, low, high)


def test_samplers_refuse_a_grid_that_does_not_end_in_zero():
    with pytest.raises(ValueError, match="end in 0"):
        Heun(torch.tensor([2.0, 1.0]))
