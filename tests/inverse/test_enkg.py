"""Ensemble Kalman guidance. Truths: kriging for a Gaussian, least squares for slopes, and quadrature in the plane."""

import pytest
import torch
from analytic import F64, Kriging, gmm2, grf, small_gaussian

from sciml_diffusion.codecs.standardise import Standardise
from sciml_diffusion.denoisers.basis import IdentityBasis, MatrixBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.inverse.enkg import EnKG, LocalSlopes, flow
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Function
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams

SIGMAS = karras_sigmas(12, 0.02, 10.0)


def draws(seed, *shape):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def black_box(observation):
    """The same data through a function that torch can neither see into nor differentiate."""
    matrix = observation.operator.matrix.numpy()
    operator = Function(lambda x: torch.from_numpy(x.numpy() @ matrix.T), (6,), 3, differentiable=False)
    return Observation(operator, observation.y, observation.noise)


def test_black_box_of_a_gaussian_gives_krigings_law():
    """1500 members in 6 dimensions: mean and variance of each coordinate within four standard errors."""
    denoiser, observation = small_gaussian(2)
    ensemble = EnKG(SIGMAS).sample(denoiser, black_box(observation), MemberStreams(0, [0, 1], range(1500), F64))
    for b in range(2):
        truth = Kriging(denoiser, observation.select(slice(b, b + 1)))
        variance = truth.covariance.diagonal()
        assert ((ensemble.x[b].mean(0) - truth.mean) / (variance / 1500).sqrt()).abs().max() < 4
        assert (ensemble.x[b].var(0) / variance - 1).abs().max() < 4 * (2 / 1500) ** 0.5
    assert ensemble.diagnostics["operator_calls"] == 13 * 4  # one call for both sides of each of 4 pairs


def test_windows_with_means_of_their_own_do_not_mix():
    """Codecs that differ in their means, as those of a climatology do: the second of two windows is that window alone.

    To rounding of sums over other batches, grown a little by the ridge regression.
    """
    denoiser, observation = small_gaussian(2)
    event = (1, 1, 6)
    mean, operator = draws(3, 2, *event), Function(lambda x: x.flatten(1)[:, :3] ** 2, event, 3, differentiable=False)
    codecs = [Standardise(mean[b], torch.ones(1, 1, 1, dtype=F64), event, False) for b in range(2)]
    prior = GaussianDenoiser(torch.zeros(event, dtype=F64), IdentityBasis(), torch.ones(event, dtype=F64))
    data = Observation(operator, observation.y.abs(), observation.noise)
    both = EnKG(SIGMAS).sample(prior, data.through(codecs), MemberStreams(0, [0, 1], range(12), F64))
    alone = data.select(slice(1, 2)).through(codecs[1:])
    one = EnKG(SIGMAS).sample(prior, alone, MemberStreams(0, [1], range(12), F64))
    torch.testing.assert_close(both.x[1:], one.x, rtol=1e-6, atol=1e-6)


def test_fewer_members_than_points_still_find_the_slope():
    """64 members on a field of 64 points with 3 sensors: z-rms 1 / 8 for exact draws; half as much again is allowed."""
    problem = grf(1, 0)
    x = (
        EnKG(problem.sigmas(32))
        .sample(problem.denoiser, problem.observation, MemberStreams(0, [0], range(64), F64))
        .x[0]
    )
    std = problem.posterior.stationary_std()
    assert float((((x.mean(0) - problem.posterior.mean) / std) ** 2).mean().sqrt()) < 1.5 / 8
    assert abs(float((x.std(0) / std).mean()) - 1) < 0.1


def test_bent_posterior_in_the_plane():
    """y = (x0 + x1^2 / 4, sin x0): the mean by quadrature within 0.25 posterior standard deviations, spread to 25 %."""
    prior = GaussianDenoiser(
        torch.zeros(2, dtype=F64), MatrixBasis(torch.eye(2, dtype=F64), (2,)), torch.ones(2).double()
    )
    operator = Function(lambda x: torch.stack([x[:, 0] + x[:, 1] ** 2 / 4, x[:, 0].sin()], 1), (2,), 2, False)
    observation = Observation(operator, torch.tensor([[0.8, 0.4]]).double(), torch.tensor([0.4, 0.4]).double())
    grid = torch.cartesian_prod(*2 * [torch.linspace(-6, 6, 401, dtype=F64)])
    w = (observation.log_likelihood(grid) - 0.5 * (grid**2).sum(1)).softmax(0)
    mean = w @ grid
    std = (w @ (grid - mean) ** 2).sqrt()
    x = EnKG(SIGMAS).sample(prior, observation, MemberStreams(1, [0], range(2000), F64)).x[0]
    assert ((x.mean(0) - mean) / std).abs().max() < 0.25
    assert (x.std(0) / std - 1).abs().max() < 0.25


