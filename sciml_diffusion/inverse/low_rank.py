"""Covariances of x | x_t that differ between members by a few directions: E = B^{1/2} (I + Q diag(l) Q^T) B^{1/2}."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..denoisers.covariance import Covariance

FLOOR = -0.99  # least l: E keeps 1 % of B in every direction
TINY = 1e-12  # directions whose squared norm is below this share of the largest are dropped


@dataclass(frozen=True)
class LowRank:
    """E = B^{1/2} (I + Q diag(l) Q^T) B^{1/2}, B shared and diagonal in a basis, Q and l of each member; l > -1.

    The square roots are symmetric. In the coefficients of the basis all of it is products with rows of length n.

    Arguments:
        base: B.
        vectors: orthonormal rows Q^T, or rows of zeros, with shape (N, q, n); q = 0 leaves B alone.
        values: l, float64, with shape (N, q).
    """

    base: Covariance
    vectors: Tensor
    values: Tensor

    def scale(self) -> Tensor:
        """sqrt(B) in the coefficients, with shape (n,)."""
        return self.base.variance.sqrt().flatten().to(self.vectors)

    def root(self, z: Tensor) -> Tensor:
        """Coefficients of a field of covariance E from white ones: B^{1/2} (I + Q (sqrt(1 + l) - 1) Q^T) z, (N, n)."""
        return self.scale() * self._stretched(z, (1 + self.values).sqrt() - 1)

    def apply(self, c: Tensor) -> Tensor:
        """Coefficients of E u from those of u, shape (N, n) -> (N, n)."""
        return self.scale() * self._stretched(self.scale() * c, self.values)

    def narrowed(self, kappa: Tensor) -> "LowRank":
        """(E^{-1} + kappa I)^{-1}, kappa >= 0 of shape ().

        With s = (1 + kappa B)^{-1/2} and d = l / (1 + l) it is P^{1/2} (I - T d T^T)^{-1} P^{1/2}, where
        P = (B^{-1} + kappa)^{-1} and T = s Q: P with q directions again, which are made orthonormal.
        """
        base = Covariance(self.base.basis, 1 / (1 / self.base.variance + kappa))
        if not self.vectors.shape[1]:
            return LowRank(base, self.vectors, self.values)
        shrunk = self.vectors * (1 + kappa * self.base.variance).rsqrt().flatten().to(self.vectors)
        d = self.values / (1 + self.values)
        gram = (shrunk @ shrunk.mT).double()
        core = torch.linalg.solve(_eye(gram) - d[..., None] * gram, torch.diag_embed(d))
        return LowRank(base, *diagonal(shrunk, core))

    def select(self, rows: Tensor) -> "LowRank":
        """The same for some of the members; rows of shape (N',)."""
        return LowRank(self.base, self.vectors[rows], self.values[rows])

    def _stretched(self, z: Tensor, values: Tensor) -> Tensor:
        if not self.vectors.shape[1]:
            return z
        along = (self.vectors @ z[..., None])[..., 0] * values.to(z)
        return z + (along[:, None] @ self.vectors)[:, 0]


def diagonal(rows: Tensor, core: Tensor) -> tuple[Tensor, Tensor]:
    """T^T K T with orthonormal rows: Q^T (N, q, n) and l (N, q) with Q diag(l) Q^T = T^T K T.

    By the eigenvectors of T T^T, without a factorisation of length n; directions of no length become rows of zeros.

    Arguments:
        rows: T, with shape (N, q, n).
        core: K, symmetric, float64, with shape (N, q, q).
    """
    squares, turn = torch.linalg.eigh(_clean((rows @ rows.mT).double()))
    kept = squares > TINY * squares[:, -1:].clamp_min(TINY)
    root = torch.where(kept, squares, 0).sqrt()
    inner = root[..., None] * (turn.mT @ _clean(core) @ turn) * root[:, None]
    values, again = torch.linalg.eigh(_clean(inner))
    frame = turn * torch.where(kept, squares, 1).rsqrt()[:, None] * kept[:, None]
    return (frame @ again).mT.to(rows) @ rows, values.clamp_min(FLOOR)


def orthonormal(rows: Tensor) -> Tensor:
    """Orthonormal rows of the same span, shape (N, q, n) -> (N, q, n); zeros for what is lost or depends on others."""
    rows = _clean(rows)
    rows = rows / rows.norm(dim=2, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
    eye = torch.eye(rows.shape[1], dtype=torch.float64, device=rows.device)
    return diagonal(rows, eye.expand(len(rows), -1, -1))[0]


def refined(
    pull: Callable[[Tensor], Tensor], sigma: Tensor, base: Covariance, probes: Tensor
) -> tuple[LowRank, Tensor]:
    """The best E in the span of q directions, from the products of the denoiser's own covariance sigma^2 J with them.

    Rayleigh-Ritz: l are the eigenvalues of Q^T (B^{-1/2} sigma^2 J B^{-1/2} - I) Q, clipped so that E > 0. Exact where
    Q holds all directions in which sigma^2 J is not B. J is made symmetric. What the products have beyond B is a step
    of subspace iteration towards those directions: it comes back too.

    Source: Halko, Martinsson and Tropp, Finding structure with randomness, SIAM Review 53 (2011).

    Arguments:
        pull: u -> J^T u, shape (N, *event) -> (N, *event).
        sigma: noise level, with shape ().
        base: B at this level.
        probes: Q^T, orthonormal rows (or rows of zeros), with shape (N, q, n).
    Returns E, and the coefficients of (sigma^2 J - B) B^{-1/2} Q, with shape (N, q, n).
    """
    scale = base.variance.sqrt().flatten().to(probes)
    products = []
    for row in probes.unbind(1):
        u = base.basis.inverse((row / scale).reshape(len(row), *base.variance.shape))
        products.append(sigma**2 * base.basis(pull(u)).flatten(1) / scale)
    excess = torch.stack(products, 1) - probes
    core = _clean((probes @ excess.mT).double())
    values, turn = torch.linalg.eigh((core + core.mT) / 2)
    turn = turn.mT.to(probes)
    return LowRank(base, turn @ probes, values.clamp_min(FLOOR)), scale * (turn @ excess)


def _eye(like: Tensor) -> Tensor:
    return torch.eye(like.shape[-1], dtype=like.dtype, device=like.device)


def _clean(matrix: Tensor) -> Tensor:
    """Zeros for what is not finite: the particle has lost its way, and its weight will say so; any shape."""
    return matrix.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
