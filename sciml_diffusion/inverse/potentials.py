"""Potentials mu_tau(x) that carry data along the noise levels: q_tau = p_tau exp(-mu_tau), mu_0 = -log p(y | A x)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ..observations.observation import Observation
from ..samplers.streams import MemberStreams

POWER_STEPS = 12  # of the power iteration for the largest curvature


@dataclass(frozen=True)
class Reading:
    """A potential at x, its gradient and its rates.

    Arguments:
        value: mu_tau(x), float64, with shape (N,); constants of the likelihood included.
        gradient: grad mu_tau(x), with shape (N, *event).
        rate: d mu_tau / d tau, float64, with shape (N,).
        raw: the gradient for a unit of `Potential.pull`, with shape (N, *event).
        stiffness: curvature of mu along raw for a unit of pull, with shape (N,).
    """

    value: Tensor
    gradient: Tensor
    rate: Tensor
    raw: Tensor
    stiffness: Tensor


@dataclass(frozen=True)
class Held:
    """What is held over a step: all contract by exp(-contraction), and the potential pulls.

    Arguments:
        contraction: shape ().
        pull: strength of the potential over the step, from `Potential.pull` or `Potential.hold`.
        raw, stiffness: see `Reading`.
    """

    contraction: Tensor
    pull: Tensor
    raw: Tensor
    stiffness: Tensor


class Potential(ABC):
    """mu_tau(x) for rows x (N, *event) that run over members within windows; tau = sigma^2 of shape ()."""

    @abstractmethod
    def read(self, x: Tensor, tau: Tensor) -> Reading:
        """mu_tau, its gradient and d mu / d tau at x, with shape (N, *event)."""

    @abstractmethod
    def laplacian(self, x: Tensor, tau: Tensor, streams: MemberStreams) -> Tensor:
        """Laplacian of mu_tau at x (N, *event), or an unbiased estimate of it, float64, with shape (N,)."""

    @abstractmethod
    def start(self, centre: Tensor, variance: Tensor, tau: Tensor, streams: MemberStreams) -> tuple[Tensor, Tensor]:
        """Draws x ~ N(centre, variance I) exp(-mu_tau), or as near as the potential can, with its log-weight.

        Arguments:
            centre: shape (N, *event).
            variance, tau: shape ().
        Returns x (N, *event) and log w (N,), float64: E[w f(x)] = E_{N(centre, variance)}[exp(-mu_tau) f].
        """

    @abstractmethod
    def pull(self, tau: Tensor, tau_s: Tensor) -> Tensor:
        """Strength of -grad mu over a step from tau to tau_s, in the potential's own form."""

    @abstractmethod
    def hold(self, tau: Tensor, time: Tensor) -> Tensor:
        """The same for a time () that is spent at one level tau."""

    @abstractmethod
    def damp(self, u: Tensor, held: Held) -> Tensor:
        """Displacement by a force of integral u in a step: shape (N, *event) -> (N, *event)."""

    @abstractmethod
    def noise(self, z: Tensor, variance: Tensor, held: Held) -> Tensor:
        """What noise of a variance () adds in a step; z white: shape (N, *event) -> (N, *event)."""

    @abstractmethod
    def force(self, x: Tensor, held: Held) -> Tensor:
        """What -grad mu displaces x in a step: shape (N, *event) -> (N, *event)."""


class Flat(Potential):
    """mu = 0: a prior without data."""

    def read(self, x: Tensor, tau: Tensor) -> Reading:
        zero = x.new_zeros(len(x), dtype=torch.float64)
        return Reading(zero, torch.zeros_like(x), zero, torch.zeros_like(x), zero)

    def laplacian(self, x: Tensor, tau: Tensor, streams: MemberStreams) -> Tensor:
        """0, with shape (N,)."""
        return x.new_zeros(len(x), dtype=torch.float64)

    def start(self, centre: Tensor, variance: Tensor, tau: Tensor, streams: MemberStreams) -> tuple[Tensor, Tensor]:
        x = centre + variance.sqrt() * streams.normal(centre.shape[1:])
        return x, x.new_zeros(len(x), dtype=torch.float64)

    def pull(self, tau: Tensor, tau_s: Tensor) -> Tensor:
        return torch.zeros_like(tau)

    def hold(self, tau: Tensor, time: Tensor) -> Tensor:
        return torch.zeros_like(tau)

    def damp(self, u: Tensor, held: Held) -> Tensor:
        return phi(held.contraction) * u

    def noise(self, z: Tensor, variance: Tensor, held: Held) -> Tensor:
        return (variance * phi(2 * held.contraction)).sqrt() * z

    def force(self, x: Tensor, held: Held) -> Tensor:
        return torch.zeros_like(x)


