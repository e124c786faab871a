"""Noise of unknown size, sampled with x: std = s std_stated."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..observations.noise import Gaussian
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .daps import DAPS
from .noise_scale import ScalePrior
from .split_gibbs import SplitGibbs
from .tsmc import TwistedSMC

GIBBS = {"daps": DAPS, "split-gibbs": SplitGibbs}
EVIDENCE = {"smc": TwistedSMC}


class UnknownNoise(PosteriorMethod):
    """p(x, s | y) ∝ p(x) p(s) N(y; A(x), s^2 R): Gaussian noise whose stated std are off by one common factor s.

    Two ways, by the method that carries x:

    - daps, split-gibbs: s of each member is drawn at every level. Exact inner draws of x come with s drawn first, x
      integrated out; inner chains draw s^2 | x from its inverse-gamma law. Any number of sensors. With `daps` exact for
      a Gaussian prior and linear data.
    - smc: one run of K members at each of `nodes` log-spaced scales, each weighted by its evidence (quadrature over
      ln s); member k takes its own draw from one of the runs, chosen with their posterior probabilities, and keeps its
      weight within that run. Costs `nodes` runs, but errs only where the runs do: consistent for any prior. The nodes
      must resolve the posterior of ln s, about 1 / sqrt(2 m) wide for m sensors: for few sensors.

    Diagnostics: noise_scale (B, K), the members' s; noise_scale_mean (B,), noise_scale_quantiles (B, 3) at 5, 50, 95 %,
    over members with their weights ignored for the first way, and from the probabilities of the nodes for the second,
    which also has noise_scale_nodes (B, Q), noise_scale_probability (B, Q) and log_evidence (B,), s integrated out.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        method: daps, split-gibbs or smc.
        low, high, shape, rate: prior of s, see `ScalePrior`; log-uniform on [low, high] by default.
        nodes: scales of the quadrature (smc), at least 2.
        options: of the method, by name.

    Raises:
        ValueError: an unknown method, fewer than two nodes, or an empty range of s.
    """

    needs = "gradient"

    def __init__(
        self,
        sigmas: Tensor,
        method: str = "daps",
        low: float = 0.1,
        high: float = 10.0,
        shape: float = 0.0,
        rate: float = 0.0,
        nodes: int = 12,
        options: dict | None = None,
    ):
        super().__init__(sigmas)
        if method not in GIBBS | EVIDENCE or nodes < 2:
            known = ", ".join(GIBBS | EVIDENCE)
            raise ValueError(f"the method must be one of {known}, with at least 2 nodes; got {method!r} and {nodes}")
        self.prior, self.count = ScalePrior(low, high, shape, rate), nodes
        self.quadrature = method in EVIDENCE
        own = {} if self.quadrature else {"scale_prior": self.prior}
        self.method = (GIBBS | EVIDENCE)[method](sigmas, **(options or {}), **own)
        self.needs = self.method.needs

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, Tensor | None, dict]:
        """Members of shape (B K, *event), log-weights (B, K) or None, and diagnostics with the noise scale."""
        if not self.quadrature:
            return self.method.run(denoiser, observation, streams, callback)
        log_s = self.prior.nodes(self.count, streams.device)
        joint, chosen = self.prior.log_mass(log_s), None
        evidence = []
        for q in range(self.count):
            scaled = replace(observation, noise=Gaussian(observation.std * log_s[q].exp().to(observation.std)))
            told = _share(callback, len(self.sigmas) - 1, q, self.count)
            x, log_weights, facts = self.method.run(denoiser, scaled, streams, told)
            evidence.append(joint[q] + facts["log_evidence"])
            offered = (x, _mean_one(log_weights), log_s[q].exp().expand(streams.rows))
            chosen = offered if chosen is None else self._choose(chosen, offered, torch.stack(evidence, 1), streams)
        joint = torch.stack(evidence, 1)
        x, log_weights, scale = chosen
        facts = _node_diagnostics(log_s, joint) | {"noise_scale": scale.reshape(log_weights.shape)}
        return x, log_weights, facts

    @staticmethod
    def _choose(old: tuple, new: tuple, evidence: Tensor, streams: MemberStreams) -> tuple[Tensor, Tensor, Tensor]:
        """Each member takes the new run's draw with the probability of the new node among all so far.

        Arguments:
            old, new: x (B K, *event), log-weights (B, K) and s (B K,).
            evidence: log of prior mass and evidence of the nodes so far, with shape (B, q).
        """
        probability = evidence.softmax(1)[:, -1].repeat_interleave(new[1].shape[1])
        taken = streams.uniform(()).double() < probability
        rows = taken.reshape(-1, *(1,) * (new[0].ndim - 1))
        x, scale = torch.where(rows, new[0], old[0]), torch.where(taken, new[2], old[2])
        return x, torch.where(taken.reshape(new[1].shape), new[1], old[1]), scale


def _mean_one(log_weights: Tensor) -> Tensor:
    """Log-weights whose mean weight in each window is 1, shape (B, K); 0 for a window that has lost all."""
    members = torch.tensor(log_weights.shape[1], dtype=log_weights.dtype, device=log_weights.device)
    total = log_weights.logsumexp(1, keepdim=True)
    return torch.where(torch.isneginf(total), 0.0, log_weights - total + members.log())


def _share(callback: Callable[[int], None], steps: int, run: int, runs: int) -> Callable[[int], None]:
    """The callback for one of several runs of `steps` steps, which together tell of each step once."""

    def told(done: int) -> None:
        before, now = ((run * steps + n) // runs for n in (done - 1, done))
        if now > before:
            callback(now)

    return told


def _node_diagnostics(log_s: Tensor, joint: Tensor) -> dict[str, Tensor]:
    """Probabilities, mean and quantiles of s over nodes ln s (Q,), and the evidence, from log p(s_q, y) (B, Q)."""
    probability, s = joint.softmax(1), log_s.exp()
    cumulative = probability.cumsum(1) - probability / 2
    levels = torch.tensor([0.05, 0.5, 0.95], dtype=s.dtype, device=s.device).expand(len(joint), 3).contiguous()
    right = torch.searchsorted(cumulative.contiguous(), levels).clamp(1, len(s) - 1)
    low, high = cumulative.gather(1, right - 1), cumulative.gather(1, right)
    share = ((levels - low) / (high - low).clamp_min(1e-300)).clamp(0, 1)
    quantiles = torch.exp(log_s[right - 1] + share * (log_s[right] - log_s[right - 1]))
    return {
        "log_evidence": joint.logsumexp(1),
        "noise_scale_nodes": s.expand(len(joint), -1),
        "noise_scale_probability": probability,
        "noise_scale_mean": probability @ s,
        "noise_scale_quantiles": quantiles,
    }