def test_slopes_are_least_squares_where_they_can_be():
    """Linear data: the slope itself, to the smallest ridge; with noise, its variance to four standard errors."""
    g = torch.Generator().manual_seed(0)
    places, steps = torch.randn(2, 100, 5, generator=g, dtype=F64), torch.randn(2, 100, 4, 5, generator=g, dtype=F64)
    slope, scale = torch.randn(2, 3, 5, generator=g, dtype=F64), torch.ones(2, 3, dtype=F64)
    seen = torch.einsum("bmd,bkpd->bkpm", slope, steps)
    found = LocalSlopes(places, steps, seen, scale)
    torch.testing.assert_close(found.at(torch.tensor([0, 7]))[:, 1], slope, rtol=0, atol=1e-5)
    assert found.error.max() < 1e-10
    noisy = LocalSlopes(places, steps, seen + 0.5 * torch.randn(seen.shape, generator=g, dtype=F64), scale)
    assert (noisy.at(torch.arange(100)).mean(1) - slope).abs().max() < 5 * 0.5 / 20
    assert (noisy.error / 0.25 - 1).abs().max() < 0.3


def test_slopes_of_a_quadratic_are_those_of_each_place():
    """A = (x0 x1, x0^2) has the slope (x1, x0; 2 x0, 0): central differences and the fit are exact, up to the ridge."""
    g = torch.Generator().manual_seed(1)
    places, steps = torch.randn(1, 50, 2, generator=g, dtype=F64), torch.randn(1, 50, 4, 2, generator=g, dtype=F64)
    x0, x1, e0, e1 = (v[..., None] if v.ndim == 2 else v for v in (*places.unbind(2), *steps.unbind(3)))
    found = LocalSlopes(places, steps, torch.stack([x0 * e1 + x1 * e0, 2 * x0 * e0], 3), torch.ones(1, 2, dtype=F64))
    x0, x1 = places[0].unbind(1)
    wanted = torch.stack([torch.stack([x1, x0], 1), torch.stack([2 * x0, 0 * x0], 1)], 1)
    torch.testing.assert_close(found.at(torch.arange(50))[0], wanted, rtol=0, atol=1e-4)


def test_published_update_fits_the_data_and_contracts():
    """What the published rule does on a Gaussian: a fraction of the misfit and of the spread of exact draws."""
    denoiser, observation = small_gaussian()
    streams = MemberStreams(0, [0], range(64), F64)
    x = EnKG(karras_sigmas(80, 0.02, 10.0), "published").sample(denoiser, black_box(observation), streams).x[0]
    truth = Kriging(denoiser, observation)
    exact = truth.draw(1000, torch.Generator().manual_seed(0))
    misfit, own = (((observation.y - observation.operator(v)) / observation.std).square().mean() for v in (x, exact))
    assert misfit < own / 2
    assert (x.std(0) < 0.1 * truth.covariance.diagonal().sqrt()).all()


def test_flow_ends_where_the_gaussian_flow_does():
    """x = mean + sqrt(C / (C + sigma^2)) (x_t - mean) in closed form; 400 Euler steps leave 1 %."""
    denoiser, _ = small_gaussian()
    sigma, x_t = torch.tensor(2.0, dtype=F64), torch.randn(4, 6, generator=torch.Generator().manual_seed(1), dtype=F64)
    c = denoiser.basis(x_t - denoiser.mean) * (denoiser.variance / (denoiser.variance + sigma**2)).sqrt()
    wanted = denoiser.mean + denoiser.basis.inverse(c)
    torch.testing.assert_close(flow(denoiser, x_t, sigma, 400), wanted, rtol=0, atol=0.02)


def test_denoisers_that_state_no_covariance_get_one():
    """A mixture: members lie near the data, y = 0.8 x0 + 0.6 x1 = 1.6 to its noise of 0.5."""
    problem = gmm2()
    x = (
        EnKG(problem.sigmas(40))
        .sample(problem.denoiser, problem.observation, MemberStreams(0, [0], range(64), F64))
        .x[0]
    )
    residual = problem.observation.y - problem.observation.operator(x)
    assert float((residual**2).mean().sqrt()) < 1.0


def test_unknown_updates_are_refused():
    with pytest.raises(ValueError, match="conditional, published"):
        EnKG(SIGMAS, update="sideways")
    with pytest.raises(ValueError, match="probes must be >= 1"):
        EnKG(SIGMAS, probes=0)
