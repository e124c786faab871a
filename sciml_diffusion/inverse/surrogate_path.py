"""One path from the prior to the data: kernels, twists and weights of a Gaussian surrogate, as functions of noise."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..denoisers.covariance import Covariance
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .gaussian_step import Factor
from .low_rank import LowRank, orthonormal, refined
from .low_rank_step import LowRankFactor, LowRankStep

RELATIVE = 1e-6  # what lies between modes along a direction counts above this share of the largest

PROBES = 0  # seed of the first directions that are asked


@dataclass(frozen=True)
class State:
    """Where the members are at one noise level.

    Arguments:
        x_t, mean: x_t and D, with shape (N, *event).
        sigma: the level, with shape ().
        factor: of R + A E A^T, E the covariance of the surrogate.
        asked: coefficients of the directions to ask next, rows of any length, with shape (N, q, n).
    """

    x_t: Tensor
    mean: Tensor
    sigma: Tensor
    factor: LowRankFactor
    asked: Tensor

    def select(self, rows: Tensor) -> "State":
        """The same for some of the members; rows of shape (N',)."""
        return State(self.x_t[rows], self.mean[rows], self.sigma, self.factor.select(rows), self.asked[rows])


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
        law, asked = self._first()
        factor = self.step.low_rank(law, shared)
        state = State(self._mean, self._mean, self._infinity, factor, asked)
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
        mean, law, asked = self._surrogate(x_s, sigma, base, narrow, state.asked)
        factor = self.step.low_rank(law, stated)
        gain = factor.log_prob(self.step.residual(mean))
        gain = gain - self.step.low_rank(narrow, before).log_prob(self.step.residual(foreseen))
        return State(x_s, mean, sigma, factor, asked), gain

    def finish(self, state: State, z: Tensor, eps: Tensor) -> Tensor:
        """x | x_t, y from the surrogate, with shape (N, *event); z (N, *coefficients) and eps (N, m) white."""
        return self.step.perturb_and_solve(state.mean, state.factor, z, eps)

    def _surrogate(
        self, x_s: Tensor, sigma: Tensor, base: Covariance, foreseen: LowRank, asked: Tensor
    ) -> tuple[Tensor, LowRank, Tensor]:
        """D and E at x_s, and the directions to ask next."""
        if not foreseen.vectors.shape[1]:
            return self.denoiser(x_s, sigma), LowRank(base, foreseen.vectors, foreseen.values), asked
        probes = foreseen.vectors if self._between is not None else self._probes(base, asked)
        mean, pull = self.denoiser.vjp(x_s, sigma)
        law, excess = refined(pull, sigma, base, probes)
        return mean, law, excess[:, excess.shape[1] - asked.shape[1] :]  # where E exceeds B most

    def _probes(self, base: Covariance, asked: Tensor) -> Tensor:
        """B^{1/2} times what is asked, beside all that the data see if those are few; orthonormal, (N, q, n)."""
        scale = base.variance.sqrt().flatten().to(asked)
        seen = self.step.rows(base) if self.step.operator.m <= self.rank else scale.new_zeros(0, len(scale))
        return orthonormal(torch.cat([seen.expand(len(asked), -1, -1), asked], 1) * scale)

    def _first(self) -> tuple[LowRank, Tensor]:
        """The law of x, with what lies between its modes where that is known, and the directions to ask first."""
        base, n = self._prior, self._prior.variance.numel()
        if self.rank and self._between is not None:
            scale = base.variance.sqrt().flatten()
            rows = self.basis(self._between.to(self._mean)).flatten(1) / scale
            _, values, rows = torch.linalg.svd(rows.double(), full_matrices=False)
            values = values[: self.rank] ** 2
            values = values[values > RELATIVE**2 * values[:1]]
            rows = rows[: len(values)].to(self._mean)
            rows = rows.expand(self.rows, -1, -1)
            return LowRank(base, rows, values.expand(self.rows, -1)), rows
        few = self.step.operator.m <= self.rank
        count = min(self.rank, n) - (self.step.operator.m if few else 0)
        g = torch.Generator().manual_seed(PROBES)
        rows = torch.randn(max(count, 0), n, generator=g, dtype=torch.float64).to(self._mean)
        asked = (rows * base.variance.flatten()).expand(self.rows, -1, -1)
        vectors = self._probes(base, asked)
        return LowRank(base, vectors, torch.zeros_like(vectors[..., 0], dtype=torch.float64)), asked

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
