"""Scores of weighted ensembles x_1..x_K against a truth y: CRPS, RMSE, spread-skill, PIT, coverage, intervals.

Shapes. `dim` is the axis of the members: x has shape (..., K, ...) and y the shape of x without that axis. The default
is dim = 1, for ensembles (B, K, *event) with truths (B, *event). Weights need not be normalised; their shape is (K,),
or that of x up to and with the members' axis, for example (B, K); None means equal weights. Everything is computed in
float64, in blocks of points, so that an ensemble is never copied whole.

`area` are weights of the points and `mask` is True where a point counts; both must broadcast to the shape of y.
Write s = sum_k w_k^2, so that 1 / s is the effective number of members.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

BLOCK = 2**21  # numbers of an ensemble handled at a time


def crps(x: Tensor, y: Tensor, weights: Tensor | None = None, dim: int = 1, fair: bool = True) -> Tensor:
    """Continuous ranked probability score of each point, in the units of y.

    sum_k w_k |x_k - y| - (1/2) f sum_jk w_j w_k |x_j - x_k|, f = 1 / (1 - s) where fair (unbiased in the number of
    members; Ferro 2014, doi:10.1002/qj.2270, for equal weights) and f = 1 otherwise. O(K log K) by sorting.

    Arguments:
        x: members, with shape (..., K, ...). y: truth, with the shape of x without axis `dim`. weights: see above.

    Returns:
        The shape of y, float64. One member, or one that carries all the weight, gives |x - y|.

    Raises:
        ValueError: shapes that do not fit; weights that are negative, not finite or all zero.
    """
    return _by_blocks(lambda d, w: _crps(d, w, fair), x, y, weights, dim)[0]


def pit(x: Tensor, y: Tensor, generator, weights: Tensor | None = None, dim: int = 1) -> Tensor:
    """Randomised weighted probability integral transform u of each point, with the shape of y.

    u = (sum w[x < y] + v (sum w[x = y] + s)) / (1 + s), v uniform. With equal weights u = (rank + v) / (K + 1), ties
    broken at random: exactly uniform for a calibrated ensemble of any size. With unequal weights nearly so (the share
    in the central 90 % is up to 0.03 too large with two to six uneven members, and right with many).

    Arguments:
        x: members, with shape (..., K, ...). y: truth. generator: torch.Generator or numpy.random.Generator.
    """
    v = uniform(y.shape, generator)
    return _by_blocks(_pit, x, y, weights, dim, v)[0]


def interval(x: Tensor, weights: Tensor | None = None, dim: int = 1, level: float = 0.9) -> tuple[Tensor, Tensor]:
    """Central interval from order statistics: low and high, each with the shape of x without axis `dim`.

    The i-th smallest member stands at the probability (S_{i-1} + S_i + s) / (2 (1 + s)), S the summed weights; with
    equal weights i / (K + 1), so that [x_(k), x_(K+1-k)] has the level (K + 1 - 2 k) / (K + 1) exactly. In between,
    linear; where K is too small for the level, the range of the members.

    Arguments:
        x: members, with shape (..., K, ...). level: between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, for example 0.9; got {level}")
    zero = x.select(dim, 0).detach() * 0
    low, high = _by_blocks(lambda d, w: _quantiles(d, w, ((1 - level) / 2, (1 + level) / 2)), x, zero, weights, dim)
    return low, high


def points(x: Tensor, y: Tensor, generator, weights: Tensor | None = None, dim: int = 1) -> dict[str, Tensor]:
    """Everything that `summarise` needs, point by point: `crps`, `error`, `variance`, `pit`, each with the shape of y.

    error = sum_k w_k x_k - y; variance = (1 + s) / (1 - s) sum_k w_k (x_k - mean)^2, which in a calibrated ensemble has
    the expectation of error^2. Windows or folds are pooled with torch.cat before `summarise`.

    Arguments:
        x: members, with shape (..., K, ...). y: truth. generator: torch.Generator or numpy.random.Generator, for `pit`.
    """
    v = uniform(y.shape, generator)

    def kernel(d, w, v):
        mean = (w * d).sum(1)
        s = (w**2).sum(1)
        spread = (w * (d - mean[:, None]) ** 2).sum(1) * (1 + s) * _fair(s)
        return (*_crps(d, w, True), mean, spread, *_pit(d, w, v))

    return dict(zip(("crps", "error", "variance", "pit"), _by_blocks(kernel, x, y, weights, dim, v), strict=True))


