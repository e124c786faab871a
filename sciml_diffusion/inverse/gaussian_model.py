"""A Gaussian that stands for a prior where an integrator or a potential needs a closed form."""

import torch
from torch import Tensor

from ..denoisers.base import Denoiser


class GaussianModel:
    """N(m, C) in the place of a prior: the mean and covariance that the denoiser states, or else C = v I.

    m and v are then read off it at one level, D(+-sigma z) = m + v (v + sigma^2)^{-1} (+-sigma z - m). `scale` is the
    mean variance of a coordinate.

    Arguments:
        denoiser: of the prior.
        sigma: the level at which it is probed, shape ().
    """

    def __init__(self, denoiser: Denoiser, sigma: Tensor):
        mean, covariance = denoiser.prior_mean(), denoiser.surrogate(torch.full_like(sigma, torch.inf))
        z = torch.randn(tuple(denoiser.event), generator=torch.Generator().manual_seed(0), dtype=torch.float64).sign()
        z = z.to(sigma.device, sigma.dtype) * sigma
        up, down = denoiser(torch.stack([z, -z]), sigma)
        gain = (((up - down) * z).sum() / (2 * (z**2).sum())).clamp(0, 1 - 1e-3)
        self.covariance = covariance
        self.mean = (up + down) / 2 / (1 - gain) if mean is None else mean.to(sigma)
        self.variance = sigma**2 * gain / (1 - gain) if covariance is None else covariance.variance.to(sigma)
        self.scale = self.variance if covariance is None else self.variance.mean()

    def typical(self, count: int) -> Tensor:
        """Some draws from the model, always the same, with shape (count, *event)."""
        z = torch.randn(count, *self.mean.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        z = z.to(self.mean)
        return self.mean + (self.variance.sqrt() * z if self.covariance is None else self.covariance.sqrt(z))

    def score(self, x: Tensor, sigma: Tensor) -> Tensor:
        """-(C + sigma^2)^{-1} (x - m), shape (N, *event) -> (N, *event)."""
        return self._scaled(self.mean - x, 1 / (self.variance + sigma**2))

    def gain(self, u: Tensor, sigma: Tensor) -> Tensor:
        """C (C + sigma^2)^{-1} u, the derivative of `denoised`: shape (N, *event) -> (N, *event)."""
        return self._scaled(u, self.variance / (self.variance + sigma**2))

    def denoised(self, x: Tensor, sigma: Tensor) -> Tensor:
        """E[x | x_t] under the model, m + C (C + sigma^2)^{-1} (x_t - m): shape (N, *event) -> (N, *event)."""
        return self.mean + self.gain(x - self.mean, sigma)

    def divergence(self, sigma: Tensor) -> Tensor:
        """-trace (C + sigma^2)^{-1}, float64, shape ()."""
        size = self.mean.numel() if self.covariance is None else self.mean.numel() / self.variance.numel()
        return -(size / (self.variance + sigma**2).double()).sum()

    def _scaled(self, u: Tensor, factor: Tensor) -> Tensor:
        if self.covariance is None:
            return factor * u
        return self.covariance.basis.inverse(factor * self.covariance.basis(u))


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of rows, float64: shapes (N, *event) -> (N,)."""
    return (a.double() * b.double()).flatten(1).sum(1)
