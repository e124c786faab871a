"""Residuals beside the equation: boundary values, initial fields, conserved integrals."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..grid import Grid
from ..stencils import stencil
from .base import Parameters, Residual, Terms


class Boundary(Residual):
    """Component "boundary" of one field: u - g, or its outward slope du/dn - g, at ends of one axis.

    Arguments:
        grid: axes.
        field: name of the channel.
        dim: an axis that does not close.
        values: {"first" | "last": g}, a number or a tensor that broadcasts to (B, 1, T, *S without dim).
        slope: whether g is the slope du/dn, one-sided and of order 2, in place of the value.
        at: "node", the outermost points lie on the boundary; or "wall", it lies half a spacing outside them, where the
            value is extrapolated from three points.

    Raises:
        ValueError: an axis that closes, or an end or place that does not exist.
    """

    def __init__(
        self, grid: Grid, field: str, dim: str, values: Mapping[str, object], slope: bool = False, at: str = "node"
    ):
        if dim not in grid.dims or grid.periods[grid.dims.index(dim)] is not None:
            raise ValueError(f"a boundary needs an axis that does not close; got {dim!r} of {grid.dims}")
        if not set(values) <= {"first", "last"} or at not in ("node", "wall"):
            raise ValueError(f"expected values at 'first', 'last' and at='node' or 'wall'; got {list(values)}, {at!r}")
        self.grid, self.fields, self.values = grid, (field,), dict(values)
        self.axis = grid.dims.index(dim) - len(grid.dims)
        self.rows = {end: self._row(end, slope, at) for end in values}

    def _row(self, end: str, slope: bool, at: str) -> tuple[list[int], list[float]]:
        """Points and weights whose sum is the value or the outward slope at an end."""
        x, n = self.grid.coordinates[self.axis], self.grid.sizes[self.axis]
        edge = 0 if end == "first" else n - 1
        points = [0, 1, 2] if end == "first" else [n - 1, n - 2, n - 3]
        if at == "wall":  # the parabola through three points, at half a spacing outside
            h = abs(float(x[1] - x[0]))
            return points, [2 / h, -3 / h, 1 / h] if slope else [15 / 8, -5 / 4, 3 / 8]
        if not slope:
            return points[:1], [1.0]
        taps = stencil(x, None, 1, 2)
        sign = 1.0 if (end == "last") == (x[-1] > x[0]) else -1.0
        weights = dict(zip(taps.index[edge].tolist(), (sign * taps.weight[edge]).tolist(), strict=True))
        weights[edge] = -sum(w for i, w in weights.items() if i != edge)
        return list(weights), list(weights.values())

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """Values at the ends and minus those wanted, each of shape (B, 1, T, *S) with the ends along the axis."""
        found, wanted = [], []
        for end, (points, weights) in self.rows.items():
            row = sum(w * x.select(self.axis, i) for i, w in zip(points, weights, strict=True))
            found.append(row)
            wanted.append(-torch.as_tensor(self.values[end], dtype=x.dtype, device=x.device).expand_as(row))
        return {"boundary": (torch.stack(found, self.axis), torch.stack(wanted, self.axis))}


class Initial(Residual):
    """Component "initial": the first frame minus given fields.

    Arguments:
        grid: axes.
        fields: names of the channels.
        start: initial fields, with shape (B or 1, C, *S).
    """

    def __init__(self, grid: Grid, fields: tuple[str, ...], start: Tensor):
        self.grid, self.fields, self.start = grid, tuple(fields), start

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """The first frame and minus the given fields, each of shape (B, C, 1, *S)."""
        return {"initial": (x[:, :, :1], -self.start.to(x).unsqueeze(2).expand_as(x[:, :, :1]))}


class Mass(Residual):
    """Component "mass": the mean of fields in each frame after the first, minus that in the first.

    Arguments:
        grid: axes.
        fields: the conserved channels.
        volumes: of the cells, broadcasting to (*S); by default equal. On a sphere cos(latitude).
    """

    def __init__(self, grid: Grid, fields: tuple[str, ...], volumes: Tensor | None = None):
        self.grid, self.fields = grid, tuple(fields)
        self.volumes = torch.ones(grid.sizes, dtype=torch.float64) if volumes is None else volumes.expand(grid.sizes)

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """Means of later frames and minus that of the first, each of shape (B, C, T - 1, 1, ...) with axes of one."""
        axes = tuple(range(3, x.ndim))
        share = (self.volumes / self.volumes.sum()).to(x)
        mean = (x * share).sum(axes, keepdim=True)
        return {"mass": (mean[:, :, 1:], -mean[:, :, :1].expand_as(mean[:, :, 1:]))}
