"""Burgers on cells. Truths: entropy solutions of one jump, Cole-Hopf, the travelling wave, conservation, bounds."""

import math

import numpy as np
import pytest
import torch
from physics.closed_forms_conservation import burgers_riemann_means, centres, periodic_cells, travelling_wave
from physics.cole_hopf import cole_hopf

from sciml_diffusion.physics.finite_volume.burgers import FiniteVolumeBurgers, godunov_flux
from sciml_diffusion.physics.grid import Grid


def slope(counts, errors) -> float:
    """Observed order."""
    return -np.polyfit(np.log(counts), np.log(errors), 1)[0]


def cole_hopf_means(count: int, nu: float, time: float) -> torch.Tensor:
    """Cell means of an exact periodic solution at times 0 and `time`, by 16 trapezoids in each; shape (2, 1, X)."""
    amplitudes, times = torch.tensor([0.8, 0.3, -0.1], dtype=torch.float64), torch.tensor([0.0, time])
    fine = cole_hopf(amplitudes, 0.2, nu, times, 16 * count, refine=1)
    return (0.5 * (fine + fine.roll(-1, -1))).reshape(2, 1, count, 16).mean(-1)


@pytest.mark.parametrize("left,right", [(1.0, 0.2), (1.0, -1.0), (-0.3, 0.8), (-0.6, -0.1)])
def test_one_jump_becomes_the_entropy_solution(left, right):
    """Shocks at the right speed, or standing; fans, also through u = 0. Mean error: a cell of a shock, a corner of a
    fan; 1 % of the jump at 100 cells."""
    grid, edges = Grid.cells((100,), (1.0,)), torch.linspace(0, 1, 101, dtype=torch.float64)
    u0 = (right + (left - right) * (centres(grid) < 0.5).to(torch.float64))[None, None]
    u = FiniteVolumeBurgers(grid, boundary="outflow").solve(u0, 0.4, 5)[0, 0]
    exact = burgers_riemann_means(edges, 0.4, 0.5, left, right)
    assert (u[-1] - exact).abs().mean() < 0.01 * abs(left - right)
    assert u.min() >= min(left, right) - 1e-13 and u.max() <= max(left, right) + 1e-13


def test_the_flux_is_consistent_and_monotone():
    u = torch.linspace(-2, 2, 41, dtype=torch.float64)
    assert torch.equal(godunov_flux(u, u), 0.5 * u**2)
    table = godunov_flux(u[:, None], u[None])
    assert (table.diff(dim=0) >= 0).all() and (table.diff(dim=1) <= 0).all()


def test_inviscid_solution_before_the_shock_has_order_two():
    """u = u_0(x - u t) by fixed-point iteration, means of 8 midpoints; slope over three grids, 0.2 for cut crests."""
    counts, errors, time = [64, 128, 256], [], 0.08  # the shock forms at 1 / (2 pi) = 0.16
    for count in counts:
        x = (torch.arange(8 * count, dtype=torch.float64) + 0.5) / (8 * count)
        u = (2 * math.pi * x).sin()
        start = u.reshape(count, 8).mean(1)
        for _ in range(200):
            u = (2 * math.pi * (x - u * time)).sin()
        found = FiniteVolumeBurgers(periodic_cells(count)).solve(start[None, None], time, 2)[0, 0, -1]
        errors.append((found - u.reshape(count, 8).mean(1)).abs().mean().item())
    assert abs(slope(counts, errors) - 2) < 0.2, errors


def test_viscous_solution_follows_cole_hopf_with_order_two():
    counts, errors = [64, 128, 256], []
    for count in counts:
        start, end = cole_hopf_means(count, 0.02, 0.5)
        found = FiniteVolumeBurgers(periodic_cells(count), 0.02).solve(start[None], 0.5, 2)[0, 0, -1]
        errors.append((found - end[0]).abs().mean().item())
    assert abs(slope(counts, errors) - 2) < 0.2, errors  # slopes are cut at the crests
    assert errors[-1] < 1e-4


def test_much_viscosity_costs_no_steps():
    """nu = 4 / pi (PDEBench's largest) on 128 cells: explicit steps would be 3e-5; steps of 2.5e-3 err by 1e-4."""
    start, end = cole_hopf_means(128, 4 / math.pi, 0.08)
    solver = FiniteVolumeBurgers(periodic_cells(128), 4 / math.pi)
    assert (solver.solve(start[None], 0.08, 2, substeps=32)[0, 0, -1] - end[0]).abs().max() < 1e-4


