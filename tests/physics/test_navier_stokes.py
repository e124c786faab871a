"""Navier-Stokes in vorticity form. Truths: Taylor-Green, a manufactured flow, laminar Kolmogorov flow, budgets."""

import math

import numpy as np
import pytest
import torch
from physics.closed_forms_spectral import Manufactured, mesh, taylor_green, torus

from sciml_diffusion.physics.fourier import wavenumbers
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.navier_stokes import NavierStokes, fno_forcing, kolmogorov_forcing
from sciml_diffusion.physics.random_fields_torus import TorusRandomField

F64 = torch.float64
UNIT = Grid.periodic((32, 32), (1.0, 1.0), ("y", "x"))


def derivative(u, grid, dim):
    """Spectral derivative along one axis: a second way to the quantities that the solver forms from products."""
    k = wavenumbers(grid, odd=True)[grid.dims.index(dim)]
    return torch.fft.irfft2(1j * k * torch.fft.rfft2(u), s=grid.sizes)


def vorticity(seed=0, samples=1, grid=UNIT):
    field = TorusRandomField(modes=8)
    return 10 * field.evaluate(field.coefficients(seed, range(samples)), grid)[:, None]


@pytest.mark.parametrize("flow", [(0.0, 0.0), (0.7, -0.3)])
@pytest.mark.parametrize("dims", [("y", "x"), ("x", "y")])
def test_taylor_green_is_exact(flow, dims):
    """Advection vanishes and the rest is integrated exactly, also where a mean flow carries it; to rounding."""
    grid, nu = torus(24, dims), 0.05
    u = NavierStokes(grid, nu, mean_flow=flow).solve(taylor_green(grid, 0.0, nu), 1.0, 3)
    for frame, time in enumerate((0.0, 0.5, 1.0)):
        assert (u[:, :, frame] - taylor_green(grid, time, nu, 2, flow)).abs().max() < 1e-13


@pytest.mark.parametrize("dims", [("y", "x"), ("x", "y")])
def test_signs_of_the_velocity(dims):
    """Taylor-Green: psi = cos kx cos ky / k, u = psi_y, v = -psi_x, E = 1/4, Z = k^2 / 2."""
    grid, k = torus(24, dims), 2
    x, y = mesh(grid)
    solver, w = NavierStokes(grid, 0.1), taylor_green(grid, 0.0, 0.1, k)
    u, v = solver.velocity(w)[0]
    assert (u + (k * x).cos() * (k * y).sin()).abs().max() < 1e-14
    assert (v - (k * x).sin() * (k * y).cos()).abs().max() < 1e-14
    assert (solver.streamfunction(w)[0, 0] - (k * x).cos() * (k * y).cos() / k).abs().max() < 1e-14
    assert abs(float(solver.energy(w)) - 0.25) < 1e-14 and abs(float(solver.enstrophy(w)) - k**2 / 2) < 1e-14
    trajectory = solver.velocity(torch.stack([w, 2 * w], 2))
    assert trajectory.shape == (1, 2, 2, 24, 24) and torch.allclose(trajectory[:, :, 1], 2 * solver.velocity(w))


def test_velocity_has_no_divergence_and_the_right_curl():
    """u_x + v_y = 0 and v_x - u_y = w by spectral derivatives; to rounding."""
    grid = Grid.periodic((24, 32), (2.0, 1.0), ("y", "x"))
    solver = NavierStokes(grid, 0.1)
    w = solver.inverse(solver.transform(vorticity(grid=grid)))
    w = w - w.mean()  # a torus carries no mean vorticity
    u, v = solver.velocity(w).unbind(1)
    assert (derivative(u, grid, "x") + derivative(v, grid, "y")).abs().max() < 1e-12
    assert (derivative(v, grid, "x") - derivative(u, grid, "y") - w[:, 0]).abs().max() < 1e-11


