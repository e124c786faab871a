"""Conditioning Gaussians on data of any operator and noise law, by Gauss-Newton with line search, batched."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..denoisers.covariance import Covariance
from ..observations.noise import Gaussian
from ..observations.observation import Observation
from ..observations.operators import LinearOperator
from ..samplers.streams import MemberStreams
from .krylov import conjugate_residuals

Product = Callable[[Tensor], Tensor]  # u -> V u, shape (N, *event) -> (N, *event)
SHORTER = 0.3  # of the step, where the last one let the objective rise


@dataclass(frozen=True)
class Fit:
    """The most probable x under x ~ N(D, V) and y ~ p(y | A(x)): x = D + V u.

    Arguments:
        mode: x, with shape (N, *event).
        u: with shape (N, *event).
        log_joint: log p(y | A(x)) - u^T V u / 2, float64, with shape (N,).
    """

    mode: Tensor
    u: Tensor
    log_joint: Tensor


@dataclass(frozen=True)
class Look:
    """The data seen from x: as if p (r - H d) were white for a step d; entries that are not finite have p = 0.

    Arguments:
        h: A(x), with shape (N, m).
        slope: H = dA/dx at x.
        root: p = 1 / std, with shape (N, m).
        white: p r, with shape (N, m).
        log_likelihood: log p(y | A(x)), float64, with shape (N,).
    """

    h: Tensor
    slope: LinearOperator
    root: Tensor
    white: Tensor
    log_likelihood: Tensor


class LocalStep:
    """The law of x | y where x ~ N(D, V), y ~ p(y | A(x)): its mode, draws and evidence, one D and V for each row.

    Gauss-Newton: about x_j the data are a residual r, a std s and H (`Observation.local`), so the next aim is
    x = D + V H^T w, (R + H V H^T) w = r + H (x_j - D), solved by conjugate residuals in units of the noise. A row moves
    to its aim, or part of the way: a step that would let -log p(y | A(x)) + (x - D)^T V^{-1} (x - D) / 2 rise is not
    taken, and the next one towards the same aim is shorter. Every row has the same number of rounds, so nothing waits
    for a device. One round is exact where A is linear and the noise Gaussian.

    Draws, both exact in the linear-Gaussian case. Gaussian noise: zeta ~ N(0, V), eps ~ N(0, 1), and x is the mode for
    the prior N(D + zeta, V) and the data y - s eps. Each draw meets the slope of its own place, so that draws part
    between modes, or spread along a ring, that one linearisation cannot hold (sliced W1 on a ring .05, by `spread` .20,
    of exact draws .04). Other laws: `spread` about the mode, since noise that is added to readings of bounded
    information, such as switches, throws draws too far (.25 against .08).

    Sources: Bardsley et al., Randomize-then-optimize, SIAM J. Sci. Comput. 36 (2014), without its weights;
    Tierney and Kadane, Accurate approximations for posterior moments, J. Am. Stat. Assoc. 81 (1986) (the evidence).

    Arguments:
        observation: y with shape (B, m); N = B K rows run over members within windows.
        rounds: steps tried; each costs A and its derivative once, and a solve.
        tolerance: relative residual at which the solve of a row stops.
        iterations: most products with H V H^T in one solve.
    """

    def __init__(self, observation: Observation, rounds: int = 4, tolerance: float = 1e-3, iterations: int = 64):
        self.observation = observation
        self.rounds, self.tolerance, self.iterations = rounds, tolerance, iterations

    def fit(self, mean: Tensor, covariance: Product, tilt: Tensor | float = 0.0) -> Fit:
        """The mode of x | y for x ~ N(D, V).

        Arguments:
            mean: D, with shape (N, *event).
            covariance: u -> V u.
            tilt: eps, with shape (N, m): for Gaussian noise, the mode for the data y - s eps.
        """
        seen = self.look(mean)
        u = move = torch.zeros_like(mean)  # move: x - D = V u
        tilted = tilt * seen.root  # the noise's std does not depend on x where eps is given
        cost = self._cost(seen, tilted, u, move)
        aim = self._solve(seen, seen.white - tilt, covariance)
        share = torch.ones_like(cost)
        log_joint = seen.log_likelihood
        for n in range(self.rounds):
            a = over(share.to(mean), mean)
            u_new, move_new = torch.lerp(u, aim[0], a), torch.lerp(move, aim[1], a)
            seen = self.look(mean + move_new)
            new = self._cost(seen, tilted, u_new, move_new)
            taken = new <= cost  # False where new is not a number
            u, move = pick(taken, u_new, u), pick(taken, move_new, move)
            cost, share = torch.where(taken, new, cost), torch.where(taken, 1.0, SHORTER * share)
            log_joint = torch.where(taken, seen.log_likelihood - 0.5 * dot(u_new, move_new), log_joint)
            if n < self.rounds - 1:
                wanted = seen.white - tilt + seen.root * seen.slope(move_new).to(move)
                aim_new = self._solve(seen, wanted, covariance)  # from the place tried; of use where it was taken
                aim = tuple(pick(taken, one, old) for one, old in zip(aim_new, aim, strict=True))
        return Fit(mean + move, u, log_joint)

    def draw(self, mean: Tensor, covariance: Product, zeta: Tensor, streams: MemberStreams) -> Tensor:
        """Draws x | y, with shape (N, *event); zeta ~ N(0, V) has that shape, and the streams one row for each."""
        if isinstance(self.observation.noise, Gaussian):
            return self.fit(mean + zeta, covariance, streams.normal((self.observation.operator.m,))).mode
        mode = self.fit(mean, covariance).mode
        return mode + self.spread(mode, covariance, zeta, streams)

    def spread(self, x: Tensor, covariance: Product, zeta: Tensor, streams: MemberStreams) -> Tensor:
        """Draws x' - E[x' | y] of the problem linearised at x, for x' ~ N(., V); all of shape (N, *event)."""
        seen = self.look(x)
        noise = streams.normal((self.observation.operator.m,))
        wanted = -seen.root * seen.slope(zeta).to(zeta) - noise
        return zeta + self._solve(seen, wanted, covariance)[1]

    def log_evidence(self, fit: Fit, covariance: Product) -> Tensor:
        """Laplace's log int p(y | A(x)) N(x; D, V) dx: log joint at the mode - log det(1 + p H V H^T p) / 2.

        Exact for a linear A with Gaussian noise. Costs m products with V. Returns float64 with shape (N,).
        """
        seen, m = self.look(fit.mode), self.observation.operator.m
        units = torch.eye(m, dtype=seen.root.dtype, device=seen.root.device)
        rows = torch.stack([seen.slope.adjoint(seen.root * unit).to(fit.mode) for unit in units], 1)
        images = torch.stack([covariance(row) for row in rows.unbind(1)], 1)
        gram = torch.einsum("nid,njd->nij", rows.flatten(2).double(), images.flatten(2).double())
        bad = ~torch.isfinite(gram).all((1, 2))
        values = torch.linalg.eigvalsh(torch.where(bad[:, None, None], 0, (gram + gram.mT) / 2))
        log_det = values.clamp_min(0).log1p().sum(1)
        return torch.where(bad, -math.inf, fit.log_joint - 0.5 * log_det)

    def look(self, x: Tensor) -> Look:
        """A, its derivative and the law of the noise at x, shape (N, *event)."""
        observation = self.observation
        h, slope = observation.operator.at(x)
        h = h.to(x)
        y = observation.repeat(len(x) // len(observation.y)).to(x)
        residual, std = observation.noise.local(y, h)
        good = torch.isfinite(residual) & torch.isfinite(std) & (std > 0)
        root = torch.where(good, 1 / std, 0)
        white = torch.where(good, residual * root, 0)
        return Look(h, slope, root, white, observation.noise.log_prob(y, h).double().sum(1))

    @staticmethod
    def _cost(seen: Look, tilted: Tensor, u: Tensor, move: Tensor) -> Tensor:
        """What the rounds lower, float64, with shape (N,); infinite where it is not a number."""
        cost = -seen.log_likelihood + (tilted * seen.h).double().sum(1) + 0.5 * dot(u, move)
        return cost.nan_to_num(nan=math.inf, posinf=math.inf)

    def _solve(self, seen: Look, wanted: Tensor, covariance: Product) -> tuple[Tensor, Tensor]:
        """u = H^T p w and V u, where (1 + p H V H^T p) w is wanted, with shape (N, m)."""

        def pull(w: Tensor) -> Tensor:
            return seen.slope.adjoint(seen.root * w).to(w)

        def total(w: Tensor) -> Tensor:
            return w + seen.root * seen.slope(covariance(pull(w))).to(w)

        w, _ = conjugate_residuals(total, wanted, self.tolerance, self.iterations)
        u = pull(w)
        return u, covariance(u)


def prior_noise(covariance: Covariance, like: Tensor, streams: MemberStreams) -> Tensor:
    """Draws zeta ~ N(0, E), with the shape (N, *event) of `like`, in one transform."""
    shape = covariance.basis(like[:1]).shape[1:]
    return covariance.basis.inverse(covariance.variance.sqrt().to(like) * streams.normal(shape))


def over(a: Tensor, x: Tensor) -> Tensor:
    """a of shape (N,) as (N, 1, ..., 1), to broadcast against x (N, *event)."""
    return a.reshape(-1, *(1,) * (x.ndim - 1))


def pick(taken: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Rows of `new` where taken (N,), of `old` elsewhere; shape (N, ...)."""
    return torch.where(over(taken, new), new, old)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each row, shapes (N, ...) -> (N,), float64."""
    return (a * b).flatten(1).double().sum(1)
