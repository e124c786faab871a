"""Markov chains for the inner problem: Langevin, Hamiltonian Monte Carlo, and a walk that asks for no derivative."""

import math
from abc import abstractmethod

import torch
from torch import Tensor

from ..denoisers.covariance import Covariance
from ..observations.noise import Gaussian
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .inner import ExactInner, Inner, Look, Target, over
from .noise_scale import ScalePrior

BURN = 4  # times the moves of a chain without a start


class Chain(Inner):
    """Chains of all rows at once, in the w of `Target`, each begun where the last ended; subclasses state one move.

    A chain without a start begins at a draw from N(D, E) and sees the likelihood at a power that rises to 1, so that
    rows spread over modes as the modes part, not as the prior has them. Noise scales are drawn given x before each
    move. A row of impossible data is left for whatever is offered.

    Arguments:
        observation, scale_prior: see `Inner`.
        moves: for one draw; a draw without a start has four times as many.
        step: size of a move, in units of what is stable.
    """

    gradients = True
    acceptance: float | None = None  # that the steps of each row are adapted to, ever less

    def __init__(self, observation: Observation, scale_prior: ScalePrior | None, moves: int, step: float):
        super().__init__(observation, scale_prior)
        self.moves, self.step, self.done = moves, step, 0
        self.accepted = self.log_step = torch.zeros(())

    def __call__(self, start: Tensor | None, mean: Tensor, covariance: Covariance, streams: MemberStreams) -> Tensor:
        target = Target(self.observation, mean, covariance, self.gradients)
        look = target(streams.normal(target.shape) if start is None else target.w(start))
        bend = self.curvature(target, look, streams) if self.gradients else None
        moves = self.moves if start is not None else BURN * self.moves
        for n in range(moves):
            heat = 1.0 if start is not None else ((n + 1) / moves) ** 2
            self._draw_scale(target, look, heat, streams)
            beta = torch.full_like(look.log_likelihood, heat)
            beta = beta if self.scale is None else beta / self.scale**2
            new, log_ratio = self.move(target, look, beta, bend, streams)
            lost = torch.isneginf(look.log_likelihood)
            chance = torch.where(lost, 1.0, log_ratio.exp().clamp_max(1).nan_to_num(nan=0.0))
            look = new.kept(streams.uniform(()).double() < chance, look)
            self._adapt(chance)
            look = self.leap(target, look, beta, streams)
        self._draw_scale(target, look, 1.0, streams)
        self.possible = ~torch.isneginf(look.log_likelihood)
        return target.x(look.w)

    @abstractmethod
    def move(
        self, target: Target, look: Look, beta: Tensor, bend: Tensor | None, streams: MemberStreams
    ) -> tuple[Look, Tensor]:
        """A proposal and the logarithm of its acceptance ratio, float64, with shape (N,).

        Arguments:
            beta: 1 / s^2, which multiplies the log-likelihood, float64, with shape (N,).
            bend: L at s = 1, float64, with shape (N,), where gradients are used.
        """

    def curvature(self, target: Target, look: Look, streams: MemberStreams) -> Tensor:
        """L for the steps of one draw, with shape (N,)."""
        return target.curvature(streams.normal(target.shape), streams)

    def leap(self, target: Target, look: Look, beta: Tensor, streams: MemberStreams) -> Look:
        """What follows each move: nothing here; beta as for `move`, shape (N,)."""
        return look

    def diagnostics(self) -> dict[str, Tensor]:
        """As `Inner.diagnostics`, with `acceptance`, its mean over the members, with shape (B,)."""
        share = (self.accepted / max(1, self.done)).reshape(len(self.observation.y), -1).mean(1)
        return {"acceptance": share} | super().diagnostics()

    def _adapt(self, chance: Tensor) -> None:
        """Counts acceptance; Robbins and Monro's steps of the logarithm of the step, row by row."""
        self.done, self.accepted = self.done + 1, self.accepted + chance
        if self.acceptance is not None:
            self.log_step = self.log_step + (chance - self.acceptance) / (1 + self.done) ** 0.6

    def _draw_scale(self, target: Target, look: Look, heat: float, streams: MemberStreams) -> None:
        """Draws s given x, where it is unknown, for the likelihood to the power `heat`."""
        if self.scale_prior is not None:
            m, chi2 = heat * self.observation.operator.m, heat * target.chi2(look)
            self.scale = self.scale_prior.draw_given(chi2, m, streams)


class Langevin(Chain):
    """w' = w + eta (beta g - w) + sqrt(2 eta) z, eta = c / (1 + beta L), without refusals: variances up to 1/(1 - c/2).

    In x, for E = r^2 I, this is a step c / (L_A / std^2 + 1 / r^2); g is the gradient of the log-likelihood. As
    published for DAPS, but for the step, which follows the problem, and the likelihood's 1/2. Where A bends, L is the
    larger of that at a draw from N(D, E) and that where the chain begins: with too long a step it would run away.
    """

    def curvature(self, target: Target, look: Look, streams: MemberStreams) -> Tensor:
        """L for the steps of one draw, with shape (N,)."""
        return torch.maximum(super().curvature(target, look, streams), target.curvature(look.w, streams))

    def move(self, target: Target, look: Look, beta: Tensor, bend: Tensor | None, streams: MemberStreams):
        eta = over(self.step / (1 + beta * bend), look.w)
        drift = over(beta, look.w) * look.gradient - look.w
        new = target(look.w + eta * drift + (2 * eta).sqrt() * streams.normal(target.shape))
        return new, torch.where(torch.isneginf(new.log_likelihood), -torch.inf, torch.zeros_like(beta))


