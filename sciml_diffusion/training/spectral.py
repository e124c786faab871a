"""The Gaussian anchor of many windows: uncorrelated waves in space, for each its covariance across the frames."""

import torch
from torch import Tensor

from ..denoisers.basis import AxisBasis, Basis, FourierBasis, SpaceTimeBasis
from ..denoisers.gaussian import GaussianDenoiser


def fit_spectral(z: Tensor, ridge: float = 1e-6) -> GaussianDenoiser:
    """Returns N(mu, C) for windows z of a law that no shift in x changes.

    Such a law has uncorrelated wavenumbers; each one's covariance across the T frames is the sample covariance, pooled
    over +k and -k (exact where the law is also symmetric under a reflection of x, which may flip signs) and channels
    kept apart. C_k + ridge tr(C) / d is diagonalised in a `SpaceTimeBasis`. mu is the mean over windows and x.

    Arguments:
        z: windows in diffusion space, with shape (N, C, T, X), X periodic.
        ridge: added variance over the mean variance, > 0.

    Raises:
        ValueError: where z has another number of axes, or fewer windows than make a covariance of rank T.
    """
    if z.ndim != 4:
        raise ValueError(f"z must have the axes (N, C, T, X); got shape {tuple(z.shape)}")
    _, channels, times, points = z.shape
    mean = z.mean((0, 3), keepdim=True, dtype=torch.float64)
    covariance = _covariance(z, mean, FourierBasis(1))
    covariance = covariance.reshape(channels, points, times, times)
    opposite = -torch.arange(points) % points
    covariance = ((covariance + covariance[:, opposite]) / 2).reshape(channels * points, times, times)
    return _denoiser(mean[0], covariance, FourierBasis(1), (channels, points), (channels, times, points), ridge)


def fit_separable(z: Tensor, periodic: tuple[bool, bool], ridge: float = 1e-6) -> GaussianDenoiser:
    """Returns N(mu, C) for windows of fields on two axes; only an approximation unless no shift changes their law.

    Waves of the two axes (Fourier where an axis closes, else cosine) are taken as uncorrelated; each has the sample
    covariance across its channels and frames, which are thus coupled. mu is the mean window.

    Arguments:
        z: windows in diffusion space, with shape (N, C T, H, W).
        periodic: whether H and W close.
        ridge: added variance over the mean variance, > 0.

    Raises:
        ValueError: where z has another number of axes, or fewer windows than make a covariance of rank C T.
    """
    if z.ndim != 4:
        raise ValueError(f"z must have the axes (N, C T, H, W); got shape {tuple(z.shape)}")
    event = tuple(z.shape[1:])
    basis = FourierBasis(2) if all(periodic) else AxisBasis(tuple("fourier" if p else "cosine" for p in periodic))
    mean = z.mean(0, dtype=torch.float64)
    covariance = _covariance(z[:, None], mean, basis)
    if all(periodic):
        opposite = [-torch.arange(n) % n for n in event[1:]]
        square = covariance.reshape(*event[1:], event[0], event[0])
        covariance = ((square + square[opposite[0]][:, opposite[1]]) / 2).reshape(covariance.shape)
    return _denoiser(mean, covariance, basis, (1, *event[1:]), event, ridge)


def _covariance(z: Tensor, mean: Tensor, basis: Basis, chunk: int = 256) -> Tensor:
    """Second moments about the mean across frames of each spatial coefficient: (N, C, T, *S) -> (C prod(S), T, T)."""
    n, _, times = z.shape[:3]
    if 2 * n <= times:
        raise ValueError(f"{n} windows are too few for a covariance across {times} frames: give more than {times // 2}")
    total = 0.0
    for part in z.split(chunk):
        modes = basis((part - mean).movedim(2, 1).flatten(0, 1)).reshape(len(part), times, -1)
        total = total + torch.einsum("ntk,nsk->kts", modes, modes)
    return total / n


def _denoiser(mean: Tensor, covariance: Tensor, basis: Basis, frame: tuple, event: tuple, ridge: float):
    """The denoiser of a mean and a covariance (modes, T, T) across frames for each spatial mode."""
    times = covariance.shape[-1]
    level = covariance.diagonal(dim1=-2, dim2=-1).mean()
    variance, vectors = torch.linalg.eigh(covariance + ridge * level * torch.eye(times, dtype=covariance.dtype))
    basis = SpaceTimeBasis(basis, vectors.float(), frame, event)
    return GaussianDenoiser(mean.expand(event).float().contiguous(), basis, variance.T.float().contiguous())
