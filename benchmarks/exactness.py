"""Scores of an ensemble against a posterior that is known in closed form: no sampling noise but the ensemble's own."""

import math

import common  # noqa: F401  (finds the tests' closed forms)
import torch
from analytic import F64, Kriging, MixturePosterior
from torch import Tensor

GRID = 1500  # points at which distribution functions are compared
DIRECTIONS = 100


def sliced_w1(x: Tensor, weights: Tensor, posterior: MixturePosterior) -> float:
    """Mean over 100 fixed directions of the integral of |F_ensemble - F_exact|, F_exact the mixture's own.

    Arguments:
        x: members, with shape (K, d).
        weights: normalised, with shape (K,).
        posterior: the exact mixture.
    """
    u = torch.randn(DIRECTIONS, x.shape[1], generator=torch.Generator().manual_seed(7), dtype=F64)
    total = 0.0
    for direction in u / u.norm(dim=1, keepdim=True):
        means, std = posterior.projected(direction)
        values, order = (x @ direction).sort()
        low = torch.minimum(values[0], means.min() - 6 * std)
        high = torch.maximum(values[-1], means.max() + 6 * std)
        grid = low + (high - low) * torch.linspace(0, 1, GRID, dtype=F64)
        exact = torch.special.ndtr((grid[:, None] - means) / std) @ posterior.weights
        steps = torch.cat([torch.zeros(1, dtype=F64), weights[order].cumsum(0)])
        found = steps[torch.searchsorted(values.contiguous(), grid, right=True)]
        total += float(torch.trapezoid((found - exact).abs(), grid))
    return total / DIRECTIONS


def mode_tv(x: Tensor, weights: Tensor, cells: Tensor, exact: Tensor) -> float:
    """Half the L1 distance of weights of cells (nearest mode of the prior); x (K, d), cells (C, d), exact (C,)."""
    nearest = torch.cdist(x, cells).argmin(1)
    found = torch.zeros(len(cells), dtype=F64).index_add(0, nearest, weights)
    return 0.5 * float((found - exact).abs().sum())


def cell_weights(posterior: MixturePosterior, cells: Tensor, draws: int = 100_000) -> Tensor:
    """Exact probabilities of the cells, by 1e5 exact draws; cells (C, d) -> shape (C,)."""
    x = posterior.draw(draws, torch.Generator().manual_seed(11))
    return torch.bincount(torch.cdist(x, cells).argmin(1), minlength=len(cells)).to(F64) / draws


def field_scores(x: Tensor, weights: Tensor, posterior: Kriging, std: Tensor) -> dict[str, float]:
    """Scores against the exact Gaussian marginals N(mu, s^2): each ideal for exact draws is 1, z_rms 1 / sqrt(K).

    Arguments:
        x: members, with shape (K, *event).
        weights: normalised, with shape (K,).
        posterior: by kriging.
        std: s, with shape (*event).
    Returns z_rms, std_ratio, crps_ratio (expected fair CRPS over s / sqrt(pi)), coverage90 (exact probability of the
    ensemble's 5 % to 95 % interval) and chi2 (mean squared misfit over the noise's, per sensor).
    """
    x, mu, s, w = x.to(F64).flatten(1), posterior.mean.flatten(), std.flatten(), weights.to(F64)
    mean, unbiased = w @ x, 1 / (1 - (w**2).sum())
    spread = ((w @ (x - mean) ** 2) * unbiased).sqrt()
    z = (x - mu) / s
    distance = s * (2 * _density(z) + z * (2 * torch.special.ndtr(z) - 1))
    pairs = sum(w[k] * (w @ (x - x[k]).abs()) for k in range(len(x)))
    crps = w @ distance - 0.5 * unbiased * pairs
    low, high = ((_quantile(x, w, q) - mu) / s for q in (0.05, 0.95))
    observation = posterior.observation
    misfit = (observation.y - observation.operator(x.reshape(-1, *posterior.denoiser.event))) / observation.std
    return {
        "z_rms": float((((mean - mu) / s) ** 2).mean().sqrt()),
        "std_ratio": float((spread / s).mean()),
        "crps_ratio": float(crps.mean() / (s.mean() / math.sqrt(math.pi))),
        "coverage90": float((torch.special.ndtr(high) - torch.special.ndtr(low)).mean()),
        "chi2": float(w @ (misfit**2).mean(1)),
    }


def _density(z: Tensor) -> Tensor:
    return torch.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)


def _quantile(x: Tensor, w: Tensor, q: float) -> Tensor:
    """Weighted quantile of each column, linear between order statistics; shape (K, d) -> (d,)."""
    values, order = x.sort(0)
    sorted_w = w[order]
    place = sorted_w.cumsum(0) - sorted_w
    place = place / place[-1]
    right = (place < q).sum(0).clamp(1, len(x) - 1)[None]
    p0, p1, v0, v1 = (a.gather(0, i)[0] for a in (place, values) for i in (right - 1, right))
    return v0 + (q - p0) / (p1 - p0).clamp_min(1e-300) * (v1 - v0)
