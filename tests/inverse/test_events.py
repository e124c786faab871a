"""Truths: truncated normals and their tail probabilities, chi-square for a ball, plain Monte Carlo elsewhere."""

import math

import pytest
import torch
from analytic import F64, Kriging, gmm2, small_gaussian
from scipy import stats

from sciml_diffusion.denoisers.basis import IdentityBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.inverse.event_smc import EventSMC
from sciml_diffusion.inverse.events import Event, EventGuided, chance
from sciml_diffusion.inverse.guidance import MomentMatched
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.sde import Ancestral
from sciml_diffusion.samplers.streams import MemberStreams

A = torch.tensor([1.0, -0.5, 0.3, 0.2, -1.0, 0.4], dtype=F64)
FAR = torch.tensor(math.inf, dtype=F64)


def _half_space(probability):
    """A Gaussian in 6 dimensions and the event a . x >= c of a given probability."""
    denoiser, _ = small_gaussian()
    std = float((A @ denoiser.surrogate(FAR).apply(A[None])[0]).sqrt())
    level = float(A @ denoiser.mean) + std * stats.norm.isf(probability)
    return denoiser, Event(lambda x: x @ A, level)


def _white(d):
    return GaussianDenoiser(torch.zeros(d, dtype=F64), IdentityBasis(), torch.ones(d, dtype=F64))


def _streams(families, members, seed=0):
    return MemberStreams(seed, range(families), range(members), F64)


def test_guided_denoiser_is_the_mean_of_a_truncated_normal():
    denoiser, event = _half_space(1e-3)
    x_t, sigma = (
        2 * torch.randn(5, 6, generator=torch.Generator().manual_seed(0), dtype=F64),
        torch.tensor(0.9).double(),
    )
    mean, v = denoiser(x_t, sigma), denoiser.surrogate(sigma).apply(A[None])[0]
    s = float((A @ v).sqrt())
    z = (event.level - (mean @ A).numpy()) / s
    truncated = torch.tensor([stats.norm.pdf(a) / stats.norm.sf(a) for a in z], dtype=F64)  # E of a normal above z
    wanted = mean + truncated[:, None] * v / s
    torch.testing.assert_close(EventGuided(denoiser, event)(x_t, sigma), wanted, rtol=0, atol=1e-9)
    denoiser.surrogate = lambda sigma: None  # by vector-Jacobian products
    torch.testing.assert_close(EventGuided(denoiser, event)(x_t, sigma), wanted, rtol=0, atol=1e-9)


def test_any_sampler_carries_an_event():
    denoiser, event = _half_space(1e-3)
    x = Ancestral(karras_sigmas(40, 0.02, 5.0))(EventGuided(denoiser, event), _streams(1, 500))
    assert float(event.happens(x).double().mean()) > 0.9  # of a thousand draws of the prior, one


def test_edge_of_a_ball_is_its_nearest_point():
    mean = torch.tensor([[0.3, 0.4], [-1.0, 0.0]], dtype=F64)
    ball = Event(lambda x: x.square().sum(1), 9.0)
    # from the far side, from which the iteration alone would not come back
    found = chance(ball, mean, lambda u: 0.25 * u, -3 * mean, rounds=8)
    nearest = 3 * mean / mean.norm(dim=1, keepdim=True)
    torch.testing.assert_close(found.edge, nearest, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.u, (mean.norm(dim=1) - 3) / 0.5, rtol=0, atol=1e-6)


def test_a_function_without_slope_foresees_nothing():
    flat = chance(Event(lambda x: 0 * x.sum(1), 1.0), torch.zeros(2, 3, dtype=F64), lambda u: u, None, 3)
    assert torch.isfinite(flat.log_h).all() and (flat.shift == 0).all()


@pytest.mark.parametrize("probability", [0.3, 1e-2, 1e-4])
def test_probability_of_a_half_space(probability):
    denoiser, event = _half_space(probability)
    ensemble = EventSMC(karras_sigmas(15, 0.02, 5.0)).sample(denoiser, event, _streams(10, 150))
    found, error = ensemble.diagnostics["probability"], ensemble.diagnostics["standard_error"]
    assert abs(found - probability) < 4 * error and error < 0.12 * probability
    # the weighted members have the law of the truncated normal along a
    x, w = ensemble.x.flatten(0, 1), ensemble.weights.flatten() / 10
    assert (w[~event.happens(x)] == 0).all()
    v = float(A @ denoiser.surrogate(FAR).apply(A[None])[0])
    z = (event.level - float(A @ denoiser.mean)) / v**0.5
    wanted = float(A @ denoiser.mean) + v**0.5 * stats.norm.pdf(z) / stats.norm.sf(z)
    assert abs(float(w @ (x @ A)) - wanted) < 0.1 * v**0.5  # a spread of 0.25 to 0.6 of it, from some 500 members


