"""Sensors with limits, sampled through the readings that they would have given without them."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..denoisers.covariance import Covariance
from ..observations.censored import Censored
from ..observations.noise import Gaussian, Noise
from ..observations.noise_laws import Mixed
from ..observations.observation import Observation
from ..observations.operators import LinearOperator
from ..samplers.sde import Ancestral
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .gaussian_step import GaussianStep
from .truncated import TruncatedNormal


class LatentReadings(PosteriorMethod):
    """Exact for a Gaussian prior and linear sensors that may report only "at or beyond a limit" (`Censored`).

    With w the readings before their limits, x | w, x_t is Gaussian and w | x_t, y a normal law cut off at the limits:
    N(A D, R + A E A^T) where x | x_t ~ N(D, E). So at each level w is drawn by bouncing paths (`TruncatedNormal`),
    then x given w as for any thermometer, then x_s by the bridge; at the first level the same is done for the prior.
    Members are independent and carry no weights. For a denoiser that is not Gaussian as good as its stated covariance.

    Source: J. Albert and S. Chib, Bayesian analysis of binary and polychotomous response data (1993), for the readings;
    here x is integrated out when they are drawn, so that nothing is slowed by the small noise of a switch.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        sweeps: paths at each level; the first level, which starts far from the law, takes ten times as many.
    """

    needs = "gradient"

    def __init__(self, sigmas: Tensor, sweeps: int = 2):
        super().__init__(sigmas)
        self.sweeps = sweeps

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, None, dict]:
        """Members of shape (B K, *event); no weights."""
        seen = ReadingsGiven(denoiser, observation, self.sweeps, streams.dtype)
        return Ancestral(self.sigmas)(seen, streams, callback), None, {}


class ReadingsGiven(Denoiser):
    """x | x_t, y for sensors with limits, drawn exactly where x | x_t ~ N(D, E).

    Arguments:
        denoiser: of the prior; it must state E.
        observation: linear sensors, y of shape (B, m), with Gaussian or censored noise, or both.
        sweeps: see `LatentReadings`.
        dtype: of the members.

    Raises:
        ValueError: where the denoiser states no covariance, a sensor is not linear, or the noise has another law.
    """

    def __init__(self, denoiser: Denoiser, observation: Observation, sweeps: int, dtype: torch.dtype):
        super().__init__()
        self.inner, self.event, self.sweeps = denoiser, tuple(denoiser.event), sweeps
        infinity = torch.full((), torch.inf, dtype=dtype, device=observation.y.device)
        self.prior = denoiser.surrogate(infinity)
        if self.prior is None or denoiser.prior_mean() is None:
            raise ValueError("this denoiser states no mean and covariance of x; use method='mmps'")
        std, low, high = (part.double() for part in limits_of(observation.noise))
        self.y, self.std = observation.y.double(), std
        below, above = Censored(std, low, high).sides(self.y)
        self.known = ~(below | above)
        self.side = above.double() - below.double()
        self.limit = torch.where(above, high, torch.where(below, low, 0.0))
        line = straight(observation, dtype)
        if line is None:
            raise ValueError("latent readings need sensors that are linear in the field; use method='mmps'")
        self.offset, slope = line
        plain = Observation(slope, torch.zeros_like(self.y), std.to(dtype))
        self.step, self.w = GaussianStep(plain, dtype), None

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """D(x_t, sigma) of the prior, with shape (N, *event); the data enter the draws."""
        return self.inner(x_t, sigma)

    def start(self, sigma: Tensor, streams: MemberStreams) -> Tensor:
        """Draws x_t at the level sigma given y, with shape (rows, *event)."""
        mean = self.inner.prior_mean().to(streams.dtype).expand(streams.rows, *self.event)
        return self._draw(mean, self.prior, streams, 10 * self.sweeps) + sigma * streams.normal(self.event)

    def draw(self, x_t: Tensor, sigma: Tensor, streams: MemberStreams) -> Tensor:
        """Draws x | x_t, y, with shape (N, *event); sigma of shape ()."""
        return self._draw(self.inner(x_t, sigma), self.inner.surrogate(sigma), streams, self.sweeps)

    def _draw(self, mean: Tensor, covariance: Covariance, streams: MemberStreams, sweeps: int) -> Tensor:
        factor = self.step.factor(covariance)
        members = len(mean) // len(self.y)
        offset = self.offset.double().repeat_interleave(members, 0)
        expected = offset + self.step.operator(mean).double()
        if self.w is None:
            noise = streams.normal((len(self.std),)).double() @ factor.cholesky.T
            self.w = self._within(expected + noise, members)
        if not self.known.all():
            law = TruncatedNormal(factor.cholesky @ factor.cholesky.T, self.known, self.side, self.limit)
            self.w = law.draw(expected, self.w, sweeps, streams.normal)
        self.step.y = self.w - offset
        return self.step.draw(mean, factor, streams)

    def _within(self, w: Tensor, members: int) -> Tensor:
        """Readings that keep what is known: those on the wrong side are mirrored at their limit; shape (N, m)."""
        y, known, side, limit = (
            part.repeat_interleave(members, 0) for part in (self.y, self.known, self.side, self.limit)
        )
        return torch.where(known, y, limit + side * (w - limit).abs())


def limits_of(noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
    """std, lower and upper limits of each sensor, with shape (m,); infinite where there is none.

    Raises:
        ValueError: where the noise is neither Gaussian nor censored.
    """
    if isinstance(noise, Mixed):
        return tuple(torch.cat(parts) for parts in zip(*map(limits_of, noise.laws), strict=True))
    if isinstance(noise, Censored):
        return noise.std, noise.low, noise.high
    if type(noise) is Gaussian:
        infinity = torch.full_like(noise.std, torch.inf)
        return noise.std, -infinity, infinity
    raise ValueError(f"latent readings are for Gaussian and censored noise; got {type(noise).__name__}. Use mmps")


def straight(observation: Observation, dtype: torch.dtype) -> tuple[Tensor, LinearOperator] | None:
    """A(0), with shape (B, m), and H where A(x) = A(0) + H x, tried at one x for each window; else None."""
    event = observation.operator.event
    zero = torch.zeros(len(observation.y), *event, dtype=dtype, device=observation.y.device)
    offset, slope = observation.operator.at(zero)
    x = torch.randn(zero.shape, generator=torch.Generator().manual_seed(0), dtype=dtype).to(zero)
    moved = slope(x)
    bent = (observation.operator(x) - offset - moved).abs().max()
    return (offset, slope) if bent <= 1e-3 * moved.abs().max() else None


def suits(denoiser: Denoiser, observation: Observation) -> bool:
    """Whether `LatentReadings` is nearly exact here: linear sensors, some with limits, and a nearly Gaussian prior."""
    try:
        _, low, high = limits_of(observation.noise)
    except ValueError:
        return False
    one = torch.ones((), dtype=observation.y.dtype, device=observation.y.device)
    known = denoiser.surrogate(one) is not None and denoiser.prior_mean() is not None and denoiser.nearly_linear
    limited = bool((torch.isfinite(low) | torch.isfinite(high)).any())
    if not (known and limited and observation.operator.differentiable):
        return False
    return straight(observation, observation.y.dtype) is not None
