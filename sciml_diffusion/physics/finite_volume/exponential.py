"""Exponential Runge-Kutta steps of order 4 for decay rates and steps that differ from sample to sample."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def phi_functions(z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """phi_0 = e^z and phi_{k+1} = (phi_k - 1 / k!) / z for k = 0, 1, 2, for z <= 0 of any shape.

    Taylor series of phi_3 within |z| < 1, where the recursion cancels: 14 terms err by 1e-15.
    """
    small = z > -1
    near, far = torch.where(small, z, torch.zeros_like(z)), torch.where(small, -torch.ones_like(z), z)
    series = torch.zeros_like(z)
    for k in range(13, -1, -1):
        series = series * near + 1 / math.factorial(k + 3)
    second = 0.5 + near * series
    far1 = torch.expm1(far) / far
    far2 = (far1 - 1) / far
    pairs = ((1 + near * second, far1), (second, far2), (series, (far2 - 0.5) / far))
    return z.exp(), *(torch.where(small, a, b) for a, b in pairs)


def etdrk4_step(v: Tensor, linear: Tensor, dt: Tensor, tendency: Callable[[Tensor], Tensor]) -> Tensor:
    """One step of v_t = L v + N(v) with a diagonal L <= 0: shape (B, ...) -> (B, ...). dt = 0 returns v.

    a = e^{z/2} v + q N(v), b = e^{z/2} v + q N(a), c = e^{z/2} a + q (2 N(b) - N(v)), q = dt phi_1(z/2) / 2, z = dt L,
    v' = e^z v + dt [(phi_1 - 3 phi_2 + 4 phi_3) N(v) + (2 phi_2 - 4 phi_3) (N(a) + N(b)) + (4 phi_3 - phi_2) N(c)].
    Source: Cox & Matthews, J. Comput. Phys. 176 (2002) 430.

    Arguments:
        v: modes, with shape (B, ...).
        linear: L, real, broadcast against v.
        dt: step, broadcast against v.
        tendency: N.
    """
    z = dt * linear
    e, phi1, phi2, phi3 = phi_functions(z)
    e_half = (z / 2).exp()
    q = dt * phi1 / (1 + e_half)  # phi_1(z) = phi_1(z / 2) (1 + e^{z/2}) / 2
    n_v, half_v = tendency(v), e_half * v
    a = half_v + q * n_v
    n_a = tendency(a)
    n_b = tendency(half_v + q * n_a)
    n_c = tendency(e_half * a + q * (2 * n_b - n_v))
    f1, f2, f3 = phi1 - 3 * phi2 + 4 * phi3, 2 * phi2 - 4 * phi3, 4 * phi3 - phi2
    return e * v + dt * (f1 * n_v + f2 * (n_a + n_b) + f3 * n_c)
