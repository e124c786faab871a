"""Conditioning Gaussians on linear data where covariances differ between members by a few directions."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..denoisers.covariance import Covariance
from .gaussian_step import Factor, GaussianStep
from .low_rank import LowRank


@dataclass(frozen=True)
class LowRankFactor:
    """S = R + A E A^T = L (I + f diag(l) f^T) L^T for each member, L shared, f = L^{-1} A B^{1/2} Q.

    By Woodbury S^{-1} = L^{-T} (I - f k f^T) L^{-1}, k = (I + diag(l) f^T f)^{-1} diag(l), and
    log |S| = 2 log |L| + log |I + diag(l) f^T f|.

    Arguments:
        law: E.
        shared: L, the factor of R + A B A^T.
        seen: f^T, float64, with shape (N, q, m).
        core: k, with shape (N, q, q).
        log_det: log |I + diag(l) f^T f|, with shape (N,).
    """

    law: LowRank
    shared: Factor
    seen: Tensor
    core: Tensor
    log_det: Tensor

    def select(self, rows: Tensor) -> "LowRankFactor":
        """The same for some of the members; rows of shape (N',)."""
        parts = (self.seen[rows], self.core[rows], self.log_det[rows])
        return LowRankFactor(self.law.select(rows), self.shared, *parts)

    def solve(self, residual: Tensor) -> Tensor:
        """S^{-1} r, shape (N, m) -> (N, m)."""
        white = torch.linalg.solve_triangular(self.shared.cholesky, residual.T, upper=False).T
        if self.seen.shape[1]:
            inner = self.core @ (self.seen @ white[..., None])
            white = white - (self.seen.mT @ inner)[..., 0]
        return torch.linalg.solve_triangular(self.shared.cholesky.T, white.T, upper=True).T

    def log_prob(self, residual: Tensor) -> Tensor:
        """log N(r; 0, S), shape (N, m) -> (N,)."""
        white = torch.linalg.solve_triangular(self.shared.cholesky, residual.T, upper=False).T
        square = (white**2).sum(1)
        if self.seen.shape[1]:
            inner = self.seen @ white[..., None]
            square = square - (inner.mT @ self.core @ inner)[:, 0, 0]
        constant = 2 * self.shared.cholesky.diagonal().log().sum() + residual.shape[1] * math.log(2 * math.pi)
        return -0.5 * (square + self.log_det + constant)


class LowRankStep(GaussianStep):
    """The law of x | y where x ~ N(D, E), y = A x + sqrt(R) eps, for many D and E = B + a low-rank part of each.

    One factorisation of R + A B A^T for all members; q products with A, and q x q systems, for each of them.

    Arguments: as for `GaussianStep`.
    """

    def low_rank(self, law: LowRank, shared: Factor | None = None) -> LowRankFactor:
        """Factors R + A E A^T; `shared` is the factor of R + A B A^T where it is known."""
        shared = self.factor(law.base) if shared is None else shared
        members, q, _ = law.vectors.shape
        seen = torch.zeros(members, q, self.operator.m, dtype=torch.float64, device=self.y.device)
        core, log_det = seen.new_zeros(members, q, q), seen.new_zeros(members)
        if q:
            rows = (law.vectors * law.scale()).flatten(0, 1) @ self._g.flatten(1).T
            seen = torch.linalg.solve_triangular(shared.cholesky, rows.double().T, upper=False).T.reshape(seen.shape)
            total = torch.eye(q, dtype=seen.dtype, device=seen.device) + law.values[..., None] * (seen @ seen.mT)
            core, log_det = torch.linalg.solve(total, torch.diag_embed(law.values)), torch.linalg.slogdet(total)[1]
        return LowRankFactor(law, shared, seen, core, log_det)

    def rows(self, covariance: Covariance) -> Tensor:
        """The rows of A in the coefficients of a covariance's basis, with shape (m, n)."""
        if self._basis is not covariance.basis:
            self.factor(covariance)
        return self._g.flatten(1)

    def perturb_and_solve(self, mean: Tensor, factor: LowRankFactor, z: Tensor, eps: Tensor) -> Tensor:
        """Draws x | y: zeta = E^{1/2} z, x = D + zeta + E A^T S^{-1} (y - A (D + zeta) - sqrt(R) eps).

        Arguments:
            mean: D, with shape (N, *event).
            factor: of R + A E A^T.
            z: white noise in the coefficients of the basis, with shape (N, *coefficients).
            eps: white noise, with shape (N, m).
        Returns x with shape (N, *event).
        """
        zeta = factor.law.root(z.flatten(1))
        seen = (zeta @ self._g.flatten(1).T).double()
        solved = factor.solve(self.residual(mean) - seen - self.std * eps.double())
        change = zeta + factor.law.apply(solved.to(self.dtype) @ self._g.flatten(1))
        return mean + self._basis.inverse(change.reshape(z.shape))
