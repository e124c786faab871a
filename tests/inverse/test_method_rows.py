"""Truth: a member depends on its own key and window alone, so every split of a batch gives the same members."""

import pytest
import torch
from analytic import F64, gmm2, small_gaussian
from registry import DENOISERS, METHODS

from sciml_diffusion.inverse.base import PosteriorMethod
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Matrix
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams

SIGMAS = karras_sigmas(6, 0.05, 4.0)
SAME = {"rtol": 0, "atol": 1e-10, "equal_nan": True}  # the design's bound for closed-form denoisers in float64


def _mixture(windows):
    """The planar mixture with data for some windows; a coarse grid from 30 keeps the test short."""
    problem = gmm2()
    y = 1.6 + 2 * torch.arange(windows, dtype=F64)[:, None]
    return problem.denoiser, Observation(problem.observation.operator, y, problem.observation.std)


def _field(denoiser, windows):
    """Five observations of an image of a network's, for some windows."""
    g = torch.Generator().manual_seed(0)
    operator = Matrix(torch.randn(5, 64, generator=g, dtype=F64) / 8, (1, 8, 8))
    y = torch.randn(16, 5, generator=g, dtype=F64)[:windows]
    return denoiser.requires_grad_(False), Observation(operator, y, torch.full((5,), 0.3, dtype=F64))


def _anchored(windows):
    return _field(DENOISERS["anchored"](), windows)


def _network(windows):
    return _field(DENOISERS["preconditioned"](), windows)


@pytest.mark.filterwarnings("ignore:the ensemble has collapsed")  # five members are few on purpose
@pytest.mark.parametrize("prior", [small_gaussian, _mixture, _anchored, _network])
@pytest.mark.parametrize("name", METHODS)
def test_one_window_is_the_first_of_sixteen(name, prior):
    row = METHODS[name]
    if row.needs_surrogate and prior in (_mixture, _network):
        pytest.skip("this denoiser states no shared covariance")
    method = row.make(SIGMAS)
    denoiser, many = prior(16)
    _, one = prior(1)
    whole = method.sample(denoiser, many, MemberStreams(5, range(16), range(5), F64))
    alone = method.sample(denoiser, one, MemberStreams(5, [0], range(5), F64))
    torch.testing.assert_close(whole.x[:1], alone.x, **SAME)
    torch.testing.assert_close(whole.log_weights[:1], alone.log_weights, **SAME)
    for key, value in alone.diagnostics.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(whole.diagnostics[key][:1], value, **SAME)


@pytest.mark.parametrize("name", [name for name in METHODS if not METHODS[name].coupled])
def test_members_do_not_know_of_each_other_until_resampling(name):
    denoiser, observation = small_gaussian(2)  # a Gaussian: no family is resampled
    method = METHODS[name].make(SIGMAS)
    whole = method.sample(denoiser, observation, MemberStreams(6, [0, 1], range(16), F64))
    halves = [MemberStreams(6, [0, 1], part, F64) for part in (range(12), range(12, 16))]
    parts = [method.sample(denoiser, observation, streams) for streams in halves]
    torch.testing.assert_close(whole.x, torch.cat([part.x for part in parts], 1), **SAME)


@pytest.mark.parametrize("name", METHODS)
def test_shapes_calls_and_callback(name):
    denoiser, observation = small_gaussian(2)
    done, streams = [], MemberStreams(0, [0, 1], range(16), F64)
    ensemble = METHODS[name].make(SIGMAS).sample(denoiser, observation, streams, done.append)
    assert ensemble.x.shape == (2, 16, 6) and ensemble.log_weights.shape == (2, 16)
    assert ensemble.log_weights.dtype == F64
    assert done == [1, 2, 3, 4, 5, 6]
    assert ensemble.diagnostics["network_calls"] >= 6 and ensemble.diagnostics["operator_calls"] >= 6


def test_calls_are_counted():
    denoiser, observation = small_gaussian()
    streams = MemberStreams(0, [0], range(16), F64)
    calls = {n: METHODS[n].make(SIGMAS).sample(denoiser, observation, streams).diagnostics for n in METHODS}
    assert calls["mmps"]["network_calls"] == 6  # one a step: the surrogate costs nothing
    assert calls["smc"]["network_calls"] == 6
    assert calls["dps"]["network_calls"] == 12 and calls["dps"]["operator_calls"] == 12  # forward and back
    # D, at most m = 3 products (exact arithmetic) and a little rounding, and the last one, in each of 6 steps
    assert 6 * 3 <= calls["mmps-jacobian"]["network_calls"] <= 6 * 8


@pytest.mark.parametrize("name", METHODS)
def test_grid_that_does_not_end_in_zero_is_refused(name):
    with pytest.raises(ValueError, match="end in 0"):
        METHODS[name].make(torch.tensor([2.0, 1.0]))


def test_data_that_do_not_fit_are_refused():
    denoiser, observation = small_gaussian(2)
    method: PosteriorMethod = METHODS["mmps"].make(SIGMAS)
    with pytest.raises(ValueError, match="has 2 windows; the streams have keys for 1"):
        method.sample(denoiser, observation, MemberStreams(0, [0], range(4)))
    elsewhere = Observation(Matrix(torch.ones(1, 5), (5,)), torch.ones(1, 1), torch.ones(1))
    with pytest.raises(ValueError, match="through"):
        method.sample(denoiser, elsewhere, MemberStreams(0, [0], range(4)))
