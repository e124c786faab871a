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

FEW = 8  # sensors: up to so many the exact covariance of what they see costs no more than a surrogate's directions


class TwistedSMC(PosteriorMethod):
    """`GaussianSurrogateSMC` or `MomentMatchedSMC`, by what the denoiser states and the number of sensors.

    - A denoiser with a surrogate that is nearly linear: the surrogate alone (q = 0), no backward pass.
    - A surrogate, but far from linear: with `rank` directions of each member's own.
    - No surrogate, but a covariance within its modes, and more than `FEW` sensors: the same.
    - All else: moment matching, with one backward pass for each sensor; its weights last for few sensors.

    Consistent: the weighted ensemble tends to the posterior (of the sampler's own steps) as K grows.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        trigger: share of K below which a family is resampled; 0 never resamples.
        rank: directions of each member's own, where they are used.
    """

    def __init__(self, sigmas: Tensor, trigger: float = 0.5, rank: int = 8):
        super().__init__(sigmas)
        self.trigger, self.rank = trigger, rank

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, Tensor, dict]:
        """Members of shape (B K, *event), log-weights (B, K), diagnostics."""
        one = torch.ones((), dtype=streams.dtype, device=streams.device)
        stated, within = denoiser.surrogate(one) is not None, denoiser.within(one) is not None
        if stated or (within and observation.operator.m > FEW):
            rank = 0 if stated and denoiser.nearly_linear else self.rank
            method = GaussianSurrogateSMC(self.sigmas, self.trigger, rank)
        else:
            method = MomentMatchedSMC(self.sigmas, self.trigger)
        return method.run(denoiser, observation, streams, callback)
