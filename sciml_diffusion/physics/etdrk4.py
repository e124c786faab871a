"""ETDRK4: fourth-order exponential time differencing for semi-linear equations that are diagonal in Fourier space."""

import math

import torch
from torch import Tensor


def etdrk4_coefficients(linear: Tensor, dt: float, points: int = 32) -> tuple[Tensor, ...]:
    """E, E2, Q, f1, f2, f3 of one step of v_t = L v + N(v), each with the shape of L, (K,).

    E = e^z, E2 = e^{z/2}, Q = dt <(e^{z/2} - 1)/z>, f1 = dt <(-4 - z + e^z (4 - 3z + z^2))/z^3>,
    f2 = dt <(2 + z + e^z (z - 2))/z^3>, f3 = dt <(-4 - 3z - z^2 + e^z (4 - z))/z^3>, z = dt L; the mean < > over a
    circle of radius 1 around z avoids the cancellation near z = 0. Source: Kassam & Trefethen, SIAM J. Sci. Comput. 26
    (2005); the scheme is that of Cox & Matthews (2002).

    Arguments:
        linear: L, real, with shape (K,), float64.
        dt: time step.
        points: of the upper half of the circle.
    """
    circle = torch.exp(1j * math.pi * (torch.arange(points, dtype=torch.float64) + 0.5) / points)
    z = dt * linear[:, None] + circle
    e = z.exp()
    terms = (
        ((z / 2).exp() - 1) / z,
        (-4 - z + e * (4 - 3 * z + z**2)) / z**3,
        (2 + z + e * (z - 2)) / z**3,
        (-4 - 3 * z - z**2 + e * (4 - z)) / z**3,
    )
    return (dt * linear).exp(), (dt * linear / 2).exp(), *(dt * term.real.mean(-1) for term in terms)


class ETDRK4:
    """Integrates v_t = L v + N(v) in float64; differentiable in the initial state, so it can serve as a likelihood.

    a = E2 v + Q N(v), b = E2 v + Q N(a), c = E2 a + Q (2 N(b) - N(v)),
    v' = E v + f1 N(v) + 2 f2 (N(a) + N(b)) + f3 N(c).

    Arguments:
        equation: has `linear` (K,), `nonlinear(v)`, `transform(u)`, `inverse(v)` and `step_limit(u)`; see `Burgers`.
    """

    def __init__(self, equation):
        self.equation = equation

    def trajectory(self, u0: Tensor, duration: float, frames: int, substeps: int, check: bool = True) -> Tensor:
        """Solution at `frames` equispaced times from 0 to `duration` inclusive: shape (B, X) -> (B, T, X), float64.

        Arguments:
            u0: initial states, with shape (B, X); frame 0.
            duration: > 0, in units of time.
            frames: T >= 2.
            substeps: steps between two frames; error falls as substeps^-4.
            check: test the step and the result; off only inside `torch.func.vmap`, where values cannot be read.

        Raises:
            ValueError: shapes or numbers out of range; a time step above the stability limit, which is named; a state
                that is not finite, with its sample and frame.
        """
        if u0.ndim != 2 or frames < 2 or substeps < 1 or not duration > 0:
            raise ValueError(
                "expected u0 of shape (B, X), duration > 0, frames >= 2 and substeps >= 1; "
                f"got {tuple(u0.shape)}, {duration}, {frames} and {substeps}"
            )
        u0 = u0.to(torch.float64)
        dt = duration / ((frames - 1) * substeps)
        if check:
            self._check_start(u0, duration, frames, substeps)
        coefficients = [c.to(u0.device) for c in etdrk4_coefficients(self.equation.linear, dt)]
        v, states = self.equation.transform(u0), [u0]
        for _ in range(frames - 1):
            for _ in range(substeps):
                v = self._step(v, coefficients)
            states.append(self.equation.inverse(v))
        u = torch.stack(states, 1)
        if check:
            _check_finite(u)
        return u

    def _step(self, v: Tensor, coefficients: list[Tensor]) -> Tensor:
        e, e2, q, f1, f2, f3 = coefficients
        nonlinear = self.equation.nonlinear
        n_v, e2_v = nonlinear(v), e2 * v
        a = e2_v + q * n_v
        n_a = nonlinear(a)
        n_b = nonlinear(e2_v + q * n_a)
        n_c = nonlinear(e2 * a + q * (2 * n_b - n_v))
        return e * v + f1 * n_v + 2 * f2 * (n_a + n_b) + f3 * n_c

    def _check_start(self, u0: Tensor, duration: float, frames: int, substeps: int) -> None:
        _check_finite(u0[:, None])
        limit, dt = self.equation.step_limit(u0), duration / ((frames - 1) * substeps)
        if dt > limit:
            needed, speed = math.ceil(duration / ((frames - 1) * limit)), float(u0.detach().abs().max())
            raise ValueError(
                f"the time step {dt:.3g} is above the stability limit {limit:.3g} for max |u| = {speed:.3g}; "
                f"use substeps >= {needed} (got {substeps})"
            )


def _check_finite(u: Tensor) -> None:
    bad = ~torch.isfinite(u.detach()).all(-1)
    if bad.any():
        sample, frame = (int(i) for i in bad.nonzero()[0])
        raise ValueError(f"sample {sample} is not finite from frame {frame} on; check u0, or use more substeps")
