"""Exact advection. Truth: shifted functions, in one and two dimensions."""

import math

import pytest
import torch

from sciml_diffusion.physics.advection import Advection
from sciml_diffusion.physics.grid import Grid

F64 = torch.float64
LINE = Grid.periodic((64,), (2.0,))
X = torch.from_numpy(LINE.coordinates[0])


def bump(x: torch.Tensor) -> torch.Tensor:
    """A smooth function of period 2 whose modes fall below rounding before n / 2."""
    return torch.exp(2 * (math.pi * x).cos()) + 0.3 * (3 * math.pi * x).sin()


@pytest.mark.parametrize("steps", [1, 7])
def test_one_axis_is_a_shift_with_a_speed_for_each_sample(steps):
    """u(x, t) = u_0(x - c t), whatever the step; to rounding."""
    c = torch.tensor([0.4, -1.7], dtype=F64)
    u = Advection(LINE, c).solve(bump(X).expand(2, 1, 64), 3.0, 4, steps)
    for frame in range(4):
        assert (u[:, 0, frame] - bump(X - c[:, None] * frame)).abs().max() < 1e-13


def test_two_axes():
    """f(x - a t, y - b t) with axes in the order (y, x), a number for one and values per sample for the other."""
    grid = Grid.periodic((24, 32), (1.0, 2.0), ("y", "x"))
    y, x = torch.meshgrid(*map(torch.from_numpy, grid.coordinates), indexing="ij")
    a, b = torch.tensor([0.5, 0.9], dtype=F64), -0.3

    def f(x, y):
        return (2 * math.pi * y).cos() * (math.pi * x).sin() + (2 * math.pi * (x + 2 * y)).cos()

    u = Advection(grid, (b, a)).solve(f(x, y).expand(2, 1, 24, 32), 1.0, 2)
    assert (u[:, 0, -1] - f(x - a[:, None, None], y - b)).abs().max() < 1e-13


def test_rate_of_change_is_the_slope():
    """rhs = -c u_x of exp(2 cos pi x) + 0.3 sin 3 pi x; to rounding."""
    slope = -2 * math.pi * (math.pi * X).sin() * torch.exp(2 * (math.pi * X).cos())
    slope = slope + 0.9 * math.pi * (3 * math.pi * X).cos()
    assert (Advection(LINE, 0.7).rhs(bump(X)[None, None])[0, 0] + 0.7 * slope).abs().max() < 1e-11


def test_the_mode_without_direction_stays():
    """(-1)^j has no travelling partner on the grid: it neither moves nor fades."""
    u0 = torch.tensor([1.0, -1.0], dtype=F64).repeat(32)[None, None]
    u = Advection(LINE, 0.3).solve(u0, 1.0, 2, 5)
    assert (u[:, :, -1] - u0).abs().max() < 1e-13


def test_speeds_are_checked():
    with pytest.raises(ValueError, match="for each of"):
        Advection(LINE, (1.0, 2.0))
    with pytest.raises(ValueError, match="got 3 initial fields"):
        Advection(LINE, torch.ones(2)).solve(torch.zeros(3, 1, 64), 1.0, 2)
    with pytest.raises(ValueError, match="periodic"):
        Advection(Grid.cells((8,), (1.0,)), 1.0)
