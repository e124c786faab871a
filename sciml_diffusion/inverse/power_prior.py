"""Powers and products of priors at every noise level, by the scores of their denoisers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..samplers.streams import MemberStreams


@dataclass(frozen=True)
class Force:
    """What a prior does at x, but for mu.

    Arguments:
        pooled: B, with shape (N, *event).
        lead: h, the same shape.
        rate: 1/2 (|B|^2 - sum_i b_i |S_i|^2) + div h + <h, B>, float64, with shape (N,).
    """

    pooled: Tensor
    lead: Tensor
    rate: Tensor


class PowerPrior:
    """prod_i p_i^{b_i} at every noise level, by its scores S_i.

    Where a model is needed p_i is taken for N(m_i, C_i): the mean and covariance that the denoiser states, or else
    C = v I, with m and v read off it at the first level, D(+-sigma z) = m + v (v + sigma^2)^{-1} (+-sigma z - m).

    Arguments:
        denoisers: of p_i, for one event shape.
        powers: b_i, with a sum > 0.
        sigma: the first level, shape ().

    Raises:
        ValueError: where the sum of the powers is not > 0, or the events differ.
    """

    def __init__(self, denoisers: Sequence[Denoiser], powers: Sequence[float], sigma: Tensor):
        events = [tuple(denoiser.event) for denoiser in denoisers]
        if len(powers) != len(events) or not sum(powers) > 0 or len(set(events)) != 1:
            raise ValueError(f"need one power for each prior, with a sum > 0, and one event; got {powers} and {events}")
        self.denoisers, self.powers, self.total, self.event = list(denoisers), list(powers), sum(powers), events[0]
        self.models = [GaussianModel(denoiser, sigma) for denoiser in denoisers]
        parts = zip(powers, self.models, strict=True)
        self.scale = sum(abs(b) * model.scale for b, model in parts) / sum(abs(b) for b in powers)

    @property
    def single(self) -> bool:
        """Whether this is one prior as it is."""
        return self.powers == [1]

    def at(self, x: Tensor, sigma: Tensor) -> Force:
        """B, h and their rate at x (N, *event); sigma ()."""
        scores = [(denoiser(x, sigma) - x) / sigma**2 for denoiser in self.denoisers]
        pooled = sum(b * score for b, score in zip(self.powers, scores, strict=True))
        if self.single:
            return Force(pooled, torch.zeros_like(x), x.new_zeros(len(x), dtype=torch.float64))
        rate = 0.5 * (dot(pooled, pooled) - sum(b * dot(s, s) for b, s in zip(self.powers, scores, strict=True)))
        share, models = 0.5 * (1 / self.total - 1), list(zip(self.powers, self.models, strict=True))
        lead = share * sum(b * model.score(x, sigma) for b, model in models)
        divergence = share * sum(b * model.divergence(sigma) for b, model in models)
        return Force(pooled, lead, rate + divergence + dot(lead, pooled))

    def mean(self, x: Tensor, pooled: Tensor, sigma: Tensor) -> Tensor:
        """x + sigma^2 B / b: D for one prior, else the mean of the D_i weighted by b_i; shapes (N, *event)."""
        return x + sigma**2 * pooled / self.total

    def base(self, sigma: Tensor, streams: MemberStreams) -> tuple[Tensor, Tensor, Tensor]:
        """Centres (rows, *event), variance () and log-mass () with which q without mu is N(centre, variance) at sigma.

        Exact for one prior, whose centres are draws from it; else with C_i = v_i I, which is exact as sigma^2 grows
        beyond the variances of the priors.
        """
        tau = sigma**2
        if self.single:
            return self.denoisers[0].start(torch.zeros_like(sigma), streams), tau, tau.new_zeros(())
        means, totals = [model.mean for model in self.models], [model.scale + tau for model in self.models]
        precisions = [b / total for b, total in zip(self.powers, totals, strict=True)]
        precision = sum(precisions)
        mean = sum(p * m for p, m in zip(precisions, means, strict=True)) / precision
        logs = sum(b * torch.log(2 * torch.pi * total) for b, total in zip(self.powers, totals, strict=True))
        square = sum(p * (m**2).sum() for p, m in zip(precisions, means, strict=True)) - precision * (mean**2).sum()
        mass = 0.5 * (mean.numel() * (torch.log(2 * torch.pi / precision) - logs) - square)
        return mean.expand(streams.rows, *self.event), 1 / precision, mass


class GaussianModel:
    """N(m, C) in the place of a prior: `mean` m, and `scale` the mean variance of a coordinate; see `PowerPrior`.

    Arguments:
        denoiser: of the prior.
        sigma: the level at which it is probed, shape ().
    """

    def __init__(self, denoiser: Denoiser, sigma: Tensor):
        mean, covariance = denoiser.prior_mean(), denoiser.surrogate(torch.full_like(sigma, torch.inf))
        z = torch.randn(tuple(denoiser.event), generator=torch.Generator().manual_seed(0), dtype=torch.float64).sign()
        z = z.to(sigma.device, sigma.dtype) * sigma
        up, down = denoiser(torch.stack([z, -z]), sigma)
        gain = (((up - down) * z).sum() / (2 * (z**2).sum())).clamp(0, 1 - 1e-3)
        self.covariance = covariance
        self.mean = (up + down) / 2 / (1 - gain) if mean is None else mean.to(sigma)
        self.variance = sigma**2 * gain / (1 - gain) if covariance is None else covariance.variance.to(sigma)
        self.scale = self.variance if covariance is None else self.variance.mean()

    def typical(self, count: int) -> Tensor:
        """Some draws from the model, always the same, with shape (count, *event)."""
        z = torch.randn(count, *self.mean.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        z = z.to(self.mean)
        return self.mean + (self.variance.sqrt() * z if self.covariance is None else self.covariance.sqrt(z))

    def score(self, x: Tensor, sigma: Tensor) -> Tensor:
        """-(C + sigma^2)^{-1} (x - m), shape (N, *event) -> (N, *event)."""
        if self.covariance is None:
            return (self.mean - x) / (self.variance + sigma**2)
        basis = self.covariance.basis
        return basis.inverse(basis(self.mean - x) / (self.variance + sigma**2))

    def divergence(self, sigma: Tensor) -> Tensor:
        """-trace (C + sigma^2)^{-1}, float64, shape ()."""
        size = self.mean.numel() if self.covariance is None else self.mean.numel() / self.variance.numel()
        return -(size / (self.variance + sigma**2).double()).sum()


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of rows, float64: shapes (N, *event) -> (N,)."""
    return (a.double() * b.double()).flatten(1).sum(1)
