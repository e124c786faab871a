"""Residuals made of residuals."""

from collections.abc import Mapping

import torch
from torch import Tensor

from .base import Parameters, Residual, Terms
from .floor import ResidualFloor


class Together(Residual):
    """Several residuals of the same fields, their components side by side.

    Arguments:
        fields: names of the channels that are given; each residual takes those that it needs.
        residuals: {prefix: residual}; its components are called "prefix component", for example "burgers pde".

    Raises:
        ValueError: no residual, fields that are missing, or grids of different sizes.
    """

    def __init__(self, fields: tuple[str, ...], residuals: Mapping[str, Residual]):
        if not residuals:
            raise ValueError("expected at least one residual; got none")
        self.fields, self.residuals = tuple(fields), dict(residuals)
        self.grid = next(iter(self.residuals.values())).grid
        for prefix, residual in self.residuals.items():
            missing = sorted(set(residual.fields) - set(fields))
            if missing or residual.grid.sizes != self.grid.sizes:
                raise ValueError(
                    f"the residual {prefix!r} needs {residual.fields} on {residual.grid.sizes}; got {self.fields} on "
                    f"{self.grid.sizes}"
                )
            for name, weight in residual.weight.items():
                self.weight = {**self.weight, f"{prefix} {name}": weight}
            for name, scale in residual.scale.items():
                self.scale = {**self.scale, f"{prefix} {name}": scale}

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """The terms of all residuals; parameters are {prefix: parameters of that residual}."""
        out: Terms = {}
        for prefix, residual in self.residuals.items():
            part = torch.cat([self.channel(x, name) for name in residual.fields], 1)
            for name, terms in residual.terms(part, parameters.get(prefix, {})).items():
                out[f"{prefix} {name}"] = terms
        return out

    def validate(self, x: Tensor) -> None:
        """Asks every residual about its fields in x (B, C, T, *S)."""
        for residual in self.residuals.values():
            residual.validate(torch.cat([self.channel(x, name) for name in residual.fields], 1))


class Tolerance(Residual):
    """What exceeds the floor: sign(r) max(|r| - tau, 0), tau the 90 % quantile of |r| on reference data.

    For balances that nature itself keeps only roughly: nothing is asked below what the data show.

    Arguments:
        residual: scaled as the floor was.
        floor: of the same residual.
    """

    def __init__(self, residual: Residual, floor: ResidualFloor):
        self.residual, self.tolerated = residual, floor
        self.grid, self.fields = residual.grid, residual.fields
        self.scale, self.weight = residual.scale, residual.weight

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """The excess in physical units, one term for each component, of the component's shape (B, C', T', *S')."""
        out = {}
        for name, r in self.residual(x, parameters).items():
            tau = self.tolerated.q90[name] * self.scale[name].to(r) if name in self.scale else self.tolerated.q90[name]
            out[name] = (r - r.clamp(-tau, tau) if not isinstance(tau, Tensor) else r - r.maximum(-tau).minimum(tau),)
        return out

    def validate(self, x: Tensor) -> None:
        """As the residual does, for x of shape (B, C, T, *S)."""
        self.residual.validate(x)
