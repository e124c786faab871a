"""Guidance: a denoiser of x | y made from a denoiser of x, so that any sampler can carry the data."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .gaussian_step import Factor, GaussianStep, IsotropicStep
from .krylov import conjugate_residuals
from .local_step import LocalStep, over, prior_noise

COVARIANCES = ("auto", "surrogate", "jacobian")
KEPT = 2  # factors that are kept: Heun asks twice for each noise level
CHEAP = 64  # most products of one solve where none passes through the network


class MomentMatched(Denoiser):
    """E[x | x_t, y] where x | x_t ~ N(D, V): D_y = D + V A^T (R + A V A^T)^{-1} (y - A D).

    Where A is not linear or the noise not Gaussian, D_y is the most probable x of N(D, V) p(y | A(x)) instead: see
    `LocalStep`, also for `draw`; both are exact again in the linear-Gaussian case.

    Two choices of V. `surrogate`: the E_sigma that the denoiser states, shared by all members; one factorisation for
    each noise level and no pass through the network but D. `draw` is then the exact conditional draw from N(D, E) | y
    and `start` that from N(mean, C) | y, so the ancestral sampler is exact for a Gaussian prior at every number of
    steps: the Gaussian-covariance twist. `jacobian`: V = sigma^2 dD/dx_t, the covariance that the denoiser itself
    implies, by vector-Jacobian products within conjugate residuals; `draw` adds to D_y the conditional spread of the
    surrogate where there is one, or of an isotropic law with the variance within one mode where the denoiser knows it.

    Source: Rozet et al., Learning diffusion priors from observations by expectation maximization, 2024 (MMPS).

    Arguments:
        denoiser: of the prior.
        observation: y, with shape (B, m); rows of x_t run over members within the B windows.
        covariance: "surrogate", "jacobian", or "auto": the surrogate where the denoiser has one
            and is nearly linear.
        tolerance: relative residual at which the iteration of a member stops (jacobian, or data that bend).
        iterations: most vector-Jacobian products for one solve, its last one not counted (jacobian).
        rounds: Gauss-Newton steps for one D_y (data that bend).

    Raises:
        ValueError: where the covariance is unknown, or the surrogate of a denoiser is asked for that has none.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        observation: Observation,
        covariance: str = "auto",
        tolerance: float = 1e-3,
        iterations: int = 32,
        rounds: int = 4,
    ):
        super().__init__()
        if covariance not in COVARIANCES:
            raise ValueError(f"covariance must be one of {', '.join(COVARIANCES)}; got {covariance!r}")
        stated = denoiser.surrogate(torch.tensor(1.0, device=observation.y.device)) is not None
        if covariance == "surrogate" and not stated:
            raise ValueError("this denoiser states no covariance of x | x_t; use covariance='jacobian'")
        self.inner, self.observation, self.event = denoiser, observation, tuple(denoiser.event)
        shared = stated and denoiser.nearly_linear
        self.stated, self.exact_jacobian = stated, covariance == "jacobian" or (covariance == "auto" and not shared)
        self.tolerance, self.iterations = tolerance, iterations
        products = iterations if self.exact_jacobian else CHEAP
        bends = not observation.linear_gaussian
        self.local = LocalStep(observation, rounds, tolerance, products) if bends else None
        self._steps: dict = {}
        self._factors: dict[float, Factor] = {}

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Returns D_y(x_t, sigma), with shape (N, *event); sigma of shape ()."""
        if self.local is not None:
            return self.local.fit(*self._moments(x_t, sigma)).mode
        if self.exact_jacobian:
            return self._pulled(x_t, sigma)
        return self._step(x_t).mean(self.inner(x_t, sigma), self._factor(sigma, x_t))

    def start(self, sigma: Tensor, streams: MemberStreams) -> Tensor:
        """Draws x_t at the level sigma, given y where the denoiser knows its mean and covariance: (rows, *event)."""
        mean = self.inner.prior_mean()
        if mean is None or not self.stated:
            return self.inner.start(sigma, streams)
        mean = mean.to(streams.dtype).expand(streams.rows, *self.event)
        far = torch.full_like(sigma, torch.inf)
        if self.local is not None:
            prior = self.inner.surrogate(far)
            x = self.local.draw(mean, prior.apply, prior_noise(prior, mean, streams), streams)
        else:
            x = self._step(mean).draw(mean, self._factor(far, mean), streams)
        return x + sigma * streams.normal(self.event)

    def draw(self, x_t: Tensor, sigma: Tensor, streams: MemberStreams) -> Tensor:
        """Draws x | x_t, y, with shape (N, *event); sigma of shape ()."""
        if self.local is not None:
            return self._local_draw(x_t, sigma, streams)
        if not self.exact_jacobian:
            return self._step(x_t).draw(self.inner(x_t, sigma), self._factor(sigma, x_t), streams)
        mean = self._pulled(x_t, sigma)
        if self.stated:
            return mean + self._step(x_t).spread(self._factor(sigma, x_t), streams)
        within = self.inner.within_variance(x_t, sigma)
        return mean if within is None else mean + self._step(x_t, IsotropicStep).spread(within, streams)

    def _moments(self, x_t: Tensor, sigma: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """D and u -> V u."""
        if not self.exact_jacobian:
            return self.inner(x_t, sigma), self.inner.surrogate(sigma).apply
        mean, pull = self.inner.vjp(x_t, sigma)
        return mean, lambda u: sigma**2 * pull(u)

    def _local_draw(self, x_t: Tensor, sigma: Tensor, streams: MemberStreams) -> Tensor:
        """As `draw`, for data that bend."""
        mean, covariance = self._moments(x_t, sigma)
        stated = self.inner.surrogate(sigma)
        zeta = None if stated is None else prior_noise(stated, x_t, streams)
        if not self.exact_jacobian:
            return self.local.draw(mean, covariance, zeta, streams)
        x = self.local.fit(mean, covariance).mode
        if stated is not None:
            return x + self.local.spread(x, stated.apply, zeta, streams)
        within = self.inner.within_variance(x_t, sigma)
        if within is None:
            return x
        w = over(within, x_t)
        return x + self.local.spread(x, lambda u: w * u, w.sqrt() * streams.normal(self.event), streams)

    def _pulled(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """D + sigma^2 J A^T w, (R + sigma^2 A J A^T) w = y - A D; solved in units of the noise, I + ..., for speed."""
        operator, std = self.observation.operator, self.observation.std.to(x_t)
        mean, pull = self.inner.vjp(x_t, sigma)

        def covariance(w: Tensor) -> Tensor:
            return sigma**2 * pull(operator.adjoint(w / std).to(mean))

        y = self.observation.repeat(len(x_t) // len(self.observation.y)).to(mean)

        def total(w: Tensor) -> Tensor:
            return w + operator(covariance(w)) / std

        w, _ = conjugate_residuals(total, (y - operator(mean)) / std, self.tolerance, self.iterations)
        return mean + covariance(w)

    def _step(self, x: Tensor, kind: type = GaussianStep):
        """The linear algebra for members of one dtype, made once."""
        if (kind, x.dtype) not in self._steps:
            self._steps[kind, x.dtype] = kind(self.observation, x.dtype)
        return self._steps[kind, x.dtype]

    def _factor(self, sigma: Tensor, x: Tensor) -> Factor:
        """The factor at one level; kept where sigma lies on the host, for to ask a device its value would stall it."""
        if sigma.device.type != "cpu":
            return self._step(x).factor(self.inner.surrogate(sigma))
        level = float(sigma)
        if level not in self._factors:
            self._factors = dict(list(self._factors.items())[1 - KEPT :])
            self._factors[level] = self._step(x).factor(self.inner.surrogate(sigma))
        return self._factors[level]
