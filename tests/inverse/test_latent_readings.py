"""Sensors with limits under a Gaussian prior. Truths: scipy's truncated normal, quadrature, importance sampling."""

import numpy as np
import pytest
import torch
from analytic import F64, gmm2, small_gaussian
from scipy import stats

from sciml_diffusion.codecs.standardise import Standardise
from sciml_diffusion.inverse.auto import Auto, candidates, look
from sciml_diffusion.inverse.latent_readings import LatentReadings, limits_of
from sciml_diffusion.inverse.truncated import TruncatedNormal
from sciml_diffusion.observations.censored import Censored
from sciml_diffusion.observations.noise import Gaussian
from sciml_diffusion.observations.noise_laws import Mixed, StudentT
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Function, Matrix
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams

MEMBERS = 2000


def numbers(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=F64)


def normal(seed, rows):
    g = torch.Generator().manual_seed(seed)
    return lambda shape: torch.randn(rows, *shape, generator=g, dtype=F64)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_one_component_is_scipy_s(side):
    law = TruncatedNormal(numbers([4.0]), torch.tensor([[False]]), numbers([side]), numbers([3.0]))
    w = law.draw(
        torch.full((MEMBERS, 1), 1.0, dtype=F64), torch.full((MEMBERS, 1), 3.0 + side, dtype=F64), 6, normal(0, MEMBERS)
    )
    low, high = (1.0, np.inf) if side > 0 else (-np.inf, 1.0)
    assert stats.kstest(w[:, 0].numpy(), stats.truncnorm(low, high, 1.0, 2.0).cdf).pvalue > 1e-3  # fixed seed


