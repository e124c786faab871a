"""Gaussian random fields on a periodic rectangle, as functions: the same seed is the same function on every grid."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .grid import Grid


class TorusRandomField:
    """w(x) = sum over half of k in Z^2 \\ 0 of s_k (xi_k cos(2 pi k . x / L) + eta_k sin(2 pi k . x / L)),

    xi_k, eta_k ~ N(0, 1), s_k = 2 |sigma| ((2 pi |k| / L)^2 + tau^2)^(-alpha / 2) / L; one of k and -k is in the half.
    For L = 1 it is the law of FNO's initial vorticities: sqrt 2 times the real part of a complex field with covariance
    sigma^2 (-Lap + tau^2)^(-alpha) and no mean. Modes come in square shells max |k_i| = 1, 2, ...: more of them never
    change the lower ones.
    Source: Z. Li et al., Fourier Neural Operator, ICLR 2021.

    Arguments:
        alpha: decay of the spectrum, > 1.
        tau: inverse correlation length, in radians for each unit of length, > 0.
        sigma: amplitude; tau^(alpha - 1) by default, as in FNO.
        modes: largest |k_i|; the default leaves out 7e-5 of the variance of the default law.
        length: period L of both axes.

    Raises:
        ValueError: where an argument is outside its range.
    """

    def __init__(
        self,
        alpha: float = 2.5,
        tau: float = 7.0,
        sigma: float | None = None,
        modes: int = 32,
        length: float = 1.0,
    ):
        sigma = tau ** (alpha - 1) if sigma is None and tau > 0 else sigma
        if alpha <= 1 or tau <= 0 or not sigma or modes < 1 or length <= 0:
            raise ValueError(
                "a random field on the torus needs alpha > 1, tau > 0, sigma != 0, modes >= 1 and length > 0; "
                f"got alpha={alpha}, tau={tau}, sigma={sigma}, modes={modes}, length={length}"
            )
        self.modes, self.length = modes, length
        self.shells = _half_shells(modes)  # k = (k_x, k_y), with shape (K, 2)
        square = (2 * math.pi / length * self.shells.to(torch.float64)).square().sum(1)
        self.amplitudes = 2 * abs(sigma) / length * (square + tau**2) ** (-alpha / 2)

    @property
    def variance(self) -> float:
        """Var w(x) = sum_k s_k^2, the same at every point; 0.0686 for the default law with all its modes."""
        return float((self.amplitudes**2).sum())

    def coefficients(self, seed: int, samples: Sequence[int]) -> Tensor:
        """White coefficients (xi_k, eta_k) of some samples, with shape (B, K, 2), float64; K = 2 modes (modes + 1).

        Each sample has a stream of its own with the key (seed, sample), drawn shell by shell: neither the batch nor the
        number of modes nor a grid changes the lower modes.

        Arguments:
            seed: >= 0.
            samples: indices >= 0 of the samples, with length B.
        """
        draws = [np.random.default_rng([seed, index]).standard_normal((len(self.shells), 2)) for index in samples]
        return torch.from_numpy(np.stack(draws))

    def evaluate(self, coefficients: Tensor, grid: Grid) -> Tensor:
        """Values of the functions at the points of a grid, with shape (B, *S); linear in the coefficients.

        Exact at any points: modes above a grid's own are sampled, not left out.

        Arguments:
            coefficients: (xi_k, eta_k) of the first K' <= K modes, with shape (B, K', 2).
            grid: axes x and y, in either order, in the units of L.

        Raises:
            ValueError: where there are more coefficients than modes, or the axes have other names.
        """
        count = coefficients.shape[1]
        if coefficients.ndim != 3 or count > len(self.shells) or coefficients.shape[2] != 2:
            shape = tuple(coefficients.shape)
            raise ValueError(f"coefficients must have shape (B, at most {len(self.shells)}, 2); got {shape}")
        if set(grid.dims) != {"x", "y"}:
            raise ValueError(f"a random field on the torus needs the axes x and y; got {grid.dims}")
        table = self._table(coefficients)
        waves = [self._waves(grid.coordinates[grid.dims.index(dim)], table) for dim in ("x", "y")]
        rows = torch.einsum("bkl,xk->bxl", table, waves[0])  # sum over k_x
        values = torch.einsum("bxl,yl->bxy", rows, waves[1]).real
        return values if grid.dims == ("x", "y") else values.mT

    def _table(self, coefficients: Tensor) -> Tensor:
        """s_k (xi_k - i eta_k), whose real part with exp(i k . x) is the field; shape (B, 2 modes + 1, 2 modes + 1)."""
        count, side = coefficients.shape[1], 2 * self.modes + 1
        flat = ((self.shells[:count, 0] + self.modes) * side + self.shells[:count, 1] + self.modes).to(
            coefficients.device
        )
        scaled = self.amplitudes[:count, None].to(coefficients) * coefficients
        values = torch.complex(scaled[..., 0], -scaled[..., 1])
        table = values.new_zeros(len(coefficients), side * side).index_copy(1, flat, values)
        return table.reshape(-1, side, side)

    def _waves(self, points: np.ndarray, like: Tensor) -> Tensor:
        """exp(2 pi i k x / L) for k = -modes .. modes, with shape (X, 2 modes + 1)."""
        k = 2 * math.pi / self.length * torch.arange(-self.modes, self.modes + 1, dtype=torch.float64)
        return torch.exp(1j * torch.from_numpy(np.asarray(points, np.float64))[:, None] * k).to(like)


def _half_shells(modes: int) -> Tensor:
    """Wavevectors of a half plane by square shells: those with k_y > 0, or k_y = 0 and k_x > 0; shape (K, 2)."""
    side = torch.arange(-modes, modes + 1)
    k = torch.cartesian_prod(side, side)
    half = k[(k[:, 1] > 0) | ((k[:, 1] == 0) & (k[:, 0] > 0))]
    return half[torch.argsort(half.abs().amax(1), stable=True)]