class HMC(Chain):
    """Hamiltonian Monte Carlo, accepted or refused row by row: the chain's law is the inner law at every step size.

    The Gaussian part turns (w, p) exactly and the likelihood kicks p, so that the error of the energy grows with what
    the data say, not with the dimension of x. Angles are c / sqrt(1 + beta L), times a number between 1/2 and 1 for
    each path, and a factor for each row that brings acceptance to 0.8. Each path is followed by one offer to turn w by
    a random angle up to pi / 2 towards a fresh draw, which in few dimensions takes rows from mode to mode.

    Source: Beskos et al., Hybrid Monte Carlo on Hilbert spaces, 2011.

    Arguments:
        observation, scale_prior, moves, step: see `Chain`.
        leapfrog: steps of one path.
    """

    acceptance = 0.8

    def __init__(
        self, observation: Observation, scale_prior: ScalePrior | None, moves: int, step: float, leapfrog: int = 6
    ):
        super().__init__(observation, scale_prior, moves, step)
        self.leapfrog = leapfrog

    def move(self, target: Target, look: Look, beta: Tensor, bend: Tensor | None, streams: MemberStreams):
        size = self.step * self.log_step.exp() * (0.5 + 0.5 * streams.uniform(())) / (1 + beta * bend).sqrt()
        angle = over(size.clamp_max(1.5), look.w)
        kick, cos, sin = 0.5 * over(beta, look.w) * angle, angle.cos(), angle.sin()
        p, now = streams.normal(target.shape), look
        before = energy(look, p, beta)
        for _ in range(self.leapfrog):
            p = p + kick * now.gradient
            now, p = target(cos * now.w + sin * p), cos * p - sin * now.w
            p = p + kick * now.gradient
        return now, before - energy(now, p, beta)

    def leap(self, target: Target, look: Look, beta: Tensor, streams: MemberStreams) -> Look:
        """The turn by a random angle, accepted by the likelihood; beta of shape (N,)."""
        new = turned(target, look, 0.5 * math.pi * streams.uniform(()), streams)
        chance = (beta * (new.log_likelihood - look.log_likelihood)).exp().nan_to_num(nan=0.0)
        return new.kept(streams.uniform(()).double() < chance, look)


class PreconditionedCrankNicolson(Chain):
    """w' = cos(a) w + sin(a) z, accepted by the likelihood alone, which need not have a derivative.

    Source: Cotter et al., MCMC methods for functions: modifying old algorithms to make them faster, 2013.
    """

    gradients, acceptance = False, 0.25

    def move(self, target: Target, look: Look, beta: Tensor, bend: Tensor | None, streams: MemberStreams):
        angle = (self.step * self.log_step.exp()).clamp_max(1.5).expand(len(look.w))
        new = turned(target, look, angle, streams)
        return new, beta * (new.log_likelihood - look.log_likelihood)


def turned(target: Target, look: Look, angle: Tensor, streams: MemberStreams) -> Look:
    """cos(a) w + sin(a) z, which leaves N(0, 1) as it is; angles of shape (N,)."""
    a = over(angle, look.w)
    return target(a.cos() * look.w + a.sin() * streams.normal(target.shape))


def energy(look: Look, p: Tensor, beta: Tensor) -> Tensor:
    """|w|^2 / 2 + |p|^2 / 2 - beta log p(y | A(x)), float64, shapes p (N, *coefficients) and beta (N,) -> (N,)."""
    return 0.5 * (look.w.double() ** 2 + p.double() ** 2).flatten(1).sum(1) - beta * look.log_likelihood


KINDS = {"hmc": HMC, "langevin": Langevin, "pcn": PreconditionedCrankNicolson}
DEFAULTS = {"hmc": (4, 1.0), "langevin": (50, 0.2), "pcn": (50, 0.5)}  # moves for one draw, step


def check_inner(kind: str) -> str:
    """The kind again, and what an observation must offer for it: "gradient", or "forward" for the walk.

    Raises:
        ValueError: an unknown kind.
    """
    if kind not in ("auto", "exact", *KINDS):
        raise ValueError(f"inner must be one of auto, exact, {', '.join(KINDS)}; got {kind!r}")
    return "forward" if kind == "pcn" else "gradient"


def make_inner(
    kind: str,
    observation: Observation,
    dtype: torch.dtype,
    scale_prior: ScalePrior | None = None,
    moves: int | None = None,
    step: float | None = None,
) -> Inner:
    """The inner sampler of a kind: "auto" is exact for linear operators with Gaussian noise, and hmc elsewhere.

    Arguments:
        kind: auto, exact, hmc, langevin or pcn.
        observation: y (B, m).
        dtype: of the members.
        scale_prior: where the size of the noise is unknown.
        moves, step: of chains; None for the defaults of each.

    Raises:
        ValueError: "exact" where A is not linear or the noise not Gaussian; an unknown size of noise that is no std.
    """
    if scale_prior is not None and type(observation.noise) is not Gaussian:
        noise = type(observation.noise).__name__
        raise ValueError(f"an unknown noise level scales the std of Gaussian noise; got {noise} noise")
    exact = observation.linear_gaussian
    if kind == "exact" and not exact:
        what = f"{type(observation.noise).__name__} noise" if observation.operator.linear else "an operator that is not"
        raise ValueError(
            f"inner='exact' needs a linear operator and Gaussian noise; got {what}. "
            "Use inner='hmc', or 'auto', which takes the exact draw where it can"
        )
    if kind == "exact" or (kind == "auto" and exact):
        return ExactInner(observation, dtype, scale_prior)
    name = "hmc" if kind == "auto" else kind
    usual = DEFAULTS[name]
    return KINDS[name](
        observation, scale_prior, usual[0] if moves is None else moves, usual[1] if step is None else step
    )
