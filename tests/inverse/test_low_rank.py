"""Truth: dense float64 linear algebra on small matrices, and for paths the closed-form evidence and posterior."""

import pytest
import torch
from analytic import F64, Kriging, gmm, grfmix, grfmix_prior, small_gaussian
from registry import CLOSED_FORMS

from sciml_diffusion.denoisers.basis import IdentityBasis, MatrixBasis
from sciml_diffusion.denoisers.covariance import Covariance
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.inverse.low_rank import LowRank, diagonal, refined
from sciml_diffusion.inverse.low_rank_smc import GaussianSurrogateSMC
from sciml_diffusion.inverse.low_rank_step import LowRankStep
from sciml_diffusion.inverse.surrogate_path import SurrogatePath
from sciml_diffusion.inverse.tsmc import TwistedSMC
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Matrix
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams

EXACT = {"rtol": 0, "atol": 1e-10}  # float64 with conditions below 1e4


def _law(members=3, q=2, d=5, seed=0):
    """A random LowRank, as an object and as dense matrices in the coefficients, with shape (N, d, d)."""
    g = torch.Generator().manual_seed(seed)
    basis = MatrixBasis(torch.linalg.qr(torch.randn(d, d, generator=g, dtype=F64)).Q, (d,))
    base = Covariance(basis, torch.rand(d, generator=g, dtype=F64) + 0.2)
    vectors = torch.linalg.qr(torch.randn(members, d, q, generator=g, dtype=F64)).Q.mT
    values = 2 * torch.rand(members, q, generator=g, dtype=F64) - 0.7
    law = LowRank(base, vectors, values)
    inner = torch.eye(d, dtype=F64) + vectors.mT @ torch.diag_embed(values) @ vectors
    root = base.variance.sqrt().diag()
    return law, root @ inner @ root


def test_products_and_roots_are_those_of_the_dense_matrix():
    law, dense = _law()
    c = torch.randn(3, 5, generator=torch.Generator().manual_seed(1), dtype=F64)
    torch.testing.assert_close(law.apply(c), (dense @ c[..., None])[..., 0], **EXACT)
    eye = torch.eye(5, dtype=F64)
    columns = torch.stack([law.root(row.expand(3, 5)) for row in eye], 2)  # root applied to unit vectors
    torch.testing.assert_close(columns @ columns.mT, dense, **EXACT)


@pytest.mark.parametrize("kappa", [0.0, 0.3, 50.0])
def test_narrowed_is_the_dense_inverse(kappa):
    law, dense = _law()
    found = law.narrowed(torch.tensor(kappa, dtype=F64))
    truth = torch.linalg.inv(torch.linalg.inv(dense) + kappa * torch.eye(5, dtype=F64))
    columns = torch.stack([found.apply(row.expand(3, 5)) for row in torch.eye(5, dtype=F64)], 2)
    torch.testing.assert_close(columns, truth, **EXACT)
    gram = found.vectors @ found.vectors.mT
    torch.testing.assert_close(gram, torch.eye(2, dtype=F64).expand(3, 2, 2), **EXACT)


def test_rows_that_depend_on_each_other_are_dropped():
    rows = torch.tensor([[[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 3.0]]], dtype=F64)
    core = torch.diag_embed(torch.tensor([[0.5, 0.25, 1.0]], dtype=F64))
    vectors, values = diagonal(rows, core)
    dense = vectors.mT @ torch.diag_embed(values) @ vectors
    torch.testing.assert_close(dense, rows.mT @ core @ rows, **EXACT)
    assert int((vectors.norm(dim=2) > 0.5).sum()) == 2


