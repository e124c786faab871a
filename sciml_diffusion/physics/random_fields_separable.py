"""Gaussian random fields on a rectangle, as functions: the same seed is the same function on every grid."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

BASES = ("cosine", "sine", "fourier")


class SeparableRandomField:
    """u(y, x) = sum_{jk} s_jk xi_jk phi_j(y) psi_k(x), xi_jk ~ N(0, 1).

    s_jk = sigma (q_j^2 + q_k^2 + tau^2)^(-alpha / 2), and the constant is left out. Each axis of length L has functions
    of mean square 1 with the wavenumbers q:
    cosine (zero slope at both ends): 1 and sqrt(2) cos(q x), q = pi k / L, k < K;
    sine (zero at both ends): sqrt(2) sin(q x), q = pi k / L, 0 < k < K;
    fourier (periodic): 1, sqrt(2) cos(q x) and sqrt(2) sin(q x), q = 2 pi k / L, k < K.

    Arguments:
        bases: one of "cosine", "sine", "fourier" for each of the two axes (y, x).
        alpha: decay of the spectrum, > 1.
        tau: inverse correlation length >= 0, in radians for each unit of length.
        sigma: amplitude, != 0; the variance is in `variance`.
        modes: K >= 2, for both axes.
        lengths: (L_y, L_x) > 0.

    Raises:
        ValueError: where an argument is outside its range.
    """

    def __init__(
        self,
        bases: tuple[str, str],
        alpha: float,
        tau: float,
        sigma: float = 1.0,
        modes: int = 128,
        lengths: tuple[float, float] = (1.0, 1.0),
    ):
        if len(bases) != 2 or not set(bases) <= set(BASES):
            raise ValueError(f"bases must be two of {BASES}; got {bases}")
        if not alpha > 1 or not tau >= 0 or sigma == 0 or modes < 2 or not min(lengths) > 0:
            raise ValueError(
                "a random field needs alpha > 1, tau >= 0, sigma != 0, modes >= 2 and lengths > 0; "
                f"got alpha={alpha}, tau={tau}, sigma={sigma}, modes={modes}, lengths={lengths}"
            )
        self.bases, self.lengths, self.modes = tuple(bases), tuple(lengths), modes
        q_y, q_x = (self._wavenumbers(axis) for axis in (0, 1))
        q2 = q_y[:, None] ** 2 + q_x**2
        amplitudes = sigma * torch.where(q2 == 0, 1.0, q2 + tau**2) ** (-alpha / 2)
        self.amplitudes = torch.where(q2 == 0, 0.0, amplitudes)

    @property
    def variance(self) -> float:
        """Mean over the rectangle of Var u(y, x): sum_jk s_jk^2; on periodic axes the same at every point."""
        return float((self.amplitudes**2).sum())

    def variance_at(self, y: Tensor, x: Tensor) -> Tensor:
        """Var u at the points of a grid: sum_jk s_jk^2 phi_j(y)^2 psi_k(x)^2; (Y,) and (X,) give the shape (Y, X)."""
        phi, psi = self._functions(0, y), self._functions(1, x)
        return (phi**2).T @ self.amplitudes**2 @ psi**2

    def coefficients(self, seed: int, samples: Sequence[int]) -> Tensor:
        """White coefficients xi_jk of some samples, with shape (B, J, K), float64.

        Each sample has a stream of its own with the key (seed, sample), drawn in squares of growing max(j, k): neither
        the batch nor the number of modes nor a grid changes the lower ones.

        Arguments:
            seed: >= 0.
            samples: indices >= 0 of the samples, with length B.
        """
        rows, columns = self.amplitudes.shape
        side = max(rows, columns)
        j, k = np.indices((side, side))
        order = np.lexsort((k.ravel(), j.ravel(), np.maximum(j, k).ravel()))
        draws = np.empty((len(samples), side * side))
        for row, index in zip(draws, samples, strict=True):
            row[order] = np.random.default_rng([seed, index]).standard_normal(side * side)
        return torch.from_numpy(draws.reshape(-1, side, side)[:, :rows, :columns].copy())

    def evaluate(self, coefficients: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Values of the functions at the points of a grid, with shape (B, Y, X); linear and differentiable.

        Arguments:
            coefficients: xi_jk, with shape (B, J, K).
            y: distances from the first end of the first axis, with shape (Y,).
            x: distances from the first end of the second axis, with shape (X,).

        Raises:
            ValueError: coefficients of another shape.
        """
        if coefficients.ndim != 3 or coefficients.shape[1:] != self.amplitudes.shape:
            shape, expected = tuple(coefficients.shape), tuple(self.amplitudes.shape)
            raise ValueError(f"coefficients must have the shape (B, {expected[0]}, {expected[1]}); got {shape}")
        phi, psi = (self._functions(axis, points).to(coefficients) for axis, points in ((0, y), (1, x)))
        return phi.T @ (self.amplitudes.to(coefficients) * coefficients) @ psi

    def _wavenumbers(self, axis: int) -> Tensor:
        """q of each function of an axis."""
        k = torch.arange(self.modes, dtype=torch.float64) * math.pi / self.lengths[axis]
        if self.bases[axis] == "fourier":
            return 2 * torch.cat([k[:1], k[1:].repeat_interleave(2)])
        return k[1:] if self.bases[axis] == "sine" else k

    def _functions(self, axis: int, points: Tensor) -> Tensor:
        """The functions of an axis at points, with shape (functions, points)."""
        q = self._wavenumbers(axis)
        phase = q[:, None] * points.to("cpu", torch.float64)
        if self.bases[axis] == "sine":
            return math.sqrt(2) * phase.sin()
        waves = phase.cos()
        if self.bases[axis] == "fourier":
            odd = (torch.arange(len(q)) % 2 == 1) | (q == 0)
            waves = torch.where(odd[:, None], waves, phase.sin())
        return torch.where(q[:, None] == 0, waves, math.sqrt(2) * waves)