def test_advection_is_that_of_the_equation():
    """rhs = -(u w_x + v w_y) of the resolved modes, on a rectangle; to rounding."""
    grid = Grid.periodic((24, 32), (2.0, 1.0), ("y", "x"))
    solver = NavierStokes(grid, 0.0)
    w = solver.inverse(solver.transform(vorticity(grid=grid)))
    u, v = solver.velocity(w).split(1, 1)
    product = -(u * derivative(w, grid, "x") + v * derivative(w, grid, "y"))
    expected = solver.inverse(solver.transform(product))
    assert (solver.rhs(w) - expected).abs().max() < 1e-12 * expected.abs().max()


def test_order_four_against_a_manufactured_flow():
    """log error against log steps; the force varies in time and every term is at work; space is exact."""
    grid, nu, drag, steps = torus(16), 0.02, 0.1, [10, 20, 40]
    truth = Manufactured(grid, nu, drag)
    solver = NavierStokes(grid, nu, truth.forcing, drag)
    errors = [
        (solver.solve(truth.vorticity(0.0), 1.0, 2, n)[:, :, -1] - truth.vorticity(1.0)).abs().max().item()
        for n in steps
    ]
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert -4.2 < slope < -3.8, errors
    assert (solver.rhs(truth.vorticity(0.3), 0.3) - _rate(truth, 0.3)).abs().max() < 1e-7  # error of the difference


def _rate(truth, time, h=1e-4):
    return (truth.vorticity(time + h) - truth.vorticity(time - h)) / (2 * h)


def test_laminar_kolmogorov_flow_stays():
    """w = -k cos(k y) / (nu k^2 + drag) is a fixed point; it is unstable, so rounding grows a little."""
    grid, nu, drag, k = torus(32), 0.05, 0.1, 4
    _, y = mesh(grid)
    w = (-k * (k * y).cos() / (nu * k**2 + drag))[None, None]
    solver = NavierStokes(grid, nu, kolmogorov_forcing(grid, k), drag)
    assert (solver.solve(w, 2.0, 3) - w[:, :, None]).abs().max() < 1e-10


def test_forcings_are_those_of_the_literature():
    """f = 0.1 (sin + cos)(2 pi (x + y)) on the unit torus; f = -4 cos(4 y) on [0, 2 pi)^2, for either order of axes."""
    x, y = mesh(UNIT)
    expected = 0.1 * ((2 * math.pi * (x + y)).sin() + (2 * math.pi * (x + y)).cos())
    assert (fno_forcing(UNIT) - expected).abs().max() < 1e-14
    for dims in (("x", "y"), ("y", "x")):
        grid = torus(16, dims)
        assert (kolmogorov_forcing(grid) + 4 * (4 * mesh(grid)[1]).cos()).abs().max() < 1e-13


def test_budgets_close():
    """dE/dt and dZ/dt of a solution, by central differences in time, against dissipation, drag and work.

    A difference of 2e-3 errs by h^2 / 6 of the third derivative: five digits.
    """
    solver = NavierStokes(UNIT, 0.002, fno_forcing(UNIT), 0.1)
    u = solver.solve(vorticity(samples=2), 0.2, 101, 1)
    middle = u[:, :, 50]
    energy, enstrophy = solver.budget(middle)
    for value, rate in ((solver.energy(u), energy), (solver.enstrophy(u), enstrophy)):
        measured = (value[:, 51] - value[:, 49]) / 0.004
        assert ((measured - rate) / rate).abs().max() < 1e-5


def test_advection_alone_moves_no_energy_and_no_enstrophy():
    """nu = drag = f = 0: <psi w_t> = <w w_t> = 0 on the dealiased modes; relative to the size of w_t, to rounding."""
    solver = NavierStokes(UNIT, 0.0)
    w = solver.inverse(
        solver.transform(torch.randn(2, 1, 32, 32, dtype=F64, generator=torch.Generator().manual_seed(0)))
    )
    rate, psi = solver.rhs(w), solver.streamfunction(w)
    for test in (psi, w):
        assert (test * rate).mean().abs() < 1e-14 * (test.abs() * rate.abs()).mean()


