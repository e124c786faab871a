"""The ensemble Kalman analysis. Truths: kriging for a Gaussian, and what one round must be by its formula."""

from functools import partial

import pytest
import torch
from analytic import F64, Kriging, small_gaussian

from sciml_diffusion.baselines.enkf import EnsembleKalman
from sciml_diffusion.observations.noise import Correlated
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Function
from sciml_diffusion.samplers.streams import MemberStreams


def prior_draw(denoiser):
    return partial(denoiser.start, torch.zeros((), dtype=F64))


@pytest.mark.parametrize("rounds", [1, 4])
def test_many_members_give_krigings_law(rounds):
    """4000 members, two windows: five standard errors of mean and variance."""
    denoiser, observation = small_gaussian(2)
    streams = MemberStreams(0, [0, 1], range(4000), F64)
    ensemble = EnsembleKalman(prior_draw(denoiser), rounds).posterior(observation, streams)
    for b in range(2):
        truth = Kriging(denoiser, observation.select(slice(b, b + 1)))
        variance = truth.covariance.diagonal()
        assert ((ensemble.x[b].mean(0) - truth.mean) / (variance / 4000).sqrt()).abs().max() < 5
        assert (ensemble.x[b].var(0) / variance - 1).abs().max() < 5 * (2 / 4000) ** 0.5
    assert ensemble.diagnostics["operator_calls"] == rounds


def test_black_boxes_and_correlated_noise():
    """A diagonal covariance, written as a full one, gives the same members to rounding; no derivative is asked for."""
    denoiser, observation = small_gaussian()
    seen = Function(lambda x: torch.from_numpy(x.numpy() @ observation.operator.matrix.numpy().T), (6,), 3, False)
    black = Observation(seen, observation.y, observation.noise)
    full = Observation(observation.operator, observation.y, Correlated(torch.diag(observation.std**2)))
    method = EnsembleKalman(prior_draw(denoiser))
    runs = [method.posterior(o, MemberStreams(1, [0], range(32), F64)).x for o in (observation, black, full)]
    torch.testing.assert_close(runs[1], runs[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(runs[2], runs[0], rtol=0, atol=1e-10)


def test_members_stay_in_the_span_of_the_prior_draws():
    """Four members span three directions around their mean; what is left of the analysis outside them is rounding."""
    denoiser, observation = small_gaussian()
    prior = denoiser.start(torch.zeros((), dtype=F64), MemberStreams(2, [0], range(4), F64))
    x = EnsembleKalman(lambda streams: prior).posterior(observation, MemberStreams(2, [0], range(4), F64)).x[0]
    basis = torch.linalg.qr((prior - prior.mean(0))[:3].T).Q
    moved = x - prior
    assert (moved - moved @ basis @ basis.T).abs().max() < 1e-12
    assert moved.abs().max() > 0.1


def test_one_member_and_no_rounds_are_refused():
    denoiser, observation = small_gaussian()
    with pytest.raises(ValueError, match="at least 2 members"):
        EnsembleKalman(prior_draw(denoiser)).posterior(observation, MemberStreams(0, [0], [0], F64))
    with pytest.raises(ValueError, match="rounds must be >= 1"):
        EnsembleKalman(prior_draw(denoiser), 0)
