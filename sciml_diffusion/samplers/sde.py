"""The stochastic sampler: draw x from the surrogate of x | x_t, then bridge to the next level."""

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from .base import Sampler
from .streams import MemberStreams


class Ancestral(Sampler):
    """x' ~ N(D(x_t), E_t), x_s = x_t + c (x' - x_t) + sqrt(v) z, c = 1 - sigma_s^2/sigma_t^2, v = sigma_s^2 c.

    The bridge x_s | x_t, x' of the noising process is exact; only x' ~ p(x | x_t) is approximated, by its first two
    moments. The variance of the step is v + c^2 E_t: the analytic correction of the known under-dispersion of few
    steps, which remains where the denoiser states no E_t (then x' = D: DDPM). For a Gaussian law every grid is exact.

    Source: the bridge is Ho et al. 2020, eq. 7, at alpha = 1; the variance Bao et al., Analytic-DPM, 2022.
    """

    def step(self, denoiser: Denoiser, x_t: Tensor, sigma_t: Tensor, sigma_s: Tensor, streams: MemberStreams) -> Tensor:
        """One ancestral step; shape (N, *event)."""
        return bridge(x_t, denoiser.draw(x_t, sigma_t, streams), sigma_t, sigma_s, streams)

    def last(self, denoiser: Denoiser, x_t: Tensor, sigma_t: Tensor, streams: MemberStreams) -> Tensor:
        """x ~ N(D(x_t), E_t), with shape (N, *event)."""
        return denoiser.draw(x_t, sigma_t, streams)


def bridge(x_t: Tensor, x: Tensor, sigma_t: Tensor, sigma_s: Tensor, streams: MemberStreams) -> Tensor:
    """Draws x_s | x_t, x for sigma_s < sigma_t (shape ()): N(x_t + c (x - x_t), sigma_s^2 c), shape (N, *event)."""
    c = 1 - (sigma_s / sigma_t) ** 2
    return torch.lerp(x_t, x, c) + sigma_s * c.sqrt() * streams.normal(x_t.shape[1:])