def test_a_finer_grid_changes_nothing_once_resolved():
    """The same function on 32 and 64 points; the spectrum at n / 3 of the coarse grid sets 1e-6."""
    field = TorusRandomField(modes=8)
    c, ends = field.coefficients(0, [0]), []
    for n in (32, 64):
        grid = Grid.periodic((n, n), (1.0, 1.0), ("y", "x"))
        u = NavierStokes(grid, 0.01, fno_forcing(grid)).solve(field.evaluate(c, grid)[:, None], 0.5, 2, 50)
        ends.append(u[0, 0, -1, :: n // 32, :: n // 32])
    assert (ends[0] - ends[1]).abs().max() < 1e-6


def test_the_public_recipe_is_of_order_one_with_the_same_limit():
    """ "cn-fe" against ETDRK4: the error halves with the step."""
    w, steps = vorticity(), [50, 100, 200]
    arguments = UNIT, 0.05, fno_forcing(UNIT)
    exact = NavierStokes(*arguments).solve(w, 0.2, 2, 50)
    recipe = NavierStokes(*arguments, scheme="cn-fe")
    errors = [(recipe.solve(w, 0.2, 2, n) - exact).abs().max().item() for n in steps]
    assert -1.1 < np.polyfit(np.log(steps), np.log(errors), 1)[0] < -0.9


def test_the_second_order_scheme_has_order_two_and_its_own_limit():
    """ "etdrk2" against ETDRK4: errors fall as the square of the step; with little viscosity its limit is lower."""
    w, steps = vorticity(), [30, 60, 120]
    arguments = UNIT, 0.01, fno_forcing(UNIT)
    exact, solver = NavierStokes(*arguments).solve(w, 1.0, 2, 240), NavierStokes(*arguments, scheme="etdrk2")
    errors = [(solver.solve(w, 1.0, 2, n) - exact).abs().max().item() for n in steps]
    assert -2.15 < np.polyfit(np.log(steps), np.log(errors), 1)[0] < -1.85
    thin = NavierStokes(UNIT, 1e-4, scheme="etdrk2")
    assert thin.step_limit(w) < NavierStokes(UNIT, 1e-4).step_limit(w)


def test_the_public_recipe_needs_viscosity():
    """Forward Euler on advection is damped up to 2 nu / max |u|^2: the limit that the error names."""
    solver = NavierStokes(UNIT, 1e-4, scheme="cn-fe")
    w = vorticity()
    speed = solver.velocity(w).square().sum(1).max().item()
    assert solver.step_limit(w) == pytest.approx(2e-4 / speed)
    with pytest.raises(ValueError, match="stability limit"):
        solver.solve(w, 1.0, 2, 1)


def test_a_flow_from_rest_takes_steps_that_its_force_allows():
    """With w = 0 the force sets the limit. The flow is laminar, w = f (1 - e^{-nu k^2 t}) / (nu k^2) with k = 1."""
    grid, nu = torus(16), 0.5
    force = kolmogorov_forcing(grid, 1)
    solver = NavierStokes(grid, nu, force)
    u = solver.solve(torch.zeros(1, 1, 16, 16, dtype=F64), 2.0, 2)
    assert solver.step_limit(u[:, :, 0]) < 1
    assert (u[0, 0, -1] - force * (1 - math.exp(-2 * nu)) / nu).abs().max() < 1e-12


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="axes x and y"):
        NavierStokes(Grid.periodic((8, 8), (1.0, 1.0), ("x", "z")), 0.1)
    with pytest.raises(ValueError, match="scheme must be one of"):
        NavierStokes(UNIT, 0.1, scheme="euler")
    with pytest.raises(ValueError, match="nu must be >= 0"):
        NavierStokes(UNIT, -0.1)
    with pytest.raises(ValueError, match="another parameter has 2"):
        NavierStokes(UNIT, torch.ones(2), drag=torch.ones(3))
    with pytest.raises(ValueError, match="periodic"):
        NavierStokes(Grid.cells((8, 8), (1.0, 1.0)), 0.1)
