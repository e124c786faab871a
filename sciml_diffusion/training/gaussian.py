"""A Gaussian prior from few frames, in closed form: localised and shrunk in space, mode by mode in time."""

import math

import torch
from torch import Tensor

from ..denoisers.basis import MatrixBasis, SpaceTimeBasis
from ..denoisers.gaussian import GaussianDenoiser
from ..physics.grid import Grid
from .inner_folds import POOL, make_folds, tune
from .spatial_law import Geometry, SpatialLaw, embed, variable_correlation

LIMIT = 8000  # values of one frame
FLOOR = 1e-6  # smallest variance of a mode over the mean one
BLOCKS = 4


def fit_gaussian(
    segments: list[Tensor],
    window: int,
    grid: Grid,
    frames_as_channels: bool = True,
    feature: Tensor | None = None,
    law: SpatialLaw | None = None,
    gap: int | None = None,
    noise: float = 0.05,
) -> tuple[GaussianDenoiser, dict]:
    """Fits N(mu, C) with C = sum_k u_k u_k^T (x) T_k to standardised anomalies.

    In space: the covariance of `spatial_law`, its numbers chosen on four consecutive blocks of frames, each predicted
    from a few stations with the covariance of the other frames (lowest CRPS; a gap beside each block). u_k are its
    eigenvectors. In time: T_k is the stationary correlation of mode k's own series, averaged over neighbouring modes,
    so large scales live longer than small ones. mu is the mean frame.

    Arguments:
        segments: contiguous frames, each with shape (T_i, C, *S); a step apart from the next.
        window: frames of an event.
        grid: spatial axes S.
        frames_as_channels: events are (C*T, *S) if true, else (C, T, *S).
        feature: one number for each point, with shape S, in which covariance may have contrasts; see `spatial_law`.
        law: numbers of the spatial covariance; None chooses them on the inner folds.
        gap: frames beside an inner block that nothing is fitted to; by default three windows.
        noise: standard deviation of the stations' errors in the folds, in units of the anomalies.

    Returns:
        The denoiser (float32), and what was chosen: the law, `log_crps`, `folds`, `frames`, `decorrelation` in frames.

    Raises:
        ValueError: more than 8000 values in a frame, fewer than 2 frames, shapes that do not fit, values not finite.
    """
    channels, sizes = _check(segments, window, grid)
    z = torch.cat([s.double().flatten(1) for s in segments])
    mean, lengths = z.mean(0), [len(s) for s in segments]
    centred = z - mean
    geometry = Geometry(embed(grid), channels, None if feature is None else feature.double().flatten())
    choices = {"frames": len(z), "folds": 0, "log_crps": math.nan}
    if law is None:
        gap = 3 * window if gap is None else gap
        law, choices["folds"], choices["log_crps"] = _choose(z, lengths, geometry, gap, noise)
    rho = variable_correlation(centred, channels)
    sample, index = centred.T @ centred / len(z), torch.arange(z.shape[1])
    variance, modes = spectrum(geometry.covariance(sample, law, index, rho))
    correlation = mode_correlations([part @ modes for part in centred.split(lengths)], window)
    choices |= vars(law) | {"decorrelation": _decorrelation(correlation, variance)}
    return space_time_gaussian(mean, variance, modes, correlation, (channels, *sizes), frames_as_channels), choices


