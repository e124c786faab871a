"""Equations on stencils of their own: second, independent right-hand sides beside those of the solvers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor

from ..derivatives import Derivatives
from ..grid import Grid

Values = dict[str, Tensor | float]
WHOLE = ("forcing", "topography")  # parameters that are fields: with one axis they run along it, not over samples


class Equation(ABC):
    """du/dt = rhs(u, time) by spectral or finite differences on a grid.

    Parameters are a number, a tensor of shape (B,) with one for each sample, a tensor of at least two axes that
    broadcasts to (B, C', *S), or a function of time that returns one of these. "forcing" and "topography" are fields: a
    tensor with one axis runs along the grid's.

    Arguments:
        grid: spatial axes, found by their names.
        fields: names of the C channels.
        scheme: of `Derivatives`.
        parameters: by name.
        edges: of `Derivatives`, at ends that do not close.

    Attributes:
        prognostic: the channels that have an equation; the others are given fields.
    """

    def __init__(
        self,
        grid: Grid,
        fields: tuple[str, ...],
        scheme: str | Mapping[str, str],
        parameters: Mapping[str, object],
        edges: Mapping[str, str] | None = None,
    ):
        self.grid, self.fields, self.prognostic = grid, tuple(fields), tuple(fields)
        self.parameters, self.derivatives = dict(parameters), Derivatives(grid, scheme, edges)

    @abstractmethod
    def tendency(self, u: Tensor, values: Values) -> Tensor:
        """du/dt of the prognostic channels, with shape (B, C', *S), from u (B, C, *S) and parameters that broadcast."""

    def rhs(self, u: Tensor, time: float = 0.0, **parameters) -> Tensor:
        """du/dt in physical units: shape (B, C, *S) -> (B, C', *S).

        Arguments:
            u: fields, with shape (B, C, *S).
            time: handed to parameters that depend on it.
            parameters: replace those of the constructor.

        Raises:
            ValueError: a parameter that the equation does not have.
        """
        unknown = sorted(set(parameters) - set(self.parameters))
        if unknown:
            raise ValueError(f"{type(self).__name__} has the parameters {sorted(self.parameters)}; got {unknown}")
        merged = {**self.parameters, **parameters}
        return self.tendency(u, {name: resolved(value, time, u, name in WHOLE) for name, value in merged.items()})

    def along(self, u: Tensor, dim: str, order: int = 1) -> Tensor:
        """Derivative along an axis: shape (..., *S) -> (..., *S)."""
        return self.derivatives.along(u, dim, order)

    def advection(self, velocity: Mapping[str, Tensor], u: Tensor) -> Tensor:
        """sum_dim velocity[dim] du/d dim, with tensors of shape (..., *S)."""
        return sum(component * self.along(u, dim) for dim, component in velocity.items())


def resolved(value, time: float, u: Tensor, whole: bool = False) -> Tensor | float:
    """A parameter at a time: a number, or a tensor that broadcasts against u of shape (B, C, *S) or (B, C, T, *S)."""
    value = value(time) if callable(value) else value
    if value is None:
        return 0.0
    if not isinstance(value, Tensor):
        return float(value)
    if value.ndim > 1 or whole:
        return value.to(u)
    if value.numel() not in (1, len(u)):
        raise ValueError(
            f"a parameter with one axis needs one value for each of {len(u)} samples; got {value.numel()} "
            "(fields need the shape (B or 1, C or 1, *S))"
        )
    return value.to(u).reshape(-1, *[1] * (u.ndim - 1))