def summarise(points: dict[str, Tensor], area=None, mask=None, bins: int = 10) -> dict:
    """Means over points: crps, rmse, spread_skill, coverage90, mae, bias (floats), points (int), rank_histogram (list).

    spread_skill = sqrt(mean variance / mean error^2), averages before the ratio: 1 when calibrated.
    rmse, mae and bias are of the weighted mean; the rank histogram holds the shares of `bins` equal bins of the PIT.

    Arguments:
        points: what `points` returns; tensors of one shape. area, mask: with shapes that broadcast to it.
    """
    error, square = points["error"], average(points["error"] ** 2, area, mask)
    return {
        "crps": float(average(points["crps"], area, mask)),
        "rmse": float(square.sqrt()),
        "spread_skill": float((average(points["variance"], area, mask) / square).sqrt()),
        "coverage90": float(coverage(points["pit"], 0.9, area, mask)),
        "mae": float(average(error.abs(), area, mask)),
        "bias": float(average(error, area, mask)),
        "points": int(error.numel() if mask is None else mask.expand(error.shape).sum()),
        "rank_histogram": rank_histogram(points["pit"], bins, area, mask).tolist(),
    }


def summary(x, y, generator, weights=None, dim: int = 1, area=None, mask=None, bins: int = 10) -> dict:
    """`summarise(points(...))`: all scores of an ensemble x of shape (..., K, ...) in one dictionary."""
    return summarise(points(x, y, generator, weights, dim), area, mask, bins)


