"""DAPS: decoupled annealing, a draw of x given x_t and the data at every level, then fresh noise."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..denoisers.basis import IdentityBasis
from ..denoisers.covariance import Covariance
from ..observations.observation import Observation
from ..samplers.ode import Euler
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .chains import check_inner, make_inner
from .descend import descend
from .noise_scale import ScalePrior

LAWS = ("auto", "surrogate", "corrected", "published")


class DAPS(PosteriorMethod):
    """x ~ q(x | x_t) p(y | x), x_s = x + sigma_s z: level after level, with no step from x_t to x_s.

    If x_t ~ p(x_t | y) and q = p(x | x_t), then x ~ p(x | y) and x_s ~ p(x_s | y) exactly, at any two levels; so all
    error is that of q and of the inner draw. Chains begin at the x of the level before, which is a draw of the inner
    law already where q is right: any number of moves then leaves the posterior as it is. Choices of q:

    - surrogate: N(D, E_sigma) as the denoiser states it, one call a level. Exact for a Gaussian prior; the first x is
      then drawn from the prior's own N(mean, C) given y. The default where a surrogate is stated.
    - corrected: N(x0, r^2 I), x0 the end of the probability flow from x_t by n_ode Euler steps, and r^2 = sigma^2 v /
      (sigma^2 + v), v the variance of x: never wider than x itself.
    - published: the same with r = sigma, which at sigma above the scale of x draws from the likelihood alone; with this
      law even the posterior of a Gaussian prior comes out too wide.

    Source: Zhang et al., Improving diffusion inverse problem solving with decoupled noise annealing, CVPR 2025. The
    surrogate law, the corrected r, the chains' start and the adapted steps are this package's.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        inner: exact (linear operators with Gaussian noise), hmc, langevin, pcn (needs no derivative), or auto.
        law: q, one of auto, surrogate, corrected, published.
        n_ode: Euler steps of the probability flow, at most as many as there are levels left.
        prior_std: standard deviation of x per coordinate, used by `corrected` where the denoiser states none.
        moves, step: of the inner chain, see `chains`; None for the defaults of its kind.
        scale_prior: draws the noise scale jointly; see `UnknownNoise`.

    Raises:
        ValueError: an unknown inner or law, n_ode below 1, prior_std not above 0.
    """

    needs = "gradient"

    def __init__(
        self,
        sigmas: Tensor,
        inner: str = "auto",
        law: str = "auto",
        n_ode: int = 5,
        prior_std: float = 1.0,
        moves: int | None = None,
        step: float | None = None,
        scale_prior: ScalePrior | None = None,
    ):
        super().__init__(sigmas)
        if law not in LAWS:
            raise ValueError(f"law must be one of {', '.join(LAWS)}; got {law!r}")
        if n_ode < 1 or not prior_std > 0:
            raise ValueError(f"n_ode must be at least 1 and prior_std above 0; got {n_ode} and {prior_std}")
        self.needs, self.inner, self.law = check_inner(inner), inner, law
        self.n_ode, self.prior_std, self.moves, self.step = n_ode, prior_std, moves, step
        self.scale_prior = scale_prior

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, Tensor | None, dict]:
        """Members of shape (B K, *event); no weights, but 0 where the data are impossible; facts of the inner draws."""
        inner = make_inner(self.inner, observation, streams.dtype, self.scale_prior, self.moves, self.step)
        law = self._law(denoiser, streams)
        levels = self.levels(streams)
        x, infinity = None, torch.full_like(levels[0][1], torch.inf)
        if law == "surrogate" and denoiser.prior_mean() is not None:
            mean = denoiser.prior_mean().to(streams.dtype).expand(streams.rows, *denoiser.event)
            x = inner(None, mean, denoiser.surrogate(infinity), streams)
            x_t = x + levels[0][1] * streams.normal(denoiser.event)
        else:
            x_t = denoiser.start(levels[0][1], streams)
        steps, identity = len(levels) - 1, IdentityBasis()
        variance = self._prior_variance(denoiser, infinity)
        for n in range(steps):
            sigma, below = levels[n][1], levels[n + 1][1]
            if law == "surrogate":
                mean, covariance = denoiser(x_t, sigma), denoiser.surrogate(sigma)
            else:
                calls = min(self.n_ode, steps - n)
                mean = descend(Euler(self.sigmas), denoiser, x_t, (sigma, levels[-2][1]), calls, streams)
                r2 = sigma**2 if law == "published" else 1 / (1 / sigma**2 + 1 / variance)
                covariance = Covariance(identity, r2.expand(denoiser.event))
            x = inner(x, mean, covariance, streams)
            x_t = x + below * streams.normal(denoiser.event)
            callback(n + 1)
        return x, inner.log_weights(), inner.diagnostics()

    def _law(self, denoiser: Denoiser, streams: MemberStreams) -> str:
        """The law to use, "auto" resolved."""
        stated = denoiser.surrogate(torch.ones((), dtype=streams.dtype, device=streams.device)) is not None
        if self.law == "surrogate" and not stated:
            raise ValueError("this denoiser states no covariance of x | x_t; use law='corrected'")
        return self.law if self.law != "auto" else "surrogate" if stated else "corrected"

    def _prior_variance(self, denoiser: Denoiser, infinity: Tensor) -> Tensor:
        """v: variance of x per coordinate, as the denoiser states it, or prior_std squared; shape ()."""
        stated = denoiser.surrogate(infinity)
        return torch.full_like(infinity, self.prior_std**2) if stated is None else stated.variance.mean().to(infinity)
