"""Have the chains of a sampler converged, and how many independent draws are they worth: R-hat and ESS.

Source: A. Vehtari, A. Gelman, D. Simpson, B. Carpenter and P.-C. Buerkner, Rank-normalization, folding and
localization: an improved R-hat, Bayesian Analysis 16 (2021); the truncation of sums is C. Geyer's, Statistical Science
7 (1992). Draws have the shape (T, N, *Q): T steps of N chains, for quantities of any shape Q.
"""

import numpy as np
import torch
from torch import Tensor

BLOCK = 2**24  # numbers handled at a time


def rhat(draws: Tensor) -> Tensor:
    """Rank-normalised split R-hat, the larger of that of the draws and of |draw - median|; 1 once chains agree.

    R-hat^2 = ((T - 1) W / T + B / T) / W, W the mean variance within half chains, B / T that of their means, of normal
    scores z = Phi^{-1}((rank - 3/8) / (S + 1/4)) of all S draws. Reliable draws have R-hat <= 1.01.

    Arguments:
        draws: with shape (T, N, *Q), T >= 4.
    Returns the shape (*Q), float64; nan where a quantity does not vary.
    """
    return _by_blocks(lambda x: torch.maximum(_rhat(normal_scores(x)), _rhat(normal_scores(_folded(x)))), draws)


def bulk_ess(draws: Tensor) -> Tensor:
    """Effective sample size of the normal scores of split chains: S / (1 + 2 sum_t rho_t), at most S log10 S.

    Arguments:
        draws: with shape (T, N, *Q), T >= 4.
    Returns the shape (*Q), float64; nan where a quantity does not vary.
    """
    return _by_blocks(lambda x: ess(normal_scores(x)), draws)


def ess(halves: Tensor) -> Tensor:
    """Effective sample size of chains as they are: S / tau, tau = -1 + 2 sum_t P_t, P_t = rho_2t + rho_2t+1,

    rho_t = 1 - (W - mean_n s_n^2 r_tn) / V, with the autocorrelations r of each chain, the variances s^2 within chains,
    W their mean, and V the estimate of the variance that R-hat uses. The sum ends where P_t < 0 and is made monotone.

    Arguments:
        halves: chains, with shape (T, N, Q).
    Returns the shape (Q,).
    """
    steps, chains = halves.shape[:2]
    centred = halves - halves.mean(0)
    spectrum = torch.fft.rfft(centred, n=2 * steps, dim=0).abs() ** 2
    covariance = (torch.fft.irfft(spectrum, n=2 * steps, dim=0)[:steps] / steps).mean(1)
    within, total = _variances(halves)
    rho = 1 - (within - covariance * steps / (steps - 1)) / total
    rho[0] = 1.0
    pairs = rho[: steps // 2 * 2].reshape(steps // 2, 2, -1).sum(1)
    kept = torch.where((pairs < 0).cumsum(0) > 0, 0.0, pairs).cummin(0).values
    count = steps * chains
    tau = (2 * kept.sum(0) - 1).clamp_min(1 / np.log10(count))
    return torch.where(within > 0, count / tau, torch.nan)


def normal_scores(x: Tensor) -> Tensor:
    """Phi^{-1}((rank - 3/8) / (S + 1/4)) in half chains; ties share ranks: shape (T, N, Q) -> (T // 2, 2 N, Q)."""
    from scipy.stats import rankdata

    half = len(x) // 2
    split = torch.cat([x[:half], x[-half:]], 1)
    ranks = rankdata(split.flatten(0, 1).numpy(), axis=0)
    return torch.special.ndtri((torch.from_numpy(ranks) - 0.375) / (len(ranks) + 0.25)).reshape(split.shape)


def _folded(x: Tensor) -> Tensor:
    return (x - x.flatten(0, 1).median(0).values).abs()


def _rhat(halves: Tensor) -> Tensor:
    within, total = _variances(halves)
    return torch.where(within > 0, (total / within).sqrt(), torch.nan)


def _variances(halves: Tensor) -> tuple[Tensor, Tensor]:
    """W, and V = (T - 1) W / T + B / T, each with shape (Q,)."""
    steps = len(halves)
    within = halves.var(0).mean(0)
    return within, (steps - 1) / steps * within + halves.mean(0).var(0)


def _by_blocks(function, draws: Tensor) -> Tensor:
    """Applies a function of (T, N, Q) to blocks of quantities, in float64: (T, N, *Q) -> (*Q)."""
    steps, chains = draws.shape[:2]
    if steps < 4 or chains < 2:
        raise ValueError(f"convergence needs at least 4 steps of 2 chains; got draws of shape {tuple(draws.shape)}")
    flat = draws.reshape(steps, chains, -1)
    blocks = flat.split(max(1, BLOCK // (steps * chains)), 2)
    return torch.cat([function(block.double()) for block in blocks]).reshape(draws.shape[2:])
