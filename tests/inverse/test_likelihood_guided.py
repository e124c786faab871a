"""Truths: dense algebra on small Gaussians and bent data; exactness for a white prior; a measured error on gmm2."""

import pytest
import torch
from analytic import F64, Kriging, gmm2, small_gaussian

from sciml_diffusion.denoisers.basis import IdentityBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.inverse.pigdm import IsotropicGuided, PiGDM, prior_variance
from sciml_diffusion.inverse.sda import SDA, WidenedGuided
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Function
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams

SIGMA = torch.tensor(0.8, dtype=F64)


def _bent():
    denoiser, observation = small_gaussian()
    matrix = observation.operator.matrix
    function = Function(lambda x: (x @ matrix.T).tanh() + 0.3 * (x @ matrix.T) ** 2, (6,), 3)
    return denoiser, Observation(function, observation.y, observation.std)


def _dense(denoiser, observation, x_t):
    """D, dD/dx_t, the residual y - A(D) and H, as dense arrays for one row of shape (6,)."""
    mean = denoiser(x_t[None], SIGMA)[0]
    jacobian = torch.autograd.functional.jacobian(lambda x: denoiser(x[None], SIGMA)[0], x_t)
    slope = torch.autograd.functional.jacobian(lambda x: observation.operator(x[None])[0], mean)
    return mean, jacobian, observation.y[0] - observation.operator(mean[None])[0], slope


@pytest.mark.parametrize("problem", [small_gaussian, _bent])
@pytest.mark.parametrize("method", ["pigdm", "pigdm-published", "sda", "sda-sensors"])
def test_guided_denoiser_is_dense_algebra(problem, method):
    denoiser, observation = problem()
    x_t = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=F64)
    v = float(denoiser.variance.mean())
    gamma = torch.tensor([0.1, 0.2, 0.4], dtype=F64)
    guided, extra = {
        "pigdm": (IsotropicGuided(denoiser, observation), v * SIGMA**2 / (v + SIGMA**2)),
        "pigdm-published": (IsotropicGuided(denoiser, observation, 1.0), SIGMA**2 / (1 + SIGMA**2)),
        "sda": (WidenedGuided(denoiser, observation, 0.3), 0.3 * SIGMA**2),
        "sda-sensors": (WidenedGuided(denoiser, observation, gamma), gamma * SIGMA**2),
    }[method]
    for n, found in enumerate(guided(x_t, SIGMA)):
        mean, jacobian, residual, slope = _dense(denoiser, observation, x_t[n])
        wide = extra * slope @ slope.T if method.startswith("pigdm") else torch.diag(extra.expand(3))
        g = torch.linalg.solve(torch.diag(observation.std**2) + wide, residual)
        wanted = mean + SIGMA**2 * jacobian.T @ slope.T @ g
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)  # the solve stops at 1e-6


def test_prior_variance_is_that_of_the_surrogate():
    denoiser, _ = small_gaussian()
    assert abs(float(prior_variance(denoiser, SIGMA)) - float(denoiser.variance.mean())) < 1e-12
    assert float(prior_variance(gmm2().denoiser, SIGMA)) == 1  # states none


def test_pigdm_is_exact_for_a_white_prior():
    _, observation = small_gaussian()
    denoiser = GaussianDenoiser(torch.zeros(6, dtype=F64), IdentityBasis(), torch.full((6,), 0.7, dtype=F64))
    truth = Kriging(denoiser, observation)
    x_t = torch.randn(5, 6, generator=torch.Generator().manual_seed(0), dtype=F64)
    c = truth.covariance
    wanted = truth.mean + (x_t - truth.mean) @ torch.linalg.solve(c + SIGMA**2 * torch.eye(6, dtype=F64), c)
    torch.testing.assert_close(IsotropicGuided(denoiser, observation)(x_t, SIGMA), wanted, rtol=0, atol=1e-5)


def _sliced_w1(x, posterior):
    """Mean over directions of the integral of |F - F_exact|, F_exact the mixture's own distribution function."""
    angle, total = torch.pi * (torch.arange(20, dtype=F64) + 0.5) / 20, 0.0
    for u in torch.stack([angle.cos(), angle.sin()], 1):
        means, std = posterior.projected(u)
        at = torch.linspace(-40, 40, 2000, dtype=F64)
        exact = torch.special.ndtr((at[:, None] - means) / std) @ posterior.weights
        found = torch.searchsorted((x @ u).sort().values, at) / len(x)
        total += float(torch.trapezoid((found - exact).abs(), at)) / 20
    return total


@pytest.mark.parametrize("variance,measured", [(1.0, 6.2), (129.0, 3.7)])
def test_error_on_a_mixture_is_the_known_one(variance, measured):
    problem, members = gmm2(), 600
    streams = MemberStreams(0, [0], range(members), F64)
    ensemble = PiGDM(problem.sigmas(100), variance).sample(problem.denoiser, problem.observation, streams)
    error = _sliced_w1(ensemble.x[0], problem.posterior)
    # an independent implementation measured 6.22 and 3.74 with 2000 members; exact draws have 0.23
    assert abs(error - measured) < 0.8


def test_corrections_keep_the_law_and_cost_passes():
    denoiser, observation = small_gaussian()
    blind = Observation(observation.operator, observation.y, torch.full_like(observation.std, 1e6))
    sigmas, streams = karras_sigmas(60, 0.02, 5.0), lambda: MemberStreams(1, [0], range(2000), F64)
    plain = SDA(sigmas).sample(denoiser, blind, streams())
    ensemble = SDA(sigmas, corrections=1, tau=0.02).sample(denoiser, blind, streams())
    assert ensemble.diagnostics["network_calls"] == 2 * (60 + 59) and plain.diagnostics["network_calls"] == 2 * 60
    variance = denoiser.surrogate(torch.tensor(torch.inf, dtype=F64)).apply(torch.eye(6, dtype=F64)).diagonal()
    for x in (plain.x[0], ensemble.x[0]):
        # four standard errors of 2000 members, and 8 % for the finite steps of the sampler and of Langevin
        assert ((x.mean(0) - denoiser.mean) / variance.sqrt()).abs().max() < 4 / 2000**0.5
        assert (x.var(0) / variance - 1).abs().max() < 4 * (2 / 2000) ** 0.5 + 0.08


def test_bad_arguments_are_refused():
    denoiser, observation = small_gaussian()
    with pytest.raises(ValueError, match="gamma and tau"):
        SDA(karras_sigmas(5, 0.1, 5.0), gamma=0.0)
    with pytest.raises(ValueError, match="variance of the prior"):
        IsotropicGuided(denoiser, observation, -1.0)
