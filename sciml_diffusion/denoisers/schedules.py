"""Noise schedules of other trainings: x_t' = alpha (x + sigma z), the time that a network was told at each sigma.

Any Gaussian noising x' = a x + s z is that of this package, x_t = x + sigma z, seen as x' = a x_t at sigma = s / a.
So a schedule is two functions of sigma: the scale a, and the time t that the network was trained to read.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Schedule(nn.Module, ABC):
    """alpha(sigma) and time(sigma), any shape -> the same; forward is their pair."""

    @property
    def arguments(self) -> dict:
        """Constructor arguments, from which the schedule can be rebuilt."""
        return {}

    def alpha(self, sigma: Tensor) -> Tensor:
        """a, by default that of variance preserving noise, a^2 + s^2 = 1: 1 / sqrt(1 + sigma^2), shape of sigma."""
        return (1 + sigma**2).rsqrt()

    @abstractmethod
    def time(self, sigma: Tensor) -> Tensor:
        """t, what the network reads, with the shape of sigma."""

    def forward(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and time, each with the shape of sigma."""
        return self.alpha(sigma), self.time(sigma)


class DiscreteVP(Schedule):
    """DDPM: abar_k = prod_{j <= k} (1 - beta_j), sigma_k^2 = (1 - abar_k) / abar_k; t is k, from 0.

    Between two k, t is linear in ln sigma; outside of them it stays at the ends.
    Source: Ho et al., Denoising diffusion probabilistic models, 2020.

    Arguments:
        betas: in (0, 1), with shape (T,): linspace(1e-4, 0.02, 1000) in the paper.
        whole: whether the network takes whole k alone, as from a table of embeddings.

    Raises:
        ValueError: where a beta lies outside of (0, 1).
    """

    def __init__(self, betas: Tensor, whole: bool = False):
        super().__init__()
        if betas.ndim != 1 or len(betas) < 2 or not ((betas > 0) & (betas < 1)).all():
            raise ValueError(f"betas must be at least 2 numbers in (0, 1); got shape {tuple(betas.shape)}")
        self.whole = whole
        self.register_buffer("betas", betas, persistent=False)
        log_alpha_bar = torch.log1p(-betas.double()).cumsum(0)
        self.register_buffer("log_sigma", 0.5 * torch.expm1(-log_alpha_bar).log(), persistent=False)

    @property
    def arguments(self) -> dict:
        return {"betas": self.betas, "whole": self.whole}

    def time(self, sigma: Tensor) -> Tensor:
        known = self.log_sigma.to(sigma)
        place = sigma.log().clamp(known[0], known[-1]).contiguous()
        right = torch.searchsorted(known, place).clamp(1, len(known) - 1)
        share = (place - known[right - 1]) / (known[right] - known[right - 1])
        t = right - 1 + share
        return t.round() if self.whole else t


class LinearVP(Schedule):
    """dx = -beta(t) x / 2 dt + sqrt(beta) dw, beta = beta_min + t (beta_max - beta_min), t in [0, 1].

    ln(1 + sigma^2) = B(t) = beta_min t + (beta_max - beta_min) t^2 / 2, and t is its inverse, times `scale`.
    Source: Song et al., Score-based generative modeling through stochastic differential equations, 2021, appendix C.

    Arguments:
        beta_min, beta_max: 0 < beta_min < beta_max.
        scale: 1000 for networks that read 1000 t.
    """

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0, scale: float = 1.0):
        super().__init__()
        if not 0 < beta_min < beta_max:
            raise ValueError(f"betas must satisfy 0 < beta_min < beta_max; got {beta_min} and {beta_max}")
        self.beta_min, self.beta_max, self.scale = beta_min, beta_max, scale

    @property
    def arguments(self) -> dict:
        return {"beta_min": self.beta_min, "beta_max": self.beta_max, "scale": self.scale}

    def time(self, sigma: Tensor) -> Tensor:
        b, slope = torch.log1p(sigma**2), self.beta_max - self.beta_min
        return self.scale * 2 * b / (self.beta_min + (self.beta_min**2 + 2 * slope * b).sqrt())


class Cosine(Schedule):
    """abar = f(t) / f(0), f = cos^2(pi/2 (t + offset) / (1 + offset)), t in [0, 1], times `scale`.

    Source: Nichol and Dhariwal, Improved denoising diffusion probabilistic models, 2021 (offset 0.008); Salimans and
    Ho, Progressive distillation, 2022 (offset 0).

    Arguments:
        offset: >= 0.
        scale: of t, as the network reads it.
    """

    def __init__(self, offset: float = 0.008, scale: float = 1.0):
        super().__init__()
        if not offset >= 0:
            raise ValueError(f"the offset must be >= 0; got {offset}")
        self.offset, self.scale = offset, scale

    @property
    def arguments(self) -> dict:
        return {"offset": self.offset, "scale": self.scale}

    def time(self, sigma: Tensor) -> Tensor:
        begin = math.pi / 2 * self.offset / (1 + self.offset)
        cosine2 = math.cos(begin) ** 2 / (1 + sigma**2)
        angle = torch.atan2((1 - cosine2).sqrt(), cosine2.sqrt())  # exact near both ends
        return self.scale * (angle * (2 / math.pi) * (1 + self.offset) - self.offset)


class Flow(Schedule):
    """Straight paths x' = (1 - t) x + t z, t in [0, 1]: sigma = t / (1 - t); or with data at t = 1.

    Source: Lipman et al., Flow matching, 2023; Liu et al., Flow straight and fast, 2023.

    Arguments:
        data_at_one: whether t = 1 is data and t = 0 is noise.
        scale: of t, as the network reads it.
    """

    def __init__(self, data_at_one: bool = False, scale: float = 1.0):
        super().__init__()
        self.data_at_one, self.scale = data_at_one, scale

    @property
    def arguments(self) -> dict:
        return {"data_at_one": self.data_at_one, "scale": self.scale}

    def alpha(self, sigma: Tensor) -> Tensor:
        return 1 / (1 + sigma)

    def time(self, sigma: Tensor) -> Tensor:
        return self.scale * (1 if self.data_at_one else sigma) / (1 + sigma)


class VE(Schedule):
    """x' = x_t: networks that read sigma itself, or a logarithm of it.

    Source: Karras et al., Elucidating the design space of diffusion-based generative models, 2022 (ln(sigma) / 4).

    Arguments:
        log: the network reads log * ln(sigma); 0 for sigma itself.
    """

    def __init__(self, log: float = 0.0):
        super().__init__()
        self.log = log

    @property
    def arguments(self) -> dict:
        return {"log": self.log}

    def alpha(self, sigma: Tensor) -> Tensor:
        return torch.ones_like(sigma)

    def time(self, sigma: Tensor) -> Tensor:
        return self.log * sigma.log() if self.log else sigma
