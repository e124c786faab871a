"""Truth: for a Gaussian weights of 1 and the evidence N(y; A mu, A C A^T + R); for a mixture its own posterior."""

import pytest
import torch
from analytic import F64, Kriging, gmm2, grf, small_gaussian

from sciml_diffusion.denoisers.basis import IdentityBasis
from sciml_diffusion.denoisers.covariance import Covariance
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.denoisers.mixture import MixtureDenoiser
from sciml_diffusion.inverse.base import CountedDenoiser, PosteriorMethod
from sciml_diffusion.inverse.deciding import deciding_levels
from sciml_diffusion.inverse.low_rank_smc import GaussianSurrogateSMC
from sciml_diffusion.inverse.smc import MomentMatchedSMC, MomentTwist
from sciml_diffusion.inverse.tsmc import TwistedSMC
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams


@pytest.mark.parametrize("steps", [2, 3, 10, 60])
def test_weights_are_constant_and_the_evidence_exact_for_a_gaussian(steps):
    denoiser, observation = small_gaussian(3)
    streams = MemberStreams(0, range(3), range(32), F64)
    ensemble = GaussianSurrogateSMC(karras_sigmas(steps, 0.02, 5.0)).sample(denoiser, observation, streams)
    assert ensemble.log_weights.var(1).max() <= 1e-6
    assert (ensemble.diagnostics["roots"] == 32).all() and (ensemble.diagnostics["resamplings"] == 0).all()
    for b in range(3):
        one = type(observation)(observation.operator, observation.y[b : b + 1], observation.std)
        assert abs(float(ensemble.diagnostics["log_evidence"][b]) - Kriging(denoiser, one).log_evidence) <= 1e-6


@pytest.mark.parametrize("steps", [4, 25])
def test_many_sensors_cost_no_weight(steps):
    problem = grf(2, 0, n=32)  # 51 sensors
    streams = MemberStreams(0, [0], range(16), F64)
    ensemble = TwistedSMC(problem.sigmas(steps)).sample(problem.denoiser, problem.observation, streams)
    assert ensemble.log_weights.var() <= 1e-6
    assert abs(float(ensemble.diagnostics["log_evidence"][0]) - problem.posterior.log_evidence) <= 1e-6


def test_weights_account_for_a_surrogate_that_is_wrong():
    """With E too wide by 20 % the proposal over-disperses; weights, evidence and mean come right as steps are added."""
    denoiser, observation = small_gaussian()
    truth, exact = Kriging(denoiser, observation), type(denoiser).surrogate
    denoiser.surrogate = lambda sigma: (
        exact(denoiser, sigma)
        if torch.isinf(sigma)
        else Covariance(denoiser.basis, 1.2 * exact(denoiser, sigma).variance)
    )
    members = 1500
    streams = MemberStreams(0, [0], range(members), F64)
    ensemble = GaussianSurrogateSMC(karras_sigmas(120, 0.02, 5.0)).sample(denoiser, observation, streams)
    assert ensemble.log_weights.var() > 1e-3
    error = (ensemble.mean[0] - truth.mean) / truth.covariance.diagonal().sqrt()
    family = float(ensemble.diagnostics["family_ess"][0])
    assert error.abs().max() < 4 / family**0.5 + 0.02  # four standard errors, and 2 % for 120 steps
    assert abs(float(ensemble.diagnostics["log_evidence"][0]) - truth.log_evidence) < 0.1


def test_moment_matched_weights_give_the_modes_of_a_mixture():
    problem, members = gmm2(), 1000
    streams = MemberStreams(0, [0], range(members), F64)
    ensemble = TwistedSMC(problem.sigmas(60)).sample(problem.denoiser, problem.observation, streams)
    nearest = torch.cdist(ensemble.x[0], problem.denoiser.means).argmin(1)
    found = torch.zeros(25, dtype=F64).index_add(0, nearest, ensemble.weights[0])
    draws = problem.posterior.draw(100_000, torch.Generator().manual_seed(0))
    exact = torch.bincount(torch.cdist(draws, problem.denoiser.means).argmin(1), minlength=25) / 100_000
    family = float(ensemble.diagnostics["family_ess"][0])
    # four standard errors of a share at the family ESS, and 0.02 for 60 steps
    assert ((found - exact).abs() < 4 * (exact * (1 - exact) / family).sqrt() + 0.02).all()
    assert family > 200
    assert abs(float(ensemble.diagnostics["log_evidence"][0]) - problem.posterior.log_evidence) < 0.3


