"""Exact and balanced solutions of rotating shallow water on the places of the C-grid, for tests and benchmarks.

Waves are solutions of the linear equations over a flat bottom: with an amplitude of 1e-8 of the depth the nonlinear
terms are smaller than the rounding of the comparison.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sciml_diffusion.physics.grid import Grid

DIMS = ("y", "x")
SMALL = 1e-8


def channel(n: int, width: float = 1.0, length: float = 1.0, south: float = 0.0) -> Grid:
    """n cells along each axis, periodic in x, between walls at y = south and south + width."""
    y, x = (np.arange(n) + 0.5) / n * width + south, (np.arange(n) + 0.5) / n * length
    return Grid(DIMS, (y, x), (None, length))


def torus(n: int, length: float = 1.0) -> Grid:
    """n points along each of two periodic axes."""
    return Grid.periodic((n, n), (length, length), DIMS)


def on_places(grid: Grid, fields: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """(h, u, v) as functions of (y, x), each taken at its own places: shape (1, 3, Y, X)."""
    y, x = (torch.as_tensor(c, dtype=torch.float64) for c in grid.coordinates)
    dy, dx = grid.spacings
    centre = fields(y[:, None], x)[0]
    west = fields(y[:, None], x - dx / 2)[1]
    south = fields(y[:, None] - dy / 2, x)[2]
    full = [torch.as_tensor(a).expand(grid.sizes) for a in (centre, west, south)]
    return torch.stack(full)[None]


def poincare_wave(time: float, depth: float, gravity: float, f0: float, k: float, l: float):  # noqa: E741
    """Fields of an inertia-gravity wave: eta = a cos(k x + l y - omega t), omega^2 = f^2 + g H (k^2 + l^2)."""
    omega = math.sqrt(f0**2 + gravity * depth * (k**2 + l**2))
    a, scale = SMALL * depth, gravity * SMALL * depth / (omega**2 - f0**2)

    def fields(y, x):
        phase = k * x + l * y - omega * time
        cos, sin = phase.cos(), phase.sin()
        return depth + a * cos, scale * (omega * k * cos - f0 * l * sin), scale * (omega * l * cos + f0 * k * sin)

    return fields


def kelvin_wave(time: float, depth: float, gravity: float, f0: float, beta: float, k: float):
    """Fields of a Kelvin wave: eta = a exp(-(f0 y + beta y^2 / 2) / c) cos k (x - c t), u = g eta / c, v = 0.

    c^2 = g H. With beta = 0 it leans on the wall at y = 0; with f0 = 0 it is centred on the equator.
    """
    c = math.sqrt(gravity * depth)

    def fields(y, x):
        eta = SMALL * depth * (-(f0 * y + beta * y**2 / 2) / c).exp() * (k * (x - c * time)).cos()
        return depth + eta, gravity / c * eta, 0 * (y + x)

    return fields


def balanced_jet(depth: float, gravity: float, f0: float, beta: float, speed: float, width: float):
    """A steady jet u = U / cosh^2(y / L), h = H - int f u dy / g, v = 0, at y = 0; steady with all nonlinear terms.

    int sech^2(y / L) = L tanh(y / L); int y sech^2(y / L) = L y tanh(y / L) - L^2 log cosh(y / L).
    """

    def fields(y, x):
        z = y / width
        integral = f0 * width * z.tanh() + beta * width**2 * (z * z.tanh() - z.cosh().log())
        flat = 0 * (y + x)
        return depth - speed / gravity * integral + flat, speed / z.cosh() ** 2 + flat, flat

    return fields


def smooth_fields(y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fields on the unit channel with v = 0 and u_y = 0 on its walls, y = 0 and 1."""
    tau, pi = 2 * math.pi, math.pi
    h = 1 + 0.2 * (tau * x).cos() * (pi * y).cos() + 0.1 * (2 * tau * x + 1).sin()
    u = 0.3 + 0.5 * (tau * x).sin() * (pi * y).cos()
    v = 0.4 * (tau * x + 0.5).cos() * (pi * y).sin()
    return h, u, v


def smooth_bottom(y: Tensor, x: Tensor) -> Tensor:
    """A bottom for `smooth_fields`."""
    return 0.1 * (2 * math.pi * x).cos() * (2 * math.pi * y).cos()


def smooth_tendency(gravity: float, f0: float, beta: float, viscosity: float, drag: float):
    """(h_t, u_t, v_t) of `smooth_fields` over `smooth_bottom`, as functions of (y, x), by automatic derivatives."""

    def d(a, z):
        (slope,) = torch.autograd.grad(a.sum(), z, create_graph=True)
        return slope

    def tendency(y, x):
        y, x = (z.detach().clone().requires_grad_() for z in torch.broadcast_tensors(y, x))
        h, u, v = smooth_fields(y, x)
        f, bernoulli = f0 + beta * y, gravity * (h + smooth_bottom(y, x)) + (u**2 + v**2) / 2
        turn = d(v, x) - d(u, y) + f
        h_t = -d(h * u, x) - d(h * v, y)
        u_t = turn * v - d(bernoulli, x) + viscosity * (d(d(u, x), x) + d(d(u, y), y)) - drag * u
        v_t = -turn * u - d(bernoulli, y) + viscosity * (d(d(v, x), x) + d(d(v, y), y)) - drag * v
        return h_t.detach(), u_t.detach(), v_t.detach()

    return tendency
