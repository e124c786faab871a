"""One path from the prior to the data: kernels, twists and weights of a Gaussian surrogate, as functions of noise."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..denoisers.covariance import Covariance
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .gaussian_step import Factor
from .low_rank import LowRank, diagonal, refined
from .low_rank_step import LowRankFactor, LowRankStep

RELATIVE = 1e-6  # what lies between modes along a direction counts above this share of the largest


@dataclass(frozen=True)
class State:
    """Where the members are at one noise level.

    Arguments:
        x_t, mean: x_t and D, with shape (N, *event).
        sigma: the level, with shape ().
        factor: of R + A E A^T, E the covariance of the surrogate.
        products: of the denoiser's covariance with the last directions, rows to ask next, with shape (N, q, n).
    """

    x_t: Tensor
    mean: Tensor
    sigma: Tensor
    factor: LowRankFactor
    products: Tensor

    def select(self, rows: Tensor) -> "State":
        """The same for some of the members; rows of shape (N',)."""
        parts = (self.x_t[rows], self.mean[rows], self.sigma, self.factor.select(rows), self.products[rows])
        return State(*parts)


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
        self.basis = self._prior.basis

    def start(self) -> tuple[State, Tensor]:
        """The state at sigma = infinity, all members alike, and log N(y; A mean, R + A Cov[x] A^T), with shape (N,)."""
        shared = self._shared(0, self._prior)
        law = LowRank(self._prior, *self._directions(shared))
        factor = self.step.low_rank(law, shared)
        state = State(self._mean, self._mean, self._infinity, factor, law.vectors)
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
        mean, law, products = self._surrogate(x_s, sigma, state, kappa)
        stated = self._shared(n, law.base)
        before = stated if _alike(narrow.base, law.base) else self._shared(-n, narrow.base)
        factor = self.step.low_rank(law, stated)
        gain = factor.log_prob(self.step.residual(mean))
        gain = gain - self.step.low_rank(narrow, before).log_prob(self.step.residual(foreseen))
        return State(x_s, mean, sigma, factor, products), gain

    def finish(self, state: State, z: Tensor, eps: Tensor) -> Tensor:
        """x | x_t, y from the surrogate, with shape (N, *event); z (N, *coefficients) and eps (N, m) white."""
        return self.step.perturb_and_solve(state.mean, state.factor, z, eps)

    def _surrogate(self, x_s: Tensor, sigma: Tensor, state: State, kappa: Tensor) -> tuple[Tensor, LowRank, Tensor]:
        """D and E at x_s, and the products to start from at the next level."""
        base, known = self._base(sigma), state.factor.law
        if not known.vectors.shape[1]:
            return self.denoiser(x_s, sigma), LowRank(base, known.vectors, known.values), state.products
        shrink = (1 + kappa * known.base.variance).rsqrt().flatten().to(state.products)
        rows = (state.products * shrink).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        rows = rows / rows.norm(dim=2, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
        equal = torch.eye(rows.shape[1], dtype=torch.float64, device=rows.device).expand(len(rows), -1, -1)
        probes, _ = diagonal(rows, equal)
        mean, pull = self.denoiser.vjp(x_s, sigma)
        return mean, *refined(pull, sigma, base, probes)

    def _directions(self, shared: Factor) -> tuple[Tensor, Tensor]:
        """Q (N, q, n) and l (N, q) of the prior: what lies between its modes, or l = 0 along what the data see best."""
        between, scale = self.denoiser.between(), self._prior.variance.sqrt().flatten().double()
        rows, values = scale.new_zeros(0, len(scale)), scale.new_zeros(0)
        if self.rank and between is not None:
            _, values, rows = _svd(self._prior.basis(between.to(self._mean)).flatten(1) / scale)
            values = values[: min(self.rank, int((values > RELATIVE * values[0]).sum()))] ** 2
        elif self.rank:
            rows = _svd(self.step.white_rows(shared) * scale)[2][: self.rank]
            if len(rows) < self.rank:  # fewer data than directions: add those of the largest variance
                unit = torch.eye(len(scale), dtype=scale.dtype, device=scale.device)[scale.argsort(descending=True)]
                unit = unit[: self.rank]
                rows = torch.cat([rows, _svd(unit - unit @ rows.T @ rows)[2]])[: self.rank]
            values = torch.zeros_like(rows[:, 0])
        rows = rows[: len(values)].to(self._mean)
        return rows.expand(self.rows, -1, -1), values.expand(self.rows, -1)

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


def _svd(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.linalg.svd(rows.double(), full_matrices=False)
