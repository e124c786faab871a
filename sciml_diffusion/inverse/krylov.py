"""Linear systems of many members at once, each of which stops on its own."""

from collections.abc import Callable

import torch
from torch import Tensor


def conjugate_residuals(
    matvec: Callable[[Tensor], Tensor], b: Tensor, tolerance: float = 1e-3, iterations: int = 32
) -> tuple[Tensor, Tensor]:
    """Solves M x = b by conjugate residuals: x and the relative residuals |b - M x| / |b|, shapes (N, m) and (N,).

    The member of the conjugate gradient family that minimises the residual along each direction, so that the quantity
    on which it stops can only fall. For a symmetric positive definite M it ends within m iterations; the Jacobian of a
    network is not exactly symmetric, and there it stops where the residual no longer falls. A member that has reached
    the tolerance, or whose residual does not fall any more, is frozen by a mask: its result does not depend on the
    others. The loop ends when all are frozen (the one question that the host asks of the device: a product costs a
    pass through a network).

    Source: E. Stiefel, Relaxationsmethoden bester Strategie zur Lösung linearer Gleichungssysteme, 1955.

    Arguments:
        matvec: M, shape (N, m) -> (N, m), row by row.
        b: right-hand sides, with shape (N, m).
        tolerance: relative residual at which a member is done.
        iterations: most products with M.
    """
    x, r, size = torch.zeros_like(b), b, b.norm(dim=1)
    p, q, mr = None, None, None
    active = size > 0
    previous = size
    for _ in range(iterations):
        if not active.any():
            break
        fresh = matvec(r)
        if p is None:
            p, q = r, fresh
        else:
            beta = _ratio((r * fresh).sum(1), mr)
            p, q = r + beta * p, fresh + beta * q
        mr = (r * fresh).sum(1)
        alpha = _ratio((r * q).sum(1), (q * q).sum(1)) * active[:, None]
        x, r = x + alpha * p, r - alpha * q
        now = r.norm(dim=1)
        active = active & (now > tolerance * size) & (now < previous * (1 - 1e-6))
        previous = now
    return x, previous / size.clamp_min(torch.finfo(b.dtype).tiny)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b as a column, 0 where b is 0."""
    return torch.where(b == 0, torch.zeros_like(a), a / torch.where(b == 0, torch.ones_like(b), b))[:, None]
