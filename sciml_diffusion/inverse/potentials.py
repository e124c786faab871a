"""Potentials mu_tau(x) that carry data along the noise levels: q_tau = p_tau exp(-mu_tau), mu_0 = -log p(y | A x)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ..samplers.streams import MemberStreams


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
