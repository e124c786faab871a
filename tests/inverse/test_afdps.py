"""Truth: at every level the particles' law is p_tau exp(-mu_tau), for a mixture again a mixture, evidence included."""

import math

import pytest
import torch
from analytic import F64, Kriging, MixturePosterior, gmm2, small_gaussian

from sciml_diffusion.denoisers.basis import IdentityBasis
from sciml_diffusion.denoisers.mixture import MixtureDenoiser
from sciml_diffusion.inverse.afdps import AFDPS
from sciml_diffusion.inverse.tempered import curvature
from sciml_diffusion.observations.noise import Gaussian, Noise
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Function, Matrix
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams

PUBLISHED = {"g2": 1.0, "c": 1.0}
FLOW = {"g2": 0.0, "c": 0.0, "langevin": 2}


def streams(members, seed=0, windows=1):
    return MemberStreams(seed, range(windows), range(members), F64)


def mode_shares(x, posterior):
    """Responsibilities of the modes of a MixturePosterior, whose expectation is its weights; x (N, d) -> (N, modes)."""
    law = torch.distributions.MultivariateNormal(posterior.means, posterior.covariance)
    return (posterior.weights.log() + law.log_prob(x[:, None])).softmax(1)


@pytest.mark.parametrize(
    "name, arguments, members",
    [("heat", {}, 1500), ("tempered", {}, 1500), ("heat", PUBLISHED, 3000), ("heat", FLOW, 1500)],
)
def test_law_and_evidence_at_every_level(name, arguments, members):
    problem, steps = gmm2(), 80
    method = AFDPS(problem.sigmas(steps), potential=name, **arguments)
    flow = method.flow(problem.denoiser, problem.observation, streams(members))
    matrix, eye = problem.observation.operator.matrix, torch.eye(2, dtype=F64)
    for n, state in enumerate(flow.path()):
        tau = problem.sigmas(steps)[n] ** 2
        blurred = problem.observation.std**2 / flow.potential.share(tau)[0]  # the data's variance in mu_tau
        truth = MixturePosterior(
            problem.denoiser.log_weights, problem.denoiser.means, (1 + tau) * eye, matrix, problem.observation.y[0],
            blurred.sqrt(),
        )  # fmt: skip
        family = flow.population.diagnostics()
        w, effective = flow.population.log_weights[0].softmax(0), float(family["family_ess"][0])
        found = w @ mode_shares(state.x, truth)
        # four standard errors of a share at the family ESS, and 0.03 for 80 steps
        assert (
            (found - truth.weights).abs() < 4 * (truth.weights * (1 - truth.weights) / effective).sqrt() + 0.03
        ).all()
        log_norm = 0.5 * (2 * math.pi * blurred).log().sum() - flow.potential.norm(tau)[0]
        error = abs(float(family["log_evidence"][0]) - truth.log_evidence - float(log_norm))
        # the start is exact, with weights that vary by the prior's variance over smax^2; then as for the shares
        assert error < (1e-3 if n == 0 else 4 / effective**0.5 + 0.1)


def test_posterior_modes_and_evidence_of_a_mixture():
    """Within 1.25 of as many exact draws asks for 400 steps (see the benchmark); here 100, and shares of modes."""
    problem, members = gmm2(), 2000
    ensemble = AFDPS(problem.sigmas(100)).sample(problem.denoiser, problem.observation, streams(members))
    found = ensemble.weights[0] @ mode_shares(ensemble.x[0], problem.posterior)
    wanted, facts = problem.posterior.weights, {k: v for k, v in ensemble.diagnostics.items() if k != "ess_trace"}
    family = float(facts["family_ess"][0])
    assert ((found - wanted).abs() < 4 * (wanted * (1 - wanted) / family).sqrt() + 0.02).all()
    assert facts["resamplings"] <= 3 and facts["roots"] >= 0.3 * members and facts["non_finite"] == 0
    assert abs(float(facts["log_evidence"][0]) - problem.posterior.log_evidence) < 0.1
    assert facts["network_calls"] == 101  # one a step, and one to find the scale of the prior
    error = ensemble.mean[0] - problem.posterior.mean
    assert error.norm() < 4 * 12 / family**0.5  # standard errors; the modes lie 12 apart from their mean


