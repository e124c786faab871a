"""Truth: for a Gaussian prior and linear data each half sweep is a linear map with noise, so the law is a recursion."""

import pytest
import torch
from analytic import F64, Kriging, small_gaussian

from sciml_diffusion.inverse.split_gibbs import SplitGibbs
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams

MEMBERS = 4000
EYE = torch.eye(6, dtype=F64)


def prior_covariance(denoiser):
    """C, with shape (6, 6)."""
    return denoiser.surrogate(torch.tensor(torch.inf, dtype=F64)).apply(EYE)


def recursion(denoiser, observation, levels, sweeps):
    """Mean and covariance of z after all sweeps, from the prior."""
    a, r = observation.operator.rows(F64), observation.std**-2
    c = prior_covariance(denoiser)
    mean, covariance = denoiser.mean, c
    for rho in levels:
        for _ in range(sweeps):
            p = torch.linalg.inv(a.T @ (r[:, None] * a) + EYE / rho**2)
            mean, covariance = p @ (mean / rho**2 + a.T @ (r * observation.y[0])), p @ covariance @ p / rho**4 + p
            q = torch.linalg.inv(torch.linalg.inv(c) + EYE / rho**2)
            mean = q @ (mean / rho**2 + torch.linalg.solve(c, denoiser.mean))
            covariance = q @ covariance @ q / rho**4 + q
    return mean, covariance


def blurred(denoiser, observation, rho):
    """The posterior for noise of covariance R + rho^2 A A^T: the law of z at rest."""
    a, c = observation.operator.rows(F64), prior_covariance(denoiser)
    s = a @ c @ a.T + torch.diag(observation.std**2) + rho**2 * a @ a.T
    gain = torch.linalg.solve(s, a @ c)
    return denoiser.mean + (observation.y - denoiser.mean @ a.T)[0] @ gain, c - c @ a.T @ gain


def test_the_recursion_rests_where_it_should():
    denoiser, observation = small_gaussian()
    mean, covariance = blurred(denoiser, observation, 0.4)
    found = recursion(denoiser, observation, [0.4], 400)
    torch.testing.assert_close(found, (mean, covariance), rtol=1e-6, atol=1e-8)  # it contracts by 0.9 a sweep or so


def test_the_bias_at_rest_is_of_second_order_in_rho():
    denoiser, observation = small_gaussian()
    truth = Kriging(denoiser, observation)
    bias = [(blurred(denoiser, observation, rho)[1] - truth.covariance).norm() for rho in (0.02, 0.01)]
    assert 3.9 < float(bias[0] / bias[1]) < 4.1


@pytest.mark.parametrize(("sweeps", "rho_min"), [(1, 0.0), (3, 0.2)])
def test_the_law_of_the_members(sweeps, rho_min):
    denoiser, observation = small_gaussian()
    sigmas = karras_sigmas(12, 0.05, 4.0)
    levels = sigmas[:-1].clamp_min(rho_min)
    mean, covariance = recursion(denoiser, observation, levels, sweeps)
    method = SplitGibbs(sigmas, rho_min=rho_min, sweeps=sweeps, prior_steps=2)
    x = method.sample(denoiser, observation, MemberStreams(1, [0], range(MEMBERS), F64)).x[0]
    variance = covariance.diagonal()
    # four standard errors: the ancestral sampler and the inner draw are exact here, at every number of steps
    assert ((x.mean(0) - mean) / (variance / MEMBERS).sqrt()).abs().max() < 4
    error = (torch.cov(x.T) - covariance) / ((variance[:, None] * variance + covariance**2) / MEMBERS).sqrt()
    assert error.abs().max() < 4


def test_how_near_the_posterior_a_good_schedule_comes():
    denoiser, observation = small_gaussian()
    truth = Kriging(denoiser, observation)
    levels = karras_sigmas(30, 0.05, 4.0)[:-1].clamp_min(0.1)  # a third of the noise and more
    mean, covariance = recursion(denoiser, observation, levels, 4)
    std = truth.covariance.diagonal().sqrt()
    assert ((mean - truth.mean) / std).abs().max() < 0.03
    assert (covariance.diagonal().sqrt() / std - 1).abs().max() < 0.03


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="rho_min must be >= 0, sweeps and prior_steps >= 1"):
        SplitGibbs(karras_sigmas(4, 0.1, 1.0), rho_min=-1.0)
