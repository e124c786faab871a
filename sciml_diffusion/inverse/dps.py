"""DPS: diffusion posterior sampling, the baseline that most texts compare with."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..observations.observation import Observation
from ..samplers.sde import bridge
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod


class DPS(PosteriorMethod):
    """x_s = ancestral step - zeta sqrt((1 + sigma_t^2)(1 + sigma_s^2)) grad_{x_t} ||y - A D(x_t)||, a norm per member.

    The scale is that of a unit step in variance-preserving coordinates. This is the one method here that does not know
    the noise: neither its size nor its law enters, sensors of different units count by their numbers, and no zeta makes
    it a sampler of p(x | y). The norm is that of one member, never of the batch, so the result does not depend on the
    batch; its gradient is taken as 0 where the residual is 0. Where noise is not Gaussian, the residual is that of the
    Gaussian near A D (`Observation.local`): counts are compared in the units of A x, agreeing switches hardly count.

    Source: Chung et al., Diffusion posterior sampling for general noisy inverse problems, 2022.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        zeta: step size, in the units of the event over those of y.
    """

    needs = "gradient"

    def __init__(self, sigmas: Tensor, zeta: float = 0.3):
        super().__init__(sigmas)
        self.zeta = zeta

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, None, dict]:
        """Members of shape (B K, *event); no weights."""
        levels = self.levels(streams)
        x_t = denoiser.start(levels[0][1], streams)
        for n, ((_, sigma_t), (_, sigma_s)) in enumerate(zip(levels, levels[1:], strict=False)):
            mean, pull = denoiser.vjp(x_t, sigma_t)
            residual, _, slope = observation.local(mean)
            residual = residual.to(mean)
            unit = residual / residual.norm(dim=1, keepdim=True).clamp_min(torch.finfo(x_t.dtype).tiny)
            ascent = pull(slope.adjoint(unit))
            covariance = denoiser.surrogate(sigma_t)
            x = mean if covariance is None else mean + covariance.sqrt(streams.normal(denoiser.event))
            x_s = bridge(x_t, x, sigma_t, sigma_s, streams)
            x_t = x_s + self.zeta * ((1 + sigma_t**2) * (1 + sigma_s**2)).sqrt() * ascent
            callback(n + 1)
        return x_t, None, {}
