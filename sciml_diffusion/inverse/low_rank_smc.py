"""Twisted sequential Monte Carlo for many sensors: Gaussian surrogates, shared or corrected in a few directions."""

from collections.abc import Callable

from torch import Tensor

from ..denoisers.base import Denoiser
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .deciding import PILOT, deciding_levels
from .resample import Population
from .surrogate_path import SurrogatePath


class GaussianSurrogateSMC(PosteriorMethod):
    """Twisted SMC with a surrogate N(D, E_t) of x | x_t, E_t = B_sigma + rank q, for many sensors.

    B_sigma is what the denoiser states for all x_t (`within`: of a Gaussian or a trained network its surrogate, of a
    mixture the covariance within a mode). Each member adds what sigma^2 J, the denoiser's own covariance, has beyond it
    in q directions: those between the modes, where the denoiser knows them (`between`); else all that the data see, if
    that is at most q, and directions found by subspace iteration with sigma^2 J - B from level to level.

    Prior kernel P(x_s | x_t) = N(m, v I + c^2 E_t), m = x_t + c (D_t - x_t), c = 1 - sigma_s^2/sigma_t^2,
    v = sigma_s^2 c; twist h_t = N(y; A D_t, R + A E_t A^T); proposal P h, drawn by perturb-and-solve. The weight,

        log w = log N(y; A D_s, R + A E_s A^T) - log N(y; A mu, R + A Sigma A^T),
        Sigma = (E_t^{-1} + kappa)^{-1}, kappa = 1/sigma_s^2 - 1/sigma_t^2, mu = D_t + Sigma (x_s - m) / sigma_s^2,

    asks how well the law of x given x_s that the surrogate foresaw is the one that the denoiser then states. Any E_t
    that is a function of the path gives valid weights. For a Gaussian prior w = 1 and the log-evidence is exact, at
    every number of steps; elsewhere the variance of log w is about 0.4 m e^2 for a relative error e of the covariance.
    x is integrated out: to weight by N(y; A x, R) instead, at the drawn x, would cost a variance of m / 2 in each step.
    The first level is drawn the same way from N(mean, Cov[x]), the last x from N(D, E) given y: sigma_min must be so
    small that x | x_t has one mode. Families are resampled (systematically) where their ESS falls below `trigger` K,
    but not at the last level.

    Cost of a step: one network call, q backward passes, one factorisation m^3 / 3, and O(K q n m) for the directions.

    Source: Wu et al., Practical and asymptotically exact conditional sampling in diffusion models, 2023 (twists);
    kernel, proposal and weights are this package's own.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        trigger: share of K below which a family is resampled; 0 never resamples.
        rank: most directions q for a member, >= 0; 0 takes B_sigma alone and no backward pass.
        pool: particles for each member, >= 1; those beyond K are thinned away at the end (`Population.thin`), and the
            levels are densest where the modes part (`deciding_levels`): for few sensors, where modes are at stake.

    Raises:
        ValueError: where the rank is negative, pool is below 1, or the grid does not end in 0.
    """

    def __init__(self, sigmas: Tensor, trigger: float = 0.5, rank: int = 0, pool: int = 1):
        super().__init__(sigmas)
        if rank < 0:
            raise ValueError(f"rank is a number of directions, >= 0; got {rank}")
        if pool < 1:
            raise ValueError(f"pool must be at least 1 particle for each member; got {pool}")
        self.trigger, self.rank, self.pool = trigger, rank, pool

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, Tensor, dict]:
        """Members of shape (B K, *event), log-weights (B, K), diagnostics."""
        windows, members, streams = len(observation.y), len(streams.members), streams.pooled(self.pool)
        sigmas = deciding_levels(denoiser, self.sigmas, streams.pilot(PILOT)) if self.pool > 1 else self.sigmas
        levels, path = self.levels(streams, sigmas)[:-1], SurrogatePath(denoiser, observation, streams, self.rank)
        population = Population(windows, streams.rows // windows, self.trigger, streams.device)
        state, log_evidence = path.start()
        population.log_evidence = log_evidence.reshape(population.shape)[:, 0]
        for n, (_, sigma) in enumerate(levels):
            state, gain = path.advance(state, n + 1, sigma, path.noise(streams))
            population.reweight(gain)
            if n < len(levels) - 1:
                state = state.select(population.resample(streams))
            callback(n + 1)
        x = path.finish(state, *path.noise(streams)[:2])
        if self.pool > 1:
            x = x[population.thin(members, streams, x)]
        return x, population.log_weights, population.diagnostics()
