"""Twisted sequential Monte Carlo: guided paths whose weights correct the guidance exactly."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .deciding import PILOT, deciding_levels
from .gaussian_step import IsotropicStep
from .resample import Population


class MomentMatchedSMC(PosteriorMethod):
    """Twisted SMC for denoisers without a shared surrogate, with few sensors: mixtures, or any exact denoiser.

    Twist h_t = N(y; A D, R + sigma^2 A J A^T), J = dD/dx_t, determinant included. Prior kernel P = N(m, (v + c^2 w) I),
    w the variance within one mode where the denoiser knows it (else 0): the correction of few steps. Proposal
    Q = N(m + c sigma_t^2 g, v I + c^2 V), g = J A^T (R + sigma^2 A J A^T)^{-1} (y - A D) the gradient of log h with the
    matrix frozen and V = w I - w^2 A^T (R + w A A^T)^{-1} A what y leaves of w. Any proposal is legal, since the weight
    h_s P / (h_t Q) uses h itself; for one mode of covariance s^2 I this one makes it constant. The last step draws
    x ~ N(D, w I) given y and puts the likelihood itself in the place of h; the set is returned with its weights.
    Costs m backward passes a step, and an m x m eigendecomposition for each particle.

    Weights differ where the modes part. There the levels are densest (`deciding_levels`), and `pool` K particles go
    down the path, of which K are kept at its end, by systematic resampling: their mode weights are as good as those of
    the pool, and the members come out of equal weight.

    Source: Wu et al., 2023 (TDS), with the covariance of Rozet et al., 2024; the narrowed proposal is this package's.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        trigger: share of the particles below which a family is resampled; 0 never resamples.
        pool: particles for each member, >= 1.

    Raises:
        ValueError: where pool is below 1.
    """

    def __init__(self, sigmas: Tensor, trigger: float = 0.25, pool: int = 1):
        super().__init__(sigmas)
        if pool < 1:
            raise ValueError(f"pool must be at least 1 particle for each member; got {pool}")
        self.trigger, self.pool = trigger, pool

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, Tensor, dict]:
        """Members of shape (B K, *event), log-weights (B, K), diagnostics."""
        windows, members, streams = len(observation.y), len(streams.members), streams.pooled(self.pool)
        sigmas = deciding_levels(denoiser, self.sigmas, streams.pilot(PILOT))
        levels, twist = self.levels(streams, sigmas), MomentTwist(denoiser, observation, streams.dtype)
        population = Population(windows, streams.rows // windows, self.trigger, streams.device)
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
        x = isotropic.draw(mean, within, streams)
        if self.pool > 1:
            x = x[population.thin(members, streams, x)]
        return x, population.log_weights, population.diagnostics()


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
        within = self.denoiser.within_variance(x_t, sigma)
        return mean, guide, x_t.new_zeros(members) if within is None else within, log_h
