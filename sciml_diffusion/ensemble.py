"""The answer of every posterior method: a weighted ensemble with its diagnostics."""

import warnings
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class WeightedEnsemble:
    """K members with log-weights for each of B observations.

    Arguments:
        x: members, with shape (B, K, *event).
        log_weights: unnormalised, float64, with shape (B, K); zeros where the method does not weight.
        diagnostics: numbers and tensors by name: `ess_trace` (B, steps), `roots` (B,), `family_ess` (B,),
            `log_evidence` (B,), `network_calls`, `operator_calls`; a method leaves out what it does not have.
    """

    x: Tensor
    log_weights: Tensor
    diagnostics: dict = field(default_factory=dict)

    def __post_init__(self):
        if self.log_weights.shape != self.x.shape[:2]:
            raise ValueError(
                f"log_weights has shape {tuple(self.log_weights.shape)}; the members make {tuple(self.x.shape[:2])}"
            )
        self.log_weights = self.log_weights.to(torch.float64)

    @property
    def weights(self) -> Tensor:
        """Normalised weights, with shape (B, K)."""
        return self.log_weights.softmax(1)

    @property
    def ess(self) -> Tensor:
        """Effective sample size 1 / sum_k w_k^2, with shape (B,)."""
        return 1 / (self.weights**2).sum(1)

    @property
    def mean(self) -> Tensor:
        """Weighted mean, with shape (B, *event)."""
        return torch.einsum("bk,bk...->b...", self.weights.to(self.x), self._counted)

    @property
    def std(self) -> Tensor:
        """Weighted standard deviation with the unbiased factor 1 / (1 - sum w^2), with shape (B, *event)."""
        w = self.weights.to(self.x)
        variance = torch.einsum("bk,bk...->b...", w, (self._counted - self.mean[:, None]) ** 2)
        factor = 1 / (1 - (w**2).sum(1)).clamp_min(torch.finfo(w.dtype).eps)
        return (variance * factor.reshape(-1, *(1,) * (variance.ndim - 1))).sqrt()

    @property
    def _counted(self) -> Tensor:
        """x, with 0 in the members of weight 0, which may not be numbers; shape (B, K, *event)."""
        none = torch.isneginf(self.log_weights).reshape(*self.log_weights.shape, *(1,) * (self.x.ndim - 2))
        return self.x.masked_fill(none, 0.0)

    def drop_lost(self) -> None:
        """Gives weight 0 to members that are not finite, counts them in the diagnostics as `lost` (B,), and warns.

        Raises:
            ValueError: where no member of a window is finite and has a weight.
        """
        lost = ~torch.isfinite(self.x).flatten(2).all(2)
        if (lost | torch.isneginf(self.log_weights)).all(1).any():
            raise ValueError(
                f"no member of a window is left: {int(lost.sum())} of {lost.numel()} members are not finite, and the "
                "data are impossible for the others. The operator may not be defined where members go, the noise be "
                "smaller than numbers of this precision can meet, or the data contradict the prior: check them, or "
                "give the noise a larger std"
            )
        if not lost.any():
            return
        self.log_weights = self.log_weights.masked_fill(lost, -torch.inf)
        self.diagnostics["lost"] = lost.sum(1)
        warnings.warn(
            f"{int(lost.sum())} of {lost.numel()} members are not finite and have weight 0: the operator may not be "
            "defined where they went",
            stacklevel=3,
        )

    def warn_if_collapsed(self, share: float = 0.1) -> None:
        """Warns in words where fewer than `share` of the members carry the weight or have distinct ancestors."""
        members = self.x.shape[1]
        counts = {
            "effective members": self.ess,
            **{k: self.diagnostics[k] for k in ("family_ess", "roots") if k in self.diagnostics},
        }
        name, least = min(((k, float(v.min())) for k, v in counts.items()), key=lambda item: item[1])
        if least < max(2.0, share * members):
            warnings.warn(
                f"the ensemble has collapsed: {least:.1f} {name} of {members}. Its spread is too small to report. "
                "Use more members or steps, or method='mmps', which does not weight.",
                stacklevel=3,
            )
