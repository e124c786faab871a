"""Covariances that are diagonal in an orthonormal basis: Sigma = B^T diag(v) B."""

from dataclasses import dataclass

from torch import Tensor

from .basis import Basis


@dataclass(frozen=True)
class Covariance:
    """Sigma = B^T diag(v) B, shared by all members of a batch.

    Arguments:
        basis: B, orthonormal.
        variance: v >= 0, with the shape of the coefficients (or one that broadcasts to it).
    """

    basis: Basis
    variance: Tensor

    def apply(self, u: Tensor) -> Tensor:
        """Returns Sigma u: shape (N, *event) -> (N, *event)."""
        return self.basis.inverse(self.variance * self.basis(u))

    def sqrt(self, z: Tensor) -> Tensor:
        """Returns the symmetric root Sigma^{1/2} z: shape (N, *event) -> (N, *event); colours white noise."""
        return self.basis.inverse(self.variance.sqrt() * self.basis(z))
