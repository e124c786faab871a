"""Weights, ancestry and evidence of populations of particles, one for each window."""

import torch
from torch import Tensor

from ..samplers.streams import MemberStreams
from .ordering import tree_order


def systematic(weights: Tensor, u: Tensor, members: int | None = None) -> Tensor:
    """Ancestors of systematic resampling: member j descends from the k with W_{k-1} <= (j + u) / K < W_k, W = cumsum w.

    A member of weight w has floor(K w) or ceil(K w) children. Source: Kitagawa 1996; Carpenter et al. 1999.

    Arguments:
        weights: normalised, float64, with shape (B, K).
        u: uniform in [0, 1), float64, with shape (B,).
        members: number of descendants; by default K.
    Returns indices with shape (B, members), not decreasing.
    """
    members = members or weights.shape[1]
    cumulative = weights.cumsum(1)
    positions = (torch.arange(members, dtype=weights.dtype, device=weights.device) + u[:, None]) / members
    positions = positions * cumulative[:, -1:]
    found = torch.searchsorted(cumulative.contiguous(), positions.contiguous(), right=True)
    return found.clamp_max(weights.shape[1] - 1)


class Population:
    """Log-weights, roots and log-evidence of B families of K particles; nothing here waits for the device.

    Arguments:
        windows: B.
        members: K.
        trigger: resample a family when its ESS falls below trigger * K.
        device: where the particles live.
    """

    def __init__(self, windows: int, members: int, trigger: float, device: torch.device | str):
        self.shape, self.particles, self.trigger = (windows, members), members, trigger
        self.log_weights = torch.zeros(self.shape, dtype=torch.float64, device=device)
        self.roots = torch.arange(members, device=device).expand(self.shape)
        self.log_evidence = torch.zeros(windows, dtype=torch.float64, device=device)
        self.resamplings = torch.zeros(windows, dtype=torch.int64, device=device)
        self._trace: list[Tensor] = []

    def reweight(self, increment: Tensor) -> None:
        """Adds to the log-weights, with shape (B K,); a particle whose increment is not a number gets weight 0."""
        total = self.log_weights + increment.double().reshape(self.shape)
        self.log_weights = total.nan_to_num(nan=-torch.inf, posinf=-torch.inf, neginf=-torch.inf)
        self._trace.append(1 / (self._weights() ** 2).sum(1))

    def resample(self, streams: MemberStreams) -> Tensor:
        """Resamples the families whose ESS is low; returns the rows to keep, with shape (B K,).

        Each family takes one number from the stream of its own, whether it is resampled or not.
        """
        windows, members = self.shape
        weights = self._weights()
        low = (self._trace[-1] < self.trigger * members)[:, None]
        stay = torch.arange(members, device=weights.device).expand(self.shape)
        ancestors = torch.where(low, systematic(weights, streams.shared_uniform()), stay)
        self.roots = self.roots.gather(1, ancestors)
        self.log_evidence = self.log_evidence + torch.where(low[:, 0], self._log_mean(), 0.0)
        self.log_weights = torch.where(low, 0.0, self.log_weights)
        self.resamplings = self.resamplings + low[:, 0]
        return (ancestors + members * torch.arange(windows, device=weights.device)[:, None]).flatten()

    def thin(self, members: int, streams: MemberStreams, x: Tensor) -> Tensor:
        """Keeps so many particles of each family, of equal weight; returns their rows, with shape (B * members,).

        Arguments:
            members: number that is kept.
            streams: for the one uniform number of each family.
            x: particles, with shape (B K, *event); they are taken in the order of `tree_order`.
        """
        windows, particles = self.shape
        order = torch.stack([tree_order(family) for family in x.unflatten(0, self.shape)])
        kept = order.gather(1, systematic(self._weights().gather(1, order), streams.shared_uniform(), members))
        self.log_evidence = self.log_evidence + self._log_mean()
        self.roots, self.shape = self.roots.gather(1, kept), (windows, members)
        self.log_weights = torch.zeros(self.shape, dtype=torch.float64, device=kept.device)
        return (kept + particles * torch.arange(windows, device=kept.device)[:, None]).flatten()

    def diagnostics(self) -> dict[str, Tensor]:
        """ess_trace with shape (B, reweightings); roots, family_ess, log_evidence and resamplings with shape (B,).

        `roots`: distinct ancestors among the first particles; `family_ess`: 1 / sum_a (weight of the family of a)^2.
        """
        none = torch.zeros(len(self.roots), self.particles, dtype=torch.float64, device=self.roots.device)
        families, alive = none.scatter_add(1, self.roots, self._weights()), none.scatter(1, self.roots, 1.0)
        return {
            "ess_trace": torch.stack(self._trace, 1),
            "roots": alive.sum(1),
            "family_ess": 1 / (families**2).sum(1),
            "log_evidence": self.log_evidence + self._log_mean(),
            "resamplings": self.resamplings,
        }

    def _weights(self) -> Tensor:
        """Normalised weights; uniform in a family that has lost all its particles (its evidence is then 0)."""
        lost = torch.isneginf(self.log_weights).all(1, keepdim=True)
        return torch.where(lost, 0.0, self.log_weights).softmax(1)

    def _log_mean(self) -> Tensor:
        return self.log_weights.logsumexp(1) - torch.tensor(self.shape[1], dtype=torch.float64).log()
