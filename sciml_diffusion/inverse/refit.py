"""Does the posterior sampler reach the data, and would it reach data that come from the prior? The same for both."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..observations.noise import Gaussian
from ..observations.observation import Observation
from ..prior import Prior
from ..samplers.sde import Ancestral
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod

SIMULATED = 2**31  # before the keys of simulated windows
CHUNK = 256  # members of all windows at once


def simulated(prior: Prior, observation: Observation, codec, sigmas: Tensor, count: int, seed: int) -> Tensor:
    """Data of windows drawn from the prior: y = A x + noise, with shape (count, m).

    Arguments:
        prior: from which x is drawn.
        observation: physical: A and the law of the noise.
        codec: of the window whose data are simulated. sigmas: noise grid of the draws, with shape (n + 1,).
        count: number of simulated windows.
        seed: of the windows and of their noise.
    """
    parts = []
    for first in range(0, count, CHUNK):
        keys = range(first, min(first + CHUNK, count))
        streams = MemberStreams(seed, [SIMULATED], keys, prior.dtype, prior.device)
        with torch.no_grad():
            x = codec.decode(Ancestral(sigmas)(prior.denoiser, streams))
        parts.append(observation.operator(x).double().cpu())
    noise = torch.Generator().manual_seed(seed)
    return observation.noise.to(torch.float64, "cpu").draw(torch.cat(parts), noise)


def residual(
    prior: Prior,
    observation: Observation,
    codecs: Sequence,
    method: PosteriorMethod,
    members: int = 2,
    seed: int = 0,
    callback: Callable[[int], None] | None = None,
) -> Tensor:
    """Mean deviance of the posterior's members at the data, per sensor: chi^2 / m for Gaussian noise; shape (B,).

    About 1 for Gaussian noise and an exact posterior. Above it no x of the prior meets the data, or the sampler does
    not reach them: which of the two, `simulated` data tell, for those it should reach.

    Arguments:
        observation: physical, y with shape (B, m).
        codecs: of the B windows. method: of the posterior. members: for each window.
        callback: called with the number of windows done.
    """
    found, share = [], max(1, CHUNK // members)
    for first in range(0, len(observation.y), share):
        part = slice(first, first + share)
        index = range(first, min(first + share, len(observation.y)))
        streams = MemberStreams(seed, index, range(members), prior.dtype, prior.device)
        data = observation.select(part).to(prior.dtype, prior.device).through(list(codecs[part]))
        ensemble = method.sample(prior.denoiser, data, streams)
        found.append(deviance(data, ensemble.x, ensemble.weights).cpu())
        if callback is not None:
            callback(len(index))
    return torch.cat(found)


def deviance(observation: Observation, x: Tensor, weights: Tensor) -> Tensor:
    """sum_k w_k mean_i of -2 log p(y_i | x_k), for Gaussian noise less its constants: shape (B,).

    Arguments:
        observation: y with shape (B, m), in the space of x.
        x: with shape (B, K, *event). weights: with shape (B, K).
    """
    h = observation.operator(x.flatten(0, 1)).double()
    y = observation.repeat(x.shape[1]).double()
    noise = observation.noise.to(torch.float64, h.device)
    log_p = noise.log_prob(y, h)
    if isinstance(noise, Gaussian):
        log_p = log_p - noise.log_prob(y, y)
    return (weights * (-2 * log_p).mean(1).unflatten(0, x.shape[:2])).sum(1)
