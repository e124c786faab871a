"""Chains in white coordinates. Truths: kriging for a Gaussian, and quadrature of nonlinear posteriors in the plane."""

import math

import pytest
import torch
from analytic import F64, Kriging, small_gaussian

from sciml_diffusion.baselines.convergence import bulk_ess, rhat
from sciml_diffusion.baselines.laplace import Reference, WhitePosterior, minimise
from sciml_diffusion.baselines.mcmc import Chains, WhitenedMCMC
from sciml_diffusion.denoisers.basis import MatrixBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Function
from sciml_diffusion.samplers.streams import MemberStreams


def banana(std=0.8, differentiable=True):
    """Prior N((0.3, -0.2), C) with a turned C, seen as (x0 + x1^2, sin 2 x0): a bent posterior, with two modes."""
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=F64)
    mean, variance = torch.tensor([[0.3, -0.2], [1.5, 0.6]], dtype=F64)
    prior = GaussianDenoiser(mean, MatrixBasis(turn, (2,)), variance)

    def seen(x):
        return torch.stack([x[:, 0] + x[:, 1] ** 2, (2 * x[:, 0]).sin()], 1)

    y, std = torch.tensor([[0.9, 0.3]], dtype=F64), torch.tensor([std, 0.8], dtype=F64)
    return prior, Observation(Function(seen, (2,), 2, differentiable), y, std)


def moments(prior, observation):
    """Mean (2,), covariance (2, 2) by the trapezoidal rule on 801^2 points over eight standard deviations."""
    axis = torch.linspace(-8, 8, 801, dtype=F64)
    x = torch.cartesian_prod(axis, axis)
    density = observation.log_likelihood(x) + prior.log_prob(x, torch.zeros((), dtype=F64))
    w = density.softmax(0)
    mean = w @ x
    return mean, (x - mean).T @ (w[:, None] * (x - mean))


def check(draws, mean, covariance):
    """Mean and covariance of draws (T, N, 2) within five standard errors of their bulk ESS."""
    least, flat = float(bulk_ess(draws).min()), draws.flatten(0, 1)
    std = covariance.diagonal().sqrt()
    assert least > 500 and (rhat(draws) < 1.05).all()  # few draws of a hard posterior keep the test short
    assert (((flat.mean(0) - mean) / std).abs() < 5 / math.sqrt(least)).all()
    # heavier fourth moments than a Gaussian's double the error of the covariance at most
    assert ((flat.T.cov() - covariance).abs() < 10 / math.sqrt(least) * std[:, None] * std).all()


@pytest.mark.parametrize("leaps, std", [(0, 0.8), (1, 0.8), (4, 0.3)])
def test_nonlinear_posterior_in_the_plane(leaps, std):
    prior, observation = banana(std)
    method = WhitenedMCMC(prior, leaps=leaps, warmup=100)
    streams = MemberStreams(1, [0], range(32), F64)
    chains = method.warm(observation, streams)
    draws, _ = chains.run(streams, 1200)
    assert chains.leaps == leaps
    check(chains.problem.event(draws.flatten(0, 1)).reshape(draws.shape), *moments(prior, observation))


def test_black_box_takes_crank_nicolson_from_the_prior():
    prior, observation = banana(differentiable=False)
    streams = MemberStreams(2, [0], range(32), F64)
    chains = WhitenedMCMC(prior, warmup=100).warm(observation, streams)
    assert chains.leaps == 0 and len(chains.reference.root) == 0
    draws, _ = chains.run(streams, 3000, thin=2)
    check(chains.problem.event(draws.flatten(0, 1)).reshape(draws.shape), *moments(prior, observation))


def test_gaussian_posterior_is_its_own_reference():
    """Laplace is exact: every step is accepted, and draws after a quarter turn are independent, with kriging's law."""
    denoiser, observation = small_gaussian()
    truth, members = Kriging(denoiser, observation), 4000
    problem = WhitePosterior(denoiser, observation)
    xi, _ = minimise(problem, torch.zeros(1, 6, dtype=F64))
    torch.testing.assert_close(problem.event(xi)[0], truth.mean, rtol=0, atol=1e-6)  # the damping's last step
    reference = Reference.laplace(xi[0], problem.linearise(xi)[1][0])
    streams = MemberStreams(3, [0], range(members), F64)
    chains = Chains(problem, reference, reference(streams.normal((6,))), leaps=1, angle=math.pi / 2)
    assert chains.step(streams).min() > 1 - 1e-5  # the optimum is found to 1e-6 or so
    x, variance = problem.event(chains.xi), truth.covariance.diagonal()
    assert ((x.mean(0) - truth.mean) / (variance / members).sqrt()).abs().max() < 4
    error = (torch.cov(x.T) - truth.covariance) / (
        (variance[:, None] * variance + truth.covariance**2) / members
    ).sqrt()
    assert error.abs().max() < 4


def test_ensemble_and_its_diagnostics():
    denoiser, observation = small_gaussian()
    ensemble = WhitenedMCMC(denoiser, warmup=30, steps=60).posterior(observation, MemberStreams(0, [0], range(64), F64))
    truth = Kriging(denoiser, observation)
    assert ensemble.x.shape == (1, 64, 6) and ensemble.diagnostics["acceptance"] > 0.9
    assert ensemble.diagnostics["rhat"].max() < 1.05
    z = (ensemble.mean[0] - truth.mean) / truth.covariance.diagonal().sqrt()
    assert z.abs().max() < 4.5 / 8  # 64 members


def test_reference_maps_there_and_back():
    """L (1 + G^T G) L^T = 1 for the Laplace root; inverse and pull are those of the dense matrix; to rounding."""
    g = torch.Generator().manual_seed(0)
    centre, jacobian, z = (torch.randn(*s, generator=g, dtype=F64) for s in [(5,), (2, 5), (4, 5)])
    reference = Reference.laplace(centre, jacobian)
    dense = (reference(torch.eye(5, dtype=F64)) - centre).T
    precision = torch.eye(5, dtype=F64) + jacobian.T @ jacobian
    torch.testing.assert_close(dense.T @ precision @ dense, torch.eye(5, dtype=F64), rtol=0, atol=1e-12)
    torch.testing.assert_close(reference.inverse(reference(z)), z, rtol=0, atol=1e-12)
    torch.testing.assert_close(reference.pull(z), z @ dense, rtol=0, atol=1e-12)


def test_two_windows_and_priors_without_covariance_are_refused():
    denoiser, observation = small_gaussian(2)
    with pytest.raises(ValueError, match="one window"):
        WhitePosterior(denoiser, observation)
    denoiser.surrogate = lambda sigma: None
    with pytest.raises(ValueError, match="states its mean and covariance"):
        WhitePosterior(denoiser, observation.select(slice(0, 1)))
