"""`sciml_diffusion.verdict`: from a prior and what was observed to a verdict on both."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from .prior import Prior

if TYPE_CHECKING:
    import xarray as xr

    from .evaluate.verdict import Layout, Verdict
    from .inverse.base import PosteriorMethod

REFITS = 39  # simulated data sets where the prior is no Gaussian: the smallest p is 1 / 40
MEMBERS, STEPS = 2, 16  # of the fits


def verdict(
    prior: "Prior | str",
    obs,
    replicates: int = 999,
    refits: int | None = None,
    reference: "xr.Dataset | None" = None,
    method: "PosteriorMethod | None" = None,
    seed: int = 0,
    starts: "np.ndarray | None" = None,
) -> "Verdict":
    """Do these data contradict this prior, or their stated noise? In words, with a false alarm in 5 % of cases.

    Closed forms for nearly Gaussian priors and linear sensors with Gaussian noise. Elsewhere data sets are simulated
    from the prior, and all of them fitted as the data are: `refits` + 1 posteriors of two members.

    Arguments:
        prior: a Prior, the name of a shipped one, or its folder.
        obs: as for `posterior`.
        replicates: data sets that tell what is usual, for the closed forms.
        refits: data sets that are simulated and fitted; 0 for none; by default 39 where there is no closed form.
        reference: fields that sensors would have seen where all is well, such as those the prior was trained on; what
            is usual is then what they give, not the prior: real fields never have quite its law.
        method: of the fits; by default MMPS with 16 levels.
        seed: of all draws. starts: first frame of each window, as for `posterior`.
    Returns:
        A Verdict: p, words, tests, bias of each station, evidence by scale of the noise, leave-one-out PIT.
    Raises:
        ValueError: sensors that do not fit the prior; a reference that does not; nothing to examine.
    """
    import sciml_diffusion as sd

    from .evaluate.verdict import examine
    from .observations.measurement import bind_all

    prior = prior if isinstance(prior, Prior) else sd.load_prior(prior)
    groups = [group for group in bind_all(obs, prior, starts) if group.observation is not None]
    if refits is None:
        refits = 0 if all(_closed(prior, group.observation) for group in groups) else REFITS
    sets = _usual(prior, groups, replicates, refits, reference, seed)
    closed = zip(groups, sets, strict=True) if _moments(prior) is not None else ()
    layouts = [_layout(prior, group, obs, drawn) for group, drawn in closed if group.observation.linear_gaussian]
    fitted = _residuals(prior, groups, sets, method, seed) if refits else None
    return examine(layouts, replicates, seed, fitted)


def _usual(prior: Prior, groups: list, replicates: int, refits: int, reference, seed: int) -> list:
    """Data sets of every group that tell what is usual, (N, B, m) each; None where closed forms draw them."""
    from .evaluate.replay import replayed
    from .inverse.refit import simulated
    from .samplers.grids import karras_sigmas

    if reference is not None:
        return replayed(reference, groups, prior, refits or replicates, seed)
    if not refits:
        return [None] * len(groups)
    sigmas, sets = karras_sigmas(STEPS, *prior.sigma_range), []
    for g, group in enumerate(groups):
        codecs = [prior.codec.at(times) for times in group.times]
        keys = [seed + 1000 * g + b for b in range(len(codecs))]
        drawn = [
            simulated(prior, group.observation, codec, sigmas, refits, key)
            for codec, key in zip(codecs, keys, strict=True)
        ]
        sets.append(torch.stack(drawn, 1))
    return sets


def _moments(prior: Prior) -> tuple | None:
    """Mean and covariance of x in diffusion space, where the denoiser states both."""
    infinity = torch.full((), torch.inf, dtype=prior.dtype, device=prior.device)
    mean, covariance = prior.denoiser.prior_mean(), prior.denoiser.surrogate(infinity)
    return None if mean is None or covariance is None else (mean, covariance)


def _closed(prior: Prior, observation) -> bool:
    return observation.linear_gaussian and _moments(prior) is not None and prior.denoiser.nearly_linear


def _residuals(prior: Prior, groups: list, sets: list, method, seed: int) -> tuple:
    """Deviance per reading of the posterior of the data, (1,), and of that of every data set of `sets`, (N,)."""
    from .inverse.mmps import MMPS
    from .inverse.refit import residual
    from .samplers.grids import karras_sigmas

    method = method or MMPS(karras_sigmas(STEPS, *prior.sigma_range))
    found, total = [0.0, 0.0], 0
    for group, drawn in zip(groups, sets, strict=True):
        data, codecs = group.observation, [prior.codec.at(times) for times in group.times]
        both = torch.cat([data.y[None].to(drawn), drawn])
        parts = residual(prior, replace(data, y=both.flatten(0, 1)), codecs * len(both), method, MEMBERS, seed)
        parts = parts.reshape(len(both), -1).sum(1) * data.operator.m
        found, total = [found[0] + parts[:1], found[1] + parts[1:]], total + len(codecs) * data.operator.m
    return found[0] / total, found[1] / total


def _layout(prior: Prior, group, obs, sets) -> "Layout":
    """Innovations of a group in diffusion space, with the stations' names where a table states them."""
    from .evaluate.verdict import Layout
    from .observations.innovations import Innovations

    codecs = [prior.codec.at(times) for times in group.times]
    data = group.observation.to(prior.dtype, prior.device)
    innovations, m = Innovations(data.through(codecs), *_moments(prior)), data.operator.m
    names, times = tuple(f"number {i}" for i in range(m)), torch.zeros(m)
    if group.rows:
        rows = group.rows[0]
        names = tuple(str(name) for name in obs["station"].values[rows])
        moments = obs["time"].values[rows]
        times = torch.from_numpy(np.asarray((moments - group.times[0][0]) / prior.step, np.float64))
    drawn = None
    if sets is not None:
        seen = replace(data, y=sets.flatten(0, 1).to(data.y)).through(codecs * len(sets))
        drawn = innovations.innovations_of(seen, _moments(prior)[0]).unflatten(0, (len(sets), -1))
    return Layout(innovations, names, times, drawn)
