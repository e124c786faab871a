"""Powers and products of priors at every noise level, by the scores of their denoisers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..samplers.streams import MemberStreams
from .gaussian_model import GaussianModel, dot


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

    Where a model is needed p_i is taken for N(m_i, C_i); see `GaussianModel`.

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
