"""Gaussian random fields on a periodic interval, as functions: the same seed is the same function on every grid."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class PeriodicRandomField:
    """u(x) = sum_{k=1}^{K} s_k (xi_k cos(2 pi k x / L) + eta_k sin(2 pi k x / L)), xi_k, eta_k ~ N(0, 1),

    s_k = sqrt(2) |sigma| ((2 pi k / L)^2 + tau^2)^(-gamma / 2): a Matern spectrum without its mean.
    The defaults are the law of the initial fields of DiffusionPDE's Burgers set (J. Huang et al., NeurIPS 2024).

    Arguments:
        gamma: decay of the spectrum, > 1/2.
        tau: inverse correlation length, in radians for each unit of x.
        sigma: amplitude; the standard deviation of u at a point is the root of `variance`.
        modes: K. s_K / s_1 is 8e-5 for the defaults.
        length: period L, in the units of x.

    Raises:
        ValueError: where an argument is outside its range.
    """

    def __init__(self, gamma: float = 2.5, tau: float = 7.0, sigma: float = 49.0, modes: int = 64, length: float = 1.0):
        if gamma <= 0.5 or tau < 0 or sigma == 0 or modes < 1 or length <= 0:
            raise ValueError(
                "a periodic random field needs gamma > 0.5, tau >= 0, sigma != 0, modes >= 1 and length > 0; "
                f"got gamma={gamma}, tau={tau}, sigma={sigma}, modes={modes}, length={length}"
            )
        self.modes, self.length = modes, length
        self.wavenumbers = 2 * math.pi / length * torch.arange(1, modes + 1, dtype=torch.float64)
        self.amplitudes = math.sqrt(2) * abs(sigma) * (self.wavenumbers**2 + tau**2) ** (-gamma / 2)

    @property
    def variance(self) -> float:
        """Var u(x) = sum_k s_k^2, the same at every point; in the units of u squared."""
        return float((self.amplitudes**2).sum())

    def covariance(self, distance: Tensor) -> Tensor:
        """Cov(u(x), u(x + r)) = sum_k s_k^2 cos(2 pi k r / L), with the shape of r.

        Arguments:
            distance: r, in the units of x, of any shape.
        """
        phase = distance.to(torch.float64)[..., None] * self.wavenumbers
        return (self.amplitudes**2 * phase.cos()).sum(-1)

    def coefficients(self, seed: int, samples: Sequence[int]) -> Tensor:
        """White coefficients (xi_k, eta_k) of some samples, with shape (B, K, 2), float64.

        Each sample has a stream of its own with the key (seed, sample), drawn from k = 1 upwards: neither the batch
        nor K nor a grid changes the lower modes.

        Arguments:
            seed: >= 0.
            samples: indices >= 0 of the samples, with length B.
        """
        draws = [np.random.default_rng([seed, index]).standard_normal((self.modes, 2)) for index in samples]
        return torch.from_numpy(np.stack(draws))

    def evaluate(self, coefficients: Tensor, x: Tensor) -> Tensor:
        """Values of the functions at points, with shape (B, X); linear in the coefficients and differentiable.

        Arguments:
            coefficients: (xi_k, eta_k) for k = 1 .. K' <= K, with shape (B, K', 2).
            x: points, in the units of L, with shape (X,).

        Raises:
            ValueError: where there are more coefficients than modes.
        """
        count = coefficients.shape[1]
        if coefficients.ndim != 3 or count > self.modes or coefficients.shape[2] != 2:
            shape = tuple(coefficients.shape)
            raise ValueError(f"coefficients must have shape (B, at most {self.modes}, 2); got {shape}")
        phase = self.wavenumbers[:count, None] * x.to(torch.float64)
        waves = self.amplitudes[:count, None, None] * torch.stack([phase.cos(), phase.sin()], 1)
        return coefficients.flatten(1) @ waves.flatten(0, 1).to(coefficients)
