"""Exact solutions of periodic flow: Taylor-Green vortices at rest and carried, and a manufactured vorticity."""

import math

import torch
from torch import Tensor

from sciml_diffusion.physics.grid import Grid


def mesh(grid: Grid) -> tuple[Tensor, Tensor]:
    """x and y at the points of a grid, each with the shape (*S) of the grid, whatever the order of its axes."""
    axes = torch.meshgrid(*(torch.from_numpy(c).to(torch.float64) for c in grid.coordinates), indexing="ij")
    return axes[grid.dims.index("x")], axes[grid.dims.index("y")]


def torus(n: int, dims: tuple[str, str] = ("y", "x")) -> Grid:
    """n x n points on [0, 2 pi)^2."""
    return Grid.periodic((n, n), (2 * math.pi, 2 * math.pi), dims)


def taylor_green(grid: Grid, time: float, nu: float, k: int = 2, flow: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """w = 2 k cos k(x - U t) cos k(y - V t) exp(-2 nu k^2 t) on [0, 2 pi)^2: shape (1, 1, *S), float64."""
    x, y = mesh(grid)
    wave = (k * (x - flow[0] * time)).cos() * (k * (y - flow[1] * time)).cos()
    return (2 * k * math.exp(-2 * nu * k**2 * time) * wave)[None, None]


class Manufactured:
    """w = A (cos t sin x cos y + sin t sin(2x + y)) on [0, 2 pi)^2, with the force f that makes it a solution.

    psi = A (cos t sin x cos y / 2 + sin t sin(2x + y) / 5); the advection is the cross term of the two waves.

    Arguments:
        grid: of x and y.
        nu, drag: of the equation.
        amplitude: A.
    """

    def __init__(self, grid: Grid, nu: float, drag: float, amplitude: float = 3.0):
        x, y = mesh(grid)
        self.one, self.two = x.sin() * y.cos(), (2 * x + y).sin()
        self.cross = 0.3 * (2 * x + y).cos() * (-2 * x.sin() * y.sin() - x.cos() * y.cos())
        self.nu, self.drag, self.amplitude = nu, drag, amplitude

    def vorticity(self, time: float) -> Tensor:
        """w at a time: shape (1, 1, *S), float64."""
        return self.amplitude * (math.cos(time) * self.one + math.sin(time) * self.two)[None, None]

    def forcing(self, time: float) -> Tensor:
        """f = w_t + u . grad w - nu Lap w + drag w at a time: shape (*S), float64."""
        a, b, size = math.cos(time), math.sin(time), self.amplitude
        rate = -b * self.one + a * self.two
        decay = (2 * self.nu + self.drag) * a * self.one + (5 * self.nu + self.drag) * b * self.two
        return size * (rate + decay) + size**2 * a * b * self.cross
