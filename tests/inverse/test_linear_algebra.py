"""Truths: dense solves; kriging; the counts and the lack of bias of systematic resampling."""

import pytest
import torch
from analytic import F64, Kriging, grf, small_gaussian
from torch.distributions import MultivariateNormal

from sciml_diffusion.inverse.gaussian_step import GaussianStep, IsotropicStep
from sciml_diffusion.inverse.krylov import conjugate_residuals
from sciml_diffusion.inverse.resample import Population, systematic
from sciml_diffusion.samplers.streams import MemberStreams


def _systems(n=6, m=20, seed=0):
    """Symmetric positive definite systems whose condition grows from member to member."""
    g = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(n, m, m, generator=g, dtype=F64)).Q
    values = torch.stack([torch.logspace(0, k / 2, m, dtype=F64) for k in range(n)])
    return q @ (values[..., None] * q.mT), torch.randn(n, m, generator=g, dtype=F64)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-6, 1e-10])
def test_iteration_solves_dense_systems_to_tolerance(tolerance):
    matrix, b = _systems()
    x, stated = conjugate_residuals(lambda u: torch.einsum("nij,nj->ni", matrix, u), b, tolerance, 200)
    residual = (b - torch.einsum("nij,nj->ni", matrix, x)).norm(dim=1) / b.norm(dim=1)
    assert (residual <= 1.01 * tolerance).all()
    torch.testing.assert_close(residual, stated, rtol=1e-2, atol=1e-13)  # the recursion drifts by rounding alone


def test_iteration_ends_within_m_products():
    matrix, b = _systems(n=3, m=5)
    calls = []

    def product(u):
        calls.append(1)
        return torch.einsum("nij,nj->ni", matrix, u)

    x, _ = conjugate_residuals(product, b, 1e-9, 50)
    assert len(calls) <= 5
    torch.testing.assert_close(x, torch.linalg.solve(matrix, b), rtol=1e-6, atol=1e-8)  # condition 10 times 1e-9


def test_members_are_frozen_one_by_one():
    matrix, b = _systems()
    together, _ = conjugate_residuals(lambda u: (matrix * u[:, None]).sum(-1), b, 1e-4, 100)
    for k in range(len(b)):
        alone, _ = conjugate_residuals(
            lambda u, k=k: (matrix[k : k + 1] * u[:, None]).sum(-1), b[k : k + 1], 1e-4, 100
        )
        torch.testing.assert_close(together[k : k + 1], alone, rtol=0, atol=1e-10)


def test_asymmetric_systems_are_solved_and_no_residual_rises():
    g = torch.Generator().manual_seed(1)
    matrix = torch.eye(20, dtype=F64) + torch.randn(4, 20, 20, generator=g, dtype=F64) / 8  # far from symmetric
    b, last = torch.randn(4, 20, generator=g, dtype=F64), 1.0
    for iterations in range(1, 21):
        x, stated = conjugate_residuals(lambda u: torch.einsum("nij,nj->ni", matrix, u), b, 1e-12, iterations)
        residual = (b - torch.einsum("nij,nj->ni", matrix, x)).norm(dim=1) / b.norm(dim=1)
        torch.testing.assert_close(residual, stated, rtol=1e-6, atol=1e-13)  # what is stated is what is left
        assert (residual <= last).all()
        last = residual + 1e-13
    assert (residual < 1e-11).all()  # within m products, to rounding


def test_singular_systems_stop_where_nothing_is_left_to_gain():
    matrix = torch.diag(torch.tensor([1.0, 2.0, 0.0], dtype=F64))
    x, residual = conjugate_residuals(lambda u: u @ matrix, torch.ones(1, 3, dtype=F64), 1e-8, 50)
    assert torch.isfinite(x).all() and abs(float(residual) - 3**-0.5) < 1e-6  # the part of b outside the range


def test_nothing_to_solve():
    x, residual = conjugate_residuals(lambda u: 2 * u, torch.zeros(3, 4, dtype=F64))
    assert (x == 0).all() and (residual == 0).all()


def test_gaussian_step_is_kriging():
    denoiser, observation = small_gaussian()
    truth, step = Kriging(denoiser, observation), GaussianStep(observation, F64)
    factor = step.factor(denoiser.surrogate(torch.tensor(torch.inf, dtype=F64)))
    mean = denoiser.mean[None]
    torch.testing.assert_close(step.mean(mean, factor)[0], truth.mean, rtol=0, atol=1e-12)
    assert abs(float(step.log_prob(mean, factor)) - truth.log_evidence) < 1e-12
    n = 20_000
    x = step.draw(mean.expand(n, 6), factor, MemberStreams(0, [0], range(n), F64))
    spread = step.spread(factor, MemberStreams(0, [0], range(n), F64))
    torch.testing.assert_close(x - truth.mean, spread, rtol=0, atol=1e-12)
    c = truth.covariance
    error = (torch.cov(x.T) - c) / ((c.diagonal()[:, None] * c.diagonal() + c**2) / n).sqrt()
    assert error.abs().max() < 4  # standard errors of a Gaussian sample covariance


