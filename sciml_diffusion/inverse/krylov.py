"""Linear systems of many members at once, each of which stops on its own."""

from collections.abc import Callable

import torch
from torch import Tensor


def conjugate_residuals(
    matvec: Callable[[Tensor], Tensor], b: Tensor, tolerance: float = 1e-3, iterations: int = 32
) -> tuple[Tensor, Tensor]:
    """Solves M x = b by conjugate residuals: x and the relative residuals |b - M x| / |b|, shapes (N, m) and (N,).

    The member of the conjugate gradient family that minimises the residual over all directions tried, so the quantity
    on which it stops can only fall. The images of the directions are kept orthogonal explicitly: that costs little in m
    dimensions, where a product with M is a pass through a network, and M need not be symmetric (the Jacobian of a
    network is so only nearly). It ends within m products. A member that has reached the tolerance, or whose residual
    does not fall any more, is frozen by a mask: its result does not depend on the others. The loop ends when all are
    frozen, the one question that the host asks of the device.

    Source: Eisenstat, Elman and Schultz, Variational iterative methods for nonsymmetric systems of linear equations,
    SIAM J. Numer. Anal. 20 (1983), algorithm GCR.

    Arguments:
        matvec: M, shape (N, m) -> (N, m), row by row.
        b: right-hand sides, with shape (N, m).
        tolerance: relative residual at which a member is done.
        iterations: most products with M.
    """
    x, r, size = torch.zeros_like(b), b, b.norm(dim=1)
    active, now = size > 0, size
    directions = images = b.new_zeros(len(b), 0, b.shape[1])
    for _ in range(min(iterations, b.shape[1])):
        if not active.any():
            break
        p, q = r, matvec(r)
        least = torch.finfo(b.dtype).eps ** 0.75 * q.norm(dim=1)
        for _ in range(2):  # twice is enough to be orthogonal to rounding
            share = torch.einsum("njm,nm->nj", images, q)
            p, q = (a - torch.einsum("nj,njm->nm", share, past) for a, past in ((p, directions), (q, images)))
        length = q.norm(dim=1)
        good = active & (length > least)
        scale = torch.where(good, 1 / torch.where(good, length, 1), 0)[:, None]
        p, q = p * scale, q * scale
        directions, images = torch.cat([directions, p[:, None]], 1), torch.cat([images, q[:, None]], 1)
        alpha = (r * q).sum(1, keepdim=True)
        x, r = x + alpha * p, r - alpha * q
        previous, now = now, r.norm(dim=1)
        active = good & (now > tolerance * size) & (now < previous * (1 - 1e-6))
    return x, now / size.clamp_min(torch.finfo(b.dtype).tiny)