def test_probability_of_being_outside_of_a_ball():
    radius = stats.chi2.isf(1e-3, 2) ** 0.5
    event = Event(lambda x: x.square().sum(1).sqrt(), radius)
    ensemble = EventSMC(karras_sigmas(30, 0.02, 5.0)).sample(_white(2), event, _streams(10, 200))
    found, error = ensemble.diagnostics["probability"], ensemble.diagnostics["standard_error"]
    assert abs(found - 1e-3) < 4 * error and error < 1e-4
    angle = torch.atan2(*ensemble.x.flatten(0, 1).unbind(1))
    w = ensemble.weights.flatten() / 10
    assert float((w * angle.cos()).sum()) ** 2 + float((w * angle.sin()).sum()) ** 2 < 0.1**2  # on every side


def test_probability_of_being_inside_of_a_ball():
    event = Event(lambda x: -x.square().sum(1), -0.2)  # f has no slope at the centre
    ensemble = EventSMC(karras_sigmas(30, 0.02, 5.0)).sample(_white(2), event, _streams(10, 100))
    found, error = ensemble.diagnostics["probability"], ensemble.diagnostics["standard_error"]
    truth = stats.chi2.cdf(0.2, 2)
    assert abs(found - truth) < 4 * error and error < 0.1 * truth


def test_mixture_agrees_with_plain_monte_carlo_of_the_same_sampler():
    problem, draws = gmm2(), 10_000
    denoiser, sigmas = problem.denoiser, problem.sigmas(60)
    event = Event(lambda x: x[:, 0], 17.0)
    streams = MemberStreams(1, [0], range(draws), F64)
    x = denoiser.start(sigmas[0], streams)
    for t, s in zip(sigmas[:-1], sigmas[1:], strict=True):
        c = 1 - (s / t) ** 2
        variance = s**2 * c + c**2 * denoiser.within_variance(x, t)[:, None]
        x = x + c * (denoiser(x, t) - x) + variance.sqrt() * streams.normal((2,))
    plain = float(event.happens(x).double().mean())
    ensemble = EventSMC(sigmas).sample(denoiser, event, _streams(10, 100))
    found, error = ensemble.diagnostics["probability"], ensemble.diagnostics["standard_error"]
    assert abs(found - plain) < 4 * (error**2 + plain * (1 - plain) / draws) ** 0.5 and error < 0.1 * plain
    truth = float(denoiser.log_weights.exp() @ torch.special.ndtr(denoiser.means[:, 0] - 17.0))
    assert abs(found / truth - 1) < 0.25  # 60 steps have a law of their own; 100 come within 0.1


def test_a_denoiser_that_states_no_spread():
    denoiser, event = _half_space(1e-2)
    denoiser.surrogate = lambda sigma: None
    denoiser.prior_mean = lambda: None
    ensemble = EventSMC(karras_sigmas(60, 0.02, 20.0)).sample(denoiser, event, _streams(6, 100))
    found, error = ensemble.diagnostics["probability"], ensemble.diagnostics["standard_error"]
    assert abs(found / 1e-2 - 1) < 0.35 and error < 2e-3  # the spread that 60 such steps lose: 6 % of the std


def test_an_impossible_event_is_said_to_be_so():
    never = Event(lambda x: x[:, 0].clamp_max(1.0), 2.0)
    with pytest.warns(UserWarning, match="in no member of 2 of 2 families"):
        found = EventSMC(karras_sigmas(5, 0.1, 5.0)).sample(_white(2), never, _streams(2, 10)).diagnostics
    assert found["probability"] == 0


def test_event_under_a_posterior():
    denoiser, observation = small_gaussian()
    truth = Kriging(denoiser, observation)
    level = float(A @ truth.mean) + stats.norm.isf(0.1) * float(A @ truth.covariance @ A) ** 0.5
    guided = MomentMatched(denoiser, observation)
    ensemble = EventSMC(karras_sigmas(80, 0.02, 5.0)).sample(guided, Event(lambda x: x @ A, level), _streams(6, 60))
    found, error = ensemble.diagnostics["probability"], ensemble.diagnostics["standard_error"]
    # the sampler of a posterior states no spread of its steps, and 80 of them lose some of the tail
    assert abs(found - 0.1) < 0.015 + 3 * error and error < 0.01


def test_what_does_not_fit_is_refused():
    denoiser, event = _half_space(0.1)
    with pytest.raises(ValueError, match="can differentiate"):
        cut = Event(lambda x: x.detach().sum(1), 0.0)
        EventSMC(karras_sigmas(5, 0.1, 5.0)).sample(denoiser, cut, _streams(2, 10))
    with pytest.raises(ValueError, match="at least 2 independent families"):
        EventSMC(karras_sigmas(5, 0.1, 5.0)).sample(denoiser, event, _streams(1, 10))
    with pytest.raises(ValueError, match="end in 0"):
        EventSMC(torch.tensor([2.0, 1.0]))
    wrong = Event(lambda x: x, 0.0)
    with pytest.raises(ValueError, match="must return shape"):
        EventSMC(karras_sigmas(5, 0.1, 5.0)).sample(denoiser, wrong, _streams(2, 10))
