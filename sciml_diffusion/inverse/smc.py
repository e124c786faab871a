"""Twisted sequential Monte Carlo: guided paths whose weights correct the guidance exactly."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..denoisers.covariance import Covariance
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .gaussian_step import Factor, GaussianStep, IsotropicStep
from .resample import Population


class GaussianSurrogateSMC(PosteriorMethod):
    """Twisted SMC for denoisers that state a surrogate N(D, E_sigma) of x | x_t, for many sensors.

    Prior kernel P(x_s | x_t) = N(m, v I + c^2 E_t), m = x_t + c (D_t - x_t), c = 1 - sigma_s^2/sigma_t^2,
    v = sigma_s^2 c; twist h_t = N(y; A D_t, R + A E_t A^T); proposal P h, drawn by perturb-and-solve. The weight,

        log w = log N(y; A D_s, R + A E_s A^T) - log N(y; A mu, R + A Sigma A^T),
        Sigma = (E_t^{-1} + kappa)^{-1}, kappa = 1/sigma_s^2 - 1/sigma_t^2, mu = D_t + Sigma (x_s - m) / sigma_s^2,

    asks how well the law of x given x_s that the surrogate foresaw is the one that the denoiser then states. For a
    Gaussian prior w = 1 and the log-evidence is exact, at every number of steps; elsewhere the variance of log w is
    about 0.4 m e^2 for a relative error e of the covariance. x is integrated out: to weight by N(y; A x, R) instead, at
    the drawn x, would cost a variance of m / 2 in each step. The first level is drawn the same way from the prior, the
    last x from N(D, E) given y; families are resampled (systematically) where their ESS falls below `trigger` K, but
    not at the last level.

    Source: Wu et al., Practical and asymptotically exact conditional sampling in diffusion models, 2023 (twists);
    kernel, proposal and weights are this package's own.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        trigger: share of K below which a family is resampled; 0 never resamples.
    """

    def __init__(self, sigmas: Tensor, trigger: float = 0.5):
        super().__init__(sigmas)
        self.trigger = trigger

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, Tensor, dict]:
        """Members of shape (B K, *event), log-weights (B, K), diagnostics."""
        step, levels = GaussianStep(observation, streams.dtype), self.levels(streams)[:-1]
        sigma_t = torch.full_like(levels[0][1], torch.inf)
        prior = denoiser.surrogate(sigma_t)
        if prior is None or denoiser.prior_mean() is None:
            raise ValueError("this denoiser states no mean and covariance of x; use MomentMatchedSMC or TwistedSMC")
        mean_t = denoiser.prior_mean().to(streams.dtype).expand(streams.rows, *denoiser.event)
        x_t, factor = mean_t, step.factor(prior)
        population = Population(len(observation.y), streams.rows // len(observation.y), self.trigger, streams.device)
        population.log_evidence = step.log_prob(mean_t, factor).reshape(population.shape)[:, 0]
        for n, (_, sigma_s) in enumerate(levels):
            x_s, foreseen, sigma = self._propose(step, factor, (x_t, mean_t), (sigma_t, sigma_s), streams)
            mean_s, stated = denoiser(x_s, sigma_s), denoiser.surrogate(sigma_s)
            before = step.factor(sigma)
            factor = before if _alike(sigma, stated) else step.factor(stated)
            population.reweight(step.log_prob(mean_s, factor) - step.log_prob(foreseen, before))
            x_t, mean_t, sigma_t = x_s, mean_s, sigma_s
            if n < len(levels) - 1:
                keep = population.resample(streams)
                x_t, mean_t = x_t[keep], mean_t[keep]
            callback(n + 1)
        return step.draw(mean_t, factor, streams), population.log_weights, population.diagnostics()

    @staticmethod
    def _propose(
        step: GaussianStep, factor: Factor, state: tuple[Tensor, Tensor], sigmas: tuple[Tensor, Tensor], streams
    ) -> tuple[Tensor, Tensor, Covariance]:
        """x_s given x_t and y, and the law N(mu, Sigma) of x given x_s that the surrogate foresees; all (N, *event)."""
        (x_t, mean_t), (sigma_t, sigma_s) = state, sigmas
        c = 1 - (sigma_s / sigma_t) ** 2
        x = step.draw(mean_t, factor, streams)
        x_s = x_t + c * (x - x_t) + sigma_s * c.sqrt() * streams.normal(x_t.shape[1:])
        kappa = sigma_s**-2 - sigma_t**-2
        sigma = Covariance(factor.covariance.basis, 1 / (1 / factor.covariance.variance + kappa))
        foreseen = mean_t + sigma.apply(x_s - x_t - c * (mean_t - x_t)) / sigma_s**2
        return x_s, foreseen, sigma


class MomentMatchedSMC(PosteriorMethod):
    """Twisted SMC for denoisers without a shared surrogate, with few sensors: mixtures, or any exact denoiser.

    Twist h_t = N(y; A D, R + sigma^2 A J A^T), J = dD/dx_t, determinant included. Prior kernel P = N(m, (v + c^2 w) I),
    w the variance within one mode where the denoiser knows it (else 0): the correction of few steps. Proposal
    Q = N(m + c sigma_t^2 g, v I + c^2 V), g = J A^T (R + sigma^2 A J A^T)^{-1} (y - A D) the gradient of log h with the
    matrix frozen and V = w I - w^2 A^T (R + w A A^T)^{-1} A what y leaves of w. Any proposal is legal, since the weight
    h_s P / (h_t Q) uses h itself; for one mode of covariance s^2 I this one makes it constant. The last step draws
    x ~ N(D, w I) given y and puts the likelihood itself in the place of h; the set is returned with its weights.
    Costs m backward passes a step, and an m x m eigendecomposition for each particle.

    Source: Wu et al., 2023 (TDS), with the covariance of Rozet et al., 2024; the narrowed proposal is this package's.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        trigger: share of K below which a family is resampled; 0 never resamples.
    """

    def __init__(self, sigmas: Tensor, trigger: float = 0.5):
        super().__init__(sigmas)
        self.trigger = trigger

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, Tensor, dict]:
        """Members of shape (B K, *event), log-weights (B, K), diagnostics."""
        levels, twist = self.levels(streams), MomentTwist(denoiser, observation, streams.dtype)
        population = Population(len(observation.y), streams.rows // len(observation.y), self.trigger, streams.device)
        isotropic, x_t = IsotropicStep(observation, streams.dtype), denoiser.start(levels[0][1], streams)
        state = (x_t, *twist(x_t, levels[0][1]))
        population.reweight(state[-1])
        callback(1)
        for n in range(1, len(levels) - 1):
            keep = population.resample(streams)
            x_t, mean, guide, within, log_h = (part[keep] for part in state)
            sigma_t, sigma_s = levels[n - 1][1], levels[n][1]
            c = 1 - (sigma_s / sigma_t) ** 2
            v, shift = sigma_s**2 * c, c * sigma_t**2 * guide
            e = c * isotropic.spread(within, streams) + v.sqrt() * streams.normal(x_t.shape[1:])
            x_s = x_t + c * (mean - x_t) + shift + e
            total = (shift * (e + 0.5 * shift)).flatten(1).sum(1).double() / (v + c**2 * within).double()
            correction = isotropic.log_narrowing(e, within, v, c) - total
            state = (x_s, *twist(x_s, sigma_s))
            population.reweight(state[-1] - log_h + correction)
            callback(n + 1)
        _, mean, _, within, log_h = state
        population.reweight(isotropic.log_prob(mean, within) - log_h)
        return isotropic.draw(mean, within, streams), population.log_weights, population.diagnostics()


class MomentTwist:
    """h(x_t) = N(y; A D, R + sigma^2 A J A^T) and what the proposal needs; see `MomentMatchedSMC`.

    Arguments:
        denoiser, observation: prior and data.
        dtype: of the particles.
    """

    def __init__(self, denoiser: Denoiser, observation: Observation, dtype: torch.dtype):
        self.denoiser, self.observation = denoiser, observation
        self.rows, self.std = observation.operator.rows(dtype, observation.y.device), observation.std.double()

    def __call__(self, x_t: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns D and g, shapes (N, *event), and w and log h, shapes (N,); x_t (N, *event), sigma ()."""
        members, m, operator = len(x_t), self.observation.operator.m, self.observation.operator
        mean, pull = self.denoiser.vjp(x_t, sigma)
        jacobian = torch.stack([pull(row.expand_as(x_t)) for row in self.rows], 1)
        covariance = operator(jacobian.flatten(0, 1)).reshape(members, m, m).double() * sigma.double() ** 2
        white = (covariance + covariance.mT) / 2 / (self.std[:, None] * self.std)
        values, vectors = torch.linalg.eigh(white)
        values = 1 + values.clamp_min(0)
        y = self.observation.repeat(members // len(self.observation.y)).double()
        residual = torch.einsum("nij,ni->nj", vectors, (y - operator(mean).double()) / self.std)
        log_h = -0.5 * (residual**2 / values + values.log() + 2 * self.std.log() + math.log(2 * math.pi)).sum(1)
        solved = torch.einsum("nij,nj->ni", vectors, residual / values) / self.std
        guide = torch.einsum("ni,ni...->n...", solved.to(jacobian.dtype), jacobian)
        return mean, guide, self.denoiser.within_variance(x_t, sigma), log_h


def _alike(foreseen: Covariance, stated: Covariance) -> bool:
    """Whether two covariances agree to rounding, asked on the host only: saves a factorisation."""
    if foreseen.variance.device.type != "cpu" or foreseen.basis is not stated.basis:
        return False
    tolerance = 100 * torch.finfo(foreseen.variance.dtype).eps
    return torch.allclose(foreseen.variance, stated.variance, rtol=tolerance, atol=0.0)