def test_two_limits_and_a_known_component_in_two_layouts():
    c = numbers([1.0, 0.7, 0.3], [0.7, 2.0, -0.5], [0.3, -0.5, 1.5])
    known = torch.tensor([[False, False, True], [False, False, False]])
    side, limit = numbers([1.0, -1.0, 0.0], [1.0, -1.0, 1.0]), numbers([0.5, 0.2, 0.0], [0.5, 0.2, 1.0])
    mean = torch.zeros(2 * MEMBERS, 3, dtype=F64)
    first = numbers([1.0, 0.0, 0.8], [1.0, 0.0, 2.0]).repeat_interleave(MEMBERS, 0)
    w = TruncatedNormal(c, known, side, limit).draw(mean, first, 30, normal(1, 2 * MEMBERS)).reshape(2, MEMBERS, 3)
    assert ((w[..., 0] >= 0.5) & (w[..., 1] <= 0.2)).all() and (w[1, :, 2] >= 1.0).all()
    assert torch.allclose(w[0, :, 2], numbers(0.8), atol=1e-12)
    axes = [np.linspace(0.5, 7, 301), np.linspace(-9, 0.2, 301)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    weight = stats.multivariate_normal(np.zeros(3), c.numpy()).pdf(
        np.concatenate([grid, np.full((301, 301, 1), 0.8)], -1)
    )
    weight /= weight.sum()
    for i in range(2):
        mean_i = (weight * grid[..., i]).sum()
        std = np.sqrt((weight * (grid[..., i] - mean_i) ** 2).sum())
        # 4 standard errors, and 2 % of the spread for the sums over the grid
        assert abs(float(w[0, :, i].mean()) - mean_i) < (4 / MEMBERS**0.5 + 0.02) * std
        assert abs(float(w[0, :, i].std()) / std - 1) < 4 / (2 * MEMBERS) ** 0.5 + 0.02
    g = np.random.default_rng(0).multivariate_normal(np.zeros(3), c.numpy(), 2_000_000)
    kept = g[(g[:, 0] >= 0.5) & (g[:, 1] <= 0.2) & (g[:, 2] >= 1.0)]
    error = np.abs(w[1].mean(0).numpy() - kept.mean(0)) / kept.std(0)
    assert (error < 4.5 * np.sqrt(1 / MEMBERS + 1 / len(kept))).all()


def limited(windows=1):
    """Three sensors: a thermometer, one that stops at its limits, and a switch; readings of three kinds of windows."""
    denoiser, observation = small_gaussian()
    centre = observation.operator(denoiser.mean[None])[0]
    low, high = centre[1:] + numbers(-0.4, 0.1), centre[1:] + numbers(0.6, 0.1)
    noise = Mixed([Gaussian(numbers(0.5)), Censored(numbers(0.5, 0.2), low, high)])
    y = centre + numbers([0.5, 0.6, -1.0], [0.0, -0.4, 2.0], [1.0, 0.2, 2.0])
    y[0, 1], y[1, 1] = high[0], low[0]  # exactly at the limits
    y = y.repeat(2, 1)[:windows]
    return denoiser, Observation(observation.operator, y, noise)


@pytest.mark.parametrize("steps", [1, 5])
def test_posterior_is_that_of_importance_sampling(steps):
    denoiser, observation = limited(3)
    sigmas = karras_sigmas(steps, 0.05, 4.0) if steps > 1 else numbers(4.0, 0.0)
    ensemble = LatentReadings(sigmas, 4).sample(denoiser, observation, MemberStreams(0, range(3), range(MEMBERS), F64))
    prior = denoiser.surrogate(torch.tensor(torch.inf, dtype=F64))
    x = denoiser.mean + prior.sqrt(torch.randn(400_000, 6, generator=torch.Generator().manual_seed(9), dtype=F64))
    for b in range(3):
        log_w = observation.select(slice(b, b + 1)).log_likelihood(x)
        w = log_w.softmax(0)
        mean, share = w @ x, 1 / float((w**2).sum())
        assert share > 3000  # as many draws the truth is worth
        centred = x - mean
        std = (w @ centred**2).sqrt()
        error = (ensemble.x[b].mean(0) - mean).abs() / std
        assert error.max() < 4.5 * (1 / MEMBERS + 1 / share) ** 0.5
        spread = (ensemble.x[b].std(0) / std - 1).abs()
        assert spread.max() < 4.5 * (0.5 / MEMBERS + 0.5 / share) ** 0.5
    assert "log_evidence" not in ensemble.diagnostics and ensemble.diagnostics["network_calls"] == steps


def test_a_window_is_the_same_beside_others_and_through_a_codec():
    denoiser, many = limited(6)
    _, one = limited(1)
    method = LatentReadings(karras_sigmas(3, 0.05, 4.0))
    whole = method.sample(denoiser, many, MemberStreams(5, range(6), range(5), F64))
    alone = method.sample(denoiser, one, MemberStreams(5, [0], range(5), F64))
    torch.testing.assert_close(whole.x[:1], alone.x, rtol=0, atol=1e-9)  # three walls amplify rounding little
    codec = Standardise(numbers(0.0), numbers(1.0), (1, 1, 6), False)
    flat = Matrix(one.operator.matrix, (1, 1, 6))
    denoiser_flat = _reshaped(denoiser)
    seen = Observation(flat, one.y, one.noise).through([codec])
    through = method.sample(denoiser_flat, seen, MemberStreams(5, [0], range(5), F64))
    torch.testing.assert_close(through.x.flatten(2), alone.x, rtol=0, atol=1e-9)


def _reshaped(denoiser):
    """The same Gaussian with events (1, 1, 6)."""
    from sciml_diffusion.denoisers.basis import MatrixBasis
    from sciml_diffusion.denoisers.gaussian import GaussianDenoiser

    prior = denoiser.surrogate(torch.tensor(torch.inf, dtype=F64))
    basis = MatrixBasis(prior.basis.matrix, (1, 1, 6))
    return GaussianDenoiser(denoiser.mean.reshape(1, 1, 6), basis, prior.variance)


def test_what_it_cannot_take_is_refused_in_words():
    denoiser, observation = limited()
    method, streams = LatentReadings(karras_sigmas(3, 0.05, 4.0)), MemberStreams(0, [0], range(4), F64)
    heavy = Observation(
        observation.operator, observation.y, StudentT(torch.ones(3, dtype=F64), torch.ones(3, dtype=F64))
    )
    with pytest.raises(ValueError, match="Gaussian and censored noise; got StudentT"):
        method.sample(denoiser, heavy, streams)
    bent = Observation(Function(lambda x: x[:, :3] ** 3, (6,), 3), observation.y, observation.noise)
    with pytest.raises(ValueError, match="linear in the field"):
        method.sample(denoiser, bent, streams)
    problem = gmm2()
    with pytest.raises(ValueError, match="states no mean and covariance"):
        method.sample(problem.denoiser, problem.observation, streams)
    assert [part.tolist() for part in limits_of(Gaussian(numbers(2.0)))] == [[2.0], [-np.inf], [np.inf]]


def test_auto_picks_it_where_sensors_have_limits():
    denoiser, observation = limited()
    facts = look(denoiser, observation, 64)
    assert facts.limited and candidates(karras_sigmas(3, 0.05, 4.0), facts)[0].name == "latent-readings"
    plain = Observation(observation.operator, observation.y, Gaussian(numbers(1.0, 1.0, 1.0)))
    bent = Observation(Function(lambda x: x[:, :3] ** 3, (6,), 3), observation.y, observation.noise)
    assert not look(denoiser, plain, 64).limited and not look(denoiser, bent, 64).limited
    ensemble = Auto(karras_sigmas(3, 0.05, 4.0)).sample(denoiser, observation, MemberStreams(0, [0], range(8), F64))
    assert (
        ensemble.diagnostics["method"] == ("latent-readings",) and "stop at limits" in ensemble.diagnostics["reason"][0]
    )
