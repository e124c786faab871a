"""Preconditioned conjugate gradients for a batch of symmetric positive definite systems."""

from collections.abc import Callable

import torch
from torch import Tensor


def conjugate_gradients(
    operator: Callable[[Tensor], Tensor],
    f: Tensor,
    preconditioner: Callable[[Tensor], Tensor],
    tolerance: float,
    iterations: int,
    advice: str = "use a larger tolerance or more iterations",
) -> Tensor:
    """u with |f - A u| <= tolerance |f| for every sample: shape (B, *S) -> (B, *S).

    A sample that has converged is frozen, so its solution does not depend on its batch.
    Source: Saad, Iterative Methods for Sparse Linear Systems (2003), algorithm 9.1.

    Arguments:
        operator: A, linear, symmetric and positive definite for each sample: (B, *S) -> (B, *S).
        f: right sides, with shape (B, *S).
        preconditioner: approximate inverse of A, symmetric and positive definite: (B, *S) -> (B, *S).
        tolerance: relative residual at which a sample ends.
        iterations: at most.
        advice: what to do where they do not suffice, for the message.

    Raises:
        RuntimeError: where a sample does not reach the tolerance, with the residual that it has.
    """
    shape = (-1, *(1,) * (f.ndim - 1))
    target = tolerance * _norm(f)
    u, residual = torch.zeros_like(f), f
    z = preconditioner(residual)
    direction, rho = z, _dot(residual, z)
    active = _norm(residual) > target
    for _ in range(iterations):
        if not active.any():
            return u
        image = operator(direction)
        step = torch.where(active, rho / _dot(direction, image), 0.0).reshape(shape)
        u, residual = u + step * direction, residual - step * image
        active = active & (_norm(residual) > target)
        z = preconditioner(residual)
        new = _dot(residual, z)
        direction, rho = z + torch.where(active, new / rho, 0.0).reshape(shape) * direction, new
    if active.any():
        sample = int(active.nonzero()[0])
        reached = float(_norm(residual)[sample] / _norm(f)[sample])
        raise RuntimeError(
            f"sample {sample} has a relative residual of {reached:.2g} after {iterations} iterations "
            f"(wanted {tolerance:.2g}); {advice}"
        )
    return u


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)


def _norm(a: Tensor) -> Tensor:
    return a.flatten(1).norm(dim=1)