def average(values: Tensor, area: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """sum a v / sum a over the points that count: any shape -> scalar, float64.

    Raises:
        ValueError: no point counts.
    """
    values = values.to(torch.float64)
    weight = torch.ones_like(values) if area is None else area.to(values).expand(values.shape)
    if mask is not None:
        weight, values = (t.where(mask.expand(values.shape), t.new_zeros(())) for t in (weight, values))
    total = weight.sum()
    if not total > 0:
        raise ValueError(f"no point is left to average over: mask and area leave out all {values.numel()} points")
    return (weight * values).sum() / total


def rmse(x, y, weights=None, dim: int = 1, area=None, mask=None) -> Tensor:
    """Root mean square error of the weighted mean of x, of shape (..., K, ...), in the units of y: scalar."""
    error = _by_blocks(lambda d, w: ((w * d).sum(1),), x, y, weights, dim)[0]
    return average(error**2, area, mask).sqrt()


def spread_skill(x, y, weights=None, dim: int = 1, area=None, mask=None) -> Tensor:
    """sqrt(mean variance / mean error^2), both as in `points`; 1 if calibrated: x of shape (..., K, ...) -> scalar."""
    result = points(x, y, torch.Generator().manual_seed(0), weights, dim)
    return (average(result["variance"], area, mask) / average(result["error"] ** 2, area, mask)).sqrt()


def coverage(u: Tensor, level: float = 0.9, area: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """Share of points whose PIT u, of any shape, lies in the central interval of this level: |u - 1/2| <= level / 2."""
    return average(((u - 0.5).abs() <= level / 2).to(torch.float64), area, mask)


def rank_histogram(u: Tensor, bins: int = 10, area: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """Shares of the PIT u, of any shape, in equal bins: shape (bins,), sum 1. With bins = K + 1: the rank histogram."""
    index = (u * bins).floor().clamp(0, bins - 1)
    return torch.stack([average((index == b).to(torch.float64), area, mask) for b in range(bins)])


def energy_score(x: Tensor, y: Tensor, weights: Tensor | None = None, fair: bool = True) -> Tensor:
    """sum_k w_k ||x_k - y|| - f / 2 sum_jk w_j w_k ||x_j - x_k||, f as in `crps` (Gneiting and Raftery 2007).

    Arguments:
        x: members, with shape (B, K, *event). y: truth, with shape (B, *event). weights: (K,) or (B, K).

    Returns:
        One score for each b, with shape (B,), float64.
    """
    w = normalise(weights, x.shape, 1).expand(len(x), -1)
    out = []
    for members, truth, weight in zip(x.flatten(2), y.flatten(1), w, strict=True):
        members = members.to(torch.float64) - truth.to(torch.float64)
        pairs = torch.cdist(members, members, compute_mode="donot_use_mm_for_euclid_dist")
        factor = 0.5 * (_fair((weight**2).sum()) if fair else 1.0)
        out.append(weight @ members.norm(dim=1) - factor * (weight @ pairs @ weight))
    return torch.stack(out)


def normalise(weights: Tensor | None, shape: tuple[int, ...], dim: int) -> Tensor:
    """Weights that sum to one over members, float64: shape (1, K) or (prod shape[:dim], K).

    Raises:
        ValueError: a shape that does not fit members of shape `shape`; negative, not finite or all zero.
    """
    dim, members = dim % len(shape), shape[dim]
    if weights is None:
        return torch.full((1, members), 1 / members, dtype=torch.float64)
    if weights.shape != (members,) and weights.shape != tuple(shape[: dim + 1]):
        raise ValueError(
            f"weights have the shape {tuple(weights.shape)}; members of shape {tuple(shape)} along axis {dim} need "
            f"({members},) or {tuple(shape[: dim + 1])}"
        )
    weights = weights.to(torch.float64).reshape(-1, members)
    total = weights.sum(1, keepdim=True)
    if not (torch.isfinite(weights).all() and (weights >= 0).all() and (total > 0).all()):
        raise ValueError("weights must be finite, >= 0 and not all zero; log-weights become weights by softmax")
    return weights / total


def uniform(shape: tuple[int, ...], generator) -> Tensor:
    """Uniform numbers on [0, 1), float64, drawn on the CPU from a torch.Generator or a numpy.random.Generator."""
    if isinstance(generator, np.random.Generator):
        return torch.from_numpy(np.asarray(generator.random(tuple(shape))))
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch or numpy.random Generator; got {type(generator).__name__}")
    return torch.rand(tuple(shape), generator=generator, dtype=torch.float64)


def _by_blocks(kernel: Callable, x: Tensor, y: Tensor, weights, dim: int, *more: Tensor) -> tuple[Tensor, ...]:
    """Applies kernel(d, w, *more) to blocks d = x - y of shape (L, K, I), w (L, K, 1): tensors of the shape of y."""
    dim = dim % x.ndim
    if x.shape[:dim] + x.shape[dim + 1 :] != y.shape:
        raise ValueError(
            f"members of shape {tuple(x.shape)} along axis {dim} need a truth of shape "
            f"{tuple(x.shape[:dim] + x.shape[dim + 1 :])}; got {tuple(y.shape)}"
        )
    w = normalise(weights, x.shape, dim).to(x.device)
    rows, members, inner = math.prod(x.shape[:dim]), x.shape[dim], math.prod(x.shape[dim + 1 :])
    x, flat = x.reshape(rows, members, inner), [t.to(x.device).reshape(rows, inner) for t in (y, *more)]
    across = max(1, min(inner, BLOCK // members))
    down = max(1, BLOCK // (members * across))
    parts = []
    for i in range(0, rows, down):
        weight = (w if len(w) == 1 else w[i : i + down])[..., None]
        row = []
        for j in range(0, inner, across):
            truth, *rest = (t[i : i + down, j : j + across].to(torch.float64) for t in flat)
            row.append(kernel(x[i : i + down, :, j : j + across].to(torch.float64) - truth[:, None], weight, *rest))
        parts.append([torch.cat(columns, 1) for columns in zip(*row, strict=True)])
    return tuple(torch.cat(column).reshape(y.shape) for column in zip(*parts, strict=True))


def _fair(s: Tensor) -> Tensor:
    """1 / (1 - s), and 1 where one member carries all the weight (what it multiplies is zero there)."""
    rest = 1 - s
    return torch.where(rest > 1e-14, 1 / rest.clamp_min(1e-14), 1.0)


def _sorted(d: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Members in increasing order, with their weights."""
    d, order = d.sort(1)
    return d, w.expand(d.shape).gather(1, order)


def _crps(d: Tensor, w: Tensor, fair: bool) -> tuple[Tensor]:
    """sum_jk w_j w_k |x_j - x_k| / 2 = sum_k w_k x_k (2 S_k - w_k - 1) over sorted members, S the summed weights."""
    x, v = _sorted(d, w)
    pairs = (v * x * (2 * v.cumsum(1) - v - 1)).sum(1)
    return ((w * d.abs()).sum(1) - (_fair((w**2).sum(1)) if fair else 1.0) * pairs,)


def _pit(d: Tensor, w: Tensor, v: Tensor) -> tuple[Tensor]:
    below, ties, s = (w * (d < 0)).sum(1), (w * (d == 0)).sum(1), (w**2).sum(1)
    return ((below + v * (ties + s)) / (1 + s),)


def _quantiles(d: Tensor, w: Tensor, levels: tuple[float, ...]) -> tuple[Tensor, ...]:
    x, v = _sorted(d, w)
    s = (w**2).sum(1, keepdim=True)
    place = ((2 * v.cumsum(1) - v + s) / (2 * (1 + s))).movedim(1, -1).contiguous()
    x = x.movedim(1, -1)
    out = []
    for level in levels:
        target = torch.full((*place.shape[:-1], 1), level, dtype=place.dtype, device=place.device)
        right = torch.searchsorted(place, target).clamp(1, max(place.shape[-1] - 1, 1)).clamp_max(place.shape[-1] - 1)
        left = (right - 1).clamp_min(0)
        p, q = place.gather(-1, left), place.gather(-1, right)
        share = ((level - p) / (q - p).clamp_min(1e-300)).clamp(0, 1)
        out.append((x.gather(-1, left) * (1 - share) + x.gather(-1, right) * share)[..., 0])
    return tuple(out)
