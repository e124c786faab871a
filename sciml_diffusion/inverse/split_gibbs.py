"""Split Gibbs sampling: likelihood and prior by turns, coupled by noise that is annealed."""

from collections.abc import Callable

from torch import Tensor

from ..denoisers.base import Denoiser
from ..denoisers.basis import IdentityBasis
from ..denoisers.covariance import Covariance
from ..observations.observation import Observation
from ..samplers.sde import Ancestral
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .chains import check_inner, make_inner
from .descend import descend
from .noise_scale import ScalePrior


class SplitGibbs(PosteriorMethod):
    """Gibbs sampling of p(z) p(y | x) exp(-|x - z|^2 / (2 rho^2)), rho falling along the noise grid; returns z.

    By turns x ~ p(y | x) N(x; z, rho^2), by the inner sampler, and z ~ p(z) N(x; z, rho^2), which is denoising from the
    noise level sigma = rho: the ancestral sampler from x. For rho -> 0 the law of z is the posterior. At rho > 0 it is
    that of data whose likelihood is blurred by rho: for linear data with Gaussian noise, of noise with the covariance
    R + rho^2 A A^T, so the bias is O(rho^2) and shrinks towards the prior. But a sweep moves z by about rho: with rho
    far below the noise and few sweeps, z keeps the law of the last rho from which it could still get away. Best is
    `rho_min` at a third of the noise or so (in units of x), with a grid whose last levels, or sweeps, lie there.

    Sources: Coeurdoux et al., Plug-and-play split Gibbs sampler, 2023; Wu et al., Principled probabilistic imaging
    using diffusion models as plug-and-play priors, 2024 (PnP-DM).

    Arguments:
        sigmas: levels of rho, ending in 0 (which is not used), with shape (n + 1,).
        rho_min: lower levels of the grid are raised to this.
        sweeps: of x and z at each level.
        inner: exact, hmc, langevin, pcn or auto, as for `DAPS`.
        prior_steps: denoiser calls for one draw of z, at most as many as the grid has levels from rho down.
        moves, step: of the inner chain; None for the defaults of its kind.
        scale_prior: draws the noise scale jointly; see `UnknownNoise`.

    Raises:
        ValueError: an unknown inner, rho_min below 0, or fewer than one sweep or step.
    """

    needs = "gradient"

    def __init__(
        self,
        sigmas: Tensor,
        rho_min: float = 0.0,
        sweeps: int = 1,
        inner: str = "auto",
        prior_steps: int = 10,
        moves: int | None = None,
        step: float | None = None,
        scale_prior: ScalePrior | None = None,
    ):
        super().__init__(sigmas)
        if rho_min < 0 or sweeps < 1 or prior_steps < 1:
            raise ValueError(
                f"rho_min must be >= 0, sweeps and prior_steps >= 1; got {rho_min}, {sweeps} and {prior_steps}"
            )
        self.needs, self.inner, self.rho_min, self.sweeps = check_inner(inner), inner, rho_min, sweeps
        self.prior_steps, self.moves, self.step, self.scale_prior = prior_steps, moves, step, scale_prior

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, Tensor | None, dict]:
        """Members of shape (B K, *event); no weights, but 0 where the data are impossible; facts of the inner draws."""
        inner = make_inner(self.inner, observation, streams.dtype, self.scale_prior, self.moves, self.step)
        prior, identity = Ancestral(self.sigmas), IdentityBasis()
        levels = self.levels(streams)[:-1]
        end = levels[-1][1]
        x = denoiser.start(levels[0][1], streams)
        z = descend(prior, denoiser, x, (levels[0][1], end), self.prior_steps, streams)
        for n, (_, sigma) in enumerate(levels):
            rho = sigma.clamp_min(self.rho_min)
            covariance = Covariance(identity, (rho**2).expand(denoiser.event))
            left = sum(level <= max(levels[n][0], self.rho_min) for level, _ in levels)
            for _ in range(self.sweeps):
                x = inner(x, z, covariance, streams)
                z = descend(prior, denoiser, x, (rho, end), max(1, min(self.prior_steps, left)), streams)
            callback(n + 1)
        return z, inner.log_weights(), inner.diagnostics()
