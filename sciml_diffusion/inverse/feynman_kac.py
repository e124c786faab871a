"""Powers and products of priors, with or without data: weighted ensembles by Feynman-Kac correctors."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..ensemble import WeightedEnsemble
from ..observations.observation import Observation
from ..samplers.sde import Ancestral
from ..samplers.streams import MemberStreams
from .base import CountedDenoiser, check_needs, counted
from .carry import make_potential
from .flow import WeightedFlow, moves_for
from .potentials import Flat
from .power_prior import PowerPrior
from .resample import Population


class FeynmanKac:
    """Draws from prod_i p_i(x)^{b_i} p(y | A x) up to a constant, p_i given by denoisers.

    One power b anneals p^b: sharper for b > 1, broader for b < 1. Powers (1, 1) multiply two priors of one field.
    Powers (1 - w, w) of a general and a particular prior are classifier-free guidance of strength w, with the weights
    that make its target exact. The particles follow prod_i p_i(x, tau)^{b_i} exp(-mu_tau); neither a network's
    divergence nor a Laplacian is needed. With b = sum_i b_i:

        dX = ((1 + g^2)/2 B + h - g^2/2 grad mu) du + g dW,   B = sum_i b_i S_i,
        V = d_tau mu - 1/2 <B, grad mu> + 1/2 (|B|^2 - sum_i b_i |S_i|^2) + div h + <h, B - grad mu>,
        h = (1/b - 1)/2 sum_i b_i S~_i,   S~ the score of a Gaussian model of the prior.

    h is what transports p_tau^b for a Gaussian, so that V is constant for powers of one; elsewhere V varies with the
    number of dimensions where scores leave their models: in large fields use powers near 1, or many members.
    log_evidence is that of the integral of prod_i p_i^{b_i} p(y | A x).

    Source: Skreta et al., Feynman-Kac correctors in diffusion, 2025; the general moves and the integrator as in `flow`.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,); its first level far above the scale of the priors.
        powers: b_i, one for each prior, with a sum > 0.
        g2: g^2; more noise mixes better, and asks for more steps: None takes what the grid allows, 4 for 100 steps.
        potential, gamma: of data; see `AFDPS`.
        langevin: Langevin steps at each level.
        trigger: share of K below which a family is resampled; 0 never resamples.

    Raises:
        ValueError: where the grid does not decrease strictly to 0, or g2 or langevin is negative.
    """

    def __init__(
        self,
        sigmas: Tensor,
        powers: Sequence[float],
        g2: float | None = None,
        potential: str = "auto",
        gamma: float | None = None,
        langevin: int = 0,
        trigger: float = 0.5,
    ):
        self.sigmas, self.powers, self.moves = (
            Ancestral(sigmas).sigmas,
            list(powers),
            moves_for(sigmas, g2, None, langevin),
        )
        self.potential, self.gamma, self.trigger = potential, gamma, trigger

    @torch.no_grad()
    def sample(
        self,
        denoisers: Sequence[Denoiser],
        streams: MemberStreams,
        observation: Observation | None = None,
        callback: Callable[[int], None] | None = None,
    ) -> WeightedEnsemble:
        """Returns K members for each of the B windows of the streams: x with shape (B, K, *event).

        Arguments:
            denoisers: of p_i, for one event.
            streams: random numbers, with rows = B K, members within windows.
            observation: y with shape (B, m), or None for the prior alone.
            callback: called after each step with the number of steps done.

        Raises:
            ValueError: where denoisers, powers, streams and observation do not fit each other.
        """
        sigmas = self.sigmas.to(streams.device, streams.dtype)
        levels = list(zip(self.sigmas.tolist(), sigmas, strict=True))[:-1]
        networks = [CountedDenoiser(denoiser, streams.rows) for denoiser in denoisers]
        prior = PowerPrior(networks, self.powers, levels[0][1])
        seen, log_scale = _prepare(observation, prior.event, streams)
        potential, windows = Flat(), len(streams.observations)
        if seen is not None:
            potential = make_potential(self.potential, self.gamma, seen, levels[0][1] ** 2, prior.models[0])
        population = Population(windows, streams.rows // windows, self.trigger, streams.device)
        flow = WeightedFlow(prior, potential, self.moves, levels, population, streams)
        state = flow.run(callback or (lambda done: None))
        x = prior.mean(state.x, state.pooled, levels[-1][1])
        if seen is not None:
            flow.reweight(seen.log_likelihood(x).double() + potential.read(state.x, levels[-1][1] ** 2).value)
        diagnostics = flow.diagnostics()
        diagnostics["log_evidence"] = diagnostics["log_evidence"] + log_scale
        diagnostics["network_calls"] = sum(network.calls for network in networks)
        diagnostics["operator_calls"] = 0 if seen is None else seen.operator.calls
        ensemble = WeightedEnsemble(x.reshape(*population.shape, *prior.event), population.log_weights, diagnostics)
        ensemble.warn_if_collapsed()
        return ensemble


def _prepare(
    observation: Observation | None, event: tuple[int, ...], streams: MemberStreams
) -> tuple[Observation | None, float]:
    """The observation whitened, counted and on the streams' device, and its log-scale; None stays None."""
    if observation is None:
        return None, 0.0
    check_needs("FeynmanKac", "gradient", observation)
    if tuple(observation.operator.event) != event or len(observation.y) != len(streams.observations):
        raise ValueError(
            f"the observation has {len(observation.y)} windows of events {tuple(observation.operator.event)}; the "
            f"streams have keys for {len(streams.observations)}, and the priors make {event}"
        )
    observation, log_scale = observation.whitened()
    seen = replace(observation, operator=counted(observation.operator))
    return seen.to(observation.y.dtype, streams.device), log_scale
