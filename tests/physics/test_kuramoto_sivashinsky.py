"""Kuramoto-Sivashinsky. Truths: growth rates, convergence to itself, conservation of the mean, known statistics."""

import math

import numpy as np
import pytest
import torch

from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.kuramoto_sivashinsky import KuramotoSivashinsky

F64 = torch.float64
LENGTH = 32 * math.pi
GRID = Grid.periodic((128,), (LENGTH,))


def start(points: int = 128) -> torch.Tensor:
    """cos(x / 16) (1 + sin(x / 16)), the initial state of Kassam & Trefethen (2005); shape (1, 1, X)."""
    x = LENGTH * torch.arange(points, dtype=F64) / points
    return ((x / 16).cos() * (1 + (x / 16).sin()))[None, None]


def test_order_four_in_time_at_time_five():
    """log error against log steps, beside 1280 steps; all errors are far above rounding, which is 1e-12."""
    solver, steps = KuramotoSivashinsky(GRID), [40, 80, 160, 320]
    exact = solver.solve(start(), 5.0, 2, 1280)[..., -1, :]
    errors = [(solver.solve(start(), 5.0, 2, n)[..., -1, :] - exact).abs().max().item() for n in steps]
    assert -4.2 < np.polyfit(np.log(steps), np.log(errors), 1)[0] < -3.8, errors
    assert errors[-1] < 1e-8


def test_small_waves_grow_at_the_linear_rate():
    """u = e cos kx grows by exp((k^2 - nu k^4) t); the product adds e^2 / 4 of the second harmonic only."""
    k, nu = 12 * 2 * math.pi / LENGTH, torch.tensor([1.0, 2.0], dtype=F64)
    x = LENGTH * torch.arange(128, dtype=F64) / 128
    u0 = 1e-9 * (k * x).cos().expand(2, 1, 128)
    end = KuramotoSivashinsky(GRID, nu).solve(u0, 2.0, 2)[:, 0, -1]
    expected = 1e-9 * ((k**2 - nu * k**4) * 2.0).exp()[:, None] * (k * x).cos()
    assert (end - expected).abs().max() < 1e-17


def test_mean_is_conserved_and_states_agree_on_a_finer_grid():
    """Mean to rounding; 128 and 192 points agree to what is left of the spectrum at n / 3."""
    coarse = KuramotoSivashinsky(GRID).solve(0.1 + start(), 5.0, 6, 40)
    fine = KuramotoSivashinsky(Grid.periodic((256,), (LENGTH,))).solve(0.1 + start(256), 5.0, 6, 40)
    assert (coarse.mean(-1) - 0.1).abs().max() < 1e-13
    assert (coarse - fine[..., ::2]).abs().max() < 1e-5


def test_statistics_of_the_attractor():
    """Root mean square of long runs: 1.3 for this length; max |u| stays below the bound of the step limit.

    The initial states mix waves: a single one would keep its period for ever and give 1.45.
    """
    x, phases = LENGTH * torch.arange(128, dtype=F64) / 128, torch.linspace(0, 7, 6, dtype=F64)[:, None]
    u0 = sum((2 * math.pi * m * x / LENGTH + m * m * phases).cos() for m in range(1, 9))[:, None] / 4
    u = KuramotoSivashinsky(GRID).solve(u0, 250.0, 251, 4)[:, :, 100:]
    assert 1.2 < u.square().mean().sqrt() < 1.4
    assert 2.0 < u.abs().max() < 4.0


def test_hyperviscosity_must_be_positive():
    with pytest.raises(ValueError, match="hyperviscosity nu must be > 0; got 0"):
        KuramotoSivashinsky(GRID, torch.tensor([1.0, 0.0]))
