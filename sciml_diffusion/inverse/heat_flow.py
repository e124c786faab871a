"""Potentials of linear data with Gaussian noise, whose stiff directions are stepped exactly."""

import math

import torch
from torch import Tensor

from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .potentials import Held, Potential, Reading, mean_inverse, phi

NULL = 1e-12  # share of the largest squared singular value below which a direction is not observed


class LinearPotential(Potential):
    """mu_tau = 1/2 sum_i kappa_i(tau) w_i^2 + constants, w = U^T R^{-1/2} (A x - y), kappa = 1: the likelihood.

    R^{-1/2} A A^T R^{-1/2} = U diag(s^2) U^T. Along the i-th right singular vector of R^{-1/2} A the gradient pulls x
    to the data at the rate lambda_i = s_i^2 kappa_i, so that a step is an Ornstein-Uhlenbeck process in these m
    coordinates, and is taken exactly however stiff it is. kappa_i = 1 is the published form.

    Arguments:
        observation: linear, with Gaussian noise; y (B, m).
        dtype: of the rows of A that are factored.
    """

    def __init__(self, observation: Observation, dtype: torch.dtype = torch.float64):
        self.operator, self.y, self.std = observation.operator, observation.y.double(), observation.std.double()
        a = self.operator.rows(dtype, self.y.device).flatten(1).double() / self.std[:, None]
        values, self.vectors = torch.linalg.eigh(a @ a.T)
        self.s2 = values.clamp_min(0)
        self.inverse = torch.where(self.s2 > NULL * self.s2.max(), 1 / self.s2, 0.0)
        self.constant = (self.std.log() + 0.5 * math.log(2 * math.pi)).sum()

    def share(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """kappa and d kappa / d tau, shapes (m,) or ()."""
        return torch.ones_like(self.s2), torch.zeros_like(self.s2)

    def norm(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """The constant of mu_tau and its derivative by tau, shapes ()."""
        return self.constant, torch.zeros_like(self.constant)

    def pull(self, tau: Tensor, tau_s: Tensor) -> Tensor:
        """Integral of lambda from tau_s to tau, shape (m,)."""
        return self.s2 * (tau - tau_s)

    def hold(self, tau: Tensor, time: Tensor) -> Tensor:
        return self.s2 * self.share(tau)[0] * time

    def read(self, x: Tensor, tau: Tensor) -> Reading:
        w, (kappa, slope), (norm, rate) = self.residual(x), self.share(tau), self.norm(tau)
        value, change = 0.5 * (kappa * w**2).sum(1) + norm, 0.5 * (slope * w**2).sum(1) + rate
        gradient = self._lift(kappa * w, x)
        return Reading(value, gradient, change, gradient, torch.zeros_like(value))

    def laplacian(self, x: Tensor, tau: Tensor, streams: MemberStreams) -> Tensor:
        """Exact: sum_i lambda_i, the same for every row; shape (N,)."""
        return (self.s2 * self.share(tau)[0]).sum().expand(len(x))

    def start(self, centre: Tensor, variance: Tensor, tau: Tensor, streams: MemberStreams) -> tuple[Tensor, Tensor]:
        """Exact draws, weighted by the integral of N(centre, variance) exp(-mu_tau); see `Potential.start`."""
        z = streams.normal(centre.shape[1:])
        w, wz = self.residual(centre), self._project(z)
        variance, kappa = variance.double(), self.share(tau)[0]
        total = 1 + variance * self.s2 * kappa
        shift = w * (1 / total - 1) + variance.sqrt() * wz * (total.rsqrt() - 1)
        log_weight = -0.5 * (kappa * w**2 / total + total.log()).sum(1) - self.norm(tau)[0]
        return centre + variance.sqrt().to(z) * z + self._lift(self.inverse * shift, z), log_weight

    def damp(self, u: Tensor, held: Held) -> Tensor:
        return self._scaled(u, phi(held.contraction), phi(held.contraction + held.pull))

    def noise(self, z: Tensor, variance: Tensor, held: Held) -> Tensor:
        outside, inside = (phi(2 * rate).sqrt() for rate in (held.contraction, held.contraction + held.pull))
        return variance.sqrt().to(z) * self._scaled(z, outside, inside)

    def force(self, x: Tensor, held: Held) -> Tensor:
        return self._lift(-self.inverse * phi(held.contraction + held.pull) * held.pull * self.residual(x), x)

    def residual(self, x: Tensor) -> Tensor:
        """w = U^T R^{-1/2} (A x - y), float64, shape (N, *event) -> (N, m)."""
        y = self.y.repeat_interleave(len(x) // len(self.y), 0)
        return ((self.operator(x).double() - y) / self.std) @ self.vectors

    def _project(self, u: Tensor) -> Tensor:
        return (self.operator(u).double() / self.std) @ self.vectors

    def _lift(self, q: Tensor, like: Tensor) -> Tensor:
        """A^T R^{-1/2} U q, shape (N, m) -> (N, *event)."""
        return self.operator.adjoint((q @ self.vectors.T / self.std).to(like))

    def _scaled(self, u: Tensor, outside: Tensor, inside: Tensor) -> Tensor:
        """u times one factor () outside the range of A^T, and times its own (m,) in each direction of it."""
        return outside.to(u) * u + self._lift(self.inverse * (inside - outside) * self._project(u), u)


class TemperedLinear(LinearPotential):
    """mu_tau = -b log p(y | A x), b = 1 / (1 + gamma^2 tau): std^2 widened to std^2 + (gamma std)^2 tau.

    Arguments:
        observation, dtype: see `LinearPotential`.
        gamma: in units of 1 / x; None takes gamma^2 = |A^T R^{-1} A|.
    """

    def __init__(self, observation: Observation, gamma: float | None = None, dtype: torch.dtype = torch.float64):
        super().__init__(observation, dtype)
        self.gamma2 = self.s2.max() if gamma is None else torch.full_like(self.s2[0], gamma**2)

    def share(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        b = 1 / (1 + self.gamma2 * tau.double())
        return b, -self.gamma2 * b**2

    def norm(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        b, slope = self.share(tau)
        return b * self.constant, slope * self.constant

    def pull(self, tau: Tensor, tau_s: Tensor) -> Tensor:
        gap = self.gamma2 / (1 + self.gamma2 * tau_s.double()) * (tau - tau_s)
        return self.s2 * (tau - tau_s) / (1 + self.gamma2 * tau_s.double()) * mean_inverse(gap)


class HeatFlow(LinearPotential):
    """mu_tau = -log N(y; A x, R + tau A A^T): the likelihood blurred as x is, kappa_i = 1 / (1 + tau s_i^2).

    exp(-mu) solves the heat equation, d_tau mu = 1/2 (Lap mu - |grad mu|^2). The data enter as the noise recedes, and
    no direction is stiff. Where the prior is flat on the scale of tau this is the exact likelihood of x_t.
    """

    def share(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        kappa = 1 / (1 + tau.double() * self.s2)
        return kappa, -self.s2 * kappa**2

    def norm(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        half = 0.5 * (tau.double() * self.s2).log1p().sum()
        return self.constant + half, 0.5 * (self.s2 * self.share(tau)[0]).sum()

    def pull(self, tau: Tensor, tau_s: Tensor) -> Tensor:
        return ((tau - tau_s).double() * self.s2 * self.share(tau_s)[0]).log1p()
