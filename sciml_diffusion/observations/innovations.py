"""What data say against a Gaussian model of them: innovations whitened by their law, and evidence for other laws."""

import math

import torch
from torch import Tensor

from .observation import Observation

SCALES = tuple(3.0 ** (i / 4) for i in range(-4, 5))  # of the noise's std, or of the fields' amplitude: 1/3 to 3


class Innovations:
    """z = y - A mu and its law N(0, S), S = R + A C A^T, for x ~ N(mu, C) and y = A x + sqrt(R) eps.

    With R^{-1/2} A C A^T R^{-1/2} = U diag(l) U^T and w = U^T R^{-1/2} z the parts of w are independent N(0, 1 + l),
    so that every law below costs O(m^2) a window once U is known. All in float64.

    Arguments:
        observation: y (B, m) in the space of x, linear with Gaussian noise.
        mean: mu, with shape (*event).
        covariance: C, diagonal in a basis: basis(x), variance.

    Raises:
        ValueError: where the observation is not linear and Gaussian.
    """

    def __init__(self, observation: Observation, mean: Tensor, covariance):
        if not observation.linear_gaussian:
            raise ValueError("innovations need a linear operator and independent Gaussian noise")
        device, dtype = mean.device, mean.dtype
        rows = observation.operator.rows(dtype, device)
        spread = (covariance.basis(rows) * covariance.variance.sqrt()).flatten(1).double()
        self.std = observation.std.to(device).double()
        white = spread / self.std[:, None]
        values, self.vectors = torch.linalg.eigh(white @ white.T)
        self.values = values.clamp_min(0)
        self.m = len(self.std)
        self.w = self.innovations_of(observation, mean)

    def innovations_of(self, observation: Observation, mean: Tensor) -> Tensor:
        """w of other data of the same sensors, y (B, m) in the space of x; mean of shape (*event): shape (B, m)."""
        return self.turned(observation.y.to(mean.device).double() - observation.operator(mean[None]).double())

    def turned(self, z: Tensor) -> Tensor:
        """w = U^T R^{-1/2} z, shape (N, m) -> (N, m)."""
        return (z / self.std) @ self.vectors

    def residual(self, w: Tensor) -> Tensor:
        """z = y - A mu of turned innovations, shape (N, m) -> (N, m)."""
        return (w @ self.vectors.T) * self.std

    @property
    def spread(self) -> Tensor:
        """Standard deviation of each z under the model, sqrt(diag(S)), with shape (m,)."""
        return self.std * (1 + (self.vectors**2 @ self.values)).sqrt()

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draws of w under the model, with shape (n, m)."""
        noise = torch.randn(n, self.m, generator=generator, dtype=torch.float64).to(self.values)
        return noise * (1 + self.values).sqrt()

    def chi_square(self, w: Tensor) -> Tensor:
        """z^T S^{-1} z, which has the law chi^2 with m degrees of freedom: shape (N, m) -> (N,)."""
        return (w**2 / (1 + self.values)).sum(1)

    def log_evidence(self, w: Tensor, noise: Tensor, amplitude: Tensor) -> Tensor:
        """log N(z; 0, a^2 A C A^T + s^2 R) for pairs of scales: shapes (N, m), (Q,), (Q,) -> (N, Q)."""
        total = noise[:, None] ** 2 + amplitude[:, None] ** 2 * self.values
        constant = 2 * self.std.log().sum() + self.m * math.log(2 * math.pi)
        return -0.5 * (w**2 @ (1 / total).T + total.log().sum(1) + constant)

    def solved(self, w: Tensor) -> Tensor:
        """S^{-1} z, shape (N, m) -> (N, m)."""
        return (w / (1 + self.values)) @ self.vectors.T / self.std

    def leave_one_out(self, w: Tensor) -> Tensor:
        """(y_i - E[y_i | all others]) / its std, each N(0, 1): (S^{-1} z)_i / sqrt((S^{-1})_ii), shape (N, m)."""
        precision = ((self.vectors / self.std[:, None]) ** 2 / (1 + self.values)).sum(1)
        return self.solved(w) / precision.sqrt()

    def bias(self, w: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
        """Score g^T S^{-1} z and information g^T S^{-1} g of a constant bias of each group g of sensors.

        The estimate of the bias is their ratio, with variance 1 / information; z = score / sqrt(information) ~ N(0, 1).

        Arguments:
            w: shape (N, m).
            groups: indicator of each group, with shape (m, G).
        Returns shapes (N, G) and (G,).
        """
        groups = groups.to(self.values)
        seen = (self.vectors.T @ (groups / self.std[:, None])) / (1 + self.values[:, None]).sqrt()
        return self.solved(w) @ groups, (seen**2).sum(0)
