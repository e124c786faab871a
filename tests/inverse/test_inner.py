"""Truth: N(D, E) times a Gaussian likelihood, conditioned by dense algebra; without gradients the same law."""

import math

import pytest
import torch
from analytic import F64, Kriging, small_gaussian

from sciml_diffusion.inverse.chains import HMC, Langevin, PreconditionedCrankNicolson, make_inner
from sciml_diffusion.inverse.inner import ExactInner, Target
from sciml_diffusion.observations.noise import Gaussian
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Function
from sciml_diffusion.samplers.streams import MemberStreams

MEMBERS = 2000
INFINITY = torch.tensor(torch.inf, dtype=F64)


def law(inner, draws=1, seed=1):
    """Draws of N(mean, C) given y from a chain begun anew, and the exact law."""
    denoiser, observation = small_gaussian()
    streams = MemberStreams(seed, [0], range(MEMBERS), F64)
    sampler, x = inner(observation), None
    for _ in range(draws):
        x = sampler(x, denoiser.mean.expand(MEMBERS, 6), denoiser.surrogate(INFINITY), streams)
    return x, Kriging(denoiser, observation), sampler


def check_law(x, truth, wide=0.0):
    """Mean and variances within four standard errors, and a bias of the variances up to `wide`."""
    variance = truth.covariance.diagonal()
    assert ((x.mean(0) - truth.mean) / variance.sqrt()).abs().max() < 4 / len(x) ** 0.5 + wide / 2
    ratio = x.var(0) / variance
    assert (ratio - 1 - wide / 2).abs().max() < 4 * (2 / len(x)) ** 0.5 + wide / 2


def test_the_exact_draw():
    x, truth, _ = law(lambda o: ExactInner(o, F64))
    check_law(x, truth)


def test_hamiltonian_chains():
    # 32 paths of 8 steps from a draw of the prior, whose variance is up to 9 times that of the posterior
    x, truth, sampler = law(lambda o: HMC(o, None, 8, 1.0))
    check_law(x, truth)
    assert 0.7 < float(sampler.diagnostics()["acceptance"][0]) < 0.95  # aimed at 0.8, from steps that were too short


def test_langevin_chains_are_as_wide_as_their_step_says():
    # step 0.2: a variance is up to 1 / (1 - 0.1) of the right one; without the likelihood's 1/2 it would be one half
    x, truth, _ = law(lambda o: Langevin(o, None, 50, 0.2))
    check_law(x, truth, wide=0.12)


def test_a_walk_without_derivatives():
    def black(observation):
        seen = Function(observation.operator, (6,), 3, differentiable=False)
        return PreconditionedCrankNicolson(Observation(seen, observation.y, observation.std), None, 60, 0.5)

    x, truth, _ = law(black)
    check_law(x, truth)


def test_the_steps_of_hamiltonian_chains_conserve_energy():
    denoiser, observation = small_gaussian()
    streams = MemberStreams(2, [0], range(50), F64)
    target = Target(observation, denoiser.mean.expand(50, 6), denoiser.surrogate(INFINITY))
    look, beta = target(streams.normal((6,))), torch.full((50,), 0.7, dtype=F64)
    bend, errors = target.curvature(look.w, streams), []
    for step in (0.2, 0.1, 0.05):
        sampler = HMC(observation, None, 1, step, leapfrog=round(2 / step))
        _, log_ratio = sampler.move(target, look, beta, bend, MemberStreams(3, [0], range(50), F64))
        errors.append(float(log_ratio.abs().mean()))
    # second order: halving the step, at the same length of the path, divides the error by four
    assert 1.8 < math.log2(errors[0] / errors[1]) < 2.2 and 1.8 < math.log2(errors[1] / errors[2]) < 2.2


def test_the_largest_curvature():
    denoiser, observation = small_gaussian()
    root = denoiser.surrogate(INFINITY).sqrt(torch.eye(6, dtype=F64))
    rows = observation.operator.rows(F64) @ root / observation.std[:, None]
    exact = float(torch.linalg.eigvalsh(rows @ rows.T)[-1])
    streams = MemberStreams(0, [0], range(30), F64)
    target = Target(observation, denoiser.mean.expand(30, 6), denoiser.surrogate(INFINITY))
    found = target.curvature(streams.normal((6,)), streams)
    # eight power iterations, from below; an unlucky start is nearly blind to the first eigenvector
    assert (found <= exact * (1 + 1e-9)).all() and found.min() > 0.5 * exact and found.median() > 0.99 * exact


def test_rows_of_impossible_data_are_found_and_left():
    denoiser, observation = small_gaussian()
    edge = Function(lambda x: torch.where(x[:, :1] > 100, x[:, :1], torch.nan).expand(-1, 3), (6,), 3)
    hopeless = Observation(edge, observation.y, observation.std)
    sampler = HMC(hopeless, None, 2, 1.0)
    x = sampler(None, denoiser.mean.expand(8, 6), denoiser.surrogate(INFINITY), MemberStreams(0, [0], range(8), F64))
    assert torch.isfinite(x).all() and torch.isneginf(sampler.log_weights()).all()
    assert int(sampler.diagnostics()["impossible"][0]) == 8


def test_kinds_and_what_they_refuse():
    _, observation = small_gaussian()
    bent = Observation(Function(lambda x: x[:, :3] ** 2, (6,), 3), observation.y, observation.std)
    assert isinstance(make_inner("auto", observation, F64), ExactInner)
    assert isinstance(make_inner("auto", bent, F64), HMC) and isinstance(make_inner("langevin", bent, F64), Langevin)
    with pytest.raises(ValueError, match="inner='exact' needs a linear operator and Gaussian noise.*inner='hmc'"):
        make_inner("exact", bent, F64)


def test_the_likelihood_has_its_half():
    denoiser, observation = small_gaussian()
    target = Target(observation, denoiser.mean.expand(5, 6), denoiser.surrogate(INFINITY))
    look = target(MemberStreams(0, [0], range(5), F64).normal((6,)))
    misfit = (observation.y - observation.operator(target.x(look.w))) / observation.std
    torch.testing.assert_close(target.chi2(look), (misfit**2).sum(1))
    with torch.enable_grad():
        w = look.w.requires_grad_()
        half = -0.5 * (((observation.y - observation.operator(target.x(w))) / observation.std) ** 2).sum()
        torch.testing.assert_close(look.gradient, torch.autograd.grad(half, w)[0])
    assert type(observation.noise) is Gaussian
