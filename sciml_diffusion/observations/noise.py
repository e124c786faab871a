"""Noise laws p(y | A x) of sensors that err independently of each other, and Gaussian noise of known size."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Noise(ABC):
    """The law of y given the noise-free values h = A x, independent from sensor to sensor.

    `m` is the number of sensors. A law states its log-density, and a Gaussian that stands for it near h, for guidance.
    """

    m: int

    @abstractmethod
    def log_prob(self, y: Tensor, h: Tensor) -> Tensor:
        """log p(y_i | h_i), constants included, for each sensor: shapes (N, m), (N, m) -> (N, m)."""

    @abstractmethod
    def draw(self, h: Tensor, generator: torch.Generator) -> Tensor:
        """Draws y | h, shape (N, m) -> (N, m)."""

    @abstractmethod
    def information(self, y: Tensor, h: Tensor) -> Tensor:
        """Curvature of -log p(y_i | h_i) in h_i, or its expectation over y, > 0: shapes (N, m), (N, m) -> (N, m)."""

    def score(self, y: Tensor, h: Tensor) -> Tensor:
        """d log p(y_i | h_i) / d h_i, shapes (N, m), (N, m) -> (N, m)."""
        with torch.enable_grad():
            h = h.detach().requires_grad_()
            return torch.autograd.grad(self.log_prob(y, h).sum(), h)[0]

    def local(self, y: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """The Gaussian that stands for the law near h: residual r, std s with r / s^2 = score, 1 / s^2 = information.

        So that log p(y | h + d) is about -(r - d)^2 / (2 s^2): shapes (N, m), (N, m) -> (N, m), (N, m).
        """
        information = self.information(y, h)
        return self.score(y, h) / information, information.rsqrt()

    @abstractmethod
    def check(self, y: Tensor) -> None:
        """Raises ValueError where y, with shape (B, m), cannot have come from this law."""

    @abstractmethod
    def to(self, dtype: torch.dtype, device: torch.device | str) -> "Noise":
        """The same law with its numbers in another dtype or on another device; shapes stay."""


class Gaussian(Noise):
    """y = h + std z.

    Arguments:
        std: standard deviation of each sensor, finite and > 0, with shape (m,), in the units of y.

    Raises:
        ValueError: where std is not finite and > 0.
    """

    def __init__(self, std: Tensor):
        self.std, self.m = std, len(std)
        if not (torch.isfinite(std).all() and (std > 0).all()):
            raise ValueError(f"std must be finite and > 0 for every sensor; the smallest is {float(std.min())}")

    def log_prob(self, y: Tensor, h: Tensor) -> Tensor:
        std = self.std.to(h)
        return -0.5 * ((y.to(h) - h) / std) ** 2 - std.log() - 0.5 * math.log(2 * math.pi)

    def draw(self, h: Tensor, generator: torch.Generator) -> Tensor:
        return h + self.std.to(h) * white(h, generator)

    def information(self, y: Tensor, h: Tensor) -> Tensor:
        return (self.std.to(h) ** -2).expand(h.shape)

    def local(self, y: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        return y.to(h) - h, self.std.to(h).expand(h.shape)

    def check(self, y: Tensor) -> None:
        if not torch.isfinite(y).all():
            raise ValueError(
                f"{int((~torch.isfinite(y)).sum())} observed values are not finite; leave those sensors out"
            )

    def to(self, dtype: torch.dtype, device: torch.device | str) -> "Gaussian":
        return Gaussian(self.std.to(device, dtype))


class Correlated(Gaussian):
    """y = h + e, e ~ N(0, R): methods see it through `Observation.whitened`, where the noise is independent.

    Arguments:
        covariance: R, symmetric positive definite, with shape (m, m), in the units of y squared.

    Raises:
        ValueError: where R is not a finite, symmetric, positive definite matrix.
    """

    def __init__(self, covariance: Tensor):
        square = covariance.ndim == 2 and covariance.shape[0] == covariance.shape[1]
        if not square or not torch.isfinite(covariance).all() or not torch.allclose(covariance, covariance.T):
            raise ValueError(
                f"the noise covariance must be a finite symmetric matrix; got shape {tuple(covariance.shape)}"
            )
        root, info = torch.linalg.cholesky_ex(covariance.double())
        if int(info) > 0:
            raise ValueError("the noise covariance is not positive definite; add the variance of each single reading")
        super().__init__(covariance.diagonal().sqrt())
        self.covariance, self.root = covariance, root

    def log_prob(self, y: Tensor, h: Tensor) -> Tensor:
        """log N(y; h, R) by its whitened terms; their sum over sensors is the log-density: shape (N, m)."""
        root = self.root.to(h)
        white = torch.linalg.solve_triangular(root, (y.to(h) - h).T, upper=False).T
        return -0.5 * white**2 - root.diagonal().log() - 0.5 * math.log(2 * math.pi)

    def draw(self, h: Tensor, generator: torch.Generator) -> Tensor:
        return h + white(h, generator) @ self.root.T.to(h)

    def to(self, dtype: torch.dtype, device: torch.device | str) -> "Correlated":
        return Correlated(self.covariance.to(device, dtype))


def white(h: Tensor, generator: torch.Generator) -> Tensor:
    """White noise with the shape (N, m), dtype and device of h, drawn where the generator lives."""
    return torch.randn(h.shape, generator=generator, dtype=h.dtype, device=generator.device).to(h.device)
