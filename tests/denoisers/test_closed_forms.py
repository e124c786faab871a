"""Truth: Tweedie, D = x_t + sigma^2 grad log p(x_t), with log p from dense torch distributions and autograd."""

import pytest
import torch
from analytic import F64, gmm2, small_gaussian
from registry import CLOSED_FORMS, DENOISERS
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from sciml_diffusion.denoisers.base import Denoiser
from sciml_diffusion.denoisers.basis import IdentityBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.denoisers.mixture import MixtureDenoiser
from sciml_diffusion.prior import describe, rebuild
from sciml_diffusion.samplers.streams import MemberStreams

SIGMAS = (0.1, 1.0, 10.0)
LOOSE = {"rtol": 1e-9, "atol": 1e-9}  # differences of densities of order 100 lose two to three digits of float64


def _points(denoiser, n=4, seed=0, scale=2.0):
    return scale * torch.randn(n, *denoiser.event, generator=torch.Generator().manual_seed(seed), dtype=F64)


def _dense(basis, variance, event):
    """B^T diag(v) B as a matrix."""
    d = torch.Size(event).numel()
    rows = basis(torch.eye(d, dtype=F64).reshape(d, *event)).flatten(1)
    return (rows * variance.flatten()) @ rows.T


def _law(denoiser, sigma):
    """The law of x_t as a dense torch distribution over flattened events."""
    noise = sigma**2 * torch.eye(torch.Size(denoiser.event).numel(), dtype=F64)
    if isinstance(denoiser, GaussianDenoiser):
        covariance = _dense(denoiser.basis, denoiser.variance, denoiser.event)
        return MultivariateNormal(denoiser.mean.flatten(), covariance + noise)
    variances = denoiser.variances.expand(len(denoiser.means), *denoiser.variances.shape[1:])
    covariances = torch.stack([_dense(denoiser.basis, v, denoiser.event) + noise for v in variances])
    modes = MultivariateNormal(denoiser.means.flatten(1), covariances)
    return MixtureSameFamily(Categorical(logits=denoiser.log_weights), modes)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_denoiser_is_tweedies_formula(name, sigma):
    denoiser = CLOSED_FORMS[name]()
    x = _points(denoiser).requires_grad_()
    score = torch.autograd.grad(_law(denoiser, sigma).log_prob(x.flatten(1)).sum(), x)[0]
    torch.testing.assert_close(denoiser(x, torch.tensor(sigma, dtype=F64)), x + sigma**2 * score, **LOOSE)


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_density_is_that_of_the_dense_law(name):
    denoiser, sigma = CLOSED_FORMS[name](), torch.tensor(0.7, dtype=F64)
    x = _points(denoiser)
    known = isinstance(denoiser, GaussianDenoiser)
    found = denoiser.log_prob(x, sigma) if known else denoiser.log_joint(x, sigma).logsumexp(1)
    torch.testing.assert_close(found, _law(denoiser, sigma).log_prob(x.flatten(1)), **LOOSE)


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_closed_vjp_is_that_of_autograd(name):
    denoiser, sigma = CLOSED_FORMS[name](), torch.tensor(1.3, dtype=F64)
    x, u = _points(denoiser), _points(denoiser, seed=1)
    (mean, pull), (truth, pulled) = denoiser.vjp(x, sigma), Denoiser.vjp(denoiser, x, sigma)
    torch.testing.assert_close(mean, truth, **LOOSE)
    torch.testing.assert_close(pull(u), pulled(u), **LOOSE)


