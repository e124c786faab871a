"""Weighted ensembles of an event, and its probability with a standard error, by twisted sequential Monte Carlo."""

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..denoisers.covariance import Covariance
from ..ensemble import WeightedEnsemble
from ..samplers.streams import MemberStreams
from .base import CountedDenoiser
from .events import Event, EventGuided
from .local_step import dot, over
from .resample import Population

GUIDED = 0.9  # share of the proposals that are guided; the others bound the weights


class EventSMC:
    """Draws from p(x | E) and estimates P(E), rare or not, under the ancestral sampler's own law of x.

    Prior kernel P = N(m, S), m = x_t + c (D - x_t), S = v I + c^2 E_t; proposal Q = N(m + c Delta, S), Delta = sigma^2
    grad log h, nine times in ten, else P; weight h_s P / (h_t Q). At the end x comes from N(D, E_t) or, as often, from
    N(D + Delta, E_t), and 1[f(x) >= level] takes the place of h: the weights are exact for the event itself whatever h
    is, and the product of their means is an unbiased estimate of P(E). F families of members are independent, which
    gives the standard error. It is itself uncertain by 1 / sqrt(2 F), and too small where E curves so strongly that few
    members find most of it: of two f with the same E take the straighter one (|x| rather than |x|^2).

    Source: Wu et al., Practical and asymptotically exact conditional sampling in diffusion models, 2023 (twists);
    Cerou et al., Sequential Monte Carlo for rare event estimation, Stat. Comput. 22 (2012).

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        trigger: share of a family's members below which it is resampled.
        rounds: planes laid to the edge of E at each level, see `chance`.
    """

    def __init__(self, sigmas: Tensor, trigger: float = 0.5, rounds: int = 3):
        if sigmas.ndim != 1 or len(sigmas) < 3 or (sigmas.diff() >= 0).any() or sigmas[-1] != 0:
            raise ValueError(f"sigmas must be three or more, decrease strictly and end in 0; got {sigmas.tolist()}")
        self.sigmas, self.trigger, self.rounds = sigmas, trigger, rounds

    @torch.no_grad()
    def sample(
        self,
        denoiser: Denoiser,
        event: Event,
        streams: MemberStreams,
        callback: Callable[[int], None] | None = None,
    ) -> WeightedEnsemble:
        """Returns members x with shape (F, K, *event) and log-weights (F, K), -inf where the event does not happen.

        The diagnostics hold `probability` and `standard_error`, numbers, and what SMC reports for each family, whose
        `log_evidence` is its own log P(E). Weights compare members of one family.

        Arguments:
            denoiser: of x.
            event: E.
            streams: one key for each of F >= 2 independent families, and K members in each.
            callback: called after each step with the number of steps done.

        Raises:
            ValueError: where there are fewer than two families.
        """
        families = len(streams.observations)
        if families < 2:
            raise ValueError(
                "the standard error needs at least 2 independent families; give the streams 2 keys or more"
            )
        network = CountedDenoiser(denoiser)
        guided = EventGuided(network, event, self.rounds)
        population = Population(families, streams.rows // families, self.trigger, streams.device)
        x = self._run(guided, population, streams, callback or (lambda done: None))
        found = population.diagnostics()
        each = found["log_evidence"].exp()
        found |= {"probability": float(each.mean()), "standard_error": float(each.std()) / families**0.5}
        found["network_calls"] = network.calls
        empty = int((each == 0).sum())
        if empty:
            warnings.warn(
                f"the event happens in no member of {empty} of {families} families: their probability is 0 and their "
                "weights are not numbers. Use more members or steps, or a less extreme level",
                stacklevel=3,
            )
        shape = (families, streams.rows // families, *x.shape[1:])
        return WeightedEnsemble(x.reshape(shape), population.log_weights, found)

    def _run(self, guided: EventGuided, population: Population, streams: MemberStreams, callback) -> Tensor:
        """Members (F K, *event); the population keeps the weights."""
        sigmas = self.sigmas.to(streams.device, streams.dtype)
        x_t = guided.start(sigmas[0], streams)
        mean, found = guided.foresee(x_t, sigmas[0], x_t)  # from x_t: planes of all directions
        population.reweight(found.log_h)
        callback(1)
        for n, (sigma_t, sigma_s) in enumerate(zip(sigmas[:-1], sigmas[1:-1], strict=False)):
            spread = guided.spread(x_t, sigma_t)
            keep = population.resample(streams)
            x_t, mean, shift, log_h, edge = (a[keep] for a in (x_t, mean, found.shift, found.log_h, found.edge))
            c = 1 - (sigma_s / sigma_t) ** 2
            variance = spread.variance if len(spread.variance) == 1 else spread.variance[keep]
            kernel = Covariance(spread.basis, sigma_s**2 * c + c**2 * variance)
            e, log_q = _mixed(kernel, c * shift, GUIDED, streams)
            x_s = x_t + c * (mean - x_t) + e
            mean, found = guided.foresee(x_s, sigma_s, edge)
            population.reweight(found.log_h - log_h - log_q)
            x_t = x_s
            callback(n + 2)
        return self._last(guided, population, (x_t, mean, found), sigmas[-2], streams)

    @staticmethod
    def _last(guided: EventGuided, population: Population, state, sigma: Tensor, streams: MemberStreams) -> Tensor:
        """x from both halves of the last proposal, with the event in the place of h; shape (F K, *event)."""
        x_t, mean, found = state
        spread = guided.spread(x_t, sigma)
        alive = (spread.variance > 0).flatten(1).any(1)  # where nothing scatters, x is D
        wide = Covariance(spread.basis, torch.where(spread.variance > 0, spread.variance, 1))
        shift = torch.where(over(alive, mean), found.shift, 0)
        e, log_q = _mixed(wide, shift, 0.5, streams)
        x = mean + torch.where(over(alive, mean), e, 0)
        happens = guided.happening.happens(x)
        population.reweight(torch.where(happens, 0.0, -torch.inf) - log_q - found.log_h)
        return x


def _mixed(kernel: Covariance, shift: Tensor, share: float, streams: MemberStreams) -> tuple[Tensor, Tensor]:
    """e from share N(shift, S) + (1 - share) N(0, S), and log of that density over N(e; 0, S): (N, *event) and (N,)."""
    e = kernel.sqrt(streams.normal(shift.shape[1:]))
    e = e + over((streams.uniform(()) < share).to(shift), shift) * shift
    image = kernel.basis.inverse(kernel.basis(shift) / kernel.variance)
    exponent = dot(image, e - 0.5 * shift)  # log N(e; shift, S) - log N(e; 0, S)
    return e, torch.logaddexp(exponent + math.log(share), torch.full_like(exponent, math.log(1 - share)))
