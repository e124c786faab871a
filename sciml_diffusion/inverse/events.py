"""Events {f(x) >= level} that a user names: fields in which they happen, and how probable they are."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..denoisers.basis import IdentityBasis
from ..denoisers.covariance import Covariance
from ..observations.censored import hazard
from ..samplers.streams import MemberStreams
from .local_step import Product, dot, over, pick

LEAST = -1e3  # standard deviations: log Phi is -5e5 there


@dataclass(frozen=True)
class Event:
    """E = {f(x) >= level} for any function f that torch can differentiate.

    Arguments:
        function: f, shape (N, *event) -> (N,), row by row.
        level: in the units of f.
    """

    function: Callable[[Tensor], Tensor]
    level: float = 0.0

    def at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """f - level with shape (N,), and its gradient, with the shape (N, *event) of x."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = self.function(x)
            if value.shape != (len(x),):
                raise ValueError(
                    f"the function of an event must return shape ({len(x)},) for x of shape {tuple(x.shape)}; "
                    f"it returned {tuple(value.shape)}"
                )
            if not value.requires_grad:
                raise ValueError(
                    "the function of an event must be one that torch can differentiate; this one cuts x off"
                )
            (slope,) = torch.autograd.grad(value.sum(), x)
        return value.detach() - self.level, slope

    def happens(self, x: Tensor) -> Tensor:
        """Whether f(x) >= level, shape (N, *event) -> (N,)."""
        return self.function(x) >= self.level


@dataclass(frozen=True)
class Chance:
    """h = P(E | x_t) = Phi(u) for x ~ N(D, V) and the plane that touches the edge of E at its most probable point.

    Arguments:
        u: with shape (N,).
        pull: V a / sqrt(a^T V a), a = grad f there, with shape (N, *event): D moves by hazard(u) times it.
        edge: the point, with shape (N, *event).
    """

    u: Tensor
    pull: Tensor
    edge: Tensor

    @property
    def log_h(self) -> Tensor:
        """log Phi(u), float64, with shape (N,)."""
        return torch.special.log_ndtr(self.u.double())

    @property
    def shift(self) -> Tensor:
        """E[x | E] - D, with shape (N, *event)."""
        return over(hazard(self.u), self.pull) * self.pull


def chance(event: Event, mean: Tensor, covariance: Product, begin: Tensor | None, rounds: int) -> Chance:
    """The chance of an event for x ~ N(D, V), by the first-order reliability method; shapes D and begin (N, *event).

    x* <- D + V a (level - f(x*) + a^T (x* - D)) / (a^T V a), a = grad f(x*), from D and from `begin`, whichever ends
    with the larger chance: E may have parts on many sides, and f no slope at D. One round is exact for a linear f.
    Source: Rackwitz and Fiessler, Computers & Structures 9 (1978).

    Arguments:
        covariance: u -> V u.
        begin: a second place for the first plane, or None.
        rounds: planes laid one after the other from each place, each of one product with V.
    """
    best = _search(event, mean, covariance, mean, rounds)
    if begin is not None:
        other = _search(event, mean, covariance, begin, rounds)
        best = _merge(other.u > best.u, other, best)
    return replace(best, u=best.u.clamp_min(LEAST))


def _search(event: Event, mean: Tensor, covariance: Product, x: Tensor, rounds: int) -> Chance:
    """The planes laid from x on, with shape (N, *event); a row keeps its last one that was a plane."""
    found = _plane(event, mean, covariance, x)
    for _ in range(rounds - 1):
        new = _plane(event, mean, covariance, found.edge)
        found = _merge(torch.isfinite(new.u), new, found)
    return found


def _plane(event: Event, mean: Tensor, covariance: Product, x: Tensor) -> Chance:
    """The chance by the plane laid at x, with shape (N, *event); u is -inf in rows where that is no plane."""
    value, a = event.at(x)
    image = covariance(a)
    variance = dot(a, image).to(mean)
    plane = value + dot(a, mean - x).to(mean)  # f - level of the plane at D
    edge = mean - over(plane / variance, image) * image
    u, pull = plane * variance.rsqrt(), over(variance.rsqrt(), image) * image
    good = torch.isfinite(u) & torch.isfinite(edge).flatten(1).all(1) & torch.isfinite(pull).flatten(1).all(1)
    return Chance(torch.where(good, u, -torch.inf), torch.where(over(good, pull), pull, 0), pick(good, edge, x))


def _merge(taken: Tensor, one: Chance, other: Chance) -> Chance:
    """Rows of one where taken (N,), of the other elsewhere."""
    return Chance(*(pick(taken, getattr(one, name), getattr(other, name)) for name in ("u", "pull", "edge")))


class EventGuided(Denoiser):
    """E[x | x_t, E]: D + sigma^2 grad log h, h = Phi((f(D) - level) / sqrt(grad f^T V grad f)), V held fixed.

    V is the covariance of x | x_t: the surrogate's where the denoiser states one, else sigma^2 dD/dx_t, with one
    backward pass for each round. Exact for a Gaussian prior and a linear f. Any sampler can carry it; its draws need
    not all lie in E, and are not weighted: see `EventSMC`.

    Arguments:
        denoiser: of the prior, or of a posterior (`MomentMatched`), which states no spread: take more steps then.
        event: E.
        rounds: planes laid to the edge of E, see `chance`.
    """

    def __init__(self, denoiser: Denoiser, event: Event, rounds: int = 3):
        super().__init__()
        self.inner, self.happening, self.rounds, self.event = denoiser, event, rounds, tuple(denoiser.event)

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Returns D_E(x_t, sigma), with shape (N, *event); sigma of shape ()."""
        mean, found = self.foresee(x_t, sigma)
        return mean + found.shift

    def foresee(self, x_t: Tensor, sigma: Tensor, begin: Tensor | None = None) -> tuple[Tensor, Chance]:
        """D with shape (N, *event), and the chance of the event at x_t (N, *event); begin as in `chance`."""
        stated = self.inner.surrogate(sigma)
        if stated is not None:
            mean, covariance = self.inner(x_t, sigma), stated.apply
        else:
            mean, pull = self.inner.vjp(x_t, sigma)

            def covariance(u: Tensor) -> Tensor:
                return sigma**2 * pull(u)

        return mean, chance(self.happening, mean, covariance, begin, self.rounds)

    def start(self, sigma: Tensor, streams: MemberStreams) -> Tensor:
        """Draws x_t at the level sigma as the prior does, with shape (rows, *event)."""
        return self.inner.start(sigma, streams)

    def spread(self, x_t: Tensor, sigma: Tensor) -> Covariance:
        """What x scatters about D in a step of the prior's sampler: its surrogate, the variance within a mode, or 0.

        Its variance has the shape (1, *coefficients) or (N, 1, ..., 1); x_t (N, *event).
        """
        stated = self.inner.surrogate(sigma)
        if stated is not None:
            shape = stated.basis(x_t[:1]).shape
            return Covariance(stated.basis, stated.variance.expand(shape[1:])[None])
        within = self.inner.within_variance(x_t, sigma)
        w = x_t.new_zeros(len(x_t)) if within is None else within
        return Covariance(IdentityBasis(), over(w, x_t))
