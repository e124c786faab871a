"""Truth: the Feynman-Kac equation itself, by automatic differentiation of closed-form densities at random points.

q = prod_i p_i(x, tau)^{b_i} exp(-mu_tau) must obey d_u q = -div(f q) + g^2/2 Lap q + V q, u = -tau, that is
-d_tau l + div f + <f, grad l> - g^2/2 (Lap l + |grad l|^2) = V for l = log q and f = a B + h - c grad mu.
"""

import pytest
import torch
from analytic import F64
from torch.func import grad, hessian, jacfwd

from sciml_diffusion.denoisers.basis import IdentityBasis, MatrixBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.denoisers.mixture import MixtureDenoiser
from sciml_diffusion.inverse.flow import Moves, log_weight_rate
from sciml_diffusion.inverse.gaussian_model import GaussianModel
from sciml_diffusion.inverse.heat_flow import HeatFlow, LinearPotential, TemperedLinear
from sciml_diffusion.inverse.potentials import Flat
from sciml_diffusion.inverse.power_prior import PowerPrior
from sciml_diffusion.inverse.tempered import Denoised, Tempered
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Function, Matrix
from sciml_diffusion.samplers.streams import MemberStreams

D = 3
G = torch.Generator().manual_seed(3)
W = torch.randn(2, D, generator=G, dtype=F64)
Y, STD = torch.randn(1, 2, generator=G, dtype=F64), torch.tensor([0.4, 0.7], dtype=F64)
LINEAR = Observation(Matrix(W, (D,)), Y, STD)
BENT = Observation(Function(lambda x: torch.tanh(x @ W.T) + 0.3 * (x @ W.T) ** 2, (D,), 2), Y, STD)
BASIS = torch.linalg.qr(torch.randn(D, D, generator=G, dtype=F64)).Q
FIRST = torch.tensor(9.0, dtype=F64)


def gaussian():
    """A Gaussian prior with a covariance of its own."""
    variance = torch.tensor([0.3, 1.0, 2.0], dtype=F64)
    return GaussianDenoiser(torch.ones(D, dtype=F64), MatrixBasis(BASIS, (D,)), variance)


POTENTIALS = {
    "flat": lambda: Flat(),
    "constant": lambda: LinearPotential(LINEAR),
    "tempered": lambda: TemperedLinear(LINEAR, 0.8),
    "tempered-auto": lambda: TemperedLinear(LINEAR),
    "heat": lambda: HeatFlow(LINEAR),
    "bent-constant": lambda: Tempered(BENT, 0.0, FIRST, torch.zeros(1, D, dtype=F64)),
    "bent-tempered": lambda: Tempered(BENT, 0.8, FIRST, torch.zeros(1, D, dtype=F64)),
    "bent-denoised": lambda: Denoised(BENT, 0.8, GaussianModel(gaussian(), FIRST.sqrt()), torch.zeros(1, D, dtype=F64)),
    "bent-auto": lambda: Tempered(BENT, None, FIRST, torch.ones(1, D, dtype=F64)),
}


def mixture(seed):
    """Two round modes, and log p(x, tau) written out."""
    g = torch.Generator().manual_seed(seed)
    log_weights, means = (
        torch.randn(2, generator=g, dtype=F64).log_softmax(0),
        torch.randn(2, D, generator=g, dtype=F64),
    )
    variance = 0.2 + torch.rand(2, generator=g, dtype=F64)
    denoiser = MixtureDenoiser(log_weights, means, IdentityBasis(), variance[:, None].expand(2, D))

    def log_p(x, tau):
        total = variance + tau
        return (
            log_weights - 0.5 * ((x - means) ** 2).sum(1) / total - 0.5 * D * torch.log(2 * torch.pi * total)
        ).logsumexp(0)

    return denoiser, log_p


def plain_mu(potential, x, tau):
    """mu_tau(x) by formulas that functional differentiation can take."""
    if isinstance(potential, Flat):
        return 0 * x.sum() * tau
    if isinstance(potential, Denoised):
        prior, v = gaussian(), 1.1  # the mean of the variances
        c = prior.surrogate(torch.tensor(torch.inf, dtype=F64)).apply(torch.eye(D, dtype=F64))
        x = prior.mean + c @ torch.linalg.solve(c + tau * torch.eye(D, dtype=F64), x - prior.mean)
        r = BENT.y[0] - (torch.tanh(W @ x) + 0.3 * (W @ x) ** 2)
        loss = 0.5 * ((r / STD) ** 2).sum() + 0.5 * torch.log(2 * torch.pi * STD**2).sum()
        return loss / (1 + 0.64 * v * tau / (v + tau))
    if isinstance(potential, Tempered):
        r = BENT.y[0] - (torch.tanh(W @ x) + 0.3 * (W @ x) ** 2)
        constant = (STD.log() + 0.5 * torch.log(torch.tensor(2 * torch.pi, dtype=F64))).sum()
        b, first = 1 / (1 + potential.gamma2[0] * tau), 1 / (1 + potential.gamma2[0] * FIRST)
        first = first * (potential.gamma2[0] > 0)
        return (b - first) / (1 - first) * (0.5 * ((r / STD) ** 2).sum() + constant)
    r = Y[0] - W @ x
    if isinstance(potential, HeatFlow):
        s = torch.diag(STD**2) + tau * W @ W.T
        return 0.5 * r @ torch.linalg.solve(s, r) + 0.5 * torch.logdet(2 * torch.pi * s)
    beta = 1 / (1 + potential.gamma2 * tau) if isinstance(potential, TemperedLinear) else 1
    return beta * (0.5 * ((r / STD) ** 2).sum() + 0.5 * torch.log(2 * torch.pi * STD**2).sum())


