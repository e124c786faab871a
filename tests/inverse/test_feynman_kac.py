"""Truth: powers and products of Gaussians are Gaussian; of mixtures, and with data, by quadrature in the plane."""

import math

import pytest
import torch
from analytic import F64, small_gaussian

from sciml_diffusion.denoisers.basis import IdentityBasis, MatrixBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.denoisers.mixture import MixtureDenoiser
from sciml_diffusion.inverse.feynman_kac import FeynmanKac
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Function, Matrix
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams


def streams(members, windows=1):
    return MemberStreams(0, range(windows), range(members), F64)


def gaussian(seed, d=3):
    """A Gaussian with a covariance in a basis of its own."""
    g = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(d, d, generator=g, dtype=F64)).Q
    variance = 0.3 + torch.rand(d, generator=g, dtype=F64)
    return GaussianDenoiser(torch.randn(d, generator=g, dtype=F64), MatrixBasis(basis, (d,)), variance)


def covariance(denoiser):
    d = denoiser.event[0]
    return denoiser.surrogate(torch.tensor(torch.inf, dtype=F64)).apply(torch.eye(d, dtype=F64))


def check_gaussian(ensemble, mean, wanted, slack):
    """Mean and covariance within four standard errors at the family ESS, and some slack of a standard deviation."""
    family, variance, w = float(ensemble.diagnostics["family_ess"][0]), wanted.diagonal(), ensemble.weights[0]
    assert ((ensemble.mean[0] - mean) / variance.sqrt()).abs().max() < 4 / family**0.5 + slack
    centred = ensemble.x[0] - ensemble.mean[0]
    error = (centred.T @ (w[:, None] * centred) - wanted) / (variance[:, None] * variance).sqrt()
    assert error.abs().max() < 4 * (2 / family) ** 0.5 + slack


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3.0])
def test_annealed_gaussian_has_covariance_over_power_and_constant_weights(power):
    denoiser, _ = small_gaussian()
    ensemble = FeynmanKac(karras_sigmas(100, 0.02, 40.0), [power]).sample([denoiser], streams(2000))
    c = covariance(denoiser)
    check_gaussian(ensemble, denoiser.mean, c / power, 0.03)
    # weights come from h, which is exact here: they vary by rounding alone
    assert ensemble.log_weights.std() < 1e-9
    log_mass = 0.5 * torch.logdet(2 * torch.pi * c / power) - 0.5 * power * torch.logdet(2 * torch.pi * c)
    # trapezoidal rule in 100 steps, and the start from an isotropic model
    assert abs(float(ensemble.diagnostics["log_evidence"][0]) - float(log_mass)) < 0.1


@pytest.mark.parametrize("powers", [(1.0, 1.0), (0.5, 0.5), (-0.5, 1.5), (1.2, 0.7)])
def test_products_of_gaussians(powers):
    priors = [gaussian(0), gaussian(1)]
    precisions = [b * torch.linalg.inv(covariance(p)) for b, p in zip(powers, priors, strict=True)]
    precision = sum(precisions)
    if torch.linalg.eigvalsh(precision).min() <= 0:
        pytest.fail("this product is no density")
    mean = torch.linalg.solve(precision, sum(p @ q.mean for p, q in zip(precisions, priors, strict=True)))
    ensemble = FeynmanKac(karras_sigmas(120, 0.02, 60.0), powers).sample(priors, streams(2500))
    check_gaussian(ensemble, mean, torch.linalg.inv(precision), 0.04)
    square = sum(q.mean @ p @ q.mean for p, q in zip(precisions, priors, strict=True)) - mean @ precision @ mean
    logs = sum(b * torch.logdet(2 * torch.pi * covariance(p)) for b, p in zip(powers, priors, strict=True))
    log_mass = 0.5 * (torch.logdet(2 * torch.pi * torch.linalg.inv(precision)) - logs - square)
    family = float(ensemble.diagnostics["family_ess"][0])
    assert abs(float(ensemble.diagnostics["log_evidence"][0]) - float(log_mass)) < 4 / family**0.5 + 0.1


def plane_priors():
    """Two planar mixtures, a grid of the plane, and their log-densities there."""
    first = MixtureDenoiser(
        torch.tensor([0.6, 0.4], dtype=F64).log(), torch.tensor([[1.5, 0.0], [-1.5, 0.5]], dtype=F64), IdentityBasis(),
        torch.full((1, 2), 0.4, dtype=F64),
    )  # fmt: skip
    second = MixtureDenoiser(
        torch.tensor([0.3, 0.7], dtype=F64).log(), torch.tensor([[1.0, 1.0], [-1.0, -0.5]], dtype=F64), IdentityBasis(),
        torch.tensor([[0.7, 0.5], [0.6, 0.9]], dtype=F64),
    )  # fmt: skip
    grid = torch.linspace(-7, 7, 561, dtype=F64)
    plane, zero = torch.cartesian_prod(grid, grid), torch.tensor(0.0, dtype=F64)
    return [first, second], plane, [p.log_joint(plane, zero).logsumexp(1) for p in (first, second)], 0.025**2


