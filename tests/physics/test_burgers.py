"""Burgers and ETDRK4. Truths: Cole-Hopf solutions, conservation laws of the equation, finite differences."""

import math

import numpy as np
import pytest
import torch
from physics.cole_hopf import cole_hopf

from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.physics.etdrk4 import ETDRK4, etdrk4_coefficients
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.random_fields import PeriodicRandomField

SINES = torch.tensor([0.8, 0.3, -0.1], dtype=torch.float64)


def grid(points: int, length: float = 1.0) -> Grid:
    return Grid.periodic((points,), (length,))


def positions(points: int) -> torch.Tensor:
    return torch.arange(points, dtype=torch.float64) / points


def initial(points: int, mean: float = 0.0) -> torch.Tensor:
    return cole_hopf(SINES, mean, 0.02, torch.zeros(1), points)


@pytest.mark.parametrize("mean", [0.0, 0.3])
def test_order_four_against_cole_hopf(mean):
    """log error against log steps has slope -4; 192 points leave a spatial error below 1e-11."""
    nu, duration, steps = 0.02, 0.5, [100, 200, 400]
    exact = cole_hopf(SINES, mean, nu, torch.tensor([duration]), 192)
    solver = ETDRK4(Burgers(grid(192), nu))
    errors = [(solver.trajectory(initial(192, mean), duration, 2, n)[:, -1] - exact).abs().max().item() for n in steps]
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert -4.3 < slope < -3.8, errors  # within 5 % of the order: the next term of the error is of order 5
    assert errors[-1] < 1e-8


def test_frames_are_the_exact_solution_at_equispaced_times():
    """Every frame, both ends included, follows Cole-Hopf; 1e-7 is the time error at this step."""
    nu, frames = 0.02, 9
    u = ETDRK4(Burgers(grid(128), nu)).trajectory(initial(128, 0.2), 0.8, frames, 40)
    exact = cole_hopf(SINES, 0.2, nu, torch.linspace(0, 0.8, frames, dtype=torch.float64), 128)
    assert u.shape == (1, frames, 128) and u.dtype == torch.float64
    assert torch.equal(u[:, 0], initial(128, 0.2))
    assert (u[0] - exact).abs().max() < 1e-7


def test_other_period_is_a_change_of_units():
    """x -> 3 x with nu -> 9 nu at fixed time leaves u / 3 unchanged; to rounding."""
    u0 = initial(64)
    one = ETDRK4(Burgers(grid(64), 0.05)).trajectory(u0, 0.2, 3, 20)
    three = ETDRK4(Burgers(grid(64, 3.0), 0.45)).trajectory(3 * u0, 0.2, 3, 20)
    assert (three / 3 - one).abs().max() < 1e-12


def test_mean_is_conserved_and_energy_decays():
    """int u is constant to rounding; d/dt int u^2 / 2 = -nu int u_x^2 < 0."""
    field = PeriodicRandomField()
    u0 = 0.4 + field.evaluate(field.coefficients(0, range(4)), positions(128))
    u = ETDRK4(Burgers(grid(128), 0.01)).trajectory(u0, 0.5, 11, 10)
    assert (u.mean(-1) - u0.mean(-1, keepdim=True)).abs().max() < 1e-13
    assert ((u**2).mean(-1).diff(dim=1) < 0).all()


def test_energy_rate_is_the_dissipation():
    """<u rhs(u)> = -nu <u_x^2>: advection moves no energy where the product is dealiased; to rounding."""
    u = initial(64)
    k = 2 * math.pi * torch.arange(33, dtype=torch.float64)
    slope = torch.fft.irfft(1j * k * torch.fft.rfft(u), n=64)
    rate = (u * Burgers(grid(64), 0.03).rhs(u)).mean()
    assert abs(rate + 0.03 * (slope**2).mean()) < 1e-13


def test_residual_floor_is_of_second_order_in_the_frame_step():
    """On exact frames the midpoint residual falls by 4 with each halving of dt; on wrong viscosity it does not."""
    nu, sizes = 0.02, []
    for frames in (41, 81, 161):
        u = cole_hopf(SINES, 0.1, nu, torch.linspace(0, 0.4, frames, dtype=torch.float64), 128)[None]
        sizes.append(Burgers(grid(128), nu).residual(u, 0.4 / (frames - 1)).pow(2).mean().sqrt().item())
    order = -np.polyfit(np.log([40, 80, 160]), np.log(sizes), 1)[0]
    assert 1.9 < order < 2.1
    wrong = Burgers(grid(128), 2 * nu).residual(u, 0.4 / 160).pow(2).mean().sqrt().item()
    assert wrong > 100 * sizes[-1]


