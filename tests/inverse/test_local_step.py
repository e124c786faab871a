"""Truths: the exact Gaussian step where the data are secretly linear; quadrature and scipy where they bend."""

import math

import pytest
import scipy.optimize
import torch
from analytic import F64, small_gaussian

from sciml_diffusion.denoisers.basis import IdentityBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.inverse.gaussian_step import GaussianStep
from sciml_diffusion.inverse.guidance import MomentMatched
from sciml_diffusion.inverse.local_step import LocalStep, prior_noise
from sciml_diffusion.inverse.mmps import MMPS
from sciml_diffusion.observations.noise import Noise
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Function
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams

TIGHT = {"rtol": 0, "atol": 1e-8}  # systems of condition 1e3, solved to 1e-13


class Heavy(Noise):
    """Student's t with 3 degrees of freedom and scale s: the smallest law here that is not Gaussian."""

    def __init__(self, scale):
        self.scale, self.m = scale, len(scale)

    def log_prob(self, y, h):
        return torch.distributions.StudentT(3.0, h, self.scale).log_prob(y)

    def draw(self, h, generator):
        raise AssertionError("these tests draw nothing")

    def information(self, y, h):
        return 4 / (3 * self.scale**2 + (y - h) ** 2)  # weights of reweighted least squares

    def check(self, y):
        assert torch.isfinite(y).all()

    def to(self, dtype, device):
        return Heavy(self.scale.to(device, dtype))


def _secret(windows=1):
    """The dense linear data of `small_gaussian`, as a function that nobody knows to be linear."""
    denoiser, observation = small_gaussian(windows)
    matrix = observation.operator.matrix
    function = Function(lambda x: x @ matrix.T, (6,), 3)
    return denoiser, observation, Observation(function, observation.y, observation.noise)


def _bent(y=((1.2, 0.4),), std=0.2):
    """Two smooth but nonlinear readings of a Gaussian in the plane."""
    denoiser = GaussianDenoiser(
        torch.tensor([0.3, -0.2], dtype=F64), IdentityBasis(), torch.tensor([1.0, 0.5]).double()
    )
    matrix = torch.tensor([[1.0, 0.5], [-0.4, 0.8]], dtype=F64)
    function = Function(lambda x: (x @ matrix.T.to(x)).tanh() + 0.3 * (x @ matrix.T.to(x)) ** 2, (2,), 2)
    return denoiser, Observation(function, torch.tensor(y, dtype=F64), torch.full((2,), std, dtype=F64))


def test_secretly_linear_data_give_the_exact_step():
    denoiser, linear, secret = _secret(windows=2)
    covariance = denoiser.surrogate(torch.tensor(0.7, dtype=F64))
    mean = denoiser.mean + torch.randn(8, 6, generator=torch.Generator().manual_seed(0), dtype=F64)
    exact, step = GaussianStep(linear, F64), LocalStep(secret, rounds=1, tolerance=1e-13)
    factor, streams = exact.factor(covariance), lambda: MemberStreams(0, [0, 1], range(4), F64)
    fit = step.fit(mean, covariance.apply)
    torch.testing.assert_close(fit.mode, exact.mean(mean, factor), **TIGHT)
    torch.testing.assert_close(step.log_evidence(fit, covariance.apply), exact.log_prob(mean, factor), **TIGHT)
    here = streams()
    zeta = prior_noise(covariance, mean, here)
    torch.testing.assert_close(
        step.draw(mean, covariance.apply, zeta, here), exact.draw(mean, factor, streams()), **TIGHT
    )
    here = streams()
    zeta = prior_noise(covariance, mean, here)
    spread = step.spread(fit.mode, covariance.apply, zeta, here)
    torch.testing.assert_close(spread, exact.spread(factor, streams()), **TIGHT)


@pytest.mark.parametrize("covariance", ["surrogate", "jacobian"])
def test_method_gives_the_members_of_the_linear_path(covariance):
    denoiser, linear, secret = _secret(windows=2)
    method = MMPS(karras_sigmas(5, 0.05, 4.0), covariance, tolerance=1e-13, iterations=32)
    one, other = (method.sample(denoiser, o, MemberStreams(3, [0, 1], range(6), F64)).x for o in (linear, secret))
    torch.testing.assert_close(one, other, **TIGHT)


