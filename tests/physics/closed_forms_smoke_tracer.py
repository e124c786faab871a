"""Exact flows and transports that smoke and tracers are checked against."""

import math

import torch
from torch import Tensor

from sciml_diffusion.physics.grid import Grid


def centres(grid: Grid) -> tuple[Tensor, ...]:
    """Coordinates of all cells, one tensor of shape (*S) for each axis, float64."""
    return torch.meshgrid(*(torch.from_numpy(c) for c in grid.coordinates), indexing="ij")


def taylor_green(grid: Grid, nu: float, time: float) -> Tensor:
    """(u_y, u_x) = (-cos x sin y, sin x cos y) e^{-2 nu t} in a box of edge pi with slipping walls: shape (1, 2, Y, X).

    The nonlinear term is a gradient, so only viscosity changes the flow.
    """
    y, x = centres(grid)
    return math.exp(-2 * nu * time) * torch.stack([-x.cos() * y.sin(), x.sin() * y.cos()])[None]


def gaussian_means(grid: Grid, centre: tuple[float, ...], width: float) -> Tensor:
    """Cell means of prod_i N(x_i; centre_i, width^2), periodic images included: shape (1, *S)."""
    total = torch.ones((), dtype=torch.float64)
    for axis, (c, middle) in enumerate(zip(grid.coordinates, centre, strict=True)):
        h, period = grid.spacings[axis], grid.periods[axis]
        x, one = torch.from_numpy(c), 0.0
        for image in (-2, -1, 0, 1, 2) if period is not None else (0,):
            z = (x - middle + image * (period or 0.0)) / (math.sqrt(2) * width)
            half = h / (2 * math.sqrt(2) * width)
            one = one + (torch.erf(z + half) - torch.erf(z - half)) / (2 * h)
        total = total[..., None] * one
    return total[None]


def puff(grid: Grid, start: tuple[float, ...], wind: tuple[float, ...], width: float, k: float, time: float) -> Tensor:
    """Cell means of a unit puff after a time in a uniform wind with diffusivity k: shape (1, *S).

    c = N(x; start + wind t, width^2 + 2 k t).
    """
    moved = tuple(s + w * time for s, w in zip(start, wind, strict=True))
    return gaussian_means(grid, moved, math.sqrt(width**2 + 2 * k * time))


def rotation_faces(sizes: tuple[int, int], size: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Faces (v, u) of the rotation (u_y, u_x) = (x - L_x / 2, L_y / 2 - y): shapes (1, Y + 1, X), (1, Y, X + 1)."""
    (n_y, n_x), (l_y, l_x) = sizes, size
    y = (torch.arange(n_y, dtype=torch.float64) + 0.5) * (l_y / n_y)
    x = (torch.arange(n_x, dtype=torch.float64) + 0.5) * (l_x / n_x)
    return (x - l_x / 2).expand(1, n_y + 1, n_x).clone(), (l_y / 2 - y)[:, None].expand(1, n_y, n_x + 1).clone()


def observed_order(sizes: list[int], errors: list[float]) -> float:
    """Slope of log error against -log n."""
    n, e = torch.tensor(sizes, dtype=torch.float64).log(), torch.tensor(errors, dtype=torch.float64).log()
    return -float(((n - n.mean()) * (e - e.mean())).sum() / ((n - n.mean()) ** 2).sum())
