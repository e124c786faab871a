"""AFDPS: posterior ensembles by a weighted particle flow, without an approximation of p(y | x_t)."""

from collections.abc import Callable

from torch import Tensor

from ..denoisers.base import Denoiser
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .carry import POTENTIALS, make_potential
from .flow import WeightedFlow, moves_for
from .gaussian_step import GaussianStep, IsotropicStep
from .power_prior import PowerPrior
from .resample import Population


class AFDPS(PosteriorMethod):
    """Particles of q_tau = p_tau exp(-mu_tau), mu_0 = -log p(y | A x), whose weights solve the Feynman-Kac equation.

    dX = (a S - c grad mu) du + g dW, u = -tau, a = (1 + g^2) / 2; log-weight rate
    V = d_tau mu + (c - g^2/2) (|grad mu|^2 - Lap mu) + (g^2 - a - c) <S, grad mu>; see `flow`.

    The default c = g^2/2 needs no Laplacian, and the denoiser is never differentiated. mu is the likelihood blurred as
    x is (`heat`) where A is linear and the noise Gaussian; elsewhere the tempered likelihood at what a Gaussian model
    of the prior takes x_t for (`denoised`), so that A never sees noise; `tempered` asks A at x_t itself. As published:
    g2 = 1, c = 1, potential = "constant"; or g2 = 0 with Langevin steps. Under c = g^2 an observed direction relaxes
    to half its variance, which the weights must repair: they collapse.

    Consistent as members and steps grow. The variance of the weights grows with the number of sensors: this is for few
    of them. With linear data steps are exact in the observed directions, and the start is.

    Source: Chen, Ren, Min, Ying and Izzo, arXiv:2506.03979.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        g2: g^2; more noise mixes better, and asks for more steps: None takes what the grid allows, 4 for 100 steps.
        c: guidance; None takes g^2 / 2.
        potential: "heat", "denoised", "tempered", "constant", or "auto": heat or denoised.
        gamma: of the tempered and denoised potentials, in units of 1 / x; None reads it off A.
        langevin: Langevin steps at each level.
        trigger: share of K below which a family is resampled; 0 never resamples.

    Raises:
        ValueError: where the potential is unknown, or g2, c, gamma or langevin is negative.
    """

    needs = "gradient"

    def __init__(
        self,
        sigmas: Tensor,
        g2: float | None = None,
        c: float | None = None,
        potential: str = "auto",
        gamma: float | None = None,
        langevin: int = 0,
        trigger: float = 0.5,
    ):
        super().__init__(sigmas)
        if potential not in POTENTIALS:
            raise ValueError(f"potential must be one of {', '.join(POTENTIALS)}; got {potential!r}")
        if gamma is not None and not gamma >= 0:
            raise ValueError(f"gamma must be >= 0; got {gamma}")
        self.moves = moves_for(sigmas, g2, c, langevin)
        self.potential, self.gamma, self.trigger = potential, gamma, trigger

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, Tensor, dict]:
        """Members of shape (B K, *event), log-weights (B, K), diagnostics."""
        flow = self.flow(denoiser, observation, streams)
        state = flow.run(callback)
        sigma = self.levels(streams)[-2][1]
        x, log_prob = last(
            denoiser, observation, state.x, flow.prior.mean(state.x, state.pooled, sigma), sigma, streams
        )
        flow.reweight(log_prob + flow.potential.read(state.x, sigma**2).value)
        return x, flow.population.log_weights, flow.diagnostics()

    def flow(self, denoiser: Denoiser, observation: Observation, streams: MemberStreams) -> WeightedFlow:
        """The flow that a run follows: its `path` gives the weighted particles at every level."""
        levels = self.levels(streams)[:-1]
        prior = PowerPrior([denoiser], [1], levels[0][1])
        potential = make_potential(self.potential, self.gamma, observation, levels[0][1] ** 2, prior.models[0])
        population = Population(len(observation.y), streams.rows // len(observation.y), self.trigger, streams.device)
        return WeightedFlow(prior, potential, self.moves, levels, population, streams)


def last(
    denoiser: Denoiser, observation: Observation, x_t: Tensor, mean: Tensor, sigma: Tensor, streams: MemberStreams
) -> tuple[Tensor, Tensor]:
    """Draws x | x_t, y at the last level, and log p(y | x_t), float64: shapes (N, *event) and (N,).

    For linear data with Gaussian noise x | x_t is taken for N(D, E), E the covariance that the denoiser states, or the
    variance within one mode where it knows that; elsewhere x = D.

    Arguments:
        x_t, mean: state and D there, with shape (N, *event).
        sigma: the last level above 0, shape ().
    """
    if not observation.linear_gaussian:
        return mean, observation.log_likelihood(mean).double()
    stated = denoiser.surrogate(sigma)
    if stated is not None:
        step = GaussianStep(observation, streams.dtype)
        factor = step.factor(stated)
        return step.draw(mean, factor, streams), step.log_prob(mean, factor)
    step, within = IsotropicStep(observation, streams.dtype), denoiser.within_variance(x_t, sigma)
    within = x_t.new_zeros(len(x_t)) if within is None else within
    return step.draw(mean, within, streams), step.log_prob(mean, within)