@pytest.mark.parametrize("boundary", ["outflow", "dirichlet"])
def test_travelling_wave_with_order_two(boundary):
    """The tanh profile moves at its mean speed; its tails are flat at the ends to 1e-6. Means by Simpson's rule."""
    nu, left, right, time, counts, errors = 0.03, 1.2, 0.2, 0.3, [100, 200, 400], []
    for count in counts:
        grid = Grid.cells((count,), (2.0,))
        x = centres(grid)
        parts = [(x + shift / count, weight) for shift, weight in ((-1, 1 / 6), (0, 2 / 3), (1, 1 / 6))]
        start, end = (sum(w * travelling_wave(p, t, nu, left, right, 0.9) for p, w in parts) for t in (0.0, time))
        solver = FiniteVolumeBurgers(grid, nu, boundary, (left, right))
        errors.append((solver.solve(start[None, None], time, 2)[0, 0, -1] - end).abs().mean().item())
    assert abs(slope(counts, errors) - 2) < 0.2, errors
    assert errors[-1] < 1e-3


def test_ends_that_hold_values_reach_the_steady_layer():
    """u u_x = nu u_xx between u = 0 at x = 0 and u = -1 at 1: u = -c tanh(c x / (2 nu)); order 2 in the layer."""
    nu, errors, counts = 0.1, [], [20, 40, 80]
    c = 1.0
    for _ in range(100):
        c = 1 / math.tanh(c / (2 * nu))
    for count in counts:
        grid = Grid.cells((count,), (1.0,))
        solver = FiniteVolumeBurgers(grid, nu, "dirichlet", (0.0, -1.0))
        u = solver.solve(-centres(grid)[None, None], 6.0, 2)[0, 0, -1]
        errors.append((u + c * torch.tanh(c * centres(grid) / (2 * nu))).abs().mean().item())
    assert slope(counts, errors) > 1.6, errors  # the slope of the cell at each end is one-sided
    assert errors[-1] < 2e-3


def test_mean_is_kept_and_nothing_grows():
    """Periodic: mean to rounding; maxima fall and the total variation does not grow, with and without viscosity."""
    x = centres(periodic_cells(64))
    u0 = (0.3 + (2 * math.pi * x).sin() + 0.5 * (6 * math.pi * x + 1).cos()).repeat(2, 1, 1)
    u = FiniteVolumeBurgers(periodic_cells(64), torch.tensor([0.0, 0.01])).solve(u0, 1.0, 11)
    assert (u.mean(-1) - u0.mean(-1, keepdim=True)).abs().max() < 1e-14
    assert ((u - u.roll(1, -1)).abs().sum(-1).diff(dim=2) < 1e-12).all()
    assert (u.amax(-1).diff(dim=2) < 1e-12).all() and (u.amin(-1).diff(dim=2) > -1e-12).all()


def test_rate_is_the_derivative_of_the_solution():
    """(u(dt) - u(0)) / dt tends to rhs(u) with dt, for each boundary: 1e-3 at dt = 1e-7 dx."""
    for grid, options in (
        (periodic_cells(16), {}),
        (Grid.cells((16,), (1.0,)), {"boundary": "outflow"}),
        (Grid.cells((16,), (1.0,)), {"boundary": "dirichlet", "values": (0.5, -0.4)}),
    ):
        solver, u = FiniteVolumeBurgers(grid, 0.05, **options), (7 * centres(grid)).cos()[None, None]
        after = solver.solve(u, 1e-8, 2)[:, :, -1]
        assert ((after - u) / 1e-8 - solver.rhs(u)).abs().max() < 1e-3


def test_gradients_agree_with_finite_differences():
    """By initial values and viscosity, on a steepening wave; a central difference of 1e-6 errs by about 1e-8."""
    grid = periodic_cells(24)
    u0 = (torch.exp(torch.sin(2 * torch.pi * (centres(grid) - 0.11))))[None, None]
    weight, direction = (9 * centres(grid)).cos(), (5 * centres(grid)).cos()[None, None]

    def value(u0, nu):
        return (weight * FiniteVolumeBurgers(grid, nu).solve(u0, 0.1, 3, 16)).sum()

    nu = torch.tensor([0.02], dtype=torch.float64)
    leaves = u0.clone().requires_grad_(), nu.clone().requires_grad_()
    by_u, by_nu = torch.autograd.grad(value(*leaves), leaves)
    for gradient, (du, dn) in (((by_u * direction).sum(), (1e-6 * direction, 0)), (by_nu.sum(), (0, 1e-6))):
        difference = (value(u0 + du, nu + dn) - value(u0 - du, nu - dn)) / 2e-6
        assert (gradient - difference).abs() < 1e-5 * difference.abs()