@pytest.mark.parametrize("arguments", [{}, {"g2": 4.0, "potential": "constant"}, PUBLISHED, FLOW, {"g2": 4.0}])
def test_gaussian_posterior(arguments):
    """Mean, variance and evidence by kriging, for two windows."""
    denoiser, observation = small_gaussian(2)
    sigmas = karras_sigmas(200, 0.02, 8.0)
    ensemble = AFDPS(sigmas, **arguments).sample(denoiser, observation, streams(1000, windows=2))
    for b in range(2):
        truth = Kriging(denoiser, observation.select(slice(b, b + 1)))
        family = float(ensemble.diagnostics["family_ess"][b])
        assert family > (5 if arguments is PUBLISHED else 50)  # as published, weights repair every observed direction
        variance = truth.covariance.diagonal()
        error = (ensemble.mean[b] - truth.mean) / variance.sqrt()
        assert error.abs().max() < 4 / family**0.5 + 0.05  # standard errors, and 5 % for 200 steps
        assert (ensemble.std[b] ** 2 / variance - 1).abs().max() < 4 * (2 / family) ** 0.5 + 0.1
        assert abs(float(ensemble.diagnostics["log_evidence"][b]) - truth.log_evidence) < 4 * (1 / family) ** 0.5 + 0.15


class Shifted(Gaussian):
    """Gaussian noise whose log-density is off by a constant."""

    def log_prob(self, y, h):
        return super().log_prob(y, h) + 1.7

    def to(self, dtype, device):
        return Shifted(self.std.to(device, dtype))


@pytest.mark.parametrize("potential", ["constant", "tempered", "denoised"])
def test_a_constant_in_mu_moves_the_evidence_alone(potential):
    denoiser, observation = small_gaussian()
    bent = Function(lambda x: x[:, :3].sin() + x[:, 3:] ** 2, (6,), 3)
    results = []
    for law in (Gaussian(observation.std), Shifted(observation.std)):
        method = AFDPS(karras_sigmas(40, 0.05, 3.0), potential=potential, gamma=2.0)
        results.append(method.sample(denoiser, Observation(bent, observation.y, law), streams(64)))
    plain, shifted = results
    torch.testing.assert_close(plain.x, shifted.x, rtol=0, atol=1e-9)  # rounding of the weights' constant
    torch.testing.assert_close(plain.weights, shifted.weights, rtol=0, atol=1e-9)
    evidence = shifted.diagnostics["log_evidence"] - plain.diagnostics["log_evidence"]
    # beta mu is integrated by the trapezoidal rule: the constant of three sensors comes out to its error in 40 steps
    assert abs(float(evidence[0]) - 3 * 1.7) < (1e-9 if potential == "constant" else 0.15)


BENT = {  # operators of the plane, data, standard deviations
    "tanh": (lambda x: torch.tanh(x @ SKEW.T) + 0.3 * (x @ SKEW.T) ** 2, [1.0, 0.6], [0.2, 0.3]),
    "radius": (lambda x: x.norm(dim=1, keepdim=True), [1.6], [0.15]),
    "square": (lambda x: x[:, :1] ** 2, [1.6], [0.15]),
}
SKEW = torch.tensor([[1.0, 0.4], [-0.3, 0.9]], dtype=F64)


def three_modes():
    """A planar mixture prior, and the plane on a grid with its density."""
    means = torch.tensor([[1.5, 0.0], [-1.0, 1.2], [-0.5, -1.5]], dtype=F64)
    log_weights = torch.tensor([0.5, 0.3, 0.2], dtype=F64).log()
    denoiser = MixtureDenoiser(log_weights, means, IdentityBasis(), torch.full((1, 2), 0.3, dtype=F64))
    grid = torch.linspace(-6, 6, 601, dtype=F64)
    plane = torch.cartesian_prod(grid, grid)
    return denoiser, plane, denoiser.log_joint(plane, torch.tensor(0.0, dtype=F64)).logsumexp(1), 0.02**2


