"""Truth: p(s | y) ∝ p(s) N(y; A mu, s^2 R + A C A^T) by quadrature over ln s, x | y the mixture of kriged Gaussians."""

import math

import pytest
import torch
from analytic import F64, Kriging, small_gaussian

from sciml_diffusion.inverse.gaussian_step import GaussianStep
from sciml_diffusion.inverse.noise_scale import ScalePrior, Spectrum
from sciml_diffusion.inverse.unknown_noise import UnknownNoise
from sciml_diffusion.observations.noise_laws import StudentT
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams

SIGMAS = karras_sigmas(5, 0.05, 4.0)
MEMBERS = 4000


class Marginal:
    """s and x given y for a prior of s, by 401 kriged posteriors."""

    def __init__(self, denoiser, observation, prior=ScalePrior()):  # noqa: B008  (frozen)
        log_s = torch.linspace(math.log(prior.low), math.log(prior.high), 401, dtype=F64)
        kriged = [Kriging(denoiser, scaled(observation, float(s))) for s in log_s.exp()]
        evidence = torch.tensor([k.log_evidence for k in kriged], dtype=F64)
        density = -2 * prior.shape * log_s - prior.rate * torch.exp(-2 * log_s)
        joint = density.log_softmax(0) + evidence
        self.p, self.s, self.log_evidence = joint.softmax(0), log_s.exp(), float(joint.logsumexp(0))
        means = torch.stack([k.mean for k in kriged])
        self.mean = self.p @ means
        within = torch.stack([k.covariance.diagonal() for k in kriged])
        self.variance = self.p @ (within + (means - self.mean) ** 2)

    def log_s_moments(self):
        """Mean and standard deviation of ln s."""
        mean = self.p @ self.s.log()
        return float(mean), float((self.p @ (self.s.log() - mean) ** 2).sqrt())


def scaled(observation, s):
    """The observation with its noise s times as large."""
    return Observation(observation.operator, observation.y, s * observation.std)


def problem(m=3):
    """Data whose stated noise is too small by a factor of 2."""
    denoiser, observation = small_gaussian(m=m)
    return denoiser, scaled(observation, 0.5)


@pytest.mark.parametrize(
    ("options", "members", "slack"),
    [
        ({}, MEMBERS, 0.0),  # exact for a Gaussian prior and linear data
        ({"shape": 3.0, "rate": 3.0}, MEMBERS, 0.0),
        ({"options": {"inner": "hmc", "moves": 8}}, 1000, 0.05),  # s and x by turns: chains of a finite length
        ({"method": "smc", "nodes": 16}, 2000, 0.02),  # nodes 0.3 apart in ln s
    ],
)
def test_scale_and_members_against_quadrature(options, members, slack):
    denoiser, observation = problem()
    prior = ScalePrior(shape=options.get("shape", 0.0), rate=options.get("rate", 0.0))
    truth = Marginal(denoiser, observation, prior)
    ensemble = UnknownNoise(SIGMAS, **options).sample(denoiser, observation, MemberStreams(1, [0], range(members), F64))
    mean, std = truth.log_s_moments()
    log_s = ensemble.diagnostics["noise_scale"][0].log()
    error = 4 / members**0.5 + slack
    assert abs(float(log_s.mean()) - mean) < error * std
    assert abs(float(log_s.std()) / std - 1) < error
    assert ((ensemble.x[0].mean(0) - truth.mean) / truth.variance.sqrt()).abs().max() < error
    # four standard errors of a std, one and a half times as wide for the heavier tails of a mixture
    assert (ensemble.x[0].std(0) / truth.variance.sqrt() - 1).abs().max() < 1.5 * 4 / (2 * members) ** 0.5 + slack
    low, middle, high = ensemble.diagnostics["noise_scale_quantiles"][0].tolist()
    assert low < middle < high


def test_evidence_with_the_scale_integrated_out():
    denoiser, observation = problem()
    truth = Marginal(denoiser, observation)
    done = []
    ensemble = UnknownNoise(SIGMAS, method="smc", nodes=16).sample(
        denoiser, observation, MemberStreams(2, [0], range(16), F64), done.append
    )
    facts = ensemble.diagnostics
    # the trapezoidal rule on 16 nodes of a density with a cut end
    assert abs(float(facts["log_evidence"][0]) - truth.log_evidence) < 0.01
    assert abs(float(facts["noise_scale_mean"][0]) / float(truth.p @ truth.s) - 1) < 0.02
    torch.testing.assert_close(facts["noise_scale_probability"].sum(1), torch.ones(1, dtype=F64))
    assert done == [1, 2, 3, 4, 5]