def test_moment_matched_smc_on_a_gaussian_has_the_right_mean_and_evidence():
    denoiser, observation = small_gaussian()
    truth, members = Kriging(denoiser, observation), 2000
    streams = MemberStreams(0, [0], range(members), F64)
    ensemble = MomentMatchedSMC(karras_sigmas(200, 0.02, 10.0)).sample(denoiser, observation, streams)
    error = (ensemble.mean[0] - truth.mean) / truth.covariance.diagonal().sqrt()
    family = float(ensemble.diagnostics["family_ess"][0])
    assert error.abs().max() < 4 / family**0.5 + 0.05  # four standard errors, and 5 % for isotropic steps
    assert abs(float(ensemble.diagnostics["log_evidence"][0]) - truth.log_evidence) < 0.1


@pytest.mark.parametrize("steps", [2, 5, 20])
def test_moment_matched_weights_are_constant_for_one_round_mode(steps):
    _, observation = small_gaussian(2)
    mean, scale = torch.linspace(-1, 1, 6, dtype=F64), torch.full((6,), 0.7, dtype=F64)
    one = MixtureDenoiser(torch.zeros(1, dtype=F64), mean[None], IdentityBasis(), scale[None])
    ensemble = MomentMatchedSMC(karras_sigmas(steps, 0.02, 5.0), trigger=0.0).sample(
        one, observation, MemberStreams(0, [0, 1], range(500), F64)
    )
    # x_t at the first level comes from the prior, where h_t varies: what follows adds nothing
    first = MomentTwist(CountedDenoiser(one, 1000), observation, F64)
    x = one.start(torch.tensor(5.0, dtype=F64), MemberStreams(0, [0, 1], range(500), F64))
    log_h = first(x, torch.tensor(5.0, dtype=F64))[-1].reshape(2, 500)
    torch.testing.assert_close(ensemble.log_weights, log_h, rtol=0, atol=1e-9)  # float64 rounding over the steps
    for b in range(2):
        data = type(observation)(observation.operator, observation.y[b : b + 1], observation.std)
        truth = Kriging(GaussianDenoiser(mean, IdentityBasis(), scale), data)
        family = float(ensemble.ess[b])
        error = (ensemble.mean[b] - truth.mean) / truth.covariance.diagonal().sqrt()
        assert error.abs().max() < 4.5 / family**0.5  # of twelve numbers, 4.5 standard errors


class _OneSurvivor(PosteriorMethod):
    """Gives all the weight to one member."""

    def run(self, denoiser, observation, streams, callback):
        weights = torch.full((1, streams.rows), -50.0, dtype=F64)
        weights[0, 3] = 0.0
        return streams.normal(denoiser.event), weights, {}


def test_collapse_is_said_in_words():
    problem = gmm2()
    with pytest.warns(UserWarning, match="the ensemble has collapsed: 1.0 effective members of 8"):
        _OneSurvivor(problem.sigmas(4)).sample(
            problem.denoiser, problem.observation, MemberStreams(0, [0], range(8), F64)
        )


def test_a_pool_is_thinned_to_its_members():
    problem, members = gmm2(), 200
    streams = MemberStreams(0, [0], range(members), F64)
    ensemble = MomentMatchedSMC(problem.sigmas(30), pool=3).sample(problem.denoiser, problem.observation, streams)
    assert ensemble.x.shape == (1, members, 2) and (ensemble.log_weights == 0).all()
    assert ensemble.diagnostics["ess_trace"][0, 0] > members  # of the particles, three for each member
    assert 0 < ensemble.diagnostics["roots"][0] <= members
    assert abs(float(ensemble.diagnostics["log_evidence"][0]) - problem.posterior.log_evidence) < 0.4
    assert ensemble.diagnostics["network_calls"] >= 3 * 2 * 30  # three particles, forward and backward, 30 levels


def test_levels_gather_where_modes_part():
    problem = gmm2()  # modes 8 apart, of unit width
    sigmas = problem.sigmas(60)
    found = deciding_levels(problem.denoiser, sigmas, MemberStreams(0, [0], range(64), F64))
    assert len(found) == len(sigmas) and found[0] == sigmas[0] and found[-2] == sigmas[-2] and found[-1] == 0
    assert (found.diff() < 0).all()
    between = [((g > 2) & (g < 20)).sum() for g in (sigmas, found)]
    assert between[1] > 1.3 * between[0]


def test_a_denoiser_without_a_law_of_its_own_is_refused():
    problem = gmm2()
    problem.denoiser.within = lambda sigma: None
    with pytest.raises(ValueError, match="MomentMatchedSMC"):
        GaussianSurrogateSMC(problem.sigmas(3)).sample(
            problem.denoiser, problem.observation, MemberStreams(0, [0], range(8), F64)
        )
