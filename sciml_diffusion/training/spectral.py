"""The Gaussian anchor of periodic one-dimensional fields: exact across wavenumbers, empirical across time."""

import torch
from torch import Tensor

from ..denoisers.basis import FourierBasis, SpaceTimeBasis
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
    n, channels, times, points = z.shape
    if 2 * n <= times:
        raise ValueError(f"{n} windows are too few for a covariance across {times} frames: give more than {times // 2}")
    z = z.double()
    mean = z.mean((0, 3), keepdim=True)
    modes = FourierBasis(1)((z - mean).movedim(2, 1).reshape(n * times, channels, points))
    modes = modes.reshape(n, times, channels, points)
    covariance = torch.einsum("ntcx,nscx->cxts", modes, modes) / n
    opposite = -torch.arange(points) % points
    covariance = (covariance + covariance[:, opposite]) / 2
    total = covariance.diagonal(dim1=-2, dim2=-1)
    covariance = covariance + ridge * total.mean() * torch.eye(times, dtype=z.dtype)
    variance, vectors = torch.linalg.eigh(covariance.reshape(channels * points, times, times))
    vectors, event = vectors.float(), (channels, times, points)
    basis = SpaceTimeBasis(FourierBasis(1), vectors, (channels, points), event)
    return GaussianDenoiser(mean[0].expand(event).float().contiguous(), basis, variance.T.float().contiguous())