def test_conditioning_is_that_of_dense_matrices():
    law, dense = _law()
    _, observation = small_gaussian(1, d=5, m=3)
    step, turn = LowRankStep(observation, F64), law.base.basis.matrix
    factor = step.low_rank(law)
    g = torch.Generator().manual_seed(2)
    mean, z, eps = (torch.randn(3, n, generator=g, dtype=F64) for n in (5, 5, 3))
    a, noise = observation.operator.matrix, torch.diag(observation.std**2)
    covariance = turn @ dense @ turn.T
    s = noise + a @ covariance @ a.T
    residual = observation.y - mean @ a.T
    laws = torch.distributions.MultivariateNormal(torch.zeros(3, dtype=F64), s)
    torch.testing.assert_close(factor.log_prob(residual), laws.log_prob(residual), **EXACT)
    torch.testing.assert_close(factor.solve(residual), torch.linalg.solve(s, residual[..., None])[..., 0], **EXACT)
    zeta = law.root(z) @ turn.T
    update = residual - zeta @ a.T - observation.std * eps
    change = (covariance @ a.T @ torch.linalg.solve(s, update[..., None]))[..., 0]
    torch.testing.assert_close(step.perturb_and_solve(mean, factor, z, eps), mean + zeta + change, **EXACT)


def test_all_directions_give_the_covariance_of_the_denoiser():
    denoiser, _ = small_gaussian()
    sigma = torch.tensor(0.7, dtype=F64)
    exact = denoiser.surrogate(sigma)
    wrong = Covariance(exact.basis, exact.variance * torch.linspace(0.3, 3.0, 6, dtype=F64))
    _, pull = denoiser.vjp(torch.zeros(2, 6, dtype=F64), sigma)
    found, excess = refined(pull, sigma, wrong, torch.eye(6, dtype=F64).expand(2, 6, 6))
    columns = torch.stack([found.apply(row.expand(2, 6)) for row in torch.eye(6, dtype=F64)], 2)
    torch.testing.assert_close(columns, exact.variance.diag().expand(2, 6, 6), **EXACT)
    truth = (exact.variance - wrong.variance).diag() / wrong.variance.sqrt()
    torch.testing.assert_close(excess.mT @ excess, (truth.T @ truth).expand(2, 6, 6), **EXACT)  # the same up to a turn


def test_directions_between_modes_are_found_and_kept_along_the_path():
    """Six bumps: sigma^2 J - P has rank six for every x_t, and the path's E is all of it."""
    problem = grfmix(0, n=16, sensors=20)
    denoiser, streams = problem.denoiser, MemberStreams(0, [0], range(4), F64)
    path = SurrogatePath(denoiser, problem.observation, streams, rank=8)
    state, _ = path.start()
    assert state.factor.law.vectors.shape[1] == 6
    for n, sigma in enumerate(torch.tensor([40.0, 10.0, 3.0, 1.0], dtype=F64)):
        state, _ = path.advance(state, n + 1, sigma, path.noise(streams))
    pull = denoiser.vjp(state.x_t, state.sigma)[1]
    u = streams.normal(denoiser.event)
    found = path.basis.inverse(state.factor.law.apply(path.basis(u).flatten(1)).reshape(u.shape))
    torch.testing.assert_close(found, state.sigma**2 * pull(u), rtol=0, atol=1e-8)  # four steps of orthonormalisation


@pytest.mark.parametrize("factor", [0.4, 1.2, 3.0])
@pytest.mark.parametrize("steps", [3, 12])
def test_full_rank_mends_a_wrong_surrogate(factor, steps):
    """The shared B is wrong by a factor, but six directions of six are asked: w = 1, and the evidence is exact."""
    denoiser, observation = small_gaussian(2)
    exact = denoiser.surrogate
    denoiser.surrogate = lambda sigma: (
        exact(sigma) if torch.isinf(sigma) else Covariance(denoiser.basis, factor * exact(sigma).variance)
    )
    streams = MemberStreams(0, [0, 1], range(16), F64)
    method = GaussianSurrogateSMC(karras_sigmas(steps, 0.02, 5.0), rank=6)
    ensemble = method.sample(denoiser, observation, streams)
    assert ensemble.log_weights.var(1).max() <= 1e-12  # rounding, squared
    denoiser.surrogate = exact
    for b in range(2):
        one = Observation(observation.operator, observation.y[b : b + 1], observation.std)
        truth = Kriging(denoiser, one).log_evidence
        assert abs(float(ensemble.diagnostics["log_evidence"][b]) - truth) <= 1e-8


