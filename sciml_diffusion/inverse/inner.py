"""Draws from N(D, E) times the likelihood: the inner problem of methods that split the posterior.

For each row, log q(x) = -(x - D)^T E^{-1} (x - D) / 2 + log p(y | A(x)), the likelihood with its 1/2: for Gaussian
noise -|(y - A(x)) / std|^2 / 2. (Published code of DAPS leaves that 1/2 out in its Langevin and HMC steps, and so
samples the posterior of a noise that is smaller by sqrt(2).)
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ..denoisers.covariance import Covariance
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .gaussian_step import GaussianStep
from .noise_scale import ScalePrior, Spectrum, scale_diagnostics

POWERS = 8  # power iterations


class Inner(ABC):
    """Draws x ~ N(D, E) p(y | A(x)), and with `scale_prior` the noise scale s of each row jointly.

    Arguments:
        observation: y (B, m); N = B K rows run over members within windows.
        scale_prior: where the noise is std = s std_stated with s unknown; None for s = 1.
    """

    def __init__(self, observation: Observation, scale_prior: ScalePrior | None = None):
        self.observation, self.scale_prior = observation, scale_prior
        self.scale: Tensor | None = None  # s (N,), once it has been drawn
        self.possible: Tensor | None = None  # rows (N,) where p(y | A(x)) > 0, where a chain has asked

    @abstractmethod
    def __call__(self, start: Tensor | None, mean: Tensor, covariance: Covariance, streams: MemberStreams) -> Tensor:
        """One draw for each row, with shape (N, *event).

        Arguments:
            start: where chains begin, with shape (N, *event); None begins at a draw from N(D, E).
            mean: D, with shape (N, *event).
            covariance: E.
            streams: one row for each of the N.
        """

    def diagnostics(self) -> dict[str, Tensor]:
        """The noise scale of the members, where it is drawn; members where the data are impossible, with shape (B,)."""
        windows = len(self.observation.y)
        facts = {} if self.scale is None else scale_diagnostics(self.scale, windows)
        if self.possible is not None:
            facts["impossible"] = (~self.possible).reshape(windows, -1).sum(1)
        return facts

    def log_weights(self) -> Tensor | None:
        """Weight 0 for rows where the data are impossible, float64, with shape (B, K); None where there are none."""
        if self.possible is None or bool(self.possible.all()):
            return None
        log_weights = torch.zeros(self.possible.shape, dtype=torch.float64, device=self.possible.device)
        return log_weights.masked_fill(~self.possible, -torch.inf).reshape(len(self.observation.y), -1)


class ExactInner(Inner):
    """The exact draw for a linear operator with Gaussian noise, one factorisation for all rows: see `GaussianStep`.

    The noise scale is drawn with x integrated out, s ~ p(s) N(y; A D, s^2 R + A E A^T), then x given s.

    Arguments:
        observation, scale_prior: see `Inner`.
        dtype: of the members.
    """

    def __init__(self, observation: Observation, dtype: torch.dtype, scale_prior: ScalePrior | None = None):
        super().__init__(observation, scale_prior)
        self.step = GaussianStep(observation, dtype)

    def __call__(self, start: Tensor | None, mean: Tensor, covariance: Covariance, streams: MemberStreams) -> Tensor:
        factor = self.step.factor(covariance)
        if self.scale_prior is None:
            return self.step.draw(mean, factor, streams)
        spectrum = Spectrum.of(factor, self.step.std)
        log_s = self.scale_prior.nodes(device=mean.device)
        self.scale = self.scale_prior.draw(spectrum.log_prob(self.step.residual(mean), log_s), streams)
        spread = self.step.spread(spectrum.in_units_of(self.scale), streams)
        return self.step.mean(mean, spectrum.at(self.scale)) + over(self.scale, mean) * spread


@dataclass(frozen=True)
class Look:
    """Where a chain is: w (N, *coefficients), log p(y | A(x)) (N,) float64, and its gradient in w, or None."""

    w: Tensor
    log_likelihood: Tensor
    gradient: Tensor | None

    def kept(self, taken: Tensor, old: "Look") -> "Look":
        """This one in the rows that are taken, with shape (N,); the old one elsewhere."""
        rows = over(taken, self.w)
        gradient = None if self.gradient is None else torch.where(rows, self.gradient, old.gradient)
        likelihood = torch.where(taken, self.log_likelihood, old.log_likelihood)
        return Look(torch.where(rows, self.w, old.w), likelihood, gradient)


class Target:
    """The inner law in w, x = D + B^T sqrt(v) w for E = B^T diag(v) B: exp(-|w|^2 / 2) p(y | A(x)).

    Its Gaussian is white, so E is the preconditioner, or the mass, of whatever walks in w.

    Arguments:
        observation: y (B, m).
        mean: D, with shape (N, *event).
        covariance: E.
        gradients: whether the likelihood's gradient is wanted.
    """

    def __init__(self, observation: Observation, mean: Tensor, covariance: Covariance, gradients: bool = True):
        self.observation, self.mean, self.basis, self.gradients = observation, mean, covariance.basis, gradients
        self.shape = tuple(self.basis(mean[:1]).shape[1:])
        self.root = covariance.variance.sqrt().to(mean)
        self.y = observation.repeat(len(mean) // len(observation.y)).to(mean)

    def x(self, w: Tensor) -> Tensor:
        """D + B^T sqrt(v) w, shape (N, *coefficients) -> (N, *event)."""
        return self.mean + self.basis.inverse(self.root * w)

    def w(self, x: Tensor) -> Tensor:
        """The inverse of `x`, 0 where v = 0, shape (N, *event) -> (N, *coefficients)."""
        return torch.where(self.root > 0, self.basis(x - self.mean) / self.root, 0)

    def __call__(self, w: Tensor) -> Look:
        """The likelihood (-inf where it is not a number) and its gradient at w, shape (N, *coefficients)."""
        noise, x, gradient = self.observation.noise, self.x(w), None
        if self.gradients:
            h, slope = self.observation.operator.at(x)
            pulled = slope.adjoint(noise.score(self.y, h.to(w)).nan_to_num(0.0, 0.0, 0.0)).to(w)
            gradient = (self.root * self.basis(pulled)).nan_to_num(0.0, 0.0, 0.0)
        else:
            h = self.observation.operator(x)
        log_likelihood = noise.log_prob(self.y, h.to(w)).double().sum(1)
        return Look(w, log_likelihood.nan_to_num(nan=-torch.inf, posinf=-torch.inf, neginf=-torch.inf), gradient)

    def chi2(self, look: Look) -> Tensor:
        """sum ((y - A(x)) / std)^2 for Gaussian noise, from the density: float64, with shape (N,)."""
        return 2 * (self.observation.noise.log_prob(self.y, self.y).double().sum(1) - look.log_likelihood)

    def curvature(self, w: Tensor, streams: MemberStreams) -> Tensor:
        """L, the largest eigenvalue of E^{1/2} H^T R^{-1} H E^{1/2} at w (N, *coefficients), float64, with shape (N,).

        By power iteration. A chain keeps its law where w is a draw from N(D, E) that it does not see.
        """
        _, std, slope = self.observation.local(self.x(w))
        u = streams.normal(self.shape)
        for _ in range(POWERS):
            u = u / over(norm(u).clamp_min(torch.finfo(u.dtype).tiny), u)
            seen = slope(self.basis.inverse(self.root * u)).to(u) / std**2
            u = self.root * self.basis(slope.adjoint(seen).to(u))
        return norm(u).double().nan_to_num(0.0, 0.0, 0.0)


def norm(u: Tensor) -> Tensor:
    """Length of each row, shape (N, ...) -> (N,)."""
    return u.flatten(1).norm(dim=1)


def over(a: Tensor, x: Tensor) -> Tensor:
    """a of shape (N,) as (N, 1, ..., 1), to broadcast against x (N, ...); numbers in the dtype of x."""
    a = a.to(x.dtype) if a.is_floating_point() else a
    return a.reshape(-1, *(1,) * (x.ndim - 1))
