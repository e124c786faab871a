"""Advection on cells. Truths: the shifted profile, its total variation and bounds, conservation, finite differences."""

import numpy as np
import pytest
import torch
from physics.closed_forms_conservation import centres, periodic_cells, ramp_means, sine_means

from sciml_diffusion.physics.finite_volume.advection import FiniteVolumeAdvection
from sciml_diffusion.physics.grid import Grid


def box(count: int) -> torch.Tensor:
    """Means of the indicator of (0.2, 0.5)."""
    edges = torch.linspace(0, 1, count + 1, dtype=torch.float64)
    return (ramp_means(edges, 0.2, 0.2, 0.0, 1.0) - ramp_means(edges, 0.5, 0.5, 0.0, 1.0))[None, None]


@pytest.mark.parametrize("limit", ["mc", "van_leer"])
def test_order_two_in_the_mean_over_one_period(limit):
    """Slope of log error over log cells; slopes are cut at the crests, so the order is reached from below (0.2)."""
    counts, errors = [32, 64, 128], []
    for count in counts:
        grid = periodic_cells(count)
        u0 = sine_means(centres(grid), 1 / count)[None, None]
        errors.append((FiniteVolumeAdvection(grid, 1.0, limit=limit).solve(u0, 1.0, 2)[:, :, -1] - u0).abs().mean())
    assert abs(-np.polyfit(np.log(counts), np.log(errors), 1)[0] - 2) < 0.2, errors


def test_each_sample_has_its_own_velocity():
    """Whole periods in either direction return the profile, half a one turns a sine round; error O(dx^2)."""
    grid = periodic_cells(128)
    u0 = sine_means(centres(grid), 1 / 128)[None, None].repeat(3, 1, 1)
    u = FiniteVolumeAdvection(grid, torch.tensor([-1.0, 0.5, 2.0])).solve(u0, 1.0, 2)[:, :, -1]
    assert (u - torch.tensor([1.0, -1.0, 1.0])[:, None, None] * u0).abs().mean() < 3e-3


@pytest.mark.parametrize("limit", ["mc", "van_leer", "minmod"])
def test_jumps_make_no_ripples(limit):
    """Total variation never grows and no value leaves [0, 1], at every frame; to rounding. Mass is kept to rounding."""
    u = FiniteVolumeAdvection(periodic_cells(64), torch.tensor([1.0, -0.7]), limit=limit).solve(
        box(64).repeat(2, 1, 1), 1.0, 21
    )
    variation = (u - u.roll(1, -1)).abs().sum(-1)
    assert (variation.diff(dim=2) < 1e-13).all()
    assert u.min() > -1e-14 and u.max() < 1 + 1e-14
    assert (u.mean(-1) - u[:, :, :1].mean(-1)).abs().max() < 1e-14


def test_a_box_returns_after_one_period():
    """Error in the mean falls with order 2/3 at jumps: 64 cells 0.04, 256 cells below 0.02."""
    errors = [
        (FiniteVolumeAdvection(periodic_cells(n), 1.0).solve(box(n), 1.0, 2)[:, :, -1] - box(n)).abs().mean().item()
        for n in (64, 256)
    ]
    assert errors[0] < 0.05 and errors[1] < errors[0] / 2


def test_values_at_the_inflow_enter_and_outflow_leaves():
    """u = 1 enters at the left and fills the line by L / beta. Zero gradient empties a line: nothing returns."""
    grid = Grid.cells((32,), (2.0,))
    zero = torch.zeros(1, 1, 32, dtype=torch.float64)
    full = FiniteVolumeAdvection(grid, 1.0, "dirichlet", (1.0, 5.0)).solve(zero, 3.0, 2)[:, :, -1]
    assert (full - 1).abs().max() < 1e-3  # what spreads behind the front decays with the distance
    bump = torch.exp(-((centres(grid) - 1) ** 2) / 0.02)[None, None]
    left = FiniteVolumeAdvection(grid, -1.0, "outflow").solve(bump, 3.0, 2)[:, :, -1]
    assert left.abs().max() < 1e-6


def test_gradients_agree_with_finite_differences():
    """By initial values and by velocity; away from kinks a central difference of 1e-6 errs by about 1e-8."""
    grid = periodic_cells(24)
    u0 = (torch.exp(torch.sin(2 * torch.pi * (centres(grid) - 0.11))))[None, None]
    weight = torch.linspace(-1, 1, 24, dtype=torch.float64) ** 3

    def value(u0, beta):
        return (weight * FiniteVolumeAdvection(grid, beta).solve(u0, 0.2, 3, 12)).sum()

    beta, direction = torch.tensor([0.7], dtype=torch.float64), (5 * centres(grid)).cos()[None, None]
    leaves = u0.clone().requires_grad_(), beta.clone().requires_grad_()
    by_u, by_beta = torch.autograd.grad(value(*leaves), leaves)
    for gradient, (du, db) in (((by_u * direction).sum(), (1e-6 * direction, 0)), (by_beta.sum(), (0, 1e-6))):
        difference = (value(u0 + du, beta + db) - value(u0 - du, beta - db)) / 2e-6
        assert (gradient - difference).abs() < 1e-5 * difference.abs()
