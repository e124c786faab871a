"""y = A x + std z: data with Gaussian noise of known size, for a batch of B windows observed by the same sensors."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .operators import LinearOperator, ThroughCodec


@dataclass(frozen=True, eq=False)
class Observation:
    """Observations of B windows through one operator.

    Arguments:
        operator: A, from an event to m numbers.
        y: data, with shape (B, m).
        std: standard deviation of each sensor's noise, > 0, with shape (m,), in the units of y.

    Raises:
        ValueError: where shapes do not fit, or std is not > 0 and finite, or y is not finite.
    """

    operator: LinearOperator
    y: Tensor
    std: Tensor

    def __post_init__(self):
        if self.y.ndim != 2 or self.y.shape[1] != self.operator.m or self.std.shape != (self.operator.m,):
            raise ValueError(
                f"an operator with {self.operator.m} outputs needs y of shape (B, {self.operator.m}) and std of shape "
                f"({self.operator.m},); got {tuple(self.y.shape)} and {tuple(self.std.shape)}"
            )
        if not (torch.isfinite(self.std).all() and (self.std > 0).all()):
            raise ValueError(f"std must be finite and > 0 for every sensor; the smallest is {float(self.std.min())}")
        if not torch.isfinite(self.y).all():
            raise ValueError(
                f"{int((~torch.isfinite(self.y)).sum())} observed values are not finite; leave those sensors out"
            )

    def log_likelihood(self, x: Tensor) -> Tensor:
        """log N(y; A x, std^2), summed over the m observations of a sample: shape (B K, *event) -> (B K,).

        The rows of x run over members within windows.
        """
        residual = (self.repeat(len(x) // len(self.y)) - self.operator(x)) / self.std.to(x)
        constant = self.std.to(x).log().sum() + 0.5 * self.operator.m * math.log(2 * math.pi)
        return -0.5 * (residual**2).sum(-1) - constant

    def repeat(self, members: int) -> Tensor:
        """y for every row of an ensemble, with shape (B * members, m)."""
        return self.y.repeat_interleave(members, 0)

    def to(self, dtype: torch.dtype, device: torch.device | str) -> "Observation":
        """The same observation with its numbers in another dtype or on another device; shapes stay."""
        return Observation(self.operator, self.y.to(device, dtype), self.std.to(device, dtype))

    def through(self, codecs: list) -> "Observation":
        """The same data seen from diffusion space.

        Arguments:
            codecs: one affine codec for each window, which may differ in their means alone. y becomes y - A decode(0).
        """
        zero = torch.zeros(1, *codecs[0].event, dtype=self.y.dtype, device=self.y.device)
        offsets = torch.cat([self.operator(codec.decode(zero)) for codec in codecs])
        return Observation(ThroughCodec(self.operator, codecs[0]), self.y - offsets, self.std)
