"""Checks beside the scores: fit to the data, held-out stations, uncertainty of a difference, memorisation."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..observations.observation import Observation
from .scores import normalise, summarise
from .stations import at_sensors, fields_of, sensor_values, station_points, with_time

if TYPE_CHECKING:
    import xarray as xr

HELD_OUT_BINS = 10


def residual_chi_square(x: Tensor, observation: Observation, weights: Tensor | None = None) -> Tensor:
    """sum_k w_k sum_i ((y_i - (A x_k)_i) / std_i)^2 / m: the fit of an ensemble to the data that it saw.

    Its expectation is 1 for an exact posterior, since (x_k, y) then has the law of (truth, y). Well above 1: the
    members do not meet the data, or std is stated too small. Well below 1: noise is fitted, or std is too large.

    Arguments:
        x: members, physical, with shape (B, K, *event).
        observation: y (B, m), A and std (m,), on physical events.
        weights: with shape (B, K) or (K,); None means equal.

    Returns:
        One number for each window, with shape (B,), float64.
    """
    w = normalise(weights, x.shape, 1).to(x.device).expand(len(x), -1)
    seen = observation.operator(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    residual = ((observation.y[:, None].to(seen) - seen) / observation.std.to(seen)).to(torch.float64)
    return (w * (residual**2).mean(-1)).sum(1)


def dataset_chi_square(post: "xr.Dataset", obs: "xr.Dataset") -> dict:
    """`residual_chi_square` of a posterior as xarray at a sensor table: {variable: number}, pooled over the rows.

    Raises:
        ValueError: no row lies inside the posterior's times and domain.
    """
    post, out = with_time(post), {}
    for name in fields_of(post):
        rows, x, weights = at_sensors(post, name, obs)
        if not len(rows):
            continue
        value, std = sensor_values(obs, name, post[name].attrs.get("units", ""))
        residual = (x - torch.from_numpy(value[rows])[:, None]) / torch.from_numpy(std[rows])[:, None]
        out[name] = float((weights * residual**2).sum(1).mean())
    if not out:
        raise ValueError("no sensor of a variable of the posterior lies inside its times and domain")
    return out


def held_out_scores(results: "list[tuple[xr.Dataset, xr.Dataset]]", seed: int = 0) -> dict:
    """Scores over several folds of held-out stations, pooled point by point: {variable: scores as in `summarise`}.

    Arguments:
        results: for each fold the posterior, and the table of the stations that it did not see.
        seed: of the noise that is added to the members, and of the randomised PIT.

    Raises:
        ValueError: no results; a fold with no held-out row inside the posterior.
    """
    if not results:
        raise ValueError("held_out_scores needs at least one pair (posterior, table of held-out sensors)")
    pools: dict[str, list] = {}
    for fold, (post, table) in enumerate(results):
        generator, post = np.random.default_rng([seed, fold]), with_time(post)
        there = set(np.asarray(table["variable"].values).astype(str))
        for name in fields_of(post):
            if name in there or "" in there:
                pools.setdefault(name, []).append(station_points(post, table, name, None, generator))
    if not pools:
        raise ValueError("the held-out sensors are of none of the posterior's variables")
    joined = {name: {key: torch.cat([p[key] for p in pool]) for key in pool[0]} for name, pool in pools.items()}
    return {name: summarise(pool, bins=HELD_OUT_BINS) for name, pool in joined.items()}


def paired_bootstrap(
    a, b, blocks, generator: np.random.Generator, n: int = 2000, ratio: bool = False, level: float = 0.95
) -> tuple[float, float, float]:
    """mean(a) - mean(b), or mean(a) / mean(b), of paired scores, with its percentile interval from resampled blocks.

    Blocks (days, folds, trajectories) are drawn whole and with replacement, so that dependence within them counts; both
    methods get the same draw, so that what they share cancels. With fewer than about ten blocks the interval is short.

    Arguments:
        a, b: scores of two methods on the same cases, with shape (N,). Where lower is better, a negative difference
            favours a.
        blocks: label of the block of each case, with shape (N,).
        generator: of the draws. n: their number. ratio: the ratio, not the difference. level: of the interval.

    Returns:
        (difference or ratio, low, high).

    Raises:
        ValueError: shapes that differ, values that are not finite, or fewer than two blocks.
    """
    a, b = (np.asarray(v, dtype=np.float64).ravel() for v in (a, b))
    blocks = np.asarray(blocks).ravel()
    if not len(a) == len(b) == len(blocks):
        raise ValueError(f"a, b and blocks must have one length; got {len(a)}, {len(b)} and {len(blocks)}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("scores must be finite; leave out the cases that were not scored, in both methods")
    labels, index = np.unique(blocks, return_inverse=True)
    if len(labels) < 2:
        raise ValueError(f"a bootstrap needs at least two blocks; got {len(labels)}")
    count, first, second = (np.bincount(index, v, len(labels)) for v in (np.ones(len(a)), a, b))
    draws = generator.multinomial(len(labels), np.full(len(labels), 1 / len(labels)), size=n).astype(np.float64)
    draws = np.concatenate([np.ones((1, len(labels))), draws])
    top, below = draws @ first, draws @ second
    values = top / below if ratio else (top - below) / (draws @ count)
    low, high = np.quantile(values[1:], [(1 - level) / 2, (1 + level) / 2])
    return float(values[0]), float(low), float(high)


def nearest_distance(samples: Tensor, training: Tensor, held_out: Tensor | None = None, batch: int = 256) -> Tensor:
    """Memorisation check: distance of each sample to the nearest training window, in units of what is normal.

    min_j ||s_i - t_j|| / median_h min_j ||h - t_j||, over held-out windows h that are independent of the training ones.
    About 1 for samples that are as new as real data; near 0 for copies. Without held-out windows: plain distances.

    Arguments:
        samples: with shape (N, *event). training: with shape (M, *event). held_out: with shape (H, *event).
        batch: windows compared at a time.

    Returns:
        With shape (N,), float64.

    Raises:
        ValueError: events of different shapes, no windows, or held-out windows that are all in the training set.
    """
    for name, windows in (("samples", samples), ("held_out", held_out)):
        if windows is not None and (windows.shape[1:] != training.shape[1:] or not len(windows) or not len(training)):
            raise ValueError(
                f"{name} and training need windows of one shape; got {tuple(windows.shape)} and {tuple(training.shape)}"
            )
    distance = _nearest(samples, training, batch)
    if held_out is None:
        return distance
    unit = _nearest(held_out, training, batch).median()
    if not unit > 0:
        raise ValueError("the held-out windows are copies of training windows, so they give no unit of distance")
    return distance / unit


def _nearest(samples: Tensor, training: Tensor, batch: int) -> Tensor:
    mean = training.flatten(1).to(torch.float64).mean(0)
    best = torch.full((len(samples),), torch.inf, dtype=torch.float64)
    for i in range(0, len(samples), batch):
        rows = samples[i : i + batch].flatten(1).to(torch.float64) - mean
        for j in range(0, len(training), batch):
            others = training[j : j + batch].flatten(1).to(torch.float64) - mean
            least = torch.cdist(rows, others, compute_mode="use_mm_for_euclid_dist").amin(1)
            best[i : i + batch] = torch.minimum(best[i : i + batch], least.cpu())
    return best
