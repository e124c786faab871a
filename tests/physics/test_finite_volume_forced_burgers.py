"""Burgers between walls with a control. Truths: Cole-Hopf (odd fields vanish at the walls), manufactured solutions."""

import math

import numpy as np
import pytest
import torch
from physics.closed_forms_forced import manufactured_burgers
from physics.cole_hopf import cole_hopf

from sciml_diffusion.physics.finite_volume.control_laws import ControlledBurgersLaw, control_times
from sciml_diffusion.physics.finite_volume.forced_burgers import ForcedBurgers, interior_grid
from sciml_diffusion.physics.grid import Grid


def nodes(points: int) -> torch.Tensor:
    return torch.from_numpy(interior_grid(points).coordinates[0])


def slope(counts, errors) -> float:
    """Observed order."""
    return -np.polyfit(np.log(counts), np.log(errors), 1)[0]


def test_order_two_against_cole_hopf():
    """In the maximum norm: no limiter, so 0.1."""
    counts, errors = [32, 64, 128], []
    for count in counts:
        amplitudes, times = torch.tensor([0.8, 0.3, -0.1], dtype=torch.float64), torch.tensor([0.0, 0.5])
        start, end = cole_hopf(amplitudes, 0.0, 0.05, times, count)[:, 1:]
        u = ForcedBurgers(interior_grid(count - 1), 0.05).solve(start[None, None], 0.5, 2)[0, 0, -1]
        errors.append((u - end).abs().max().item())
    assert abs(slope(counts, errors) - 2) < 0.1, errors


