"""Markov chains for the posterior of a Gaussian-field prior: the reference that faster methods are scored against."""

import math

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..ensemble import WeightedEnsemble
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .laplace import Reference, WhitePosterior, minimise

JITTER = 0.2  # share by which the angle varies from step to step, so that no direction comes back to where it was
SHORTEST = 0.03  # share of the angle down to which the first steps vary, so that chains leave where they began


class Chains:
    """N chains in coordinates z in which a Gaussian reference is N(0, 1); the target is exp(-psi(z)) N(z; 0, 1).

    One step: v ~ N(0, 1); `leaps` times v -= (a / 2) grad psi, a rotation of (z, v) by the angle a, v -= (a / 2) grad
    psi; accepted with probability min(1, exp(-change of psi + |z|^2 / 2 + |v|^2 / 2)). The rotation leaves N(0, 1) as
    it is, so that acceptance does not fall with the number of coordinates, and is 1 where the reference is the target.
    leaps = 0 (one rotation, no gradient) is preconditioned Crank-Nicolson with beta = sin a, 1 is MALA, more is HMC.
    Source: S. Cotter, G. Roberts, A. Stuart and D. White, Statistical Science 28 (2013); A. Beskos, F. Pinski, J.
    Sanz-Serna and A. Stuart, Stochastic Processes and their Applications 121 (2011); with a reference other than the
    prior: D. Rudolf and B. Sprungk, Foundations of Computational Mathematics 18 (2018).

    Arguments:
        problem: J(xi).
        reference: of xi.
        xi: where the chains begin, with shape (N, P).
        leaps: rotations for each step.
        angle: a, in radians, at most pi / 2 in all.
    """

    def __init__(
        self, problem: WhitePosterior, reference: Reference, xi: Tensor, leaps: int = 4, angle: float | None = None
    ):
        self.problem, self.reference, self.leaps = problem, reference, leaps
        self.most = math.pi / 2 / max(leaps, 1)
        self.angle = self.most / 2 if angle is None else angle
        self.z = reference.inverse(xi)
        self.psi, self.slope = self._evaluate(self.z)

    @property
    def xi(self) -> Tensor:
        """White parameters of the chains, with shape (N, P)."""
        return self.reference(self.z)

    @torch.no_grad()
    def step(self, streams: MemberStreams, wide: bool = False) -> Tensor:
        """One step of all chains, at angles of all sizes where `wide`; returns acceptance probabilities, shape (N,)."""
        uniform = streams.uniform((2,)).double()
        share = SHORTEST ** uniform[:, :1] if wide else 1 + JITTER * (2 * uniform[:, :1] - 1)
        angle = self.angle * share
        z, v, slope, psi = self.z, streams.normal(self.z.shape[1:]).double(), self.slope, self.psi
        before = psi + 0.5 * (z**2).sum(1) + 0.5 * (v**2).sum(1)
        for _ in range(max(self.leaps, 1)):
            v = v - 0.5 * angle * slope
            z, v = z * angle.cos() + v * angle.sin(), v * angle.cos() - z * angle.sin()
            psi, slope = self._evaluate(z)
            v = v - 0.5 * angle * slope
        change = before - psi - 0.5 * (z**2).sum(1) - 0.5 * (v**2).sum(1)
        probability = torch.where(change.isnan(), 0.0, change.clamp_max(0).exp())
        accept = uniform[:, 1] < probability
        self.z, self.slope = (torch.where(accept[:, None], *pair) for pair in ((z, self.z), (slope, self.slope)))
        self.psi = torch.where(accept, psi, self.psi)
        return probability

    def run(
        self, streams: MemberStreams, steps: int, thin: int = 1, target: float | None = None, wide: bool = False
    ) -> tuple[Tensor, float]:
        """Draws xi, with shape (steps // thin, N, P), and the mean acceptance.

        Arguments:
            streams: one row for each chain.
            steps: of each chain.
            thin: steps between the draws that are kept.
            target: acceptance to which the angle is tuned on the way; None leaves it as it is, as draws need.
            wide: as in `step`.
        """
        kept, accepted = [], 0.0
        for n in range(steps):
            mean = float(self.step(streams, wide).mean())
            accepted += mean / steps
            if target is not None:
                self.angle = min(self.most, self.angle * math.exp((mean - target) / math.sqrt(n + 1)))
            if (n + 1) % thin == 0:
                kept.append(self.xi)
        return torch.stack(kept), accepted

    def _evaluate(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """psi = J(xi(z)) - |z|^2 / 2, shape (N,), and its gradient (N, P); zeros where no leaps need it."""
        xi = self.reference(z)
        if self.leaps == 0:
            return self.problem.value(xi) - 0.5 * (z**2).sum(1), torch.zeros_like(z)
        value, gradient = self.problem.slope(xi)
        gradient = self.reference.pull(gradient) - z
        return value - 0.5 * (z**2).sum(1), gradient.nan_to_num(0.0, 0.0, 0.0)


class WhitenedMCMC:
    """Chains around the posterior's Laplace approximation, which is refitted to the draws while they warm up.

    Several searches for the maximum a posteriori begin from draws of the prior, and chains start around each optimum
    that is found: where the posterior has modes that chains do not leave, R-hat shows it. Black boxes get the prior as
    the reference and no leaps: preconditioned Crank-Nicolson.

    Arguments:
        prior: denoiser of a Gaussian prior.
        leaps: rotations with a gradient for each step; 0 takes none.
        warmup: steps of each of two rounds in which angle and reference are fitted; their draws are discarded.
        steps: after that, of each chain.
        starts: searches for the maximum.
        target: acceptance to which the angle is tuned.
    """

    def __init__(
        self,
        prior: Denoiser,
        leaps: int = 4,
        warmup: int = 200,
        steps: int = 200,
        starts: int = 4,
        target: float = 0.8,
    ):
        self.prior, self.leaps, self.warmup, self.steps = prior, leaps, warmup, steps
        self.starts, self.target = starts, target

    def warm(self, observation: Observation, streams: MemberStreams) -> Chains:
        """Chains that have been tuned, one for each row of the streams.

        Arguments:
            observation: one window, y of shape (1, m).
            streams: one row for each chain.
        """
        problem = WhitePosterior(self.prior, observation)
        begin = streams.normal((problem.parameters,)).double()
        if not observation.operator.differentiable:
            chains = Chains(problem, Reference.prior(problem.parameters), begin, leaps=0)
            chains.run(streams, 2 * self.warmup, target=0.3)
            return chains
        optima, values = minimise(problem, begin[: self.starts])
        best = values.argmin()
        reference = Reference.laplace(optima[best], problem.linearise(optima[best : best + 1])[1][0])
        own = optima[torch.arange(len(begin)) % len(optima)]
        xi = own + reference(streams.normal((problem.parameters,)).double(), 1.5) - reference.centre
        angle = None
        for wide in (True, False):
            chains = Chains(problem, reference, xi, self.leaps, angle)
            draws, _ = chains.run(streams, self.warmup, target=self.target, wide=wide)
            xi, angle = draws[-1], chains.angle
            reference = reference.refit(draws[self.warmup // 2 :].flatten(0, 1))
        return Chains(problem, reference, xi, self.leaps, angle)

    def posterior(self, observation: Observation, streams: MemberStreams) -> WeightedEnsemble:
        """K members, the last states of K chains, with shape (1, K, *event), unweighted, float64.

        Diagnostics: `acceptance`, and `rhat` and `bulk_ess` (P,) of the white parameters over all steps and chains.

        Arguments:
            observation: one window, y of shape (1, m).
            streams: K >= 2 rows.
        """
        from .convergence import bulk_ess, rhat

        chains = self.warm(observation, streams)
        draws, acceptance = chains.run(streams, self.steps)
        diagnostics = {"acceptance": acceptance, "rhat": rhat(draws), "bulk_ess": bulk_ess(draws)}
        x = chains.problem.event(chains.xi)
        return WeightedEnsemble(x[None], x.new_zeros(1, len(x)), diagnostics)
