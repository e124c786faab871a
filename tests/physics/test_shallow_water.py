"""Rotating shallow water. Truths: linear waves and balanced jets in closed form, invariants of the scheme."""

import math

import numpy as np
import pytest
import torch
from physics.closed_forms_shallow_water import (
    SMALL,
    balanced_jet,
    channel,
    kelvin_wave,
    on_places,
    poincare_wave,
    smooth_bottom,
    smooth_fields,
    smooth_tendency,
    torus,
)

from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.shallow_water import ShallowWater
from sciml_diffusion.physics.shallow_water_balanced import BalancedFields

TAU = 2 * math.pi


def order(resolutions: list[int], errors: list[float]) -> float:
    return -np.polyfit(np.log(resolutions), np.log(errors), 1)[0]


def bottom(grid: Grid) -> torch.Tensor:
    y, x = (torch.as_tensor(c, dtype=torch.float64) for c in grid.coordinates)
    return smooth_bottom(y[:, None], x)


def rough(grid: Grid, batch: int = 1) -> torch.Tensor:
    """Noise around a layer at rest, v = 0 on the first row."""
    noise = torch.randn(batch, 3, *grid.sizes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise[:, 2, 0] = 0
    return torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)[:, None, None] + 0.1 * noise


def test_tendency_is_of_order_two():
    """All terms at once, in a channel over a bottom, against automatic derivatives; within 5 % of the order."""
    constants, resolutions, errors = (3.0, 2.0, 1.5, 0.05, 0.3), [16, 32, 64], []
    for n in resolutions:
        g, f0, beta, viscosity, drag = constants
        solver = ShallowWater(channel(n), g, f0, beta, bottom(channel(n)), viscosity, drag)
        exact = on_places(channel(n), smooth_tendency(*constants))
        exact[:, 2, 0] = 0  # on the wall
        difference = solver.rhs(on_places(channel(n), smooth_fields)) - exact
        errors.append(difference.abs().amax((0, 2, 3)))
    for errors_of_field in torch.stack(errors).T.tolist():
        assert 1.9 < order(resolutions, errors_of_field) < 2.1, errors_of_field


def test_inertia_gravity_waves_are_of_order_two():
    """A Poincare wave over a quarter of its period: the phase errs with h^2 (5 % of the order); time adds less."""
    depth, gravity, f0, k, l = 0.5, 2.0, 5.0, TAU, 2 * TAU  # noqa: E741
    duration = 0.5 * math.pi / math.sqrt(f0**2 + gravity * depth * (k**2 + l**2))
    resolutions, errors = [12, 24, 48], []
    for n in resolutions:
        solver = ShallowWater(torus(n), gravity, f0)
        start = on_places(torus(n), poincare_wave(0.0, depth, gravity, f0, k, l))
        exact = on_places(torus(n), poincare_wave(duration, depth, gravity, f0, k, l))
        errors.append((solver.solve(start, duration, 2)[:, :, -1] - exact).abs().max().item() / SMALL)
    assert 1.9 < order(resolutions, errors) < 2.1, errors


@pytest.mark.parametrize("f0,beta,south", [(4.0, 0.0, 0.0), (0.0, 20.0, -1.0)])
def test_kelvin_waves_are_of_order_two(f0, beta, south):
    """On a wall (f-plane) and on the equator (beta-plane): speed sqrt(g H), no cross flow; 8 % of the order, because
    the wave decays within 4 cells of the coarsest grid."""
    depth, gravity, duration, resolutions, errors = 0.5, 2.0, 0.5, [16, 32, 64], []
    for n in resolutions:
        grid = channel(n, 1.0 - 2 * south if south else 1.0, 1.0, south * 1.5 if south else 0.0)
        solver = ShallowWater(grid, gravity, f0, beta)
        start = on_places(grid, kelvin_wave(0.0, depth, gravity, f0, beta, TAU))
        exact = on_places(grid, kelvin_wave(duration, depth, gravity, f0, beta, TAU))
        errors.append((solver.solve(start, duration, 2)[:, :, -1] - exact).abs().max().item() / SMALL)
    assert 1.84 < order(resolutions, errors) < 2.16, errors


@pytest.mark.parametrize("beta", [0.0, 2.0])
def test_a_balanced_jet_stays(beta):
    """A nonlinear zonal jet is steady: what changes falls with h^2 (10 % of the order: the jet spans few cells)."""
    resolutions, errors = [16, 32, 64], []
    for n in resolutions:
        grid = channel(n, 1.0, 1.0, -0.5)
        solver = ShallowWater(grid, 1.0, 3.0, beta)
        start = on_places(grid, balanced_jet(1.0, 1.0, 3.0, beta, 0.2, 0.15))
        errors.append((solver.solve(start, 0.5, 2)[:, :, -1] - start).abs().max().item())
    assert 1.8 < order(resolutions, errors) < 2.2, errors
    assert errors[-1] < 1e-3