@pytest.mark.parametrize("powers", [(1,), (1.7,), (-0.5, 1.3)])
@pytest.mark.parametrize("name", POTENTIALS)
def test_rate_solves_the_feynman_kac_equation(name, powers):
    potential, (priors, logs) = POTENTIALS[name](), zip(*(mixture(s) for s in range(len(powers))), strict=True)
    prior = PowerPrior(priors, list(powers), FIRST.sqrt())
    g = torch.Generator().manual_seed(len(name))
    for _ in range(2):
        g2, c = (4 * torch.rand(2, generator=g, dtype=F64)).tolist()
        x, tau = torch.randn(D, generator=g, dtype=F64), 0.1 + 4 * torch.rand((), generator=g, dtype=F64)
        moves = Moves(g2, c)

        def mu(x, t):
            return plain_mu(potential, x, t)

        def log_q(x, t):
            return sum(b * log_p(x, t) for b, log_p in zip(powers, logs, strict=True)) - mu(x, t)

        def flow(x, moves=moves, tau=tau):
            force = prior.at(x[None], tau.sqrt())
            return moves.a * force.pooled[0] + force.lead[0] - moves.c * grad(mu)(x, tau)

        slope, lap = grad(log_q)(x, tau), hessian(log_q)(x, tau).trace()
        f, divergence = flow(x), jacfwd(flow)(x).trace()
        wanted = -grad(log_q, 1)(x, tau) + divergence + f @ slope - 0.5 * g2 * (lap + slope @ slope)
        reading = potential.read(x[None], tau)
        torch.testing.assert_close(reading.value[0], mu(x, tau), rtol=0, atol=1e-10)
        laplacian = hessian(mu)(x, tau).trace()
        found = log_weight_rate(moves, reading, laplacian, prior.at(x[None], tau.sqrt()))
        torch.testing.assert_close(found[0], wanted, rtol=1e-10, atol=1e-10)  # rounding of sums of a few hundred


@pytest.mark.parametrize("name", POTENTIALS)
def test_laplacian(name):
    """Exact for linear data; else the mean over random signs."""
    potential, tau = POTENTIALS[name](), torch.tensor(0.5, dtype=F64)
    x = torch.randn(D, generator=torch.Generator().manual_seed(1), dtype=F64)
    wanted = hessian(lambda x: plain_mu(potential, x, tau))(x).trace()
    found = potential.laplacian(x.expand(1000, D), tau, MemberStreams(0, [0], range(1000), F64))
    error = 4.5 * float(found.std()) / 1000**0.5  # standard errors
    torch.testing.assert_close(found.mean(), wanted, rtol=1e-12, atol=error + 1e-12)


@pytest.mark.parametrize("name", ["constant", "tempered", "heat"])
def test_pull_and_exact_start_of_linear_potentials(name):
    """pull is the integral of lambda = s^2 kappa; the start's law and weight are those of a Gaussian conditioned."""
    potential = POTENTIALS[name]()
    tau, tau_s = torch.tensor(2.0, dtype=F64), torch.tensor(0.3, dtype=F64)
    grid = torch.linspace(0.3, 2.0, 4001, dtype=F64)
    rate = torch.stack([potential.s2 * potential.share(t)[0] for t in grid])
    torch.testing.assert_close(potential.pull(tau, tau_s), torch.trapezoid(rate, grid, dim=0), rtol=1e-6, atol=0)
    members, variance = 5000, torch.tensor(1.7, dtype=F64)
    centre = torch.tensor([0.4, -1.0, 0.2], dtype=F64)
    x, log_weight = potential.start(
        centre.expand(members, D), variance, tau, MemberStreams(0, [0], range(members), F64)
    )
    precision = torch.eye(D, dtype=F64) / variance + hessian(lambda x: plain_mu(potential, x, tau))(centre)
    mean = centre - torch.linalg.solve(precision, grad(lambda x: plain_mu(potential, x, tau))(centre))
    covariance = torch.linalg.inv(precision)
    log_q = -0.5 * ((mean - centre) ** 2).sum() / variance - plain_mu(potential, mean, tau)
    torch.testing.assert_close(log_weight[0], log_q + 0.5 * torch.logdet(covariance / variance), rtol=0, atol=1e-10)
    error = (x.mean(0) - mean) / (covariance.diagonal() / members).sqrt()
    assert error.abs().max() < 4  # standard errors
    variance = covariance.diagonal()
    error = (torch.cov(x.T) - covariance) / ((variance[:, None] * variance + covariance**2) / members).sqrt()
    assert error.abs().max() < 4
