"""PiGDM: pseudo-inverse guidance, moment matching with an isotropic covariance."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..observations.observation import Observation
from ..observations.operators import LinearOperator
from ..samplers.base import Sampler
from ..samplers.sde import Ancestral
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .krylov import conjugate_residuals
from .likelihood_guided import LikelihoodGuided

TOLERANCE, PRODUCTS = 1e-6, 64  # of a solve that passes no network


class IsotropicGuided(LikelihoodGuided):
    """g = (R + r^2 H H^T)^{-1} (y - A(D)): the law of y for x | x_t ~ N(D, r^2 I), r^2 = sigma^2 v / (sigma^2 + v).

    v is the variance of x per coordinate, so that r^2 is that of x | x_t for white x. Where the data are noise-free and
    A linear, D_y - D is the pulled-back pseudo-inverse that gives the method its name.

    Source: Song et al., Pseudoinverse-guided diffusion models for inverse problems, 2023 (v = 1).

    Arguments:
        denoiser, observation: see `LikelihoodGuided`.
        variance: v; by default the mean variance of the denoiser's surrogate of x, 1 where it states none.

    Raises:
        ValueError: where v is not > 0.
    """

    def __init__(self, denoiser: Denoiser, observation: Observation, variance: float | None = None):
        super().__init__(denoiser, observation)
        self.variance = prior_variance(denoiser, observation.y) if variance is None else torch.tensor(float(variance))
        if variance is not None and not variance > 0:
            raise ValueError(f"the variance of the prior must be > 0; got {variance}")

    def pressure(self, residual: Tensor, std: Tensor, slope: LinearOperator, sigma: Tensor) -> Tensor:
        """g, with shape (N, m); see `LikelihoodGuided`."""
        v = self.variance.to(residual)
        r2 = sigma**2 * v / (sigma**2 + v)

        def total(w: Tensor) -> Tensor:
            return w + r2 * slope(slope.adjoint(w / std)).to(w) / std

        return conjugate_residuals(total, residual / std, TOLERANCE, PRODUCTS)[0] / std


def prior_variance(denoiser: Denoiser, like: Tensor) -> Tensor:
    """Mean variance of x per coordinate that the denoiser's surrogate states, or 1: shape ()."""
    prior = denoiser.surrogate(torch.full((), torch.inf, dtype=like.dtype, device=like.device))
    if prior is None:
        return torch.ones((), dtype=like.dtype, device=like.device)
    event = torch.zeros(1, *denoiser.event, dtype=like.dtype, device=like.device)
    return prior.variance.expand(prior.basis(event).shape[1:]).mean()


class PiGDM(PosteriorMethod):
    """Any sampler on `IsotropicGuided`; members are independent and carry no weights: an approximation, for comparison.

    One pass forward and one back for each step. Exact only for a white prior; `MMPS` with the surrogate's covariance is
    as cheap and exact for any Gaussian.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        variance: of x per coordinate, see `IsotropicGuided`; 1 is as published.
        sampler: class of the sampler.
    """

    needs = "gradient"

    def __init__(self, sigmas: Tensor, variance: float | None = None, sampler: type[Sampler] = Ancestral):
        super().__init__(sigmas)
        self.variance, self.sampler = variance, sampler

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, None, dict]:
        """Members of shape (B K, *event); no weights."""
        guided = IsotropicGuided(denoiser, observation, self.variance)
        return self.sampler(self.sigmas)(guided, streams, callback), None, {}