def spectrum(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (d,), ascending and at least 1e-6 of their mean, and eigenvectors of a covariance of shape (d, d)."""
    variance, modes = torch.linalg.eigh(covariance)
    return variance.clamp_min(FLOOR * float(variance.mean())), modes


def space_time_gaussian(
    mean: Tensor,
    variance: Tensor,
    modes: Tensor,
    correlation: Tensor,
    frame: tuple[int, ...],
    frames_as_channels: bool,
) -> GaussianDenoiser:
    """N(mu, sum_k variance_k u_k u_k^T (x) correlation_k), in float32.

    Arguments:
        mean: of every frame, with shape (d,).
        variance: of the modes, with shape (d,).
        modes: u_k, as columns, with shape (d, d).
        correlation: in time, with shape (d, T, T).
        frame: (C, *S), with d values.
        frames_as_channels: events are (C*T, *S) if true, else (C, T, *S).
    """
    channels, *sizes = frame
    window = correlation.shape[-1]
    share, vectors = torch.linalg.eigh(correlation)
    event = (channels * window, *sizes) if frames_as_channels else (channels, window, *sizes)
    basis = SpaceTimeBasis(MatrixBasis(modes.float(), frame), vectors.float().contiguous(), frame, event)
    mu = mean.reshape(channels, 1, *sizes).expand(channels, window, *sizes).reshape(event)
    v = (variance[:, None] * share).clamp_min(0).T
    return GaussianDenoiser(mu.float().contiguous(), basis, v.float().contiguous())


def mode_correlations(series: list[Tensor], window: int, pool: float = 0.3, floor: float = 1e-4) -> Tensor:
    """Stationary correlation of each mode over a window, with shape (n, window, window), positive definite.

    rho_k(l) is the sample autocorrelation at lag l, averaged over the modes whose rank from the top lies within
    +- pool * rank; eigenvalues below `floor` are raised to it, and the diagonal is set to 1 again.

    Arguments:
        series: projections on the modes, ascending in variance, of each segment, with shape (T_i, n).
        window: frames.
        pool: width of the average over modes.
        floor: smallest eigenvalue.
    """
    n = series[0].shape[1]
    sums, counts = series[0].new_zeros(window, n), series[0].new_zeros(window)
    for part in series:
        for lag in range(min(window, len(part))):
            sums[lag] += (part[lag:] * part[: len(part) - lag]).sum(0)
            counts[lag] += len(part) - lag
    rho = sums / counts.clamp_min(1)[:, None]
    rho = (rho / rho[0].clamp_min(1e-300)).clamp(-1, 1).flip(1)
    total = torch.cat([rho.new_zeros(window, 1), rho.cumsum(1)], 1)
    rank = torch.arange(n)
    width = (pool * (rank + 1)).long().clamp_min(1)
    low, high = (rank - width).clamp_min(0), (rank + width + 1).clamp_max(n)
    rho = ((total[:, high] - total[:, low]) / (high - low)).flip(1)
    lag = (torch.arange(window)[:, None] - torch.arange(window)).abs()
    values, vectors = torch.linalg.eigh(rho.T[:, lag])
    matrix = vectors @ torch.diag_embed(values.clamp_min(floor)) @ vectors.mT
    scale = matrix.diagonal(dim1=-2, dim2=-1).rsqrt()
    return matrix * scale[:, :, None] * scale[:, None]


def _check(segments: list[Tensor], window: int, grid: Grid) -> tuple[int, tuple[int, ...]]:
    """Number of channels and sizes of the axes; refuses what cannot be fitted."""
    if not segments or any(s.ndim != segments[0].ndim or s.shape[1:] != segments[0].shape[1:] for s in segments):
        raise ValueError(f"segments must be frames (T, C, *S) of one shape; got {[tuple(s.shape) for s in segments]}")
    channels, *sizes = segments[0].shape[1:]
    if tuple(sizes) != grid.sizes:
        raise ValueError(f"frames have the axes {tuple(sizes)}; the grid has {grid.sizes}")
    values, frames = channels * math.prod(sizes), sum(len(s) for s in segments)
    if values > LIMIT:
        raise ValueError(
            f"a frame holds {values} values ({channels} variables on {' x '.join(map(str, sizes))} points); a "
            f"closed-form Gaussian takes at most {LIMIT}. Coarsen (fields.coarsen(...).mean()) or cut the region"
        )
    if window < 1 or frames < max(2, window):
        raise ValueError(
            f"a Gaussian over windows of {window} frames needs at least {max(2, window)} frames; got {frames}"
        )
    if not all(torch.isfinite(s).all() for s in segments):
        raise ValueError("frames hold missing or infinite values; fill them, or cut the region or the period")
    return channels, tuple(sizes)


def _choose(z: Tensor, lengths: list[int], geometry: Geometry, gap: int, noise: float) -> tuple[SpatialLaw, int, float]:
    """The law of the lowest score on the inner folds, their number, and the score."""
    order = torch.randperm(z.shape[1], generator=torch.Generator().manual_seed(0))
    pool = order[:POOL]
    folds = []
    for blocks in (BLOCKS, 2):
        folds = folds or make_folds(z, lengths, geometry.channels, pool, blocks, gap)
    names = ("share", "taper", "reach", *(("contrast",) if geometry.feature is not None else ()), "inflation")
    law, score = tune(folds, geometry, pool, names, noise)
    return law, len(folds), score


def _decorrelation(correlation: Tensor, variance: Tensor) -> float:
    """e-folding time of the field in frames, from the lag of one frame; NaN for windows of one frame."""
    if correlation.shape[-1] < 2:
        return math.nan
    rho = float((correlation[:, 0, 1] * variance).sum() / variance.sum())
    return -1 / math.log(min(max(rho, 1e-6), 1 - 1e-9))
