"""Window by window: from bound observations to one weighted ensemble over a longer period."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..denoisers.wrapped import Chunked
from ..ensemble import WeightedEnsemble
from ..observations.innovations import Innovations
from ..observations.observation import Observation
from ..observations.windows import WindowGroup
from ..prior import Prior
from ..samplers.sde import Ancestral
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .spread import spread

FAR = 5.0  # standard deviations; under a Gaussian the median is 0.7
BEYOND = 50.0  # standard deviations of a chi^2: real fields, and far from Gaussian priors, often lie 10 above
MANY = 2000  # sensors whose covariance is not factored for a warning
TRACES = ("ess", "roots", "family_ess", "log_evidence", "noise_scale_mean")


@dataclass
class Reconstruction:
    """Posterior ensembles of W consecutive windows, in time order.

    Arguments:
        x: physical members, with shape (W, K, C, T, *S).
        time: frames of each window, with shape (W, T).
        log_weights: with shape (W, K).
        diagnostics: one number for each window, shape (W,), by name; NaN where the method has none.
        network_calls, operator_calls: calls for each member, the mean over windows.
        choices: the method of each window and why, where the method chose it (`Auto`), W texts; else empty ones.
    """

    x: Tensor
    time: np.ndarray
    log_weights: Tensor
    diagnostics: dict[str, np.ndarray]
    network_calls: float
    operator_calls: float
    choices: tuple[str, ...] = ()


def reconstruct(
    prior: Prior,
    groups: Sequence[WindowGroup],
    method: PosteriorMethod,
    members: int,
    seed: int,
    rows: int = 256,
    callback: Callable[[int], None] | None = None,
    batch_rows: int | None = None,
) -> Reconstruction:
    """Samples p(x | y) for each window; windows of one layout share their linear algebra and travel as one batch.

    In a group of processes each passes its share of the members through the network; all return the whole.

    Arguments:
        prior: p(x) over windows.
        groups: windows by layout, as `observations.windows.bind` makes them.
        method: posterior method with its noise grid.
        members: K.
        seed: of the member streams, which are keyed by (seed, window, member).
        rows: at most so many members of all windows are in memory at once.
        callback: called after each step with the number of windows it advanced.
        batch_rows: at most so many members pass through the network at once; None for all of them.
    """
    denoiser = spread(prior.denoiser if batch_rows is None else Chunked(prior.denoiser, batch_rows))
    count = sum(len(group.index) for group in groups)
    x, log_weights, time = [None] * count, [None] * count, [None] * count
    diagnostics = {name: np.full(count, np.nan) for name in TRACES}
    calls, choices = np.zeros(2), [""] * count
    share = max(1, rows // members)
    for group in groups:
        for first in range(0, len(group.index), share):
            chunk = slice(first, first + share)
            index, times = list(group.index[chunk]), list(group.times[chunk])
            codecs = [prior.codec.at(t) for t in times]
            streams = MemberStreams(seed, index, range(members), prior.dtype, prior.device)
            ensemble = _sample(prior, denoiser, group.observation, chunk, codecs, method, streams, callback)
            for row, window in enumerate(index):
                x[window] = codecs[row].decode(ensemble.x[row]).cpu()
                log_weights[window], time[window] = ensemble.log_weights[row].cpu(), times[row]
                for name in TRACES:
                    value = ensemble.ess if name == "ess" else ensemble.diagnostics.get(name)
                    diagnostics[name][window] = np.nan if value is None else float(value[row])
                if "method" in ensemble.diagnostics:
                    choices[window] = "{}: {}".format(*(ensemble.diagnostics[key][row] for key in ("method", "reason")))
            calls += len(index) * np.array(
                [ensemble.diagnostics.get(f"{kind}_calls", 0) for kind in ("network", "operator")]
            )
    whole = (torch.stack(x), np.stack(time), torch.stack(log_weights), diagnostics)
    return Reconstruction(*whole, *(calls / count), tuple(choices))


def _sample(
    prior: Prior,
    denoiser: Denoiser,
    observation: Observation | None,
    chunk: slice,
    codecs: list,
    method,
    streams,
    callback,
) -> WeightedEnsemble:
    """Posterior of some windows of a group; a window that nobody observed gets draws of the prior."""

    def tick(step: int) -> None:
        if callback is not None:
            callback(len(codecs))

    if observation is None:
        x = Ancestral(method.sigmas)(denoiser, streams, tick)
        return WeightedEnsemble(
            x.reshape(len(codecs), -1, *x.shape[1:]),
            torch.zeros(len(codecs), len(streams.members)),
            {"network_calls": len(method.sigmas) - 1},
        )
    part = observation.select(chunk).to(prior.dtype, prior.device)
    part = part.through(codecs)
    warn_if_implausible(prior.denoiser, part.whitened()[0])
    return method.sample(denoiser, part, streams, tick)


def warn_if_implausible(denoiser: Denoiser, observation: Observation) -> None:
    """Warns of data that the prior cannot explain: of wrong units or seasons, or that contradict each other.

    Half of the observations lie more than `FAR` standard deviations from what the prior expects; or else z^T S^{-1} z
    of a window lies more than `BEYOND` of its standard deviations above its mean m, z = y - A mu ~ N(0, S). By the mean
    and covariance that the denoiser states, if it does; nothing is said of other laws and operators.

    Arguments:
        observation: in the space of the denoiser, y with shape (B, m).
    """
    if not observation.linear_gaussian:
        return
    mean, prior = denoiser.prior_mean(), denoiser.surrogate(torch.full((), torch.inf).to(observation.std))
    if mean is None or prior is None or observation.operator.m > MANY:
        return
    law = Innovations(observation, mean, prior)
    far = float((law.residual(law.w) / law.spread).abs().median())
    excess = float(((law.chi_square(law.w) - law.m) / (2 * law.m) ** 0.5).max())
    if far > FAR:
        warnings.warn(
            f"half of the observations lie {far:.0f} or more standard deviations from what the prior "
            "expects. Check their units, and that this prior speaks of the same season and place.",
            stacklevel=2,
        )
    elif excess > BEYOND:
        warnings.warn(
            "the observations contradict the prior or each other: together they are far less likely than their stated "
            f"noise allows ({excess:.0f} standard deviations of their misfit); sciml_diffusion.verdict(prior, obs) "
            "says which.",
            stacklevel=2,
        )
