"""Exact solutions of scalar conservation laws and of smooth gas flow, as functions or as means over cells."""

import math

import torch
from torch import Tensor

from sciml_diffusion.physics.grid import Grid


def periodic_cells(count: int, length: float = 1.0) -> Grid:
    """Cell centres (j + 1/2) L / n on a periodic axis."""
    cells = Grid.cells((count,), (length,))
    return Grid(cells.dims, cells.coordinates, (length,))


def centres(grid: Grid) -> Tensor:
    """Coordinates of a grid's one axis, with shape (X,), float64."""
    return torch.from_numpy(grid.coordinates[0])


def sine_means(x: Tensor, width: float, waves: int = 1) -> Tensor:
    """Means of sin(2 pi m x) over cells of the given width around x, with the shape of x."""
    half = math.pi * waves * width
    return (2 * math.pi * waves * x).sin() * math.sin(half) / half


def ramp_means(edges: Tensor, lower: float, upper: float, left: float, right: float) -> Tensor:
    """Means over cells, shape (X,), of a line from `left` at `lower` to `right` at `upper`, constant beyond them."""

    def integral(x: Tensor) -> Tensor:
        inside = x.clamp(lower, upper) - lower
        slope = (right - left) / (upper - lower) if upper > lower else 0.0
        return left * x.clamp(max=lower) + left * inside + 0.5 * slope * inside**2 + right * (x - upper).clamp(min=0)

    return integral(edges).diff() / edges.diff()


def burgers_riemann_means(edges: Tensor, time: float, centre: float, left: float, right: float) -> Tensor:
    """Means over cells of the entropy solution of u_t + (u^2 / 2)_x = 0 from one jump: a shock, or a fan."""
    if left > right:
        place = centre + 0.5 * (left + right) * time
        return ramp_means(edges, place, place, left, right)
    return ramp_means(edges, centre + left * time, centre + right * time, left, right)


def travelling_wave(x: Tensor, time: float, nu: float, left: float, right: float, centre: float) -> Tensor:
    """u = c - (d/2) tanh(d (x - x_0 - c t) / (4 nu)), c = (u_l + u_r) / 2, d = u_l - u_r: solves viscous Burgers."""
    speed, jump = 0.5 * (left + right), left - right
    return speed - 0.5 * jump * torch.tanh(jump * (x - centre - speed * time) / (4 * nu))
