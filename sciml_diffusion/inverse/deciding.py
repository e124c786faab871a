"""Noise levels where they matter: many where the modes of x | x_t part, few where a Gaussian would do."""

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..samplers.streams import MemberStreams

NODES, FLOOR, POWER = 48, 0.2, 1 / 3
PILOT = 64  # draws of the prior that choose the levels


def deciding_levels(denoiser: Denoiser, sigmas: Tensor, streams: MemberStreams) -> Tensor:
    """The same number of levels between the same bounds, with density FLOOR + (1 - FLOOR) b^{1/3} / mean in ln sigma.

    b(sigma) = E tr(Cov[x | x_t] - w I) / sigma^2, w the variance within one mode, is what the information that x_t has
    about x (d I / d ln sigma = E tr Cov / sigma^2) tells of the mode: it is 0 for one round mode, where every grid is
    exact. The expectation is over the prior's own x_t, the trace by random signs. Grids stay as they are where the
    denoiser does not know w, for then nothing is known of its modes.

    Source: Guo, Shamai and Verdu, Mutual information and minimum mean-square error in Gaussian channels, 2005.

    Arguments:
        denoiser: of the prior, with an exact `start`.
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        streams: random numbers of the pilot, one row for each of its x_t.
    """
    nodes = torch.logspace(float(sigmas[0].log10()), float(sigmas[-2].log10()), NODES, dtype=torch.float64)
    excess = []
    for sigma in nodes.to(streams.dtype).to(streams.device):
        x_t, signs = denoiser.start(sigma, streams), streams.normal(denoiser.event).sign()
        within = denoiser.within_variance(x_t, sigma)
        if within is None:
            return sigmas
        _, pull = denoiser.vjp(x_t, sigma)
        total = (signs * pull(signs)).flatten(1).sum(1) * sigma**2
        excess.append(((total - within * x_t[0].numel()) / sigma**2).mean().clamp_min(0))
    density = torch.stack(excess).double().cpu() ** POWER
    mean = density.mean()
    density = FLOOR + (1 - FLOOR) * density / mean if mean > 0 else torch.ones_like(density)
    share = torch.cat([density.new_zeros(1), ((density[1:] + density[:-1]) / 2).cumsum(0)])
    wanted = torch.linspace(0, 1, len(sigmas) - 1, dtype=torch.float64) * share[-1]
    right = torch.searchsorted(share, wanted).clamp(1, NODES - 1)
    part = (wanted - share[right - 1]) / (share[right] - share[right - 1])
    levels = torch.lerp(nodes.log()[right - 1], nodes.log()[right], part).exp()
    levels[0], levels[-1] = sigmas[0], sigmas[-2]
    return torch.cat([levels, levels.new_zeros(1)])
