"""Time schemes for v_t = L v + N(v, time) with a diagonal L: exponential Runge-Kutta, and FNO's recipe."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Tendency = Callable[[Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Scheme:
    """A one-step scheme.

    Arguments:
        coefficients: of L, with shape (..., *K), and dt; tensors that broadcast against the states.
        nodes: the times at which sources are needed, as shares of the step.
        step: new state from v (B, C, *K), the coefficients, N(v, source) and one source (or None) for each node.
    """

    coefficients: Callable[[Tensor, float], tuple[Tensor, ...]]
    nodes: tuple[float, ...]
    step: Callable[[Tensor, tuple[Tensor, ...], Tendency, list[Tensor | None]], Tensor]


def etdrk4_coefficients(linear: Tensor, dt: float, points: int = 16) -> tuple[Tensor, ...]:
    """E, E2, Q, f1, f2, f3 of one step of v_t = L v + N(v), each with the shape of L, (..., *K).

    E = e^z, E2 = e^{z/2}, Q = dt <(e^{z/2} - 1)/z>, f1 = dt <(-4 - z + e^z (4 - 3z + z^2))/z^3>,
    f2 = dt <(2 + z + e^z (-2 + z))/z^3>, f3 = dt <(-4 - 3z - z^2 + e^z (4 - z))/z^3>, z = dt L; the mean < > over a
    circle of radius 1 around z avoids the cancellation near z = 0, with an error near 1 / points!.
    Source: Kassam & Trefethen, SIAM J. Sci. Comput. 26 (2005); the scheme is that of Cox & Matthews (2002).

    Arguments:
        linear: L, real or complex, with shape (..., *K), float64 or complex128.
        dt: time step.
        points: on the circle; half of them serve where L is real.
    """

    def terms(z: Tensor, e: Tensor, e2: Tensor) -> tuple[Tensor, ...]:
        cube = z**-3
        return (
            (e2 - 1) / z,
            (-4 - z + e * (4 - 3 * z + z**2)) * cube,
            (2 + z + e * (z - 2)) * cube,
            (-4 - 3 * z - z**2 + e * (4 - z)) * cube,
        )

    return (dt * linear).exp(), (dt * linear / 2).exp(), *_contour_means(terms, linear, dt, points)


def _contour_means(terms: Callable, linear: Tensor, dt: float, points: int) -> list[Tensor]:
    """dt times the means of terms(z, e^z, e^{z/2}) over a circle of radius 1 around dt L, each (..., *K)."""
    z0, real = dt * linear, not linear.is_complex()
    e, e2 = z0.exp(), (z0 / 2).exp()
    count, means = points // 2 if real else points, None
    for angle in 2 * math.pi * (torch.arange(count, dtype=torch.float64) + 0.5) / points:
        shift = torch.exp(1j * angle).to(linear.device)
        values = [t.real if real else t for t in terms(z0 + shift, e * shift.exp(), e2 * (shift / 2).exp())]
        means = values if means is None else [mean + value for mean, value in zip(means, values, strict=True)]
    return [dt / count * mean for mean in means]


def _etdrk4_factors(linear: Tensor, dt: float) -> tuple[Tensor, ...]:
    """E, E2, Q, 2 Q, -Q, f1, 2 f2, f3: the factors that a step multiplies by."""
    e, e2, q, f1, f2, f3 = etdrk4_coefficients(linear, dt)
    return e, e2, q, 2 * q, -q, f1, 2 * f2, f3


def _etdrk4_step(v: Tensor, factors: tuple[Tensor, ...], tendency: Tendency, sources: list[Tensor | None]) -> Tensor:
    """a = E2 v + Q N(v), b = E2 v + Q N(a), c = E2 a + Q (2 N(b) - N(v)),

    v' = E v + f1 N(v) + 2 f2 (N(a) + N(b)) + f3 N(c); shape (B, C, *K).
    """
    e, e2, q, two_q, minus_q, f1, two_f2, f3 = factors
    start, middle, end = sources
    n_v, e2_v = tendency(v, start), e2 * v
    a = torch.addcmul(e2_v, q, n_v)
    n_a = tendency(a, middle)
    n_b = tendency(torch.addcmul(e2_v, q, n_a), middle)
    n_c = tendency(torch.addcmul(torch.addcmul(e2 * a, two_q, n_b), minus_q, n_v), end)
    v = torch.addcmul(torch.addcmul(e * v, f1, n_v), two_f2, n_a + n_b)
    return torch.addcmul(v, f3, n_c)


def _etdrk2_factors(linear: Tensor, dt: float) -> tuple[Tensor, ...]:
    """E, P1 = dt <(e^z - 1)/z> and P2 = dt <(e^z - 1 - z)/z^2>."""

    def terms(z: Tensor, e: Tensor, e2: Tensor) -> tuple[Tensor, ...]:
        return (e - 1) / z, (e - 1 - z) / z**2

    return (dt * linear).exp(), *_contour_means(terms, linear, dt, 16)


def _etdrk2_step(v: Tensor, factors: tuple[Tensor, ...], tendency: Tendency, sources: list[Tensor | None]) -> Tensor:
    """a = E v + P1 N(v), v' = a + P2 (N(a) - N(v)); shape (B, C, *K)."""
    e, p1, p2 = factors
    n_v = tendency(v, sources[0])
    a = torch.addcmul(e * v, p1, n_v)
    return torch.addcmul(a, p2, tendency(a, sources[1]) - n_v)


def _cn_fe_factors(linear: Tensor, dt: float) -> tuple[Tensor, ...]:
    inverse = 1 / (1 - dt * linear / 2)
    return (1 + dt * linear / 2) * inverse, dt * inverse


def _cn_fe_step(v: Tensor, factors: tuple[Tensor, ...], tendency: Tendency, sources: list[Tensor | None]) -> Tensor:
    """v' = ((1 + dt L / 2) v + dt N(v)) / (1 - dt L / 2); shape (B, C, *K)."""
    return torch.addcmul(factors[0] * v, factors[1], tendency(v, sources[0]))


ETDRK4 = Scheme(_etdrk4_factors, (0.0, 0.5, 1.0), _etdrk4_step)
# Order 2 at half the cost of a step (Cox & Matthews, 2002): for errors near 1e-3, where stability sets the step.
ETDRK2 = Scheme(_etdrk2_factors, (0.0, 1.0), _etdrk2_step)
# Crank-Nicolson for L, forward Euler for N, order 1: the recipe behind the public data sets of FNO (Li et al., 2021).
CN_FE = Scheme(_cn_fe_factors, (0.0,), _cn_fe_step)