def test_order_two_against_a_manufactured_solution():
    """Controls are the forcing at the middle of their spells, which err by hold^2 as the scheme does by dx^2."""
    counts, errors, nu = [16, 32, 64], [], 0.03
    for count in counts:
        x, hold = nodes(count - 1), 1 / count
        middles = (torch.arange(count, dtype=torch.float64)[:, None] + 0.5) * hold
        control = manufactured_burgers(x, middles, nu)[1][None]
        start, end = (manufactured_burgers(x, torch.tensor(t), nu)[0] for t in (0.0, 1.0))
        u = ForcedBurgers(interior_grid(count - 1), nu, control, hold).solve(start[None, None], 1.0, count // 4 + 1)
        errors.append((u[0, 0, -1] - end).abs().max().item())
    assert abs(slope(counts, errors) - 2) < 0.15, errors
    assert errors[-1] < 5e-4


def test_steps_have_order_four():
    """On one grid, against 16 times the steps; slope of log error over log steps, 0.2 for the next term."""
    x, counts = nodes(31), [8, 16, 32]
    control = torch.stack([1 - x, 2 * x])[None]
    solver, start = ForcedBurgers(interior_grid(31), 0.05, control, 0.2), (math.pi * x).sin()[None, None]
    fine = solver.solve(start, 0.4, 3, 512)
    errors = [(solver.solve(start, 0.4, 3, count) - fine).abs().max().item() for count in counts]
    assert abs(slope(counts, errors) - 4) < 0.2, errors


def test_a_steady_forced_state_stays():
    """A control that balances a state holds it: what moves is the spatial error, 1e-3 at 64 nodes."""
    x, nu = nodes(63), 0.05
    u = x * (1 - x) * x.exp()
    force = u * (1 - x - x**2) * x.exp() + nu * (x**2 + 3 * x) * x.exp()
    later = ForcedBurgers(interior_grid(63), nu, force[None, None], 4.0).solve(u[None, None], 4.0, 3)[0, 0, -1]
    assert (later - u).abs().max() < 1e-3


def test_each_control_acts_in_its_own_spell_alone():
    """A control that is constant in space adds f hold to u, far from the walls (30 nodes)."""
    control = torch.tensor([1.0, 0.0, -1.0, 2.0], dtype=torch.float64)[None, :, None].repeat(1, 1, 63)
    solver = ForcedBurgers(interior_grid(63), 1e-4, control, 0.1)
    middle = solver.solve(torch.zeros(1, 1, 63, dtype=torch.float64), 0.4, 5)[0, 0, :, 31]
    expected = torch.tensor([0.0, 0.1, 0.1, 0.0, 0.2], dtype=torch.float64)
    assert (middle - expected).abs().max() < 1e-6  # what the walls send by then
    finer = solver.solve(torch.zeros(1, 1, 63, dtype=torch.float64), 0.4, 9)[0, 0, :, 31]
    coarser = solver.solve(torch.zeros(1, 1, 63, dtype=torch.float64), 0.4, 3)[0, 0, :, 31]
    assert (finer[::2] - expected).abs().max() < 1e-6
    assert (coarser - expected[::2]).abs().max() < 1e-6


def test_energy_is_kept_by_the_flux_and_lost_to_viscosity():
    """<u, advection(u)> = 0 to rounding; without a control the energy falls."""
    u = torch.randn(3, 1, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    solver = ForcedBurgers(interior_grid(40), 0.02)
    assert (u * solver.advection(u)).sum(-1).abs().max() < 1e-12
    assert ((solver.solve(u, 0.5, 6) ** 2).sum(-1).diff(dim=2) < 0).all()


def test_the_law_on_finer_grids_tends_to_one_solution():
    """WDNO's law and times, shortened to 10 controls: errors against the finest grid fall by about 4."""
    law, samples = ControlledBurgersLaw(), range(3)
    initial, control = law.coefficients(0, samples)
    found = {}
    for factor in (1, 2, 8):
        grid = interior_grid(121 * factor - 1)
        x = torch.from_numpy(grid.coordinates[0])
        solver = ForcedBurgers(grid, 0.01, law.control(control, x, control_times(80))[:, :10], 0.1)
        found[factor] = solver.solve(law.initial(initial, x)[:, None], 1.0, 11)[..., factor - 1 :: factor]
        assert found[factor].shape == (3, 1, 11, 120)
    coarse, fine = (((found[f] - found[8]) ** 2).mean().sqrt().item() for f in (1, 2))
    assert fine < 2e-3 and 3 < coarse / fine < 6  # (64 - 1) / (16 - 1) = 4.2 for order 2 with the reference at 8


def test_samples_do_not_depend_on_their_batch_nor_on_the_others_controls():
    law, x = ControlledBurgersLaw(), nodes(60)
    initial, control = law.coefficients(1, range(4))
    u0, f = law.initial(initial, x)[:, None], law.control(control, x, control_times(4))
    u0 = u0 * torch.tensor([0.2, 1.0, 3.0, 0.5])[:, None, None]
    together = ForcedBurgers(interior_grid(60), 0.02, f, 0.1).solve(u0, 0.4, 5)
    alone = ForcedBurgers(interior_grid(60), 0.02, f[2:3], 0.1).solve(u0[2:3], 0.4, 5)
    assert (together[2:3] - alone).abs().max() < 1e-13  # Fourier transforms of other batch sizes round differently


def test_gradients_agree_with_finite_differences():
    """By the control, the initial values and nu: the scheme is smooth; a central difference of 1e-5 errs by 1e-9."""
    x = nodes(24)
    start = (2 * math.pi * x).sin()[None, None]
    control = torch.randn(1, 3, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    nu = torch.tensor([0.05], dtype=torch.float64)

    def value(u0, control, nu):
        return (ForcedBurgers(interior_grid(24), nu, control, 0.1).solve(u0, 0.3, 4, 8)[:, :, -1] ** 2).sum()

    point = (start, control, nu)
    leaves = [p.clone().requires_grad_() for p in point]
    gradients = torch.autograd.grad(value(*leaves), leaves)
    for i, gradient in enumerate(gradients):
        direction = (1.7 * torch.arange(point[i].numel(), dtype=torch.float64)).cos().reshape(point[i].shape)
        plus, minus = ([p + sign * 1e-5 * direction if j == i else p for j, p in enumerate(point)] for sign in (1, -1))
        difference = (value(*plus) - value(*minus)) / 2e-5
        assert ((gradient * direction).sum() - difference).abs() < 1e-6 * difference.abs() + 1e-9


def test_rate_is_the_derivative_of_the_solution():
    """(u(dt) - u(0)) / dt tends to rhs(u), at the time of the first and of a later control."""
    x = nodes(24)
    control = torch.stack([x, 3 * x**2])[None]
    u = (5 * x).sin()[None, None]
    for k in (0, 1):
        solver = ForcedBurgers(interior_grid(24), 0.05, control[:, k:], 0.1)
        rate = (solver.solve(u, 1e-7, 2)[:, :, -1] - u) / 1e-7
        assert (rate - ForcedBurgers(interior_grid(24), 0.05, control, 0.1).rhs(u, 0.1 * k + 0.05)).abs().max() < 1e-3


def test_bad_input_is_refused():
    grid, f = interior_grid(20), torch.zeros(1, 8, 20)
    with pytest.raises(ValueError, match="8 controls held for 0.1 end before the last frame at 2"):
        ForcedBurgers(grid, 0.01, f, 0.1).solve(torch.zeros(1, 1, 20), 2.0, 21)
    with pytest.raises(ValueError, match="do not share their times"):
        ForcedBurgers(grid, 0.01, f, 0.1).solve(torch.zeros(1, 1, 20), 0.75, 6)
    with pytest.raises(ValueError, match="multiple of 2"):
        ForcedBurgers(grid, 0.01, f, 0.1).solve(torch.zeros(1, 1, 20), 0.8, 5, 3)
    with pytest.raises(ValueError, match=r"shape \(B, K, 20\); got \(8, 20\)"):
        ForcedBurgers(grid, 0.01, f[0])
    with pytest.raises(ValueError, match="nu > 0"):
        ForcedBurgers(grid, 0.0)
    with pytest.raises(ValueError, match="does not close"):
        ForcedBurgers(Grid.periodic((16,), (1.0,)))
    with pytest.raises(ValueError, match="above the stability limit"):
        ForcedBurgers(grid).solve(torch.ones(1, 1, 20, dtype=torch.float64), 1.0, 2, 1)
