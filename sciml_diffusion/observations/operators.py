"""Observation operators A: any map from an event to m numbers, and linear ones with adjoints: <A x, y> = <x, A^T y>."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor


class Operator(ABC):
    """A map from an event to m numbers, batched: row n of the result depends on row n of x alone.

    `linear` and `differentiable` say what methods may ask of it.
    """

    event: tuple[int, ...]
    m: int
    linear = False
    differentiable = True

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """A(x), shape (N, *event) -> (N, m)."""

    def at(self, x: Tensor) -> tuple[Tensor, "LinearOperator"]:
        """A(x) with shape (N, m), and the derivative dA/dx at each row of x (N, *event), as an operator on N rows."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = self(x)
        return value.detach(), Jacobian(x, value)


class Function(Operator):
    """Any torch function of an event: a solver followed by sensors, a saturating instrument, a daily maximum.

    Arguments:
        function: shape (N, *event) -> (N, m), row by row.
        event: shape of one x.
        m: numbers that it returns for each row.
        differentiable: whether torch can differentiate it; False for black boxes.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], event: tuple[int, ...], m: int, differentiable=True):
        self.function, self.event, self.m, self.differentiable = function, tuple(event), m, differentiable

    def __call__(self, x: Tensor) -> Tensor:
        value = self.function(x)
        if not isinstance(value, Tensor) or value.shape != (len(x), self.m):
            found = f"{type(value).__name__} of shape {tuple(getattr(value, 'shape', ()))}"
            raise ValueError(
                f"the function must return shape ({len(x)}, {self.m}), a tensor, for x of shape {tuple(x.shape)}; "
                f"it returned a {found}"
            )
        return value


class LinearOperator(Operator):
    """A linear map from an event to m numbers. Both directions are differentiable and batched."""

    linear = True

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """A^T y, shape (N, m) -> (N, *event)."""

    def at(self, x: Tensor) -> tuple[Tensor, "LinearOperator"]:
        """A x with shape (N, m), and A itself; x (N, *event)."""
        return self(x), self

    def rows(self, dtype: torch.dtype, device: torch.device | str = "cpu") -> Tensor:
        """The rows of A, with shape (m, *event)."""
        return self.adjoint(torch.eye(self.m, dtype=dtype, device=device))

    def singular(self, dtype: torch.dtype, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Singular values (m,), increasing, and left vectors U (m, m) of A = U S V^T; V^T x is S^-1 U^T A x.

        With them (c A A^T + R)^-1 is a division for every c, where R = r I. From the m x m matrix A A^T in float64, so
        that values below about 1e-8 of the largest are rounding; operators with orthogonal rows know them.
        """
        rows = self.rows(torch.float64, device)
        square, left = torch.linalg.eigh(rows.flatten(1) @ rows.flatten(1).T)
        return square.clamp_min(0).sqrt().to(dtype), left.to(dtype)


class Jacobian(LinearOperator):
    """dA/dx at N given rows, applied row by row: to u by two backward passes, to y by one.

    Arguments:
        x: where A was evaluated, requiring gradients, with shape (N, *event).
        value: A(x) with its graph, with shape (N, m).
    """

    def __init__(self, x: Tensor, value: Tensor):
        self.x, self.value, self.event, self.m = x, value, tuple(x.shape[1:]), value.shape[1]

    def __call__(self, x: Tensor) -> Tensor:
        with torch.enable_grad():  # J u is the derivative of <J^T v, u> by v
            v = torch.zeros_like(self.value, requires_grad=True)
            (pulled,) = torch.autograd.grad(self.value, self.x, v, retain_graph=True, create_graph=True)
        return torch.autograd.grad(pulled, v, x.to(pulled), retain_graph=True)[0]

    def adjoint(self, y: Tensor) -> Tensor:
        return torch.autograd.grad(self.value, self.x, y.to(self.value), retain_graph=True)[0]


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


class Scaled(Operator):
    """W A for a square matrix W: data whitened by the inverse root of their noise covariance. Make it with `scaled`.

    Arguments:
        operator: A.
        matrix: W, with shape (m, m).
    """

    def __init__(self, operator: Operator, matrix: Tensor):
        self.operator, self.matrix, self.event, self.m = operator, matrix, tuple(operator.event), operator.m
        self.differentiable = operator.differentiable

    def __call__(self, x: Tensor) -> Tensor:
        seen = self.operator(x)
        return seen @ self.matrix.T.to(seen)

    def at(self, x: Tensor) -> tuple[Tensor, LinearOperator]:
        value, slope = self.operator.at(x)
        return value @ self.matrix.T.to(value), ScaledLinear(slope, self.matrix)


class ScaledLinear(Scaled, LinearOperator):
    """`Scaled` of a linear operator: (W A)^T = A^T W^T."""

    def adjoint(self, y: Tensor) -> Tensor:
        return self.operator.adjoint(y @ self.matrix.to(y))

    def at(self, x: Tensor) -> tuple[Tensor, LinearOperator]:
        return self(x), self


def scaled(operator: Operator, matrix: Tensor) -> Scaled:
    """W A, linear where A is; matrix W of shape (m, m)."""
    return (ScaledLinear if operator.linear else Scaled)(operator, matrix)


class Decoded(Operator):
    """A(decode(z)): an operator on physical windows seen from diffusion space, where A or the codec is not linear.

    Affine codecs may differ in their means alone.

    Arguments:
        operator: A on physical windows (C, T, *S).
        codecs: bound to the times of each of B windows; rows of z run over members within windows.
    """

    def __init__(self, operator: Operator, codecs: list):
        self.operator, self.codecs, self.event, self.m = operator, codecs, tuple(codecs[0].event), operator.m
        self.differentiable = operator.differentiable

    def _decode(self, x: Tensor) -> Tensor:
        parts = x.split(len(x) // len(self.codecs))
        return torch.cat([codec.decode(z) for codec, z in zip(self.codecs, parts, strict=True)])

    def __call__(self, x: Tensor) -> Tensor:
        return self.operator(self._decode(x))

    def at(self, x: Tensor) -> tuple[Tensor, LinearOperator]:
        if not self.codecs[0].affine:
            return super().at(x)
        value, slope = self.operator.at(self._decode(x.detach()))
        return value, ThroughCodec(slope, self.codecs[0])