@pytest.mark.parametrize(("d", "m"), [(8, 1), (8, 4), (80, 2)])
def test_modes_and_evidence_of_a_mixture(d, m):
    problem, members = gmm(d, m, 0), 600
    cells, streams = problem.denoiser.means, MemberStreams(3, [0], range(members), F64)
    ensemble = TwistedSMC(problem.sigmas(60)).sample(problem.denoiser, problem.observation, streams)
    found = torch.zeros(25, dtype=F64)
    found.index_add_(0, torch.cdist(ensemble.x[0], cells).argmin(1), ensemble.weights[0])
    draws = problem.posterior.draw(20_000, torch.Generator().manual_seed(0))
    exact = torch.bincount(torch.cdist(draws, cells).argmin(1), minlength=25) / 20_000
    family = float(ensemble.diagnostics["family_ess"][0])
    assert family > 100
    # four standard errors of a share at the family ESS, and 0.02 for 60 steps
    assert ((found - exact).abs() < 4 * (exact * (1 - exact) / family).sqrt() + 0.02).all()
    error = float(ensemble.diagnostics["log_evidence"][0]) - problem.posterior.log_evidence
    assert abs(error) < 4 / family**0.5 + 0.1  # a relative standard error of 1 / sqrt(family ESS), and the steps


def test_hidden_bumps_on_a_field():
    """grfmix on 32 x 32 cells, 51 sensors: weights carry the signs, the evidence and most of the members."""
    problem = grfmix(1, n=32, sensors=51)
    streams = MemberStreams(0, [0], range(64), F64)
    ensemble = TwistedSMC(problem.sigmas(20)).sample(problem.denoiser, problem.observation, streams)
    positive = (grfmix_prior()[1] > 0).to(F64)
    found = ensemble.weights[0] @ (problem.posterior.modes(ensemble.x[0]) @ positive)
    exact = problem.posterior.weights @ positive
    family = float(ensemble.diagnostics["family_ess"][0])
    assert family >= 16
    assert ((found - exact).abs() < 4 * (exact * (1 - exact) / family).sqrt() + 0.02).all()  # as above
    assert abs(float(ensemble.diagnostics["log_evidence"][0]) - problem.posterior.log_evidence) < 0.5


def test_a_particle_that_is_lost_gets_no_weight_and_harms_no_other():
    problem = grfmix(0, n=16, sensors=20)
    exact = problem.denoiser.vjp

    def broken(x_t, sigma):
        mean, pull = exact(x_t, sigma)
        spoilt = torch.zeros(len(x_t), 1, 1, 1, dtype=F64)
        spoilt[2] = torch.nan
        return mean + spoilt, lambda u: pull(u) + spoilt

    problem.denoiser.vjp = broken
    streams = MemberStreams(0, [0], range(16), F64)
    method = GaussianSurrogateSMC(problem.sigmas(5), trigger=0.0, rank=6)
    ensemble = method.sample(problem.denoiser, problem.observation, streams)
    assert float(ensemble.weights[0, 2]) == 0
    others = torch.arange(16) != 2
    assert torch.isfinite(ensemble.x[0, others]).all() and float(ensemble.ess[0]) > 4


def test_a_negative_rank_is_refused():
    with pytest.raises(ValueError, match="rank is a number of directions"):
        GaussianSurrogateSMC(karras_sigmas(4, 0.1, 4.0), rank=-1)


