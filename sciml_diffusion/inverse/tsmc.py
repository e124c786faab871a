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
    """`GaussianSurrogateSMC` or `MomentMatchedSMC`, by what the denoiser states.

    - A surrogate that is nearly linear (Gaussians, nearly Gaussian networks): the surrogate alone, no backward pass.
    - A covariance within modes, or a surrogate far from linear: that, with `rank` directions of each member's own, and
      as many backward passes a step.
    - Neither: moment matching, with one backward pass for each sensor; its weights last for few sensors.

    Consistent: the weighted ensemble tends to the posterior (of the sampler's own steps) as K grows.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        trigger: share of the particles below which a family is resampled; 0 never resamples.
        rank: directions of each member's own, where they are used.
        pool: particles for each member, thinned at the end, where the denoiser is far from linear.
    """

    def __init__(self, sigmas: Tensor, trigger: float = 0.25, rank: int = 8, pool: int = 1):
        super().__init__(sigmas)
        self.trigger, self.rank, self.pool = trigger, rank, pool

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, Tensor, dict]:
        """Members of shape (B K, *event), log-weights (B, K), diagnostics."""
        return self.chosen(denoiser, streams).run(denoiser, observation, streams, callback)

    def chosen(self, denoiser: Denoiser, streams: MemberStreams) -> PosteriorMethod:
        """The form that fits; see the class."""
        one = torch.ones((), dtype=streams.dtype, device=streams.device)
        if denoiser.surrogate(one) is not None and denoiser.prior_mean() is not None and denoiser.nearly_linear:
            return GaussianSurrogateSMC(self.sigmas, self.trigger, 0)
        if denoiser.within(one) is None or denoiser.prior_mean() is None:
            return MomentMatchedSMC(self.sigmas, self.trigger, self.pool)
        return GaussianSurrogateSMC(self.sigmas, self.trigger, self.rank, self.pool)
