"""Twisted SMC under one name: the form that fits the denoiser."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .low_rank_smc import GaussianSurrogateSMC
from .smc import MomentMatchedSMC


class TwistedSMC(PosteriorMethod):
    """`GaussianSurrogateSMC` or `MomentMatchedSMC`, by what the denoiser states and how many sensors there are.

    - A surrogate that is nearly linear (Gaussians, nearly Gaussian networks): the surrogate alone, no backward pass.
    - Few sensors, at most `rank`, or no covariance within the modes: moment matching, one backward pass for each.
    - Else: the covariance within the modes with `rank` directions of each member's own, as many backward passes.

    Consistent: the weighted ensemble tends to the posterior (of the sampler's own steps) as K grows.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        trigger: share of the particles below which a family is resampled; 0 never resamples.
        rank: directions of each member's own, where they are used.
        pool: particles for each member, but for nearly linear denoisers, whose weights are nearly constant.
    """

    def __init__(self, sigmas: Tensor, trigger: float = 0.5, rank: int = 8, pool: int = 1):
        super().__init__(sigmas)
        self.trigger, self.rank, self.pool = trigger, rank, pool

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, Tensor, dict]:
        """Members of shape (B K, *event), log-weights (B, K), diagnostics."""
        return self.chosen(denoiser, observation, streams).run(denoiser, observation, streams, callback)

    def chosen(self, denoiser: Denoiser, observation: Observation, streams: MemberStreams) -> PosteriorMethod:
        """The form that fits; see the class."""
        one = torch.ones((), dtype=streams.dtype, device=streams.device)
        if denoiser.surrogate(one) is not None and denoiser.prior_mean() is not None and denoiser.nearly_linear:
            return GaussianSurrogateSMC(self.sigmas, self.trigger, 0)
        few = observation.operator.m <= self.rank and denoiser.surrogate(one) is None
        if few or denoiser.within(one) is None or denoiser.prior_mean() is None:
            return MomentMatchedSMC(self.sigmas, min(self.trigger, 0.25), self.pool)
        return GaussianSurrogateSMC(self.sigmas, self.trigger, self.rank, self.pool)
