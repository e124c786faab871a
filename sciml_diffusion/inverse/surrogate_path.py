"""One path from the prior to the data: kernels, twists and weights of a Gaussian surrogate, as functions of noise."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..denoisers.covariance import Covariance
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .gaussian_step import Factor
from .low_rank import LowRank, refined
from .low_rank_step import LowRankFactor, LowRankStep

RELATIVE = 1e-6  # what lies between modes along a direction counts above this share of the largest


@dataclass(frozen=True)
class State:
    """Where the members are at one noise level.

    Arguments:
        x_t, mean: x_t and D, with shape (N, *event).
        sigma: the level, with shape ().
        factor: of R + A E A^T, E the covariance of the surrogate.
    """

    x_t: Tensor
    mean: Tensor
    sigma: Tensor
    factor: LowRankFactor

    def select(self, rows: Tensor) -> "State":
        """The same for some of the members; rows of shape (N',)."""
        return State(self.x_t[rows], self.mean[rows], self.sigma, self.factor.select(rows))


class SurrogatePath:
    """The steps of `GaussianSurrogateSMC`, where the law of x | x_t is taken for N(D, E), E = B_sigma + rank q.

    Arguments:
        denoiser: states `within` (B_sigma) and `prior_mean`, and perhaps what lies `between` modes.
        observation: y (B, m), linear with Gaussian noise.
        streams: of the run: number of rows, dtype and device.
        rank: q; 0 takes B alone and asks for no products with the derivative.
        keep: whether the shared factor of each level is kept, for paths that are run again and again.

    Raises:
        ValueError: where the denoiser states no mean and covariance of x.
    """

    def __init__(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, rank: int = 0, keep: bool = False
    ):
        self.denoiser, self.rank, self.rows, self.keep = denoiser, rank, streams.rows, keep
        self.step = LowRankStep(observation, streams.dtype)
        infinity = torch.full((), torch.inf, dtype=streams.dtype, device=streams.device)
        if denoiser.prior_mean() is None or denoiser.within(infinity) is None:
            raise ValueError("this denoiser states no mean and covariance of x; use MomentMatchedSMC or TwistedSMC")
        self._mean = denoiser.prior_mean().to(streams.dtype).expand(streams.rows, *denoiser.event)
        self.coefficients = tuple(denoiser.within(infinity).basis(self._mean[:1]).shape[1:])
        self._infinity, self._prior, self._factors = infinity, self._base(infinity), {}
        self.basis, self._between = self._prior.basis, denoiser.between()

    def start(self) -> tuple[State, Tensor]:
        """The state at sigma = infinity, all members alike, and log N(y; A mean, R + A Cov[x] A^T), with shape (N,)."""
        shared = self._shared(0, self._prior)
        law = LowRank(self._prior, *self._directions(shared))
        factor = self.step.low_rank(law, shared)
        state = State(self._mean, self._mean, self._infinity, factor)
        return state, factor.log_prob(self.step.residual(self._mean))

    def noise(self, streams: MemberStreams) -> tuple[Tensor, Tensor, Tensor]:
        """What one step draws, all white: z (N, *coefficients), eps (N, m), xi (N, *event)."""
        z, eps = streams.normal(self.coefficients), streams.normal((self.step.operator.m,))
        return z, eps, streams.normal(self.denoiser.event)

    def advance(self, state: State, n: int, sigma: Tensor, noise: tuple) -> tuple[State, Tensor]:
        """One step to the n-th level, sigma of shape (): the new state, and the log-weight increments, with shape (N,).

        noise: as from `noise`.
        """
        (z, eps, xi), c = noise, 1 - (sigma / state.sigma) ** 2
        x = self.step.perturb_and_solve(state.mean, state.factor, z, eps)
        x_s = state.x_t + c * (x - state.x_t) + sigma * c.sqrt() * xi
        kappa = sigma**-2 - state.sigma**-2
        narrow = state.factor.law.narrowed(kappa)
        moved = self._prior.basis(x_s - state.x_t - c * (state.mean - state.x_t)).flatten(1)
        foreseen = state.mean + self._event(narrow.apply(moved)) / sigma**2
        base = self._base(sigma)
        stated = self._shared(n, base)
        before = stated if _alike(narrow.base, base) else self._shared(-n, narrow.base)
        mean, law = self._surrogate(x_s, sigma, stated, narrow)
        factor = self.step.low_rank(law, stated)
        gain = factor.log_prob(self.step.residual(mean))
        gain = gain - self.step.low_rank(narrow, before).log_prob(self.step.residual(foreseen))
        return State(x_s, mean, sigma, factor), gain

    def finish(self, state: State, z: Tensor, eps: Tensor) -> Tensor:
        """x | x_t, y from the surrogate, with shape (N, *event); z (N, *coefficients) and eps (N, m) white."""
        return self.step.perturb_and_solve(state.mean, state.factor, z, eps)

    def _surrogate(self, x_s: Tensor, sigma: Tensor, shared: Factor, foreseen: LowRank) -> tuple[Tensor, LowRank]:
        """D and E at x_s, E asked along the foreseen directions between modes, or along what the data see best."""
        if not foreseen.vectors.shape[1]:
            return self.denoiser(x_s, sigma), LowRank(shared.covariance, foreseen.vectors, foreseen.values)
        mean, pull = self.denoiser.vjp(x_s, sigma)
        probes = self._seen(shared) if self._between is None else foreseen.vectors
        return mean, refined(pull, sigma, shared.covariance, probes)

    def _directions(self, shared: Factor) -> tuple[Tensor, Tensor]:
        """Q (N, q, n) and l (N, q) of the prior: what lies between its modes, or l = 0 along what the data see best."""
        if self.rank and self._between is None:
            rows = self._seen(shared)
            return rows, torch.zeros_like(rows[..., 0], dtype=torch.float64)
        rows = self._mean.new_zeros(0, self._prior.variance.numel())
        if self.rank:
            scale = self._prior.variance.sqrt().flatten()
            rows = self.basis(self._between.to(self._mean)).flatten(1) / scale
        _, values, rows = torch.linalg.svd(rows.double(), full_matrices=False)
        values = values[: self.rank] ** 2
        values = values[values > RELATIVE**2 * values[:1]]
        rows = rows[: len(values)].to(self._mean)
        return rows.expand(self.rows, -1, -1), values.expand(self.rows, -1)

    def _seen(self, shared: Factor) -> Tensor:
        """Directions that the data see best beside their noise, and then those of largest variance: (N, q, n)."""
        white, scale = self.step.white_rows(shared), shared.covariance.variance.sqrt().flatten().double()
        white = white * scale  # L^{-1} A B^{1/2}: its right singular vectors, by those of the left
        turn = torch.linalg.eigh(white @ white.T)[1].flip(1)[:, : self.rank]
        rows = torch.linalg.qr((turn.T @ white).T)[0].T
        if len(rows) < self.rank:
            unit = torch.eye(len(scale), dtype=scale.dtype, device=scale.device)[scale.argsort(descending=True)]
            rest = unit[: self.rank] - unit[: self.rank] @ rows.T @ rows
            rows = torch.cat([rows, torch.linalg.svd(rest, full_matrices=False)[2]])[: self.rank]
        return rows.to(self._mean).expand(self.rows, -1, -1)

    def _base(self, sigma: Tensor) -> Covariance:
        """B at one level, with a variance for each coefficient."""
        within = self.denoiser.within(sigma)
        return Covariance(within.basis, within.variance.expand(self.coefficients))

    def _shared(self, n: int, base: Covariance) -> Factor:
        """The factor of R + A B A^T; kept under the number n where paths are run again."""
        if n not in self._factors:
            factor = self.step.factor(base)
            if not self.keep:
                return factor
            self._factors[n] = factor
        return self._factors[n]

    def _event(self, c: Tensor) -> Tensor:
        return self._prior.basis.inverse(c.reshape(-1, *self.coefficients))


def _alike(foreseen: Covariance, stated: Covariance) -> bool:
    """Whether two covariances agree to rounding, asked on the host only: saves a factorisation."""
    if foreseen.variance.device.type != "cpu" or foreseen.basis is not stated.basis:
        return False
    tolerance = 100 * torch.finfo(foreseen.variance.dtype).eps
    return torch.allclose(foreseen.variance, stated.variance, rtol=tolerance, atol=0.0)
