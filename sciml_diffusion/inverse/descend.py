"""From any noise level down to 0: what methods that split prior and likelihood ask of a sampler."""

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..samplers.base import Sampler
from ..samplers.streams import MemberStreams

RHO = 7.0  # exponent of the grid: most steps at small noise


def descend(
    sampler: Sampler, denoiser: Denoiser, x_t: Tensor, levels: tuple[Tensor, Tensor], steps: int, streams: MemberStreams
) -> Tensor:
    """Runs a sampler from x_t at the level sigma through `steps` levels to 0: shape (N, *event) -> (N, *event).

    Along the flow this is its end, with one step D(x_t); with the ancestral sampler, a draw of x | x_t.
    Levels sigma_i^{1/7} are evenly spaced from sigma to the end (or to sigma, where that is lower), then 0.

    Arguments:
        sampler: states the steps; its own grid is not used.
        levels: sigma and the last level above 0, each of shape ().
        steps: number of levels, the calls of a first-order sampler.
    """
    sigma, end = levels[0], torch.minimum(*levels)
    ramp = torch.linspace(0, 1, max(steps, 2), dtype=x_t.dtype, device=x_t.device)[:steps]
    grid = (sigma ** (1 / RHO) + ramp * (end ** (1 / RHO) - sigma ** (1 / RHO))) ** RHO
    for n in range(steps - 1):
        x_t = sampler.step(denoiser, x_t, grid[n], grid[n + 1], streams)
    return sampler.last(denoiser, x_t, grid[-1], streams)
