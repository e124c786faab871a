"""Deterministic samplers: the probability flow dx/dsigma = (x - D(x, sigma)) / sigma."""

from torch import Tensor

from ..denoisers.base import Denoiser
from .base import Sampler
from .streams import MemberStreams


class Euler(Sampler):
    """x_s = x_t + (sigma_s - sigma_t) d_t, d_t = (x_t - D(x_t)) / sigma_t; order 1 (DDIM). One call a step."""

    def step(self, denoiser: Denoiser, x_t: Tensor, sigma_t: Tensor, sigma_s: Tensor, streams: MemberStreams) -> Tensor:
        """One Euler step; shape (N, *event)."""
        return x_t + (sigma_s - sigma_t) * (x_t - denoiser(x_t, sigma_t)) / sigma_t


class Heun(Sampler):
    """Trapezoidal rule on the same flow: order 2, two calls a step, one on the last.

    Source: Karras et al., 2022, algorithm 1.
    """

    def step(self, denoiser: Denoiser, x_t: Tensor, sigma_t: Tensor, sigma_s: Tensor, streams: MemberStreams) -> Tensor:
        """One Heun step; shape (N, *event)."""
        d_t = (x_t - denoiser(x_t, sigma_t)) / sigma_t
        x_s = x_t + (sigma_s - sigma_t) * d_t
        d_s = (x_s - denoiser(x_s, sigma_s)) / sigma_s
        return x_t + (sigma_s - sigma_t) * (d_t + d_s) / 2
