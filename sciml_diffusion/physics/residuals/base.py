"""One interface for residuals of equations: training loss, guidance term and metric."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from ..grid import Grid
from .floor import ResidualFloor
from .norms import average, h_minus_one, penalty

Parameters = Mapping[str, object]
Terms = dict[str, tuple[Tensor, ...]]


class Residual(ABC):
    """What is left of equations when fields are put into them, component by component, in physical units.

    A subclass sets `grid` and `fields` and gives the additive terms of each component ("pde", "boundary", "initial",
    "divergence", "mass", ...); their sum is the residual. It is differentiable and computes in the dtype of the
    fields, at least float32.

    Attributes:
        fields: names of the C channels that it is given, in order.
        grid: of the spatial axes.
        scale: {component: size of its channels, with shape (channels, 1, ..., 1)}, by which `norm`, `log_prob` and
            `floor` divide. Constants, so that no gradient shrinks a residual by shrinking its scale. Empty: units.
        weight: {component: quadrature weights that broadcast to it}. Empty: equal.
    """

    fields: tuple[str, ...]
    grid: Grid
    scale: dict[str, Tensor] = {}
    weight: dict[str, Tensor] = {}

    @abstractmethod
    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """Additive terms of each component, each of the shape (B, C', T', *S') of its component.

        Arguments:
            x: fields, with shape (B, C, T, *S).
            parameters: those that replace the ones of the constructor.
        """

    def __call__(self, x: Tensor, parameters: Parameters | None = None) -> dict[str, Tensor]:
        """{component: residual in physical units, with shape (B, C', T', *S')}.

        Arguments:
            x: fields in physical units, with shape (B, C, T, *S).
            parameters: values for this call in place of the constructor's, by name (viscosity, forcing, ...).

        Raises:
            ValueError: where x has another shape than the grid and the fields ask for.
        """
        components = self.terms(self._checked(x), parameters or {})
        return {name: sum(terms[1:], terms[0]) for name, terms in components.items()}

    forward = __call__

    def nondimensional(self, x: Tensor, parameters: Parameters | None = None) -> "Residual":
        """The same residual, each channel of a component scaled by S, S^2 = sum over its terms of mean(term^2) on x.

        Means are weighted as in `norm`.

        Arguments:
            x: reference fields, with shape (B, C, T, *S).
            parameters: of these fields.
        """
        scaled = copy.copy(self)
        scaled.scale = {}
        with torch.no_grad():
            self.validate(x)
            for name, terms in self.terms(self._checked(x), parameters or {}).items():
                square = sum(_by_channel(term**2, self.weight.get(name)) for term in terms)
                scaled.scale[name] = square.sqrt().where(square > 0, torch.ones_like(square))
        return scaled

    def scaled(self, components: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Components, each of shape (B, C', T', *S'), divided by their scale."""
        return {name: r / self.scale[name].to(r) if name in self.scale else r for name, r in components.items()}

    def norm(self, components: Mapping[str, Tensor], kind: str = "l2", c: float = 1.0) -> dict[str, Tensor]:
        """{component: weighted mean over a sample of rho(r / scale), with shape (B,)}; no root is taken at the end.

        Arguments:
            components: what the residual returned, each of shape (B, C', T', *S').
            kind: "l2" | "l1" | "huber" | "pseudo-huber" (see `penalty`), or "h-1" (see `h_minus_one`), which is "l2"
                for components that do not fill the grid.
            c: crossover of the Huber forms, in units of the scale.
        """
        values = {}
        for name, r in self.scaled(components).items():
            if kind == "h-1" and r.ndim == 3 + len(self.grid.dims) and min(r.shape[3:]) > 2:
                values[name] = h_minus_one(r, self.grid)
            else:
                values[name] = average(penalty(r, "l2" if kind == "h-1" else kind, c), self.weight.get(name))
        return values

    def loss(
        self,
        x: Tensor,
        parameters: Parameters | None = None,
        kind: str = "l2",
        shares: Mapping[str, float] | None = None,
    ) -> Tensor:
        """Sum of the norms of all components: shape (B, C, T, *S) -> (B,).

        Arguments:
            x: fields, with shape (B, C, T, *S).
            parameters: as for a call.
            kind: of norm.
            shares: {component: factor}; components that are not named count once.

        Raises:
            ValueError: a component that does not exist.
        """
        norms = self.norm(self(x, parameters), kind)
        _known(shares or {}, norms)
        return sum((shares or {}).get(name, 1.0) * value for name, value in norms.items())

    def log_prob(self, x: Tensor, std: float | Mapping[str, float], parameters: Parameters | None = None) -> Tensor:
        """log N(0; r / scale, std^2), summed over the residuals of a sample: shape (B, C, T, *S) -> (B,).

        Arguments:
            x: fields, with shape (B, C, T, *S).
            std: > 0, tolerated size of r / scale, for all components or {component: std} for those that count.
            parameters: as for a call.

        Raises:
            ValueError: a std that is not > 0, or a component that does not exist.
        """
        components = self.scaled(self(x, parameters))
        _known(std if isinstance(std, Mapping) else {}, components)
        total = torch.zeros(len(x), dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)
        for name, r in components.items():
            if not isinstance(std, Mapping) or name in std:
                size = std[name] if isinstance(std, Mapping) else std
                if not size > 0:
                    raise ValueError(f"the std of {name!r} must be > 0; got {size}")
                constant = r[0].numel() * (math.log(size) + 0.5 * math.log(2 * math.pi))
                total = total - 0.5 * (r / size).flatten(1).pow(2).sum(1) - constant
        return total

    def floor(self, x: Tensor, parameters: Parameters | None = None) -> ResidualFloor:
        """Size of r / scale on reference fields, which no model can be asked to go below: shape (B, C, T, *S).

        Raises:
            ValueError: where the fields are not finite or not in the units that the residual needs.
        """
        with torch.no_grad():
            self.validate(x)
            return ResidualFloor.measure(self.scaled(self(x, parameters)), self.weight)

    def relative(self, x: Tensor, floor: ResidualFloor, parameters: Parameters | None = None) -> dict[str, Tensor]:
        """{component: rms of a sample over that of the floor, with shape (B,)}, for x of shape (B, C, T, *S)."""
        norms = self.norm(self(x, parameters))
        return {name: value.sqrt() / floor.rms[name] for name, value in norms.items() if floor.rms[name] > 0}

    def validate(self, x: Tensor) -> None:
        """Raises ValueError where reference fields of shape (B, C, T, *S) are not finite; subclasses look at units."""
        bad = ~torch.isfinite(x).flatten(1).all(1)
        if bad.any():
            raise ValueError(f"the reference sample {int(bad.nonzero()[0])} is not finite; fill or leave it out")

    def channel(self, x: Tensor, field: str) -> Tensor:
        """One field of x: shape (B, C, T, *S) -> (B, 1, T, *S)."""
        i = self.fields.index(field)
        return x[:, i : i + 1]

    def _checked(self, x: Tensor) -> Tensor:
        expected = (len(self.fields), "T", *self.grid.sizes)
        if x.ndim != len(expected) + 1 or (x.shape[1], *x.shape[3:]) != (expected[0], *expected[2:]):
            shape = ", ".join(map(str, expected))
            raise ValueError(
                f"{type(self).__name__} needs {', '.join(self.fields)} with shape (B, {shape}); got {tuple(x.shape)}"
            )
        return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _known(named: Mapping[str, object], components: Mapping[str, object]) -> None:
    """Raises ValueError where a name is none of the components."""
    unknown = sorted(set(named) - set(components))
    if unknown:
        raise ValueError(f"the components are {sorted(components)}; got {unknown}")


def _by_channel(values: Tensor, weight: Tensor | None) -> Tensor:
    """Weighted means over all but the channels: shape (B, C, ...) -> (C, 1, ...)."""
    weight = None if weight is None else weight.to(values).expand_as(values).transpose(0, 1)
    return average(values.transpose(0, 1), weight).reshape(-1, *[1] * (values.ndim - 2))