def check_plane(ensemble, plane, log_q, cell):
    """Probabilities of half planes, and the mass, against quadrature."""
    family = float(ensemble.diagnostics["family_ess"][0])
    assert family > 40
    for axis in (0, 1):
        for edge in (-1.0, 0.0, 1.0):
            p = float(log_q.softmax(0) @ (plane[:, axis] > edge).to(F64))
            found = float(ensemble.weights[0] @ (ensemble.x[0][:, axis] > edge).to(F64))
            assert abs(found - p) < 4 * (p * (1 - p) / family) ** 0.5 + 0.03  # standard errors, and 0.03 for the steps
    log_mass = float(log_q.logsumexp(0)) + math.log(cell)
    assert abs(float(ensemble.diagnostics["log_evidence"][0]) - log_mass) < 4 / family**0.5 + 0.1


@pytest.mark.parametrize("powers", [(2.0, 0.0), (1.0, 1.0), (-0.4, 1.4)])
def test_powers_and_products_of_mixtures(powers):
    priors, plane, logs, cell = plane_priors()
    ensemble = FeynmanKac(karras_sigmas(120, 0.02, 30.0), powers).sample(priors, streams(1500))
    check_plane(ensemble, plane, sum(b * log_p for b, log_p in zip(powers, logs, strict=True)), cell)


def test_an_annealed_prior_of_one_axis():
    """p^2 of two modes on a line: a mode of weight 2/3 gets four fifths; by quadrature."""
    log_weights, means = torch.tensor([2 / 3, 1 / 3], dtype=F64).log(), torch.tensor([[-2.0], [2.0]], dtype=F64)
    prior = MixtureDenoiser(log_weights, means, IdentityBasis(), torch.full((1, 1), 0.3, dtype=F64))
    ensemble = FeynmanKac(karras_sigmas(120, 0.02, 30.0), [2.0]).sample([prior], streams(2000))
    grid = torch.linspace(-8, 8, 4001, dtype=F64)[:, None]
    log_q = 2 * prior.log_joint(grid, torch.tensor(0.0, dtype=F64)).logsumexp(1)
    p = float(log_q.softmax(0) @ (grid[:, 0] < 0).to(F64))
    assert abs(p - 0.8) < 1e-3  # the modes hardly overlap
    found = float(ensemble.weights[0] @ (ensemble.x[0][:, 0] < 0).to(F64))
    family = float(ensemble.diagnostics["family_ess"][0])
    assert abs(found - p) < 4 * (p * (1 - p) / family) ** 0.5 + 0.02


@pytest.mark.parametrize("kind", ["linear", "bent"])
def test_a_product_with_data(kind):
    priors, plane, logs, cell = plane_priors()
    matrix = torch.tensor([[1.0, 0.5]], dtype=F64)
    operator = Matrix(matrix, (2,)) if kind == "linear" else Function(lambda x: torch.tanh(x @ matrix.T), (2,), 1)
    observation = Observation(operator, torch.tensor([[0.5]], dtype=F64), torch.tensor([0.3], dtype=F64))
    done = []
    ensemble = FeynmanKac(karras_sigmas(120, 0.02, 30.0), [0.7, 0.9]).sample(
        priors, streams(2000), observation, done.append
    )
    log_q = 0.7 * logs[0] + 0.9 * logs[1] + observation.log_likelihood(plane)
    check_plane(ensemble, plane, log_q, cell)
    assert done == list(range(1, 121))
    assert ensemble.diagnostics["network_calls"] == 2 * 121 and ensemble.diagnostics["operator_calls"] > 120


def test_what_does_not_fit_is_refused():
    priors, sigmas = [gaussian(0), gaussian(1)], karras_sigmas(3, 0.1, 5.0)
    for powers, given in [((1.0,), priors), ((1.0, -1.0), priors), ((1.0, 1.0), [gaussian(0), gaussian(1, d=4)])]:
        with pytest.raises(ValueError, match="one power for each prior, with a sum > 0, and one event"):
            FeynmanKac(sigmas, powers).sample(given, streams(2))
    observation = Observation(Matrix(torch.ones(1, 4, dtype=F64), (4,)), torch.ones(1, 1), torch.ones(1))
    with pytest.raises(ValueError, match="the priors make"):
        FeynmanKac(sigmas, [1.0, 1.0]).sample(priors, streams(2), observation)
    with pytest.raises(ValueError, match="end in 0"):
        FeynmanKac(torch.tensor([2.0, 1.0]), [1.0])
