"""Conditioning Gaussians on linear data, with one factorisation for all members and windows that share a covariance."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..denoisers.covariance import Covariance
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams

CHUNK = 2048  # columns of G per float32 product; the sums over chunks are float64


@dataclass(frozen=True)
class Factor:
    """S = R + A E A^T, factored: the law N(A D, S) of y where x ~ N(D, E).

    Arguments:
        covariance: E.
        cholesky: lower L with L L^T = S, float64, with shape (m, m).
    """

    covariance: Covariance
    cholesky: Tensor

    def solve(self, residual: Tensor) -> Tensor:
        """S^{-1} r, shape (N, m) -> (N, m)."""
        return torch.cholesky_solve(residual.T, self.cholesky).T

    def log_prob(self, residual: Tensor) -> Tensor:
        """log N(r; 0, S), shape (N, m) -> (N,)."""
        white = torch.linalg.solve_triangular(self.cholesky, residual.T, upper=False)
        constant = 2 * self.cholesky.diagonal().log().sum() + len(white) * math.log(2 * math.pi)
        return -0.5 * ((white**2).sum(0) + constant)


class GaussianStep:
    """The law of x | y where x ~ N(D, E), y = A x + sqrt(R) eps, for many D and one E = B^T diag(v) B.

    S = R + G diag(v) G^T, the rows of G being those of A in the basis B; mean D + E A^T S^{-1} (y - A D); a draw by
    perturb-and-solve: zeta ~ N(0, E), eps ~ N(0, R), x = D + zeta + E A^T S^{-1} (y - A (D + zeta) - eps). All but D
    happens in the coefficients of B: a draw costs one transform.

    G is made once. In float32 the product G diag(v) G^T is summed over chunks in float64: with 640 sensors whose std is
    3 % of the field's, S^{-1} r is then right to 2e-6, at half the time of float64. The factorisation is in float64.

    Source: Hoffman and Ribak, Constrained realizations of Gaussian fields, Astrophys. J. 380 (1991).

    Arguments:
        observation: A, y (B, m) and std (m,).
        dtype: of the members, whose N = B K rows run over members within windows.
    """

    def __init__(self, observation: Observation, dtype: torch.dtype):
        self.operator, self.dtype = observation.operator, dtype
        self.y, self.std = observation.y.double(), observation.std.double()
        self._basis = self._g = None

    def factor(self, covariance: Covariance) -> Factor:
        """Factors S = R + A E A^T."""
        if self._basis is not covariance.basis:
            rows = self.operator.rows(self.dtype, self.y.device)
            self._basis, self._g = covariance.basis, covariance.basis(rows)
        variance = covariance.variance.expand(self._g.shape[1:]).flatten()
        scaled = self._g.flatten(1) * variance.sqrt().to(self.dtype)
        s = torch.diag(self.std**2)
        for part in scaled.split(scaled.shape[1] if self.dtype == torch.float64 else CHUNK, 1):
            s = s + (part @ part.T).double()
        return Factor(covariance, torch.linalg.cholesky(s))

    def residual(self, mean: Tensor) -> Tensor:
        """y - A D in float64, shape (N, *event) -> (N, m)."""
        return self.y.repeat_interleave(len(mean) // len(self.y), 0) - self.operator(mean).double()

    def log_prob(self, mean: Tensor, factor: Factor) -> Tensor:
        """log N(y; A D, S) for each member, float64, shape (N, *event) -> (N,)."""
        return factor.log_prob(self.residual(mean))

    def mean(self, mean: Tensor, factor: Factor) -> Tensor:
        """E[x | y] = D + E A^T S^{-1} (y - A D), shape (N, *event) -> (N, *event)."""
        return mean + self._basis.inverse(self._update(self.residual(mean), factor))

    def draw(self, mean: Tensor, factor: Factor, streams: MemberStreams) -> Tensor:
        """Draws x | y where x ~ N(D, E), shape (N, *event) -> (N, *event), one row of the streams for each."""
        return mean + self._perturbed(self.residual(mean), factor, streams)

    def spread(self, factor: Factor, streams: MemberStreams) -> Tensor:
        """Draws x - E[x | y], which does not depend on D: shape (rows, *event)."""
        return self._perturbed(self.y.new_zeros(streams.rows, self.operator.m), factor, streams)

    def _perturbed(self, residual: Tensor, factor: Factor, streams: MemberStreams) -> Tensor:
        """zeta + E A^T S^{-1} (r - A zeta - eps), with shape (N, *event)."""
        zeta = factor.covariance.variance.sqrt().to(self.dtype) * streams.normal(self._g.shape[1:])
        seen = (zeta.flatten(1) @ self._g.flatten(1).T).double()
        eps = self.std * streams.normal((self.operator.m,)).double()
        return self._basis.inverse(zeta + self._update(residual - seen - eps, factor))

    def _update(self, residual: Tensor, factor: Factor) -> Tensor:
        """The coefficients of E A^T S^{-1} r, shape (N, m) -> (N, *coefficients)."""
        pulled = (factor.solve(residual).to(self.dtype) @ self._g.flatten(1)).reshape(-1, *self._g.shape[1:])
        return factor.covariance.variance.to(self.dtype) * pulled


class IsotropicStep:
    """The same for E = w I, each member with its own w >= 0: R^{-1/2} A A^T R^{-1/2} = U diag(l) U^T is factored once.

    Arguments: as for `GaussianStep`.
    """

    def __init__(self, observation: Observation, dtype: torch.dtype):
        self.operator, self.dtype = observation.operator, dtype
        self.y, self.std = observation.y.double(), observation.std.double()
        a = self.operator.rows(torch.float64, self.y.device).flatten(1) / self.std[:, None]
        values, self._vectors = torch.linalg.eigh(a @ a.T)
        self._values = values.clamp_min(0)

    def log_prob(self, mean: Tensor, variance: Tensor) -> Tensor:
        """log N(y; A D, R + w A A^T), shapes D (N, *event) and w (N,) -> (N,), float64."""
        total = 1 + variance.double()[:, None] * self._values
        white = (self._residual(mean) / self.std) @ self._vectors
        constant = 2 * self.std.log().sum() + self.operator.m * math.log(2 * math.pi)
        return -0.5 * ((white**2 / total + total.log()).sum(1) + constant)

    def draw(self, mean: Tensor, variance: Tensor, streams: MemberStreams) -> Tensor:
        """Draws x | y where x ~ N(D, w I), shapes D (N, *event) and w (N,) -> (N, *event)."""
        x = mean + self._root(variance, mean) * streams.normal(mean.shape[1:])
        residual = self._residual(x) - self.std * streams.normal((self.operator.m,)).double()
        return x + self._update(residual, variance)

    def spread(self, variance: Tensor, streams: MemberStreams) -> Tensor:
        """Draws x - E[x | y], shape w (N,) -> (N, *event)."""
        noise = streams.normal(tuple(self.operator.event))
        zeta = self._root(variance, noise) * noise
        residual = self.operator(zeta).double() + self.std * streams.normal((self.operator.m,)).double()
        return zeta - self._update(residual, variance)

    def log_narrowing(self, e: Tensor, variance: Tensor, v: Tensor, c: Tensor) -> Tensor:
        """log N(e; 0, (v + c^2 w) I) - log N(e; 0, v I + c^2 V), V the covariance of x - E[x | y]: float64, shape (N,).

        Arguments:
            e: shape (N, *event).
            variance: w, with shape (N,).
            v, c: v >= 0 and c, with shape ().
        """
        w, v, c = variance.double()[:, None], v.double(), c.double()
        seen = (self.operator(e).double() / self.std) @ self._vectors
        prior, share = v + c**2 * w, 1 + w * self._values
        narrow = v + c**2 * w / share
        return 0.5 * (seen**2 * (c * w) ** 2 / (share * narrow * prior) + (narrow / prior).log()).sum(1)

    def _residual(self, mean: Tensor) -> Tensor:
        return self.y.repeat_interleave(len(mean) // len(self.y), 0) - self.operator(mean).double()

    def _root(self, variance: Tensor, x: Tensor) -> Tensor:
        return variance.sqrt().reshape(-1, *(1,) * (x.ndim - 1))

    def _update(self, residual: Tensor, variance: Tensor) -> Tensor:
        """w A^T (R + w A A^T)^{-1} r."""
        w = variance.double()[:, None]
        solved = ((residual / self.std) @ self._vectors * w / (1 + w * self._values)) @ self._vectors.T / self.std
        return self.operator.adjoint(solved.to(self.dtype))
