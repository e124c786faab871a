"""Limited slopes, and the values that they give on both sides of each face (MUSCL)."""

from collections.abc import Callable

import torch
from torch import Tensor

Limiter = Callable[[Tensor, Tensor], Tensor]


def minmod(a: Tensor, b: Tensor) -> Tensor:
    """The smaller of two differences where their signs agree, else 0; any shape. Source: Roe (1986)."""
    return 0.5 * (a.sign() + b.sign()) * torch.minimum(a.abs(), b.abs())


def monotonized_central(a: Tensor, b: Tensor) -> Tensor:
    """minmod(2 a, 2 b, (a + b) / 2), of any shape: central where the data are smooth. Source: van Leer (1977)."""
    bound = torch.minimum(2 * torch.minimum(a.abs(), b.abs()), 0.5 * (a + b).abs())
    return 0.5 * (a.sign() + b.sign()) * bound


def van_leer(a: Tensor, b: Tensor) -> Tensor:
    """The harmonic mean 2 a b / (a + b) where the signs agree, else 0; any shape. Source: van Leer (1974)."""
    agree = a * b > 0
    total = torch.where(agree, a + b, torch.ones_like(a))
    return torch.where(agree, 2 * a * b / total, torch.zeros_like(a))


LIMITERS: dict[str, Limiter] = {"mc": monotonized_central, "van_leer": van_leer, "minmod": minmod}


def limiter(name: str) -> Limiter:
    """The function of a limiter's name; raises ValueError with the names there are."""
    if name not in LIMITERS:
        raise ValueError(f"the limiter {name!r} is unknown; choose one of {', '.join(LIMITERS)}")
    return LIMITERS[name]


def face_values(padded: Tensor, limit: Limiter) -> tuple[Tensor, Tensor]:
    """Values on the left and on the right of each face: u_i + s_i / 2 and u_{i+1} - s_{i+1} / 2.

    They lie between the means of neighbouring cells, so what is positive stays positive.

    Arguments:
        padded: cell means with two ghost cells on either side, with shape (..., X + 4).
        limit: a limiter; the slope s_i is limit(u_i - u_{i-1}, u_{i+1} - u_i).

    Returns two tensors of shape (..., X + 1).
    """
    jumps = padded.diff(dim=-1)
    half = 0.5 * limit(jumps[..., :-1], jumps[..., 1:])
    inner = padded[..., 1:-1]
    return (inner + half)[..., :-1], (inner - half)[..., 1:]
