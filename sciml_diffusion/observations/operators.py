"""Linear observation operators A with their adjoints: <A x, y> = <x, A^T y>."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class LinearOperator(ABC):
    """A linear map from an event to m numbers. Both directions are differentiable and batched."""

    event: tuple[int, ...]
    m: int

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """A x, shape (N, *event) -> (N, m)."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """A^T y, shape (N, m) -> (N, *event)."""

    def rows(self, dtype: torch.dtype, device: torch.device | str = "cpu") -> Tensor:
        """The rows of A, with shape (m, *event)."""
        return self.adjoint(torch.eye(self.m, dtype=dtype, device=device))


class Matrix(LinearOperator):
    """A dense matrix on the flattened event.

    Arguments:
        matrix: A, with shape (m, d).
        event: shape of the event, with prod(event) = d.
    """

    def __init__(self, matrix: Tensor, event: tuple[int, ...]):
        self.matrix, self.event, self.m = matrix, tuple(event), len(matrix)

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.matrix.T.to(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return (y @ self.matrix.to(y)).reshape(len(y), *self.event)


class Weighted(LinearOperator):
    """Each observation is a weighted sum of p values of the event: point sensors, masks, averages over few cells.

    Arguments:
        index: positions in the flattened event, with shape (m, p).
        weight: with shape (m, p).
        event: shape of the event.
    """

    def __init__(self, index: Tensor, weight: Tensor, event: tuple[int, ...]):
        self.index, self.weight, self.event, self.m = index, weight, tuple(event), len(index)

    def __call__(self, x: Tensor) -> Tensor:
        return (x.flatten(1)[:, self.index.to(x.device)] * self.weight.to(x)).sum(-1)

    def adjoint(self, y: Tensor) -> Tensor:
        values = (y[..., None] * self.weight.to(y)).flatten(1)
        out = y.new_zeros(len(y), int(torch.tensor(self.event).prod()))
        index = self.index.to(y.device).flatten().expand(len(y), -1)
        return out.scatter_add(1, index, values).reshape(len(y), *self.event)


class ThroughCodec(LinearOperator):
    """A seen from diffusion space: z -> A (decode(z) - decode(0)), for an affine codec.

    Arguments:
        operator: A on physical windows (C, T, *S).
        codec: bound to a window's times.
    """

    def __init__(self, operator: LinearOperator, codec):
        self.operator, self.codec, self.event, self.m = operator, codec, tuple(codec.event), operator.m

    def __call__(self, x: Tensor) -> Tensor:
        return self.operator(self.codec.decode_linear(x))

    def adjoint(self, y: Tensor) -> Tensor:
        return self.codec.decode_adjoint(self.operator.adjoint(y))
