"""SDA: score-based data assimilation, guidance by a likelihood whose variance grows with the noise level."""

from collections.abc import Callable

from torch import Tensor

from ..denoisers.base import Denoiser
from ..observations.observation import Observation
from ..observations.operators import LinearOperator
from ..samplers.base import Sampler
from ..samplers.sde import Ancestral
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .likelihood_guided import LikelihoodGuided


class WidenedGuided(LikelihoodGuided):
    """g_i = (y_i - A(D)_i) / (std_i^2 + gamma sigma^2): p(y | x_t) = N(A(D), R + gamma sigma^2 I).

    gamma stands for A Cov[x | x_t] A^T / sigma^2, which it takes for a number. Source: Rozet and Louppe, Score-based
    data assimilation, 2023, at alpha = 1.

    Arguments:
        denoiser, observation: see `LikelihoodGuided`.
        gamma: > 0, in the units of y squared over those of x squared: a number, or one for each sensor (m,).
    """

    def __init__(self, denoiser: Denoiser, observation: Observation, gamma: float | Tensor = 0.1):
        super().__init__(denoiser, observation)
        self.gamma = gamma

    def pressure(self, residual: Tensor, std: Tensor, slope: LinearOperator, sigma: Tensor) -> Tensor:
        """g, with shape (N, m); see `LikelihoodGuided`."""
        gamma = self.gamma.to(residual) if isinstance(self.gamma, Tensor) else self.gamma
        return residual / (std**2 + gamma * sigma**2)


class Corrected(Sampler):
    """A sampler with Langevin steps after each of its own: x <- x + delta sigma^2 s + sqrt(2 delta) sigma z.

    s = (D - x) / sigma^2 is the score and delta = tau / mean(sigma^2 s^2) over one member. It brings members back to
    the law of x_t that D stands for. Source: Rozet and Louppe, 2023.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        corrections: Langevin steps at each level, each of one pass.
        tau: step size.
        sampler: class of the sampler.
    """

    def __init__(self, sigmas: Tensor, corrections: int, tau: float, sampler: type[Sampler]):
        super().__init__(sigmas)
        self.corrections, self.tau, self.inner = corrections, tau, sampler(sigmas)

    def step(self, denoiser: Denoiser, x_t: Tensor, sigma_t: Tensor, sigma_s: Tensor, streams: MemberStreams) -> Tensor:
        """One step and its corrections at sigma_s; shape (N, *event)."""
        x = self.inner.step(denoiser, x_t, sigma_t, sigma_s, streams)
        for _ in range(self.corrections):
            pull = denoiser(x, sigma_s) - x
            size = (pull / sigma_s).flatten(1).square().mean(1).reshape(-1, *(1,) * (x.ndim - 1))
            delta = self.tau / size
            x = x + delta * pull + (2 * delta).sqrt() * sigma_s * streams.normal(x.shape[1:])
        return x

    def last(self, denoiser: Denoiser, x_t: Tensor, sigma_t: Tensor, streams: MemberStreams) -> Tensor:
        """The step to 0, as the sampler's own; shape (N, *event)."""
        return self.inner.last(denoiser, x_t, sigma_t, streams)


class SDA(PosteriorMethod):
    """Any sampler on `WidenedGuided`, with Langevin corrections; members carry no weights: for comparison.

    gamma must be tuned to the problem: too small and the guidance overshoots by up to 1 / gamma, too large and it is
    too weak. One pass forward and one back for each step and each correction.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        gamma: see `WidenedGuided`.
        corrections: Langevin steps at each level.
        tau: size of the Langevin steps.
        sampler: class of the sampler.

    Raises:
        ValueError: where gamma or tau is not > 0, or corrections < 0.
    """

    needs = "gradient"

    def __init__(
        self,
        sigmas: Tensor,
        gamma: float = 0.1,
        corrections: int = 0,
        tau: float = 0.25,
        sampler: type[Sampler] = Ancestral,
    ):
        super().__init__(sigmas)
        if not (gamma > 0 and tau > 0 and corrections >= 0):
            raise ValueError(f"gamma and tau must be > 0 and corrections >= 0; got {gamma}, {tau} and {corrections}")
        self.gamma, self.corrections, self.tau, self.sampler = gamma, corrections, tau, sampler

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, None, dict]:
        """Members of shape (B K, *event); no weights."""
        guided = WidenedGuided(denoiser, observation, self.gamma)
        sampler = Corrected(self.sigmas, self.corrections, self.tau, self.sampler)
        return sampler(guided, streams, callback), None, {}
