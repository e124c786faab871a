"""Choices on blocked inner folds: how well a covariance predicts what some stations do not see, in unseen blocks."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .spatial_law import Geometry, SpatialLaw, variable_correlation

LADDERS = {
    "share": (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9),
    "taper": (0.1, 0.2, 0.3, 0.45, 0.6, 0.85, 1.2, math.inf),
    "reach": (0.1, 0.2, 0.4, 0.7, 1.2, 2.0, 4.0),
    "contrast": (1.0, 1.5, 2.0, 3.0, 5.0, math.inf),
    "inflation": (1.0, 1.15, 1.3, 1.5, 1.75),
}
POOL = 450  # values of a frame that the folds look at
DRAWS = 6  # sets of stations at each density
DENSITIES = (0.01, 0.05)  # stations over points
FRAMES = 60  # frames scored in each fold, at most
LEAST = 8  # frames of a block, at least


@dataclass(frozen=True, eq=False)
class InnerFold:
    """One block held out of the training frames.

    Arguments:
        sample: covariance of the other frames at the pool, with shape (p, p).
        correlation: between variables, with shape (C, C).
        check: frames of the block at the pool, with shape (T, p).
    """

    sample: Tensor
    correlation: Tensor
    check: Tensor


def inner_blocks(lengths: list[int], blocks: int, gap: int) -> list[tuple[Tensor, Tensor]]:
    """Indices (rest, block) of consecutive blocks of the frames; `gap` frames on either side are in neither.

    Arguments:
        lengths: frames of each segment; the frames of all of them are counted through.
        blocks: number of blocks.
        gap: in frames.
    Returns nothing where the blocks would hold fewer than 8 frames, or leave fewer than 16.
    """
    total = sum(lengths)
    size = total // blocks
    if size < LEAST or total - size - 2 * gap < 2 * LEAST:
        return []
    frames, out = torch.arange(total), []
    for i in range(blocks):
        first, last = total * i // blocks, total * (i + 1) // blocks
        out.append((frames[(frames < first - gap) | (frames >= last + gap)], frames[first:last]))
    return out


def make_folds(z: Tensor, lengths: list[int], channels: int, pool: Tensor, blocks: int, gap: int) -> list[InnerFold]:
    """Folds at a pool of values; every fold is centred by the mean of its own training frames.

    Arguments:
        z: frames of all segments, with shape (T, d).
        lengths, blocks, gap: as in `inner_blocks`.
        channels: C.
        pool: which of the d values, with shape (p,).
    """
    folds = []
    for rest, block in inner_blocks(lengths, blocks, gap):
        mean = z[rest].mean(0)
        train = z[rest] - mean
        covariance = train[:, pool].T @ train[:, pool] / len(train)
        correlation = variable_correlation(train[:: max(1, len(train) // 200)], channels)
        stride = max(1, math.ceil(len(block) / FRAMES))
        folds.append(InnerFold(covariance, correlation, (z[block][::stride] - mean)[:, pool]))
    return folds


def station_sets(pool: int, points: int, generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Sets (seen, unseen) of positions in the pool: each of shape (m,) and (p - m,), DRAWS at each density."""
    sets = []
    for density in DENSITIES:
        seen = min(max(2, round(density * points)), pool // 2, 100)
        for _ in range(DRAWS):
            order = torch.randperm(pool, generator=generator)
            sets.append((order[:seen], order[seen:]))
    return sets


def log_crps(folds: list[InnerFold], sets, covariance: Callable[[InnerFold], Tensor], noise: float) -> float:
    """Mean over densities of the logarithm of the mean CRPS of single frames, seen at some stations.

    Arguments:
        folds: held-out blocks.
        sets: (seen, unseen) positions in the pool.
        covariance: from a fold to C with shape (p, p).
        noise: standard deviation of the stations' errors.
    """
    total = torch.zeros(len(sets), dtype=torch.float64)
    for fold in folds:
        c = covariance(fold)
        for i, (seen, unseen) in enumerate(sets):
            generator = torch.Generator().manual_seed(i)
            error = torch.randn(len(fold.check), len(seen), generator=generator, dtype=c.dtype)
            y = fold.check[:, seen] + noise * error
            mean, variance = krige(c, seen, unseen, y, noise)
            total[i] += gaussian_crps(mean, variance.sqrt(), fold.check[:, unseen]).mean() / len(folds)
    return float(total.log().mean())


def krige(c: Tensor, seen: Tensor, unseen: Tensor, y: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """Posterior mean (T, u) and variance (u,) of unseen values given y of shape (T, m), for covariance c (p, p)."""
    total = c[seen][:, seen] + noise**2 * torch.eye(len(seen), dtype=c.dtype)
    root = torch.linalg.cholesky(total)
    half = torch.linalg.solve_triangular(root, c[seen][:, unseen], upper=False)
    mean = torch.linalg.solve_triangular(root, y.T, upper=False).T @ half
    return mean, (c.diagonal()[unseen] - half.square().sum(0)).clamp_min(1e-12)


def gaussian_crps(mean: Tensor, std: Tensor, y: Tensor) -> Tensor:
    """CRPS of N(mean, std^2): std (z erf(z / sqrt 2) + 2 phi(z) - 1 / sqrt pi), z = (y - mean) / std; broadcast shape.

    Source: Gneiting and Raftery 2007, eq. 21.
    """
    z = (y - mean) / std
    density = torch.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return std * (z * torch.erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi))


def tune(
    folds: list[InnerFold], geometry: Geometry, pool: Tensor, names: tuple[str, ...], noise: float, seed: int = 0
) -> tuple[SpatialLaw, float]:
    """Coordinate search for the law of the lowest `log_crps`: steps on ladders until none helps.

    Arguments:
        folds: held-out blocks; without any the default law is returned.
        geometry: where values lie.
        pool: the values of the folds, with shape (p,).
        names: numbers of the law that are searched.
        noise: of the stations.
        seed: of the stations' places.
    Returns the law and its score (NaN without folds).
    """
    law = SpatialLaw()
    if not folds:
        return law, math.nan
    sets = station_sets(len(pool), len(geometry.points), torch.Generator().manual_seed(seed))
    known: dict[SpatialLaw, float] = {}

    def score(law: SpatialLaw) -> float:
        if law not in known:
            known[law] = log_crps(
                folds, sets, lambda fold: geometry.covariance(fold.sample, law, pool, fold.correlation), noise
            )
        return known[law]

    improved = True
    while improved and len(known) < 150:
        improved = False
        for name in names:
            better = _walk(law, name, score)
            improved, law = improved or better != law, better
    return law, score(law)


def _walk(law: SpatialLaw, name: str, score: Callable[[SpatialLaw], float]) -> SpatialLaw:
    """The best law along one ladder, step by step from where it stands."""
    ladder = LADDERS[name]
    for direction in (-1, 1):
        place = ladder.index(getattr(law, name)) + direction
        while 0 <= place < len(ladder):
            other = replace(law, **{name: ladder[place]})
            if score(other) >= score(law):
                break
            law, place = other, place + direction
    return law
