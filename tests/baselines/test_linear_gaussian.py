"""Linear Gaussian estimation. Truth: the conditional law of a Gaussian, by dense matrices in float64."""

import pytest
import torch

from sciml_diffusion.baselines.linear_gaussian import LinearGaussian
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Matrix
from sciml_diffusion.samplers.streams import MemberStreams

EVENT, D, M = (1, 2, 3), 6, 3


def problem(ridge: float):
    """A prior of rank 4 on 6 values plus a ridge, three noisy sums, and the conditional mean and covariance."""
    g = torch.Generator().manual_seed(0)
    mean, factor, a = (torch.randn(*s, generator=g, dtype=torch.float64) for s in [(D,), (4, D), (M, D)])
    std = torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64)
    y = torch.randn(2, M, generator=g, dtype=torch.float64)
    prior = factor.T @ factor + ridge**2 * torch.eye(D, dtype=torch.float64)
    gain = prior @ a.T @ torch.linalg.inv(a @ prior @ a.T + (std**2).diag())
    truth = mean + (y - a @ mean) @ gain.T, prior - gain @ a @ prior
    model = LinearGaussian(mean.reshape(EVENT), factor.reshape(4, *EVENT), ridge)
    return model, Observation(Matrix(a, EVENT), y, std), *truth


@pytest.mark.parametrize("ridge", [0.0, 0.4])
def test_mean_is_the_conditional_mean(ridge):
    model, observation, mean, _ = problem(ridge)
    assert model.mean(observation).shape == (2, *EVENT)
    assert (model.mean(observation).flatten(1) - mean).abs().max() < 1e-12  # a solve in float64


@pytest.mark.parametrize("ridge", [0.0, 0.4])
def test_members_have_the_conditional_moments(ridge):
    """20000 draws: standard errors of 0.7 % of a standard deviation for means, 1 % for covariances; 5 are allowed."""
    model, observation, mean, covariance = problem(ridge)
    x = model.posterior(observation, MemberStreams(0, range(2), range(20000), torch.float64)).x.flatten(2)
    scale = covariance.diagonal().sqrt() + 1e-12
    assert (((x.mean(1) - mean) / scale).abs() < 0.035).all()
    assert ((x[1].T.cov() - covariance).abs() < 0.05 * scale * scale[:, None]).all()


def test_from_samples_uses_the_sample_moments():
    """The empirical prior equals one with the same mean and the factor of numpy's covariance; to rounding."""
    x = torch.randn(50, *EVENT, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    _, observation, *_ = problem(0.0)
    factor = torch.linalg.cholesky(x.flatten(1).T.cov()).T.reshape(D, *EVENT)
    expected = LinearGaussian(x.mean(0), factor).mean(observation)
    assert (LinearGaussian.from_samples(x).mean(observation) - expected).abs().max() < 1e-12


def test_members_do_not_depend_on_their_batch():
    model, observation, *_ = problem(0.4)
    whole = model.posterior(observation, MemberStreams(3, range(2), range(4), torch.float64)).x
    second = Observation(observation.operator, observation.y[1:], observation.std)
    part = model.posterior(second, MemberStreams(3, [1], [2, 3], torch.float64)).x
    assert (whole[1:, 2:] - part).abs().max() < 1e-12


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="ridge >= 0"):
        LinearGaussian(torch.zeros(3), torch.zeros(2, 3), -1.0)
    with pytest.raises(ValueError, match="expected a factor of shape"):
        LinearGaussian(torch.zeros(3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="at least 2 samples"):
        LinearGaussian.from_samples(torch.zeros(1, 3))