class Tempered(Potential):
    """mu_tau = -beta(tau) log p(y | A x), for any operator that can be differentiated and any noise law.

    beta(tau) = (b(tau) - b(tau_0)) / (1 - b(tau_0)), b = 1 / (1 + gamma^2 tau), falls to 0 at the first level tau_0, so
    the start is the prior's own law and needs no weights. For Gaussian noise b widens std^2 to
    std^2 + (gamma std)^2 tau. With gamma = 0 the potential is constant, beta = 1.

    A step is an Ornstein-Uhlenbeck process along the gradient, with the curvature that the linearised data have in that
    direction, H = dA/dx: it never overshoots what they ask for, and is exact for one linear datum. A(x) is asked for at
    noisy x: where it grows faster than linearly, begin at a sigma not far above the scale of x.

    Arguments:
        observation: y (B, m).
        gamma: in units of 1 / x; None takes the largest |H^T R^{-1} H| over the points `at` for gamma^2, window by window.
        tau_start: tau_0, shape ().
        at: typical x, with shape (P, *event).
    """

    def __init__(self, observation: Observation, gamma: float | None, tau_start: Tensor, at: Tensor):
        self.observation = observation
        flat = torch.zeros(len(observation.y), dtype=torch.float64, device=observation.y.device)
        self.gamma2 = curvature(observation, at) if gamma is None else flat + gamma**2
        self.first = torch.where(self.gamma2 > 0, 1 / (1 + self.gamma2 * tau_start.double()), 0.0)

    def beta(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """beta and d beta / d tau for each window, shapes (B,)."""
        b = 1 / (1 + self.gamma2 * tau.double())
        return (b - self.first) / (1 - self.first), -self.gamma2 * b**2 / (1 - self.first)

    def read(self, x: Tensor, tau: Tensor) -> Reading:
        h, slope = self.observation.operator.at(x)
        members, noise = len(x) // len(self.gamma2), self.observation.noise
        y = self.observation.repeat(members).to(h)
        loss = -noise.log_prob(y, h).double().sum(-1)
        beta, rate = (part.repeat_interleave(members) for part in self.beta(tau))
        raw = -slope.adjoint(noise.score(y, h)).to(x)
        seen = slope(direction(raw)).double()
        stiffness = (noise.information(y, h).double() * seen**2).sum(1)
        return Reading(beta * loss, rows(beta, raw) * raw, rate * loss, raw, stiffness)

    def laplacian(self, x: Tensor, tau: Tensor, streams: MemberStreams) -> Tensor:
        """Hutchinson's estimate z . (grad grad mu) z with one z of random signs a member, shape (N,).

        Source: Hutchinson, Commun. Stat. Simul. Comput. 19 (1990).
        """
        z = streams.normal(x.shape[1:]).sign()
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            loss = -self.observation.log_likelihood(x).sum()
            (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
            (product,) = torch.autograd.grad((gradient * z).sum(), x)
        beta = self.beta(tau)[0].repeat_interleave(len(x) // len(self.gamma2))
        return beta * (product * z).flatten(1).sum(1).double()

    def start(self, centre: Tensor, variance: Tensor, tau: Tensor, streams: MemberStreams) -> tuple[Tensor, Tensor]:
        x = centre + variance.sqrt() * streams.normal(centre.shape[1:])
        return x, -self.read(x, tau).value

    def pull(self, tau: Tensor, tau_s: Tensor) -> Tensor:
        """Integral of beta from tau_s to tau, shape (B,)."""
        time = (tau - tau_s).double()
        b = time / (1 + self.gamma2 * tau_s.double()) * mean_inverse(self.gamma2 * time / (1 + self.gamma2 * tau_s))
        return (b - self.first * time) / (1 - self.first)

    def hold(self, tau: Tensor, time: Tensor) -> Tensor:
        return self.beta(tau)[0] * time

    def damp(self, u: Tensor, held: Held) -> Tensor:
        return self._scaled(u, phi(held.contraction), phi(self._rates(u, held)), held)

    def noise(self, z: Tensor, variance: Tensor, held: Held) -> Tensor:
        outside, inside = phi(2 * held.contraction).sqrt(), phi(2 * self._rates(z, held)).sqrt()
        return variance.sqrt() * self._scaled(z, outside, inside, held)

    def force(self, x: Tensor, held: Held) -> Tensor:
        strength = phi(self._rates(x, held)) * self._each(x, held.pull)
        return -rows(strength, x) * held.raw

    def _each(self, x: Tensor, pull: Tensor) -> Tensor:
        return pull.repeat_interleave(len(x) // len(self.gamma2))

    def _rates(self, x: Tensor, held: Held) -> Tensor:
        """Decay along the gradient, shape (N,)."""
        return held.contraction + self._each(x, held.pull) * held.stiffness

    @staticmethod
    def _scaled(u: Tensor, outside: Tensor, inside: Tensor, held: Held) -> Tensor:
        """u times one factor (), and times its own (N,) along the gradient of each row."""
        e = direction(held.raw)
        along = (inside - outside) * (u * e).flatten(1).sum(1).double()
        return outside.to(u) * u + rows(along, u) * e


def direction(u: Tensor) -> Tensor:
    """u / |u| for each row, 0 where u = 0; shape (N, *event) -> (N, *event)."""
    length = u.flatten(1).norm(dim=1)
    return u / rows(length.clamp_min(torch.finfo(u.dtype).tiny), u)


def rows(values: Tensor, like: Tensor) -> Tensor:
    """Numbers (N,) in the dtype of `like` (N, *event) and of shape (N, 1, ..., 1), to multiply its rows."""
    return values.to(like).reshape(-1, *(1,) * (like.ndim - 1))


def mean_inverse(z: Tensor) -> Tensor:
    """log(1 + z) / z, 1 at z = 0, for z >= 0 of any shape: the mean of 1 / (1 + z s) over s in [0, 1]."""
    small = z < 1e-8
    return torch.where(small, 1 - z / 2, z.log1p() / torch.where(small, 1.0, z))


def phi(z: Tensor) -> Tensor:
    """(1 - exp(-z)) / z, 1 at z = 0, for z >= 0 of any shape: the mean of exp(-z s) over s in [0, 1]."""
    small = z.abs() < 1e-6
    return torch.where(small, 1 - z / 2, -torch.expm1(-z) / torch.where(small, 1.0, z))


def curvature(observation: Observation, at: Tensor) -> Tensor:
    """Largest eigenvalue of H^T R^{-1} H over some points, for each window: float64, with shape (B,).

    R^{-1} is the information of the noise there. By power iteration on R^{-1/2} H H^T R^{-1/2}, from below.

    Arguments:
        observation: y (B, m).
        at: the points, with shape (P, *event).
    """
    windows = len(observation.y)
    h, slope = observation.operator.at(at.repeat(windows, *(1,) * (at.ndim - 1)))
    root = observation.noise.information(observation.repeat(len(at)).to(h), h).sqrt()
    v = torch.randn(observation.operator.m, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    v = v.to(h).expand(h.shape)
    for _ in range(POWER_STEPS):
        size = v.norm(dim=1, keepdim=True)
        v = root * slope(slope.adjoint(root * v / size.clamp_min(torch.finfo(h.dtype).tiny)))
    return v.norm(dim=1).double().reshape(windows, len(at)).amax(1)