def test_parts_of_the_covariance_of_a_mixture_add_up():
    denoiser = gmm(8, 1, 0).denoiser
    infinity, w = torch.tensor(torch.inf, dtype=F64), denoiser.log_weights.exp()
    centred = denoiser.means - w @ denoiser.means
    total = denoiser.within(infinity).apply(torch.eye(8, dtype=F64)) + denoiser.between().T @ denoiser.between()
    torch.testing.assert_close(total, torch.eye(8, dtype=F64) + (centred.T * w) @ centred, **EXACT)
    assert CLOSED_FORMS["mixture-varied"]().within(infinity) is None  # modes of different covariances share none


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_evidence_is_that_of_the_paths_prior_however_coarse(rank):
    """Weights are exact for the chain of kernels P: its evidence by plain averaging of N(y; A x, R) over its own draws.

    Five steps and too few directions make a chain far from the mixture; its draws come from data without information.
    """
    problem, members = gmm(8, 1, 0), 6000
    a, y = problem.observation.operator, problem.observation.y + 6.0
    data = Observation(a, y, torch.full((1,), 4.0, dtype=F64))
    method = GaussianSurrogateSMC(karras_sigmas(5, 1.0, 60.0), trigger=0.0, rank=rank)
    blind = Observation(a, y, torch.full((1,), 1e7, dtype=F64))
    prior = method.sample(problem.denoiser, blind, MemberStreams(0, [0], range(members), F64)).x[0]
    likelihood = data.log_likelihood(prior).exp()
    error = float(likelihood.std() / likelihood.mean()) / members**0.5
    ensemble = method.sample(problem.denoiser, data, MemberStreams(1, [0], range(members), F64))
    weight_error = float(ensemble.log_weights.exp().std() / ensemble.log_weights.exp().mean()) / members**0.5
    found = float(ensemble.diagnostics["log_evidence"][0])
    assert abs(found - float(likelihood.mean().log())) < 4 * (error**2 + weight_error**2) ** 0.5  # standard errors


def test_a_pool_is_thinned_to_the_members():
    problem = gmm(8, 1, 0)
    streams = MemberStreams(0, [0], range(50), F64)
    method = GaussianSurrogateSMC(problem.sigmas(20), rank=8, pool=3)
    ensemble = method.sample(problem.denoiser, problem.observation, streams)
    assert ensemble.x.shape == (1, 50, 8) and (ensemble.log_weights == 0).all()
    with pytest.raises(ValueError, match="pool must be at least 1"):
        GaussianSurrogateSMC(problem.sigmas(20), pool=0)


def test_iteration_finds_directions_that_nobody_stated():
    """A Gaussian of 30 coordinates that states a diagonal covariance, while two directions have far more variance."""
    g = torch.Generator().manual_seed(4)
    extra = torch.linalg.qr(torch.randn(30, 2, generator=g, dtype=F64)).Q * torch.tensor([4.0, 3.0], dtype=F64)
    stated = torch.linspace(0.5, 1.5, 30, dtype=F64)
    values, vectors = torch.linalg.eigh(stated.diag() + extra @ extra.T)
    denoiser = GaussianDenoiser(torch.zeros(30, dtype=F64), MatrixBasis(vectors, (30,)), values)
    a, std = torch.randn(12, 30, generator=g, dtype=F64) / 5, torch.full((12,), 0.3, dtype=F64)
    x = torch.randn(1, 30, generator=g, dtype=F64) @ (vectors * values.sqrt()).T
    noise = std * torch.randn(1, 12, generator=g, dtype=F64)
    observation = Observation(Matrix(a, (30,)), x @ a.T + noise, std)
    exact, identity = Kriging(denoiser, observation).log_evidence, IdentityBasis()
    denoiser.surrogate = lambda sigma: Covariance(identity, 1 / (1 / stated + sigma**-2))
    spread, error = {}, {}
    for rank in (0, 3):
        method = GaussianSurrogateSMC(karras_sigmas(20, 0.02, 60.0), trigger=0.0, rank=rank)
        ensemble = method.sample(denoiser, observation, MemberStreams(0, [0], range(64), F64))
        spread[rank] = float(ensemble.log_weights.var())
        error[rank] = abs(float(ensemble.diagnostics["log_evidence"][0]) - exact)
    assert spread[0] > 1 and spread[3] < 0.15 * spread[0]
    assert error[3] < 0.2  # 60 is not infinity: the chain begins without what lies along the two directions
