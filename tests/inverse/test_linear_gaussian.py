"""Truth: for a Gaussian prior and linear data the posterior is N(mu + K (y - A mu), C - K A C), by dense kriging."""

import pytest
import torch
from analytic import F64, Kriging, grf, small_gaussian
from registry import METHODS

from sciml_diffusion.inverse.guidance import MomentMatched
from sciml_diffusion.inverse.mmps import MMPS
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.ode import Heun
from sciml_diffusion.samplers.streams import MemberStreams

EXACT = [name for name, method in METHODS.items() if method.exact]
MEMBERS = 4000


def check_law(x, mean, covariance):
    """Mean and every entry of the covariance within four standard errors of a Gaussian sample."""
    n, variance = len(x), covariance.diagonal()
    assert ((x.mean(0) - mean) / (variance / n).sqrt()).abs().max() < 4
    error = (torch.cov(x.T) - covariance) / ((variance[:, None] * variance + covariance**2) / n).sqrt()
    assert error.abs().max() < 4


@pytest.mark.parametrize("name", EXACT)
def test_posterior_mean_and_covariance(name):
    denoiser, observation = small_gaussian()
    truth = Kriging(denoiser, observation)
    streams = MemberStreams(1, [0], range(MEMBERS), F64)
    ensemble = METHODS[name].make(karras_sigmas(5, 0.05, 4.0)).sample(denoiser, observation, streams)
    assert float(ensemble.ess[0]) > 0.999 * MEMBERS  # exact proposals: nothing to weight
    check_law(ensemble.x[0], truth.mean, truth.covariance)


@pytest.mark.parametrize("name", EXACT)
def test_without_information_the_prior_comes_back(name):
    denoiser, observation = small_gaussian()
    blind = Observation(observation.operator, observation.y, torch.full_like(observation.std, 1e6))
    streams = MemberStreams(2, [0], range(MEMBERS), F64)
    ensemble = METHODS[name].make(karras_sigmas(4, 0.05, 4.0)).sample(denoiser, blind, streams)
    prior = denoiser.surrogate(torch.tensor(torch.inf, dtype=F64)).apply(torch.eye(6, dtype=F64))
    check_law(ensemble.x[0], denoiser.mean, prior)


def test_guided_denoiser_is_that_of_the_posterior():
    denoiser, observation = small_gaussian()
    truth = Kriging(denoiser, observation)
    x_t = torch.randn(5, 6, generator=torch.Generator().manual_seed(0), dtype=F64)
    sigma = torch.tensor(0.8, dtype=F64)
    c = truth.covariance
    wanted = truth.mean + (x_t - truth.mean) @ torch.linalg.solve(c + sigma**2 * torch.eye(6, dtype=F64), c)
    for covariance in ("surrogate", "jacobian"):
        found = MomentMatched(denoiser, observation, covariance, tolerance=1e-13)(x_t, sigma)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)  # solves with a condition of 1e3 in float64


def test_heun_carries_the_guidance():
    denoiser, observation = small_gaussian()
    truth = Kriging(denoiser, observation)
    method = MMPS(karras_sigmas(60, 0.02, 4.0), sampler=Heun)
    x = method.sample(denoiser, observation, MemberStreams(3, [0], range(MEMBERS), F64)).x[0]
    variance = truth.covariance.diagonal()
    # four standard errors of mean and variance, and 2 % for the discretisation of the flow
    assert ((x.mean(0) - truth.mean) / variance.sqrt()).abs().max() < 4 / MEMBERS**0.5 + 0.02
    assert (x.var(0) / variance - 1).abs().max() < 4 * (2 / MEMBERS) ** 0.5 + 0.02


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_many_sensors_on_a_field(dtype):
    problem = grf(2, 0, n=32)
    truth, members = problem.posterior, 48
    observation = problem.observation.to(dtype, "cpu")
    ensemble = MMPS(problem.sigmas(6)).sample(
        problem.denoiser.to(dtype), observation, MemberStreams(0, [0], range(members), dtype)
    )
    z = (ensemble.mean[0] - truth.mean) / truth.stationary_std()
    # exact draws: z_rms = 1 / sqrt(K) up to the few hundred independent patches of the field
    assert abs(float((z**2).mean().sqrt()) * members**0.5 - 1) < 0.25
    assert abs(float((ensemble.std[0] / truth.stationary_std()).mean()) - 1) < 0.03


def test_unknown_covariance_and_missing_surrogate_are_refused():
    denoiser, observation = small_gaussian()
    with pytest.raises(ValueError, match="surrogate, jacobian"):
        MomentMatched(denoiser, observation, "diagonal")
    denoiser.surrogate = lambda sigma: None
    with pytest.raises(ValueError, match="covariance='jacobian'"):
        MomentMatched(denoiser, observation, "surrogate")
