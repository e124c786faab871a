"""What every steady problem shares: named fields in and out, one solve, one residual."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ..grid import Grid


class Steady(ABC):
    """An equation without time: fields in (B, C_in, *S), fields out (B, C_out, *S), on the same grid.

    A subclass sets `grid`, `fields_in` and `fields_out` (names of the channels) and `interior`, the points where the
    equation holds: all of them, or those that are not nodes on a wall.
    """

    grid: Grid
    fields_in: tuple[str, ...]
    fields_out: tuple[str, ...]
    interior: tuple[slice, ...]

    @abstractmethod
    def solve(self, inputs: Tensor) -> Tensor:
        """The solution: (B, C_in, *S) -> (B, C_out, *S), in the dtype of the inputs."""

    @abstractmethod
    def residual(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Left side minus right side of the equation, zero on wall nodes: (B, C_in, *S), (B, C_out, *S) -> (B, 1, *S).

        It uses the stencil of `solve`, so that it vanishes on its solutions up to the residual of the linear solve.
        """

    def check_field(self, name: str, values: Tensor) -> None:
        """Raises ValueError where a field of shape (B, 1, *S) has another shape or is not finite.

        Arguments:
            name: of the field, for the message.
            values: with shape (B, 1, *S).
        """
        expected = (1, *self.grid.sizes)
        if values.ndim != len(expected) + 1 or tuple(values.shape[1:]) != expected:
            shape = ", ".join(str(n) for n in expected)
            raise ValueError(f"{type(self).__name__} needs {name} of shape (B, {shape}); got {tuple(values.shape)}")
        self.check_all(name, values, torch.isfinite(values.detach()), "finite")

    def check_all(self, name: str, values: Tensor, good: Tensor, wanted: str) -> None:
        """Raises ValueError with the first sample and point of `values`, shape (B, 1, *S), where `good` is false.

        Arguments:
            name: of the field, for the message.
            values: with shape (B, 1, *S).
            good: booleans of the same shape.
            wanted: what the values must be, for the message.
        """
        if not good.all():
            sample, _, *point = (int(i) for i in (~good).nonzero()[0])
            where = ", ".join(f"{dim}[{i}]" for dim, i in zip(self.grid.dims, point, strict=True))
            value = float(values.detach()[(sample, 0, *point)])
            raise ValueError(f"{name} must be {wanted}; sample {sample} has {value:.6g} at {where}")
