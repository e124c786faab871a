"""A closed-form prior from any gridded fields: climatology, anomalies, Gaussian."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..codecs.base import Codec
from ..codecs.standardise import Climatology, Standardise
from ..data.container import canonical, grid_of, to_tensor, variables_of
from ..data.statistics import anomalies, anomaly_std, hourly_mean, hours_of
from ..data.windows import contiguous_segments, window_index, window_length
from ..denoisers.gaussian import GaussianDenoiser
from ..physics.grid import Grid
from .gaussian import fit_gaussian

if TYPE_CHECKING:
    import xarray as xr

RANGE = (0.02, 20.0)  # of sigma, in units of the anomalies' standard deviation
CYCLE = 3  # days from which a mean daily cycle is estimated


def fit_prior(
    fields: "xr.Dataset", window: str | int | float = "8h", **options
) -> tuple[GaussianDenoiser, Codec, Grid, np.timedelta64 | float, tuple[dict, ...], tuple[float, float], dict]:
    """A Gaussian prior over windows of frames, in seconds.

    Dated fields of three days or more with several hours a day are anomalies from a mean daily cycle (two harmonics);
    others from the mean of each point. One standard deviation for each variable. Then `fit_gaussian`.

    Arguments:
        fields: one variable or several; a series in time, or trajectories with the dim `sample`.
        window: "8h", frames (an int) or model time (a float).
        options: of `fit_gaussian`.

    Returns:
        (denoiser, codec, grid, step, variables, sigma_range, card), the arguments of `Prior` by these names.

    Raises:
        ValueError: fields too few, too large, missing or constant; a window longer than any stretch without a gap.
    """
    data = anomalies_of(fields, window)
    feature = options.pop("feature", data.feature)
    image = len(data.grid.sizes) > 1
    denoiser, choices = fit_gaussian(data.segments, data.window, data.grid, image, feature, **options)
    card = data.card | {"name": "fit_prior", "kind": "closed-form Gaussian", "law": plain(choices)}
    return denoiser, data.codec, data.grid, data.step, data.variables, RANGE, card


@dataclass(frozen=True, eq=False)
class Anomalies:
    """Fields less their climatology, in units of their standard deviation, and what leads back to them.

    Arguments:
        segments: contiguous frames, float64, each with shape (T_i, C, *S).
        feature: amplitude of the mean daily cycle of each point, with shape S, or None.
        codec: physical windows <-> anomalies.
        grid, step, variables, window: as in `Prior`; variables are dictionaries.
        card: window, frames, and start and end of dated fields.
    """

    segments: list[Tensor]
    feature: Tensor | None
    codec: Codec
    grid: Grid
    step: np.timedelta64 | float
    variables: tuple[dict, ...]
    window: int
    card: dict


def anomalies_of(fields: "xr.Dataset", window: str | int | float) -> Anomalies:
    """Climatology and anomalies of gridded fields; arguments and errors as for `fit_prior`."""
    fields = canonical(fields)
    x, time, grid, variables = to_tensor(fields), fields["time"].values, grid_of(fields), variables_of(fields)
    dated = time.dtype.kind == "M"
    if len(time) < 2:
        raise ValueError(f"a prior needs at least 2 frames to know their step; got {len(time)}")
    step = np.diff(time).min() if dated else float(np.diff(time).min())
    frames = window_length(window, step)
    stretches = contiguous_segments(time, step)
    window_index(stretches, frames)
    trajectories = x.ndim == len(grid.sizes) + 3
    daily = dated and not trajectories and _has_daily_cycle(time)
    flat = x.flatten(0, 1) if trajectories else x
    mean, std = _daily(flat, time) if daily else _constant(flat)
    _refuse_constant(std, variables)
    deep, scale = mean.double(), std.double().movedim(1, 0)
    parts = [p.double() for p in (x if trajectories else x[None])]
    z = [(anomalies(p, deep, time) if daily else p - deep.movedim(1, 0)) / scale for p in parts]
    segments = [part[s] for part in z for s in stretches]
    shape = (flat.shape[1], frames, *grid.sizes)
    codec = (Climatology if daily else Standardise)(mean, std, shape, len(grid.sizes) > 1)
    card = {"window": frames, "frames": int(len(flat))}
    if dated:
        card |= {"start": str(time[0])[:19], "end": str(time[-1])[:19]}
    feature = _amplitude(mean / std) if daily else None
    return Anomalies(segments, feature, codec, grid, step, variables, frames, card)


def _has_daily_cycle(time: np.ndarray) -> bool:
    """Whether times have several hours of the day and enough days for their means."""
    hours, days = hours_of(time).unique(), np.unique(time.astype("datetime64[D]"))
    return len(hours) > 1 and len(days) >= CYCLE


def _daily(x: Tensor, time: np.ndarray) -> tuple[Tensor, Tensor]:
    """Mean daily cycle (C, 24, *S) and standard deviation (C, 1, *ones) of frames x (T, C, *S)."""
    harmonics = min(2, (len(hours_of(time).unique()) - 1) // 2)
    mean = hourly_mean(x, time, harmonics or None)
    return mean, anomaly_std(x, mean, time)


def _constant(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each point (C, 1, *S) and standard deviation (C, 1, *ones) of frames x (T, C, *S)."""
    mean = x.double().mean(0)
    rest = x.double() - mean
    std = rest.square().mean((0, *range(2, x.ndim)), keepdim=True)[0].sqrt()
    return mean[:, None].to(x.dtype), std[:, None].to(x.dtype)


def _amplitude(mean: Tensor) -> Tensor | None:
    """Amplitude of the mean daily cycle (C, 24, *S) in standard deviations, over variables: shape S.

    Land and sea differ in it; None where all points have the same.
    """
    known = mean[:, ~torch.isnan(mean).flatten(2).any(2).any(0)]
    amplitude = known.double().var(1, correction=0).mul(2).sum(0).sqrt()
    return amplitude if float(amplitude.std()) > 1e-3 else None


def _refuse_constant(std: Tensor, variables: tuple[dict, ...]) -> None:
    still = [v["name"] for v, s in zip(variables, std.flatten(), strict=True) if not float(s) > 0]
    if still:
        raise ValueError(f"{', '.join(still)} does not vary in these fields; leave it out")


def plain(choices: dict) -> dict:
    """Numbers as JSON knows them: None for what is not finite."""
    return {k: v if math.isfinite(v) else None for k, v in choices.items()}
