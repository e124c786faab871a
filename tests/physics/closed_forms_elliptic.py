"""Exact solutions of steady problems, for the tests and the accuracy benchmark."""

import math

import numpy as np
import torch
from torch import Tensor

from sciml_diffusion.physics.grid import Grid

DIMS = ("y", "x")
PI = math.pi


def grid_of(points: str, n: int, lengths: tuple[float, float] = (1.0, 1.0)) -> Grid:
    """n cells, n + 1 nodes, or n - 1 nodes inside, along each axis of a rectangle."""
    if points == "cells":
        return Grid.cells((n, n), lengths, DIMS)
    if points == "inside":
        return Grid(DIMS, tuple(np.arange(1, n) * (length / n) for length in lengths), (None, None))
    return Grid.nodes((n + 1, n + 1), lengths, DIMS)


def mesh(grid: Grid) -> tuple[Tensor, ...]:
    """Coordinates of all points, each with the shape (*S) of the grid."""
    return torch.meshgrid(*(torch.from_numpy(np.asarray(c)) for c in grid.coordinates), indexing="ij")


def manufactured_darcy(grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
    """(a, f, u), each (1, 1, Y, X): a = 1 + sin(2 pi x) cos(pi y) / 2, u = sin(pi x) sin(2 pi y), unit square."""
    y, x = mesh(grid)
    a = 1 + 0.5 * (2 * PI * x).sin() * (PI * y).cos()
    a_x = PI * (2 * PI * x).cos() * (PI * y).cos()
    a_y = -0.5 * PI * (2 * PI * x).sin() * (PI * y).sin()
    u = (PI * x).sin() * (2 * PI * y).sin()
    u_x = PI * (PI * x).cos() * (2 * PI * y).sin()
    u_y = 2 * PI * (PI * x).sin() * (2 * PI * y).cos()
    f = -(a_x * u_x + a_y * u_y - 5 * PI**2 * a * u)
    return a[None, None], f[None, None], u[None, None]


def layered_darcy(a: Tensor, at: int) -> Tensor:
    """u at the centres of n layers on (0, 1), u = 0 at both ends, a unit source at the centre of layer `at`; (n,).

    The flux is constant on both sides of the source, so u is proportional to the resistance int dx / a from the wall.
    """
    h = 1 / len(a)
    resistance = (h / a).cumsum(0) - h / (2 * a)  # from the left wall to each centre
    total = (h / a).sum()
    peak = 1 / (1 / resistance[at] + 1 / (total - resistance[at]))
    left, right = resistance / resistance[at], (total - resistance) / (total - resistance[at])
    return peak * torch.minimum(left, right)


def smooth_poisson(grid: Grid, k: float = 0.0) -> tuple[Tensor, Tensor]:
    """(f, u), each (1, 1, Y, X), of Lap u + k^2 u = f, u = 0 on the walls of the unit square,

    u = x (1 - x) sin(pi y) e^x.
    u is no eigenvector, so that order is measured on many modes.
    """
    y, x = mesh(grid)
    e, s = x.exp(), (PI * y).sin()
    u = x * (1 - x) * e * s
    u_xx = -x * (3 + x) * e * s
    return (u_xx - PI**2 * u + k**2 * u)[None, None], u[None, None]


def cosine_poisson(grid: Grid) -> tuple[Tensor, Tensor]:
    """(f, u), each (1, 1, Y, X), of Lap u = f with zero slope on the walls of the unit square, u = g(x) cos(pi y),

    g = x^2 (1 - x)^2, whose slope vanishes at both ends; the mean of f and u is 0.
    """
    y, x = mesh(grid)
    g, c = x**2 * (1 - x) ** 2, (PI * y).cos()
    return ((2 - 12 * x + 12 * x**2 - PI**2 * g) * c)[None, None], (g * c)[None, None]