def test_many_sensors_find_the_scale():
    denoiser, observation = problem(m=40)
    ensemble = UnknownNoise(SIGMAS).sample(denoiser, observation, MemberStreams(3, [0], range(500), F64))
    mean, std = Marginal(denoiser, observation).log_s_moments()
    log_s = ensemble.diagnostics["noise_scale"][0].log()
    assert abs(float(log_s.mean()) - mean) < 4 * std / 500**0.5 and 0.85 < float(log_s.std()) / std < 1.15
    assert abs(mean - math.log(2)) < 4 / math.sqrt(2 * 40)  # the factor that was taken away, to its own doubt


def test_split_gibbs_carries_the_scale():
    denoiser, observation = problem(m=40)
    method = UnknownNoise(karras_sigmas(20, 0.1, 4.0), method="split-gibbs", options={"sweeps": 2, "prior_steps": 1})
    scale = method.sample(denoiser, observation, MemberStreams(4, [0], range(200), F64)).diagnostics["noise_scale"]
    mean, std = Marginal(denoiser, observation).log_s_moments()
    # at rest the data are blurred by rho = 0.1, a third of the noise: within the posterior's own width of the truth
    assert abs(float(scale.log().mean()) - mean) < std


def test_one_factorisation_serves_all_scales():
    denoiser, observation = problem()
    step = GaussianStep(observation, F64)
    factor = step.factor(denoiser.surrogate(torch.tensor(1.3, dtype=F64)))
    spectrum = Spectrum.of(factor, step.std)
    s = torch.tensor([0.3, 1.0, 4.0], dtype=F64)
    r = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=F64)
    gram = factor.cholesky @ factor.cholesky.T - torch.diag(step.std**2)
    for k, scale in enumerate(s):
        total = scale**2 * torch.diag(step.std**2) + gram
        torch.testing.assert_close(spectrum.at(s).solve(r)[k], torch.linalg.solve(total, r[k]))
        units = torch.linalg.solve(total / scale**2, r[k])
        torch.testing.assert_close(spectrum.in_units_of(s).solve(r)[k], units)
    laws = [torch.distributions.MultivariateNormal(torch.zeros(3, dtype=F64), gram + torch.diag((v * step.std) ** 2))
            for v in s]  # fmt: skip
    found = spectrum.log_prob(r, s.log())
    wanted = torch.stack([law.log_prob(r) for law in laws], 1)
    torch.testing.assert_close(found - found[:, :1], wanted - wanted[:, :1])


def test_draws_of_the_scale_given_the_residual():
    streams = MemberStreams(0, [0], range(20000), F64)
    m, chi2, prior = 12, 30.0, ScalePrior(0.01, 100.0, shape=2.0, rate=1.5)
    s = prior.draw_given(torch.full((20000,), chi2, dtype=F64), m, streams)
    a, b = prior.shape + m / 2, prior.rate + chi2 / 2  # s^2 ~ inverse-gamma(a, b): 1 / s^2 has mean a / b
    precision = s**-2
    assert abs(float(precision.mean()) * b / a - 1) < 4 / (a * 20000) ** 0.5
    assert abs(float(precision.std()) * b / a**0.5 - 1) < 4 * (1 / 20000) ** 0.5
    cut = ScalePrior(2.0, 3.0).draw_given(torch.full((2000,), 1e-6, dtype=F64), m, MemberStreams(1, [0], range(2000)))
    assert (cut >= 2.0).all() and (cut <= 3.0).all()
    assert float(cut.median()) < 2.2  # the residual asks for far less than the range allows


def test_what_does_not_fit_is_refused():
    denoiser, observation = problem()
    with pytest.raises(ValueError, match="method must be one of daps, split-gibbs, smc"):
        UnknownNoise(SIGMAS, method="dps")
    with pytest.raises(ValueError, match="0 < low < high"):
        UnknownNoise(SIGMAS, low=2.0, high=1.0)

    other = StudentT(observation.std, torch.full((3,), 4.0, dtype=F64))
    with pytest.raises(ValueError, match="scales the std of Gaussian noise; got StudentT noise"):
        UnknownNoise(SIGMAS).sample(
            denoiser, Observation(observation.operator, observation.y, other), MemberStreams(0, [0], range(4), F64)
        )
