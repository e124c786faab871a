"""Scores of a weighted ensemble against draws of a reference posterior: no truth enters, only the two laws.

Shapes: members x (K, d) with weights (K,) of sum 1; reference draws y (S, d); all float64.
"""

import common  # noqa: F401  (finds the package)
import torch
from torch import Tensor

from sciml_diffusion.evaluate.scores import interval

DIRECTIONS, COMPONENTS, FOLDS, RIDGE = 100, 8, 5, 1e-2
BLOCK = 2**24


def scores(x: Tensor, weights: Tensor, y: Tensor) -> dict[str, float]:
    """crps_ratio, sliced_w1, c2st, coverage90, bias and std_ratio of members x (K, d) against draws y (S, d).

    bias: root mean square over points of the error of the mean in units of the reference's spread; std_ratio: mean over
    points of the spread over the reference's.
    """
    low, high = interval(x[None], weights[None])
    spread, mean = y.std(0), weights @ x
    own = (weights @ (x - mean) ** 2 / (1 - (weights**2).sum()).clamp_min(1e-9)).sqrt()
    return {
        "crps_ratio": expected_crps(x, weights, y) / crps_of_reference(y),
        "sliced_w1": sliced_w1(x / spread, weights, y / spread),
        "c2st": two_sample(x, weights, y),
        "coverage90": float(((y >= low) & (y <= high)).double().mean()),
        "bias": float((((mean - y.mean(0)) / spread) ** 2).mean().sqrt()),
        "std_ratio": float((own / spread).mean()),
    }


def expected_crps(x: Tensor, weights: Tensor, y: Tensor) -> float:
    """Mean over points of E|X - Y| - E|X - X'| / 2, unbiased in the number of members; shapes as above."""
    factor = 0.5 / (1 - (weights**2).sum()).clamp_min(1e-9)
    return _mean_distance(x, weights, y) - float(factor) * _mean_distance(x, weights, x, weights)


def crps_of_reference(y: Tensor) -> float:
    """E|Y - Y'| / 2, mean over points: the least that a forecast of Y can have; y (S, d)."""
    flat = torch.full((len(y),), 1 / len(y), dtype=y.dtype)
    return 0.5 * len(y) / (len(y) - 1) * _mean_distance(y, flat, y)


def _mean_distance(x: Tensor, wx: Tensor, y: Tensor, wy: Tensor | None = None) -> float:
    """sum_jk wx_j wy_k |x_j - y_k|, mean over points."""
    wy = torch.full((len(y),), 1 / len(y), dtype=y.dtype) if wy is None else wy
    columns = max(1, BLOCK // (len(x) * len(y)))
    parts = zip(x.split(columns, 1), y.split(columns, 1), strict=True)
    total = sum(torch.einsum("j,k,jkd->", wx, wy, (a[:, None] - b).abs()) for a, b in parts)
    return float(total) / x.shape[1]


def sliced_w1(x: Tensor, weights: Tensor, y: Tensor) -> float:
    """Mean over 100 fixed directions of the integral of |F_x - F_y|; shapes as above."""
    g = torch.Generator().manual_seed(7)
    u = torch.randn(x.shape[1], DIRECTIONS, generator=g, dtype=x.dtype)
    u = u / u.norm(dim=0)
    values, order = torch.cat([x @ u, y @ u]).sort(0)
    mass = torch.cat([weights, torch.full((len(y),), -1 / len(y), dtype=x.dtype)])[order]
    return float((mass.cumsum(0)[:-1].abs() * values.diff(dim=0)).sum(0).mean())


def two_sample(x: Tensor, weights: Tensor, y: Tensor) -> float:
    """Balanced accuracy, in five folds, of a quadratic logistic regression that tells x from y: 0.5 where it cannot.

    On the eight leading principal components of y and their squares and products, with a ridge. Shapes as above.
    """
    centre = y.mean(0)
    _, values, directions = torch.linalg.svd(y - centre, full_matrices=False)
    axes = directions[:COMPONENTS].T / values[:COMPONENTS] * len(y) ** 0.5
    both = torch.cat([(x - centre) @ axes, (y - centre) @ axes]).clamp(-6, 6)
    i, j = torch.triu_indices(both.shape[1], both.shape[1])
    features = torch.cat([torch.ones(len(both), 1, dtype=x.dtype), both, both[:, i] * both[:, j]], 1)
    labels = torch.cat([torch.ones(len(x)), torch.zeros(len(y))]).to(x)
    mass = torch.cat([weights, torch.full((len(y),), 1 / len(y), dtype=x.dtype)])
    fold = torch.cat([torch.randperm(len(v), generator=torch.Generator().manual_seed(1)) % FOLDS for v in (x, y)])
    right = torch.zeros_like(mass)
    for k in range(FOLDS):
        train = fold != k
        beta = _logistic(features[train], labels[train], mass[train])
        right = torch.where(train, right, ((features @ beta > 0) == (labels > 0.5)).to(x))
    return float((right * mass).sum() / mass.sum())


def _logistic(features: Tensor, labels: Tensor, mass: Tensor) -> Tensor:
    """Coefficients of a logistic regression with a ridge, by Newton steps; both classes count the same."""
    mass = mass / torch.where(labels > 0.5, (mass * labels).sum(), (mass * (1 - labels)).sum()) / 2
    beta, ridge = features.new_zeros(features.shape[1]), RIDGE * torch.eye(features.shape[1], dtype=features.dtype)
    for _ in range(15):
        p = (features @ beta).clamp(-30, 30).sigmoid()
        slope = features.T @ (mass * (labels - p)) - ridge @ beta
        beta = beta + torch.linalg.solve(features.T @ ((mass * p * (1 - p))[:, None] * features) + ridge, slope)
    return beta
