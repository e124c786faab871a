"""The exact denoiser of a Gaussian: D(x_t, sigma) = mu + C (C + sigma^2)^{-1} (x_t - mu)."""

import math

import torch
from torch import Tensor

from .base import Denoiser, expand
from .basis import Basis
from .covariance import Covariance


class GaussianDenoiser(Denoiser):
    """Closed-form denoiser of N(mu, C), C = B^T diag(v) B; D is the Kalman (Wiener) estimate.

    Cov[x | x_t] = C sigma^2 / (C + sigma^2) does not depend on x_t, so the surrogate is exact.

    Arguments:
        mean: mu, with shape (*event).
        basis: B, in which C is diagonal.
        variance: v, with the shape of the coefficients; values below 1e-12 of the largest are raised to that.

    Raises:
        ValueError: where a variance is negative or not finite, or the shapes do not fit.
    """

    def __init__(self, mean: Tensor, basis: Basis, variance: Tensor):
        super().__init__()
        if not torch.isfinite(variance).all() or (variance < 0).any() or not (variance > 0).any():
            raise ValueError(
                f"variance must be finite, >= 0 and not all 0; got a range of [{variance.min()}, {variance.max()}]"
            )
        self.event, self.basis = tuple(mean.shape), basis
        coefficients = basis(mean[None])[0]
        if coefficients.shape != variance.shape:
            raise ValueError(f"variance has shape {tuple(variance.shape)}; the basis makes {tuple(coefficients.shape)}")
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("variance", variance.clamp_min(1e-12 * variance.max()), persistent=False)

    @property
    def arguments(self) -> dict:
        """Constructor arguments, from which the denoiser can be rebuilt."""
        return {"mean": self.mean, "basis": self.basis, "variance": self.variance}

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Returns mu + C (C + sigma^2)^{-1} (x_t - mu), with shape (N, *event)."""
        c = self.basis(x_t - self.mean)
        return self.mean + self.basis.inverse(c / (1 + expand(sigma, c) ** 2 / self.variance))

    def surrogate(self, sigma: Tensor) -> Covariance:
        """Exact covariance of x | x_t: P = (C^{-1} + sigma^{-2})^{-1}; sigma of shape ()."""
        return Covariance(self.basis, 1 / (1 / self.variance + sigma**-2))

    def prior_mean(self) -> Tensor:
        """mu, with shape (*event)."""
        return self.mean

    def vjp(self, x_t: Tensor, sigma: Tensor):
        """As `Denoiser.vjp`, without autograd: dD/dx_t = C (C + sigma^2)^{-1} is symmetric."""
        gain = Covariance(self.basis, 1 / (1 + sigma**2 / self.variance))
        return self(x_t, sigma), gain.apply

    def log_prob(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """log N(x_t; mu, C + sigma^2), with shape (N,); sigma of shape ()."""
        total = self.variance + sigma**2
        c = self.basis(x_t - self.mean)
        quadratic = (c**2 / total).flatten(1).sum(-1)
        return -0.5 * (quadratic + total.log().sum() + total.numel() * math.log(2 * math.pi))