def test_float32_is_accurate_enough():
    problem = grf(2, 0)  # 205 sensors of std 0.1
    means = {}
    for dtype in (F64, torch.float32):
        step, denoiser = GaussianStep(problem.observation.to(dtype, "cpu"), dtype), problem.denoiser.to(dtype)
        factor = step.factor(denoiser.surrogate(torch.tensor(torch.inf)))
        means[dtype] = step.mean(denoiser.mean[None], factor)
    # y itself is rounded to 6e-8 and S has a condition of 1e4
    torch.testing.assert_close(means[torch.float32].double(), means[F64], rtol=0, atol=2e-4)


def test_isotropic_step_is_dense_algebra():
    _, observation = small_gaussian()
    step, w = IsotropicStep(observation, F64), torch.tensor([0.0, 0.3, 2.0], dtype=F64)
    mean = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=F64)
    a = observation.operator.matrix
    for k in range(3):
        s = torch.diag(observation.std**2) + w[k] * a @ a.T
        law = MultivariateNormal(a @ mean[k], s)
        assert abs(float(step.log_prob(mean, w)[k]) - float(law.log_prob(observation.y[0]))) < 1e-10
    n = 20_000
    streams = MemberStreams(0, [0], range(n), F64)
    x = step.draw(mean[2:].expand(n, 6), w[2:].expand(n), streams)
    gain = w[2] * a.T @ torch.linalg.inv(s)
    c = w[2] * torch.eye(6, dtype=F64) - w[2] * gain @ a
    assert ((x.mean(0) - mean[2] - gain @ (observation.y[0] - a @ mean[2])) / (c.diagonal() / n).sqrt()).abs().max() < 4
    error = (torch.cov(x.T) - c) / ((c.diagonal()[:, None] * c.diagonal() + c**2) / n).sqrt()
    assert error.abs().max() < 4


def test_narrowing_is_a_ratio_of_dense_densities():
    _, observation = small_gaussian()
    step, w = IsotropicStep(observation, F64), torch.tensor([0.0, 0.3, 2.0], dtype=F64)
    e = torch.randn(3, 6, generator=torch.Generator().manual_seed(0), dtype=F64)
    a, eye, v, c = observation.operator.matrix, torch.eye(6, dtype=F64), torch.tensor(0.4), torch.tensor(0.6)
    found = step.log_narrowing(e, w, v, c)
    v, c = float(v), float(c)
    for k in range(3):
        left = w[k] * eye - w[k] ** 2 * a.T @ torch.linalg.inv(torch.diag(observation.std**2) + w[k] * a @ a.T) @ a
        laws = [MultivariateNormal(torch.zeros(6, dtype=F64), v * eye + c**2 * cov) for cov in (w[k] * eye, left)]
        assert abs(float(found[k]) - float(laws[0].log_prob(e[k]) - laws[1].log_prob(e[k]))) < 1e-10


def test_systematic_resampling_keeps_whole_shares_and_is_unbiased():
    g = torch.Generator().manual_seed(0)
    weights = torch.rand(500, 7, generator=g, dtype=F64)[:1].expand(500, 7)
    weights = weights / weights.sum(1, keepdim=True)
    ancestors = systematic(weights, torch.rand(500, generator=g, dtype=F64))
    counts = torch.zeros(500, 7, dtype=F64).scatter_add(1, ancestors, torch.ones(500, 7, dtype=F64))
    assert ((counts - 7 * weights).abs() < 1 + 1e-9).all()
    assert ((counts.mean(0) - 7 * weights[0]).abs() < 4 * 0.5 / 500**0.5).all()  # a count varies by at most 1 / 2


def test_population_keeps_evidence_and_ancestry():
    population = Population(2, 4, 0.5, "cpu")
    streams = MemberStreams(0, [0, 1], range(4), F64)
    increments = torch.tensor([[0.0, 0, 0, 0], [5.0, -5, -5, -5]], dtype=F64)
    population.reweight(increments.flatten())
    keep = population.resample(streams)
    assert keep[:4].tolist() == [0, 1, 2, 3] and keep[4:].tolist() == [4, 4, 4, 4]
    found = population.diagnostics()
    assert found["resamplings"].tolist() == [0, 1] and found["roots"].tolist() == [4, 1]
    torch.testing.assert_close(found["family_ess"], torch.tensor([4.0, 1.0], dtype=F64))
    evidence = increments.exp().mean(1).log()
    torch.testing.assert_close(found["log_evidence"], evidence)
    population.reweight(torch.ones(8, dtype=F64))
    torch.testing.assert_close(population.diagnostics()["log_evidence"], evidence + 1)


def test_particles_that_are_not_numbers_lose_their_weight():
    population = Population(2, 2, 0.6, "cpu")
    population.reweight(torch.tensor([torch.nan, 0.0, torch.nan, torch.nan], dtype=F64))
    found = population.diagnostics()
    assert found["ess_trace"][0, 0] == 1 and torch.isneginf(population.log_weights[0, 0])
    assert torch.isneginf(found["log_evidence"][1])  # a family that is lost has evidence 0
    assert population.resample(MemberStreams(0, [0, 1], range(2), F64))[:2].tolist() == [1, 1]
