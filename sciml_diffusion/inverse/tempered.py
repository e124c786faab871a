"""Potentials of any operator that can be differentiated and any noise law."""

import torch
from torch import Tensor

from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .gaussian_model import GaussianModel, dot
from .potentials import Held, Potential, Reading, direction, mean_inverse, phi, rows

POWER_STEPS = 12  # of the power iteration for the largest curvature


class Tempered(Potential):
    """mu_tau = -beta(tau) log p(y | A x), for any operator that can be differentiated and any noise law.

    b = 1 / (1 + gamma^2 tau), which for Gaussian noise widens std^2 to std^2 + (gamma std)^2 tau, and
    beta(tau) = (b(tau) - b(tau_0)) / (1 - b(tau_0)): it falls to 0 at the first level tau_0, so the start is the
    prior's own law and needs no weights. With gamma = 0 the potential is constant, beta = 1.

    A step is an Ornstein-Uhlenbeck process along the gradient, with the curvature that the linearised data have in that
    direction, H = dA/dx: it never overshoots what they ask for, and is exact for one linear datum. A is asked for at
    noisy x: where it cannot take those, see `Denoised`.

    Arguments:
        observation: y (B, m).
        gamma: in units of 1 / x; None takes gamma^2 = |H^T R^{-1} H|, window by window the largest over `at`.
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

    def place(self, x: Tensor, tau: Tensor) -> Tensor:
        """Where A is asked for, shape (N, *event) -> (N, *event)."""
        return x

    def back(self, u: Tensor, tau: Tensor) -> Tensor:
        """Transpose of the derivative of `place` by x, shape (N, *event) -> (N, *event)."""
        return u

    def drift(self, x: Tensor, tau: Tensor) -> Tensor | None:
        """Derivative of `place` by tau, shape (N, *event); None where it does not move."""
        return None

    def read(self, x: Tensor, tau: Tensor) -> Reading:
        h, slope = self.observation.operator.at(self.place(x, tau))
        members, noise = len(x) // len(self.gamma2), self.observation.noise
        y = self.observation.repeat(members).to(h)
        loss = -noise.log_prob(y, h).double().sum(-1)
        beta, rate = (part.repeat_interleave(members) for part in self.beta(tau))
        slant, drift = -slope.adjoint(noise.score(y, h)).to(x), self.drift(x, tau)
        raw = self.back(slant, tau)
        seen = slope(self.back(direction(raw), tau)).double()
        stiffness = (noise.information(y, h).double() * seen**2).sum(1)
        change = rate * loss if drift is None else rate * loss + beta * dot(slant, drift)
        return Reading(beta * loss, rows(beta, raw) * raw, change, raw, stiffness)

    def laplacian(self, x: Tensor, tau: Tensor, streams: MemberStreams) -> Tensor:
        """Hutchinson's estimate z . (grad grad mu) z with one z of random signs a member, shape (N,).

        Source: Hutchinson, Commun. Stat. Simul. Comput. 19 (1990).
        """
        z = streams.normal(x.shape[1:]).sign()
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            loss = -self.observation.log_likelihood(self.place(x, tau)).sum()
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


class Denoised(Tempered):
    """mu_tau = -beta(tau) log p(y | A M x), M x = m + C (C + tau)^{-1} (x - m): A is asked for at what a Gaussian
    model of the prior takes the noisy x for, as smooth as the prior and on its scale at every level.

    M is known, so the weights are exact, unlike those of a likelihood at D(x), and no network is differentiated.
    beta = 1 / (1 + gamma^2 v tau / (v + tau)), v the mean variance of the model, allows for what x may still be given
    x_t. At the first level M x hardly leaves m, and mu is nearly constant: the start is the prior's own law, weighted.

    Arguments:
        observation, gamma, at: see `Tempered`.
        model: N(m, C).
    """

    def __init__(self, observation: Observation, gamma: float | None, model: GaussianModel, at: Tensor):
        super().__init__(observation, gamma, torch.ones_like(model.scale), at)
        self.model, self.first = model, torch.zeros_like(self.gamma2)

    def beta(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        tau, v = tau.double(), self.model.scale.double()
        b = 1 / (1 + self.gamma2 * v * tau / (v + tau))
        return b, -self.gamma2 * b**2 * (v / (v + tau)) ** 2

    def place(self, x: Tensor, tau: Tensor) -> Tensor:
        return self.model.denoised(x, tau.sqrt())

    def back(self, u: Tensor, tau: Tensor) -> Tensor:
        return self.model.gain(u, tau.sqrt())

    def drift(self, x: Tensor, tau: Tensor) -> Tensor:
        return self.model.gain(self.model.score(x, tau.sqrt()), tau.sqrt())

    def pull(self, tau: Tensor, tau_s: Tensor) -> Tensor:
        """Integral of beta from tau_s to tau by the trapezoidal rule, shape (B,)."""
        return 0.5 * (self.beta(tau)[0] + self.beta(tau_s)[0]) * (tau - tau_s)


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