@pytest.mark.parametrize("name", DENOISERS)
def test_vjp_is_the_transpose_of_the_derivative(name):
    denoiser, sigma = DENOISERS[name](), torch.tensor(0.8, dtype=F64)
    x, u, w = _points(denoiser), _points(denoiser, seed=1), _points(denoiser, seed=2)
    step = 1e-5  # central differences: error of order step^2 times third derivatives, and 1e-16 / step of rounding
    derivative = (denoiser(x + step * w, sigma) - denoiser(x - step * w, sigma)) / (2 * step)
    pulled = denoiser.vjp(x, sigma)[1](u)
    left, right = (pulled * w).flatten(1).sum(1), (u * derivative).flatten(1).sum(1)
    torch.testing.assert_close(left.detach(), right.detach(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", DENOISERS)
def test_one_noise_level_or_one_for_each_row(name):
    denoiser = DENOISERS[name]()
    x, sigmas = _points(denoiser, 3), torch.tensor([0.3, 1.0, 4.0], dtype=F64)
    each = torch.cat([denoiser(x[i : i + 1], sigmas[i]) for i in range(3)])
    # rows do not know of each other: float64 rounding of differently blocked products only
    torch.testing.assert_close(denoiser(x, sigmas), each, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", DENOISERS)
def test_denoiser_is_rebuilt_from_its_description(name):
    denoiser, tensors = DENOISERS[name]().float(), {}
    again = rebuild(describe(denoiser, tensors, "denoiser"), {k: v.detach().clone() for k, v in tensors.items()})
    x, sigma = _points(denoiser).float(), torch.tensor(0.5)
    # the same tensors, but log-weights are normalised once more: float32 rounding
    torch.testing.assert_close(again(x, sigma), denoiser(x, sigma), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_gaussian_surrogate_is_the_conditional_covariance(sigma):
    denoiser, _ = small_gaussian()
    prior = _dense(denoiser.basis, denoiser.variance, denoiser.event)
    truth = prior - prior @ torch.linalg.inv(prior + sigma**2 * torch.eye(6, dtype=F64)) @ prior
    found = denoiser.surrogate(torch.tensor(sigma, dtype=F64)).apply(torch.eye(6, dtype=F64))
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-12)
    infinite = denoiser.surrogate(torch.tensor(torch.inf, dtype=F64)).apply(torch.eye(6, dtype=F64))
    torch.testing.assert_close(infinite, prior, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_start_has_the_mean_and_covariance_of_the_marginal(name):
    denoiser, n, sigma = CLOSED_FORMS[name](), 20_000, 0.9
    x = denoiser.start(torch.tensor(sigma, dtype=F64), MemberStreams(3, [0], range(n), F64)).flatten(1)
    law = _law(denoiser, sigma)
    error = (x.mean(0) - law.mean) / (law.variance / n).sqrt()
    assert error.abs().max() < 4  # four standard errors
    fourth = ((x - law.mean) ** 4).mean(0) - law.variance**2
    assert ((x.var(0) - law.variance) / (fourth / n).sqrt()).abs().max() < 4


def test_draw_has_the_conditional_covariance():
    denoiser, _ = small_gaussian()
    n, sigma = 20_000, torch.tensor(0.5, dtype=F64)
    x_t = _points(denoiser, 1).expand(n, *denoiser.event)
    x = denoiser.draw(x_t, sigma, MemberStreams(4, [0], range(n), F64))
    truth = denoiser.surrogate(sigma).apply(torch.eye(6, dtype=F64))
    diagonal = truth.diagonal()
    error = (torch.cov(x.T) - truth) / ((diagonal[:, None] * diagonal + truth**2) / n).sqrt()
    assert error.abs().max() < 4  # the sampling error of a Gaussian covariance


def test_variance_within_a_mode_of_unit_modes():
    denoiser, sigma = gmm2().denoiser, torch.tensor(2.0, dtype=F64)
    found = denoiser.within_variance(_points(denoiser), sigma)
    torch.testing.assert_close(found, torch.full((4,), 4 / 5, dtype=F64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("variance", [[-1.0, 1.0], [0.0, 0.0], [torch.inf, 1.0], [1.0, 1.0, 1.0]])
def test_gaussian_refuses_what_is_no_variance(variance):
    with pytest.raises(ValueError, match="variance"):
        GaussianDenoiser(torch.zeros(2), IdentityBasis(), torch.tensor(variance))


def test_mixture_refuses_counts_that_do_not_fit():
    with pytest.raises(ValueError, match="3 weights, 2 means"):
        MixtureDenoiser(torch.zeros(3), torch.zeros(2, 4), IdentityBasis(), torch.ones(1, 4))