@pytest.mark.parametrize("law", ["gaussian", "heavy"])
def test_mode_is_that_of_a_reference_optimiser(law):
    denoiser, observation = _bent(y=((1.2, 0.4), (5.0, -0.2)))
    if law == "heavy":
        observation = Observation(observation.operator, observation.y, Heavy(observation.std))
    v = denoiser.surrogate(torch.tensor(math.inf, dtype=F64))
    mean = denoiser.mean.expand(2, 2)
    fit = LocalStep(observation, rounds=60, tolerance=1e-12).fit(mean, v.apply)

    def cost(x, b):
        x = torch.tensor(x)[None]
        likelihood = observation.select(slice(b, b + 1)).log_likelihood(x)
        return float(0.5 * ((x - mean[:1]) ** 2 / v.variance).sum() - likelihood)

    for b in range(2):
        best = scipy.optimize.minimize(cost, fit.mode[b].numpy(), args=(b,), method="Nelder-Mead", tol=1e-12)
        assert abs(-float(fit.log_joint[b]) - cost(fit.mode[b].numpy(), b)) < 1e-10
        assert -float(fit.log_joint[b]) - best.fun < 1e-9  # no better place nearby


def test_objective_never_falls_and_members_do_not_know_of_each_other():
    denoiser, observation = _bent(std=0.01)  # hard: noise of 1 %
    covariance = denoiser.surrogate(torch.tensor(3.0, dtype=F64))
    mean = denoiser.mean + 2 * torch.randn(40, 2, generator=torch.Generator().manual_seed(1), dtype=F64)
    last = torch.full((40,), -math.inf, dtype=F64)
    for rounds in range(8):
        fit = LocalStep(observation, rounds, tolerance=1e-10).fit(mean, covariance.apply)
        assert (fit.log_joint >= last).all()
        last = fit.log_joint
    alone = LocalStep(observation, 7, tolerance=1e-10).fit(mean[3:4], covariance.apply)
    torch.testing.assert_close(fit.mode[3:4], alone.mode, rtol=0, atol=1e-10)


def test_evidence_of_bent_data_is_near_quadrature():
    denoiser, observation = _bent(std=0.3)
    covariance = denoiser.surrogate(torch.tensor(0.1, dtype=F64))  # a narrow law: A bends little across it
    mean = denoiser.mean[None] + 0.4
    step = LocalStep(observation, tolerance=1e-12)
    found = float(step.log_evidence(step.fit(mean, covariance.apply), covariance.apply))
    axis = torch.linspace(-0.6, 0.6, 801, dtype=F64)
    grid = mean + torch.cartesian_prod(axis, axis)
    prior = torch.distributions.Normal(mean, covariance.variance.sqrt()).log_prob(grid).sum(1)
    truth = (prior + observation.log_likelihood(grid)).logsumexp(0) + 2 * math.log(float(axis[1] - axis[0]))
    assert abs(found - float(truth)) < 0.02  # the Laplace approximation's own error


def test_draws_part_between_modes_that_one_linearisation_cannot_hold():
    denoiser = GaussianDenoiser(torch.tensor([0.1], dtype=F64), IdentityBasis(), torch.ones(1, dtype=F64))
    y = torch.tensor([[1.0]], dtype=F64)
    observation = Observation(Function(lambda x: x.abs(), (1,), 1), y, torch.tensor([0.1], dtype=F64))
    ensemble = MMPS(torch.tensor([50.0, 0.0], dtype=F64), rounds=8).sample(
        denoiser, observation, MemberStreams(0, [0], range(4000), F64)
    )
    x = ensemble.x.flatten()
    # posterior: modes near 1 and -1 in the proportion exp(0.1 * 1) : exp(-0.1 * 1), each of std 0.1
    assert ((x.abs() - 1).abs() < 0.6).double().mean() > 0.99
    share = float((x > 0).double().mean())
    assert abs(share - 1 / (1 + math.exp(-0.2))) < 0.05
    assert abs(float(x[x > 0].std()) - 0.1) < 0.01


def test_what_is_not_a_number_stays_in_its_row():
    denoiser, observation = _bent()
    inner = observation.operator
    torn = Function(lambda x: torch.where(x[:, :1] > 100, torch.nan, inner(x)), (2,), 2)
    torn = Observation(torn, observation.y, observation.noise)
    covariance = denoiser.surrogate(torch.tensor(1.0, dtype=F64))
    mean = torch.tensor([[0.0, 0.0], [200.0, 0.0]], dtype=F64)
    step = LocalStep(torn)
    fit = step.fit(mean, covariance.apply)
    alone = step.fit(mean[:1], covariance.apply)
    torch.testing.assert_close(fit.mode[:1], alone.mode, rtol=0, atol=1e-12)
    evidence = step.log_evidence(fit, covariance.apply)
    assert torch.isfinite(evidence[0]) and not torch.isfinite(evidence[1])


def test_float32_is_accurate_enough():
    denoiser, observation = _bent()
    guided = {}
    for dtype in (F64, torch.float32):
        law = MomentMatched(denoiser.to(dtype), observation.to(dtype, "cpu"))
        guided[dtype] = law(torch.tensor([[0.5, 0.1], [1.0, -1.0]], dtype=dtype), torch.tensor(0.5, dtype=dtype))
    torch.testing.assert_close(guided[torch.float32].double(), guided[F64], rtol=0, atol=1e-3)  # the solve's tolerance
