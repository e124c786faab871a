"""Twisted SMC under one name: the form that fits the denoiser."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .smc import GaussianSurrogateSMC, MomentMatchedSMC


class TwistedSMC(PosteriorMethod):
    """`GaussianSurrogateSMC` where the denoiser states a shared covariance of x | x_t, `MomentMatchedSMC` elsewhere.

    Consistent: the weighted ensemble tends to the posterior (of the sampler's own steps) as K grows.

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
        stated = denoiser.surrogate(torch.ones((), dtype=streams.dtype, device=streams.device)) is not None
        method = GaussianSurrogateSMC if stated else MomentMatchedSMC
        return method(self.sigmas, self.trigger).run(denoiser, observation, streams, callback)
