"""Scores of a posterior as xarray against gridded fields, or against held-out sensors."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..observations.interpolation import numeric_times
from ..observations.units import convert_units
from ..physics.grid import Grid
from .places import CIRCLE, area_weights, sensor_cells
from .scores import points, summarise
from .stations import fields_of, is_table, space_of, station_points, weights_of, with_time

if TYPE_CHECKING:
    import xarray as xr

MAX_BINS = 20


def score_dataset(post: "xr.Dataset", truth: "xr.Dataset", obs: "xr.Dataset | None" = None, seed: int = 0) -> dict:
    """Scores of a posterior; weights of the members and areas of the cells are honoured, sensor cells left out.

    Arguments:
        post: fields with the dims (realization, time, *space) and, where members are weighted, weight or log_weight
            (realization, time).
        truth: fields with the dims (time, *space), in any orientation and any known units, of which the times and
            places in common are scored; or a sensor table, whose values are predicted with their noise.
        obs: table of the sensors that the posterior saw.
        seed: of the randomised PIT and of the noise added for held-out sensors.

    Returns:
        crps, rmse, spread_skill, coverage90, mae, bias, ess (mean over times), members, points, rank_histogram (list of
        shares); in the units of the posterior. Where both hold several variables, each name is followed by _VARIABLE.

    Raises:
        ValueError: no variable, time or place in common; no finite truth; members that are not finite.
    """
    post, generator = with_time(post), np.random.default_rng(seed)
    names = _names(post, truth)
    bins, out = min(post.sizes["realization"] + 1, MAX_BINS), {}
    for name in names:
        if is_table(truth):
            scores = summarise(station_points(post, truth, name, obs, generator), bins=bins)
        else:
            scores = summarise(*field_points(post, truth, name, obs, generator), bins=bins)
        out |= scores if len(names) == 1 else {f"{key}_{name}": value for key, value in scores.items()}
    ess = 1 / (weights_of(post) ** 2).sum(1)
    return out | {"ess": float(ess.mean()), "members": int(post.sizes["realization"])}


def field_points(
    post: "xr.Dataset", truth: "xr.Dataset", name: str, obs: "xr.Dataset | None", generator: np.random.Generator
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """`scores.points` of a field against a gridded truth, with area and mask for `summarise`: shapes (time, *space).

    Arguments:
        post, truth, obs: as for `score_dataset`. name: of the field. generator: of the randomised PIT.
    """
    post = with_time(post)
    grid = space_of(post, name)
    y, ours = aligned_truth(post, truth, name)
    x = post[name].transpose("time", "realization", *grid.dims).isel(ours).values
    x, y = (torch.from_numpy(np.ascontiguousarray(v)) for v in (x, y))
    inner = Grid(grid.dims, tuple(c[ours[d]] for d, c in zip(grid.dims, grid.coordinates, strict=True)), grid.periods)
    mask = _finite(x, y, name)
    if obs is not None:
        mask = mask & ~sensor_cells(inner, obs, name)
        if not mask.any():
            raise ValueError(f"every cell of {name!r} with a finite truth holds a sensor; nothing is left to score")
    weights = weights_of(post)[torch.from_numpy(ours["time"])]
    return points(x, y, generator, weights), area_weights(inner), mask


def aligned_truth(post: "xr.Dataset", truth: "xr.Dataset", name: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The truth (time, *space) at the times and places that both hold, in the posterior's order, orientation and units.

    Returns:
        The values, float64, and for each axis their positions in the posterior.

    Raises:
        ValueError: the truth is a sensor table, lacks the variable, or has no time or place in common.
    """
    if is_table(truth):
        raise ValueError("the truth is a sensor table; here gridded fields are needed, and plot_series draws stations")
    if name not in truth:
        raise ValueError(f"the truth has no variable {name}; it has {', '.join(map(str, truth.data_vars))}")
    truth, grid = with_time(truth), space_of(post, name)
    target, ours, theirs = _like(truth[name], grid.dims, name), {}, {}
    for dim in ("time", *grid.dims):
        ours[dim], theirs[dim] = _common(post, target, dim)
    units = [d.attrs.get("units", "") for d in (target, post[name])]
    y = target.isel(theirs).values.astype(np.float64)
    return convert_units(y, *units) if all(units) else y, ours


def _names(post: "xr.Dataset", truth: "xr.Dataset") -> list[str]:
    """Fields of the posterior of which the truth speaks."""
    fields = fields_of(post)
    if is_table(truth):
        there = sorted({str(v) for v in truth["variable"].values})
        names = fields if there == [""] else [name for name in fields if name in there]
    else:
        there = [str(name) for name in truth.data_vars]
        names = [name for name in fields if name in there]
    if not names:
        raise ValueError(f"the truth has no variable {' or '.join(fields)}; it has {', '.join(there)}")
    return names


def _like(target: "xr.DataArray", dims: tuple[str, ...], name: str) -> "xr.DataArray":
    """The truth with the dims (time, *dims)."""
    wanted = ("time", *dims)
    target = target.squeeze([d for d in target.dims if target.sizes[d] == 1 and d not in wanted], drop=True)
    if set(target.dims) != set(wanted):
        hint = "the posterior is given as the truth" if "realization" in target.dims else "select or rename dimensions"
        raise ValueError(f"the truth of {name!r} has the dims {target.dims}, the posterior needs {wanted}; {hint}")
    return target.transpose(*wanted)


def _common(post: "xr.Dataset", target: "xr.DataArray", dim: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions along an axis of what both hold: in the posterior's order, equal to 1 % of its step."""
    if dim == "time":
        ours, theirs = numeric_times(post[dim].values, target[dim].values)
    else:
        ours, theirs = (np.asarray(d[dim].values, dtype=np.float64) for d in (post, target))
    pool, index = theirs, np.arange(len(theirs))
    if dim == "longitude":
        pool, index = np.concatenate([theirs - CIRCLE, theirs, theirs + CIRCLE]), np.tile(index, 3)
    order = np.argsort(pool)
    pool, index = pool[order], index[order]
    right = np.clip(np.searchsorted(pool, ours), 1, max(len(pool) - 1, 1)).clip(max=len(pool) - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(np.abs(pool[left] - ours) <= np.abs(pool[right] - ours), left, right)
    step = np.abs(np.diff(ours)).min() if len(ours) > 1 else 1.0
    same = np.abs(pool[nearest] - ours) <= 0.01 * step
    if not same.any():
        span = [f"{d[dim].values.min()} .. {d[dim].values.max()}" for d in (post, target)]
        raise ValueError(
            f"posterior and truth have no {dim} in common: the posterior covers {span[0]} ({len(ours)} values), the "
            f"truth {span[1]} ({len(theirs)} values); select the same {dim}, or interpolate the truth"
        )
    return np.flatnonzero(same), index[nearest[same]]


def _finite(x: Tensor, y: Tensor, name: str) -> Tensor:
    """True where truth and members are finite, with the shape of y; members x of shape (time, K, *space)."""
    known = torch.isfinite(y)
    if not known.any():
        raise ValueError(f"the truth of {name!r} has no finite value at the posterior's times and places")
    finite = torch.isfinite(x)
    broken = known & finite.any(1) & ~finite.all(1)
    if broken.any() or not finite.any():
        lost = (~finite & known[:, None]).flatten(2).any(2).any(0)
        raise ValueError(
            f"{int(lost.sum())} of {x.shape[1]} members of {name!r} are not finite; the posterior is broken. "
            "Look at its diagnostics, and try more steps or another method"
        )
    return known & finite.all(1)