@pytest.mark.parametrize("grid,beta", [(torus(12), 0.0), (channel(12), 3.0)])
def test_tendency_keeps_mass_and_energy(grid, beta):
    """d/dt of the discrete mass and energy along the tendency is 0 for any fields, over any bottom; to rounding."""
    topography = 0.1 * torch.rand(12, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    solver, state = ShallowWater(grid, 2.0, 5.0, beta, topography), rough(grid).requires_grad_()
    tendency = solver.rhs(state).detach()
    (slope,) = torch.autograd.grad(solver.energy(state).sum(), state)
    assert (slope * tendency).sum().abs() < 1e-14 * (slope * tendency).abs().sum() + 1e-15
    assert tendency[:, 0].sum().abs() < 1e-13 * tendency[:, 0].abs().sum()
    viscous = ShallowWater(grid, 2.0, 5.0, beta, topography, drag=0.5)
    assert (slope * viscous.rhs(state).detach()).sum() < -1e-3


def test_invariants_over_time():
    """Mass to rounding; energy up to the time error, which falls with dt^5 at least; potential enstrophy within 2 %."""
    solver, drifts = ShallowWater(torus(32), 1.0, 5.0), []
    start = BalancedFields(solver, 1.0, 0.1, 0.1).draw(0, [0])
    for substeps in (24, 48):
        u = solver.solve(start, 2.0, 11, substeps)
        energy = torch.stack([solver.energy(u[:, :, n]) for n in (0, -1)])
        drifts.append((energy[1] / energy[0] - 1).abs().item())
    assert drifts[1] < drifts[0] / 25 and drifts[1] < 1e-8
    assert (solver.mass(u[:, :, -1]) / solver.mass(start) - 1).abs() < 1e-13
    assert (solver.enstrophy(u[:, :, -1]) / solver.enstrophy(start) - 1).abs() < 0.02


@pytest.mark.parametrize("grid", [torus(16), channel(16)])
def test_a_lake_at_rest_stays(grid):
    """h + b = constant, no flow: nothing moves over any bottom, up to the rounding of h + b; float32 as well."""
    topography = 0.5 * torch.rand(16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    solver = ShallowWater(grid, 9.81, 1.0, topography=topography, viscosity=0.01)
    lake = torch.stack([1 - topography, 0 * topography, 0 * topography])[None]
    for dtype, limit in ((torch.float64, 1e-13), (torch.float32, 1e-4)):
        u = solver.solve(lake.to(dtype), 1.0, 2)
        assert u.dtype == dtype and (u[:, :, -1] - lake).abs().max() < limit


def test_viscosity_and_drag_decay_as_they_should():
    """A shear u = sin(2 pi y) without rotation decays with exp(-(nu k^2 + r) t), k the wavenumber of the stencil."""
    nu, r, n = 0.01, 0.2, 16
    solver = ShallowWater(torus(n), 1.0, 0.0, viscosity=nu, drag=r)
    start = on_places(torus(n), lambda y, x: (1 + 0 * (y + x), (TAU * y).sin() + 0 * x, 0 * (y + x)))
    k2 = (2 * n * math.sin(math.pi / n)) ** 2
    end = solver.solve(start, 1.0, 2)[:, :, -1]
    assert (end[:, 1] - math.exp(-nu * k2 - r) * start[:, 1]).abs().max() < 1e-8  # time steps of order 4
    assert (end[:, 0] - 1).abs().max() < 1e-14


def test_axes_may_come_in_either_order():
    """(x, y) gives the transpose of (y, x), in a channel with beta; to rounding."""
    grid = channel(12)
    turned = Grid(("x", "y"), grid.coordinates[::-1], grid.periods[::-1])
    one, two = ShallowWater(grid, 1.0, 2.0, 1.0, bottom(grid)), ShallowWater(turned, 1.0, 2.0, 1.0, bottom(grid).T)
    u = rough(grid, 2)
    assert (two.rhs(u.mT).mT - one.rhs(u)).abs().max() < 1e-13
    assert two.step_limit(u.mT) == pytest.approx(one.step_limit(u), rel=1e-12)
    first, second = (BalancedFields(s, 1.0, 0.01, 0.2).draw(0, [1]) for s in (one, two))
    assert (first - second.mT).abs().max() < 1e-14


def test_parameters_per_sample_and_batches():
    """A sample with its own parameters solved alone equals itself within a batch; to rounding."""
    grid, u = channel(12), rough(channel(12), 3)
    f0, nu = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), torch.tensor([0.0, 0.01, 0.02], dtype=torch.float64)
    together = ShallowWater(grid, 1.0, f0, 0.5, viscosity=nu).solve(u, 0.1, 2, 20)
    alone = ShallowWater(grid, 1.0, 2.0, 0.5, viscosity=0.01).solve(u[1:2], 0.1, 2, 20)
    assert (together[1:2] - alone).abs().max() < 1e-14


def test_gradient_agrees_with_finite_differences():
    """In the initial fields and in f0 and nu, with recomputation; a central difference of 1e-5 errs by about 1e-8."""
    grid, generator = channel(8), torch.Generator().manual_seed(2)
    start = rough(grid).requires_grad_()
    f0, nu = (torch.tensor([value], dtype=torch.float64, requires_grad=True) for value in (2.0, 0.01))
    weight = torch.randn(1, 3, 3, 8, 8, generator=generator, dtype=torch.float64)
    directions = [torch.randn(a.shape, generator=generator, dtype=torch.float64) for a in (start, f0, nu)]
    directions[0][:, 2, 0] = 0

    def value(start, f0, nu):
        return (weight * ShallowWater(grid, 1.0, f0, 1.0, viscosity=nu).solve(start, 0.2, 3, 6)).sum()

    gradients = torch.autograd.grad(value(start, f0, nu), (start, f0, nu))
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
    with torch.no_grad():
        ahead, back = (
            value(*(a + s * d for a, d in zip((start, f0, nu), directions, strict=True))) for s in (1e-5, -1e-5)
        )
    assert (slope - (ahead - back) / 2e-5).abs() < 1e-6 * slope.abs()


@pytest.mark.parametrize("grid", [torus(24), channel(24)])
def test_balanced_fields(grid):
    """No discrete divergence of (u, v) where f is constant, geostrophic to O(h^2), keyed, of the asked variance; the
    standard deviation of 200 draws of about 30 independent patches has an error of 1 %, of which 5 are allowed."""
    solver = ShallowWater(grid, 2.0, 4.0)
    law = BalancedFields(solver, 1.0, 0.01, 0.15)
    fields = law.draw(3, range(200))
    h, u, v = fields.unbind(1)
    still = ShallowWater(grid, 2.0, 4.0).rhs(torch.stack([torch.ones_like(h), u, v], 1))[:, 0]
    assert still.abs().max() < 1e-13 / solver.dx
    assert ((h - 1).pow(2).mean().sqrt() / 0.01 - 1).abs() < 0.05
    assert (law.draw(3, [7]) - fields[7:8]).abs().max() < 1e-14
    tendency, scale = solver.rhs(fields), 4.0 * u.pow(2).mean().sqrt()
    assert tendency[:, 1:].pow(2).mean().sqrt() < 0.2 * scale  # of the Coriolis term: Rossby number and h^2
    if solver.channel:
        assert (v[:, 0] == 0).all()


def test_balanced_fields_start_a_solve_wherever_the_channel_lies():
    """v on the wall is 0 exactly, also where y does not begin at 0 and sin(q y) rounds."""
    solver = ShallowWater(channel(24, south=-0.3), 1.0, 4.0)
    start = BalancedFields(solver, 1.0, 0.01, 0.15).draw(3, [1])
    assert (start[:, 2, 0] == 0).all() and solver.solve(start, 0.01, 2).isfinite().all()


def test_the_initial_law_is_the_same_function_on_every_grid():
    """h at points that two grids share; to rounding."""
    coarse, fine = (BalancedFields(ShallowWater(channel(n), 1.0, 1.0), 1.0, 0.01, 0.2) for n in (8, 24))
    assert (coarse.draw(0, [0])[:, 0] - fine.draw(0, [0])[:, 0, 1::3, 1::3]).abs().max() < 1e-14


def test_errors_name_what_is_wrong():
    grid = channel(8)
    solver, u = ShallowWater(grid, 1.0, 1.0), rough(grid, 3)
    with pytest.raises(ValueError, match=r"stability limit .* use substeps >= \d+"):
        solver.solve(u, 10.0, 2, 1)
    u[1, 0, 2, 2] = -0.1
    with pytest.raises(ValueError, match=r"the layer of sample 1 has the thickness -0.1"):
        solver.solve(u, 0.1, 2)
    u[1, 0, 2, 2], u[2, 2, 0, 3] = 1.0, 0.2
    with pytest.raises(ValueError, match="v of the first row lies on a wall and must be 0; that of sample 2"):
        solver.solve(u, 0.1, 2)
    for arguments, message in (
        ({"gravity": 0.0}, "gravity must be > 0"),
        ({"viscosity": -1.0}, "viscosity must be >= 0"),
        ({"drag": torch.tensor([0.1, -0.1])}, "drag must be >= 0"),
        ({"topography": torch.zeros(4, 4)}, r"topography needs the shape \(8, 8\)"),
    ):
        with pytest.raises(ValueError, match=message):
            ShallowWater(grid, **arguments)
    with pytest.raises(ValueError, match="beta must be 0 where y is periodic"):
        ShallowWater(torus(8), 1.0, 1.0, 0.1)
    with pytest.raises(ValueError, match="x .periodic. and y"):
        ShallowWater(Grid.cells((8, 8), (1.0, 1.0), ("y", "x")))
    with pytest.raises(ValueError, match="increasing coordinates"):
        ShallowWater(Grid(("y", "x"), (np.arange(8.0)[::-1], np.arange(8.0)), (None, 8.0)))
    with pytest.raises(ValueError, match="vanishes nowhere"):
        BalancedFields(ShallowWater(channel(8, south=-0.5), 1.0, 0.0, 1.0), 1.0, 0.1, 0.1)
    with pytest.raises(ValueError, match="layer of sample 4 is not thicker"):
        BalancedFields(solver, 0.01, 1.0, 0.2).draw(0, [4])
