"""How large a residual is on reference data."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class ResidualFloor:
    """Statistics of r / scale on reference data, for each component.

    Arguments:
        mean: {component: weighted mean of r}.
        rms: {component: root of the weighted mean of r^2}.
        q50: {component: median of |r|}.
        q90: {component: 90 % quantile of |r|}.
    """

    mean: dict[str, float]
    rms: dict[str, float]
    q50: dict[str, float]
    q90: dict[str, float]

    @classmethod
    def measure(cls, components: Mapping[str, Tensor], weight: Mapping[str, Tensor]) -> "ResidualFloor":
        """The floor of components of shape (B, C', T', *S') with weights that broadcast to them."""
        mean, rms, q50, q90 = {}, {}, {}, {}
        for name, r in components.items():
            r = r.detach().to("cpu", torch.float64)
            w = weight[name].to(r).expand_as(r) if name in weight else torch.ones_like(r)
            mean[name] = float((w * r).sum() / w.sum())
            rms[name] = float(((w * r**2).sum() / w.sum()).sqrt())
            q50[name], q90[name] = (float(q) for q in np.quantile(r.abs().numpy(), [0.5, 0.9]))
        return cls(mean, rms, q50, q90)