@pytest.mark.parametrize(
    "name, potential, first", [(name, "auto", 20.0) for name in BENT] + [("radius", "tempered", 5.0)]
)
def test_nonlinear_operators_against_quadrature(name, potential, first):
    denoiser, plane, log_prior, cell = three_modes()
    function, y, std = BENT[name]
    operator = Function(function, (2,), len(y))
    observation = Observation(operator, torch.tensor([y], dtype=F64), torch.tensor(std, dtype=F64))
    log_q = log_prior + observation.log_likelihood(plane)
    method = AFDPS(karras_sigmas(120, 0.02, first), potential=potential)
    ensemble = method.sample(denoiser, observation, streams(1000))
    family = float(ensemble.diagnostics["family_ess"][0])
    assert family > 100 and ensemble.diagnostics["non_finite"] == 0
    evidence = float(log_q.logsumexp(0)) + math.log(cell)
    assert abs(float(ensemble.diagnostics["log_evidence"][0]) - evidence) < 4 / family**0.5 + 0.1
    quadrants = [(plane[:, i] > c).to(F64) for i in (0, 1) for c in (-1.0, 0.0, 1.0)]
    found = [(ensemble.x[0][:, i] > c).to(F64) for i in (0, 1) for c in (-1.0, 0.0, 1.0)]
    for exact, mine in zip(quadrants, found, strict=True):
        p = float(log_q.softmax(0) @ exact)
        error = float(ensemble.weights[0] @ mine) - p
        assert abs(error) < 4 * (p * (1 - p) / family) ** 0.5 + 0.03  # standard errors, and 0.03 for 120 steps


class Switch(Noise):
    """y = 1 where h + logistic noise > 0, else 0."""

    def __init__(self, m):
        self.m = m

    def log_prob(self, y, h):
        return torch.nn.functional.logsigmoid((2 * y - 1) * h * 4)

    def draw(self, h, generator):
        return (torch.rand(h.shape, generator=generator, dtype=h.dtype) < torch.sigmoid(4 * h)).to(h)

    def information(self, y, h):
        return 16 * torch.sigmoid(4 * h) * torch.sigmoid(-4 * h) + 1e-6

    def check(self, y):
        assert ((y == 0) | (y == 1)).all()

    def to(self, dtype, device):
        return self


def test_switches_on_a_linear_operator():
    """A noise law without a standard deviation: two sensors that tell only a side."""
    denoiser, plane, log_prior, _ = three_modes()
    observation = Observation(Matrix(SKEW, (2,)), torch.tensor([[1.0, 0.0]], dtype=F64), Switch(2))
    ensemble = AFDPS(karras_sigmas(80, 0.02, 6.0)).sample(denoiser, observation, streams(1000))
    log_q = log_prior + observation.log_likelihood(plane)
    family = float(ensemble.diagnostics["family_ess"][0])
    error = ensemble.mean[0] - log_q.softmax(0) @ plane
    assert error.abs().max() < 4 * 1.5 / family**0.5 + 0.03  # standard errors of a law of std 1.5
    with pytest.raises(ValueError, match="needs a linear operator and Gaussian noise"):
        AFDPS(karras_sigmas(3, 0.02, 6.0), potential="heat").sample(denoiser, observation, streams(4))


def test_particles_that_leave_the_finite_numbers_lose_their_weight_and_are_counted():
    denoiser, observation = small_gaussian()
    torn = Function(lambda x: torch.where(x[:, :3] > 1.5, torch.nan, x[:, :3]), (6,), 3)
    torn = Observation(torn, observation.y, observation.std)
    ensemble = AFDPS(karras_sigmas(30, 0.05, 3.0), potential="tempered").sample(denoiser, torn, streams(200))
    assert ensemble.diagnostics["non_finite"] > 0
    assert torch.isfinite(ensemble.x).all() and torch.isfinite(ensemble.weights).all()
    alive = ensemble.x[0][ensemble.weights[0] > 0]
    assert (alive[:, :3] <= 1.5).all()
    nowhere = Observation(Function(lambda x: x[:, :3] * torch.nan, (6,), 3), observation.y, observation.std)
    with pytest.raises(ValueError, match="all 8 particles of window 0 have weight 0"):
        AFDPS(karras_sigmas(3, 0.05, 3.0), gamma=1.0).sample(denoiser, nowhere, streams(8))


def test_curvature_is_the_largest_eigenvalue():
    denoiser, observation = small_gaussian(2)
    a = observation.operator.matrix / observation.std[:, None]
    top = torch.linalg.matrix_norm(a, 2) ** 2
    found = curvature(observation, torch.zeros(2, 6, dtype=F64))
    torch.testing.assert_close(found, top.expand(2), rtol=2e-2, atol=0)  # twelve steps of the power iteration


def test_bad_arguments_are_refused():
    sigmas = karras_sigmas(3, 0.1, 1.0)
    for arguments, words in [
        ({"potential": "warm"}, "heat, denoised, tempered, constant"),
        ({"g2": -1.0}, "must be >= 0"),
        ({"gamma": -1.0}, "gamma must be >= 0"),
    ]:
        with pytest.raises(ValueError, match=words):
            AFDPS(sigmas, **arguments)