def test_gradient_agrees_with_finite_differences():
    """Directional derivative of a weighted sum over the trajectory; a central difference of 1e-5 errs by about 1e-9."""
    generator = torch.Generator().manual_seed(0)
    solver, u0 = ETDRK4(Burgers(grid(32), 0.05)), initial(32).requires_grad_()
    weight = torch.randn(1, 5, 32, generator=generator, dtype=torch.float64)
    direction = torch.randn(1, 32, generator=generator, dtype=torch.float64)

    def value(u):
        return (weight * solver.trajectory(u, 0.3, 5, 8)).sum()

    (gradient,) = torch.autograd.grad(value(u0), u0)
    with torch.no_grad():
        difference = (value(u0 + 1e-5 * direction) - value(u0 - 1e-5 * direction)) / 2e-5
    assert ((gradient * direction).sum() - difference).abs() < 1e-7 * difference.abs()


def test_tangents_under_vmap_agree_with_reverse_mode():
    """jvp under vmap (the Jacobian of a Gauss-Newton step) against autograd's; to rounding."""
    solver, u0 = ETDRK4(Burgers(grid(16), 0.1)), initial(16)

    def last(u):
        return solver.trajectory(u, 0.2, 2, 8, check=False)[:, -1]

    tangents = torch.eye(16, dtype=torch.float64)[:, None]
    forward = torch.func.vmap(lambda t: torch.func.jvp(last, (u0,), (t,))[1])(tangents)[:, 0].T
    reverse = torch.autograd.functional.jacobian(last, u0)[0, :, 0]
    assert (forward - reverse).abs().max() < 1e-12


def test_samples_do_not_depend_on_their_batch():
    """A sample solved alone equals itself within a batch; to rounding."""
    field = PeriodicRandomField()
    u0 = field.evaluate(field.coefficients(1, range(3)), positions(64))
    solver = ETDRK4(Burgers(grid(64), 0.02))
    assert (solver.trajectory(u0, 0.3, 4, 5)[2:] - solver.trajectory(u0[2:], 0.3, 4, 5)).abs().max() < 1e-14


def test_coefficients_near_zero_are_the_runge_kutta_limits():
    """L = 0 gives RK4: Q = dt/2, f1 = f3 = dt/6, 2 f2 = dt/3. The contour is exact to 1e-14."""
    _, _, q, f1, f2, f3 = etdrk4_coefficients(torch.zeros(1, dtype=torch.float64), 0.1)
    expected = torch.tensor([0.05, 0.1 / 6, 0.1 / 6, 0.1 / 6], dtype=torch.float64)
    assert (torch.cat([q, f1, f2, f3]) - expected).abs().max() < 1e-14


def test_errors_name_the_limit_and_the_sample():
    solver = ETDRK4(Burgers(grid(128), 0.01))
    with pytest.raises(ValueError, match=r"stability limit .* use substeps >= (\d+)") as caught:
        solver.trajectory(initial(128), 1.0, 11, 1)
    needed = int(str(caught.value).split(">= ")[1].split()[0])
    assert solver.trajectory(initial(128), 1.0, 11, needed).isfinite().all()
    bad = initial(128).repeat(3, 1)
    bad[1, 5] = math.nan
    with pytest.raises(ValueError, match="sample 1 is not finite"):
        solver.trajectory(bad, 1.0, 11, 20)
    with pytest.raises(ValueError, match="frames >= 2"):
        solver.trajectory(initial(128), 1.0, 1, 1)


def test_grid_must_be_one_periodic_equispaced_axis():
    with pytest.raises(ValueError, match="periodic"):
        Burgers(Grid(("x",), (np.arange(8.0),), (None,)), 0.1)
    with pytest.raises(ValueError, match="end left out"):
        Burgers(Grid(("x",), (np.linspace(0, 1, 8),), (1.0,)), 0.1)
    with pytest.raises(ValueError, match="nu must be > 0"):
        Burgers(grid(8), 0.0)
    with pytest.raises(ValueError, match="expected frames"):
        Burgers(grid(8), 0.1).residual(torch.zeros(1, 1, 8), 0.1)
