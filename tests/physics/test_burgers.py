"""Burgers and ETDRK4. Truths: Cole-Hopf solutions, a travelling front, conservation laws, finite differences."""

import math

import numpy as np
import pytest
import torch
from physics.cole_hopf import cole_hopf

from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.physics.etdrk4 import etdrk4_coefficients
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.random_fields import PeriodicRandomField

F64 = torch.float64
SINES = torch.tensor([0.8, 0.3, -0.1], dtype=F64)


def grid(points: int, length: float = 1.0) -> Grid:
    return Grid.periodic((points,), (length,))


def positions(points: int) -> torch.Tensor:
    return torch.arange(points, dtype=F64) / points


def initial(points: int, mean: float = 0.0) -> torch.Tensor:
    return cole_hopf(SINES, mean, 0.02, torch.zeros(1), points)[None]


@pytest.mark.parametrize("mean", [0.0, 0.3])
def test_order_four_against_cole_hopf(mean):
    """log error against log steps has slope -4; 192 points leave a spatial error below 1e-11."""
    nu, duration, steps = 0.02, 0.5, [100, 200, 400]
    exact = cole_hopf(SINES, mean, nu, torch.tensor([duration]), 192)
    solver = Burgers(grid(192), nu)
    errors = [(solver.solve(initial(192, mean), duration, 2, n)[:, 0, -1] - exact).abs().max().item() for n in steps]
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert -4.3 < slope < -3.8, errors  # within 5 % of the order: the next term of the error is of order 5
    assert errors[-1] < 1e-8


def test_second_order_scheme_against_cole_hopf():
    """ "etdrk2" has order 2 up to its limit, at which it does not blow up."""
    sines, steps = torch.tensor([0.8, 0.3, -0.1], dtype=torch.float64), [100, 200, 400]
    exact = cole_hopf(sines, 0.0, 0.02, torch.tensor([0.0, 0.5]), 128)
    solver = Burgers(grid(128), 0.02, scheme="etdrk2")
    errors = [(solver.solve(exact[None, None, 0], 0.5, 2, n)[0, 0, -1] - exact[1]).abs().max().item() for n in steps]
    assert -2.15 < np.polyfit(np.log(steps), np.log(errors), 1)[0] < -1.85
    count = math.ceil(0.5 / solver.step_limit(exact[None, None, 0]))
    assert solver.solve(exact[None, None, 0], 0.5, 2, count).abs().max() < exact[0].abs().max() * 1.01


def test_frames_are_the_exact_solution_at_equispaced_times():
    """Every frame, both ends included, follows Cole-Hopf; 1e-7 is the time error at this step."""
    nu, frames = 0.02, 9
    u = Burgers(grid(128), nu).solve(initial(128, 0.2), 0.8, frames, 40)
    exact = cole_hopf(SINES, 0.2, nu, torch.linspace(0, 0.8, frames, dtype=F64), 128)
    assert u.shape == (1, 1, frames, 128) and u.dtype == F64
    assert torch.equal(u[:, :, 0], initial(128, 0.2))
    assert (u[0, 0] - exact).abs().max() < 1e-7


def test_other_period_is_a_change_of_units():
    """x -> 3 x with nu -> 9 nu at fixed time leaves u / 3 unchanged; to rounding."""
    u0 = initial(64)
    one = Burgers(grid(64), 0.05).solve(u0, 0.2, 3, 20)
    three = Burgers(grid(64, 3.0), 0.45).solve(3 * u0, 0.2, 3, 20)
    assert (three / 3 - one).abs().max() < 1e-12


def test_a_front_travels_at_its_mean_speed():
    """u = c - (j / 2) tanh(j (x - c t) / (4 nu)) is exact on the line; here a smooth rise closes the period.

    What the rise changes runs into the front: 1e-6 within 0.05 of it by t = 0.1, on any finer grid.
    """
    nu, jump, speed, points = 0.01, 1.0, 0.4, 512

    def front(x):
        return speed - jump / 2 * torch.tanh(jump * x / (4 * nu))

    x = positions(points) - 0.5
    u0 = torch.where(x.abs() < 0.25, front(x), speed - jump / 2 * torch.sin(2 * math.pi * x))
    u = Burgers(grid(points), nu).solve(u0[None, None], 0.1, 2, 40)[0, 0, -1]
    near = (x - speed * 0.1).abs() < 0.05
    assert (u - front(x - speed * 0.1))[near].abs().max() < 2e-6


def test_mean_is_conserved_and_energy_decays():
    """int u is constant to rounding; d/dt int u^2 / 2 = -nu int u_x^2 < 0."""
    field = PeriodicRandomField()
    u0 = 0.4 + field.evaluate(field.coefficients(0, range(4)), positions(128))[:, None]
    u = Burgers(grid(128), 0.01).solve(u0, 0.5, 11, 10)
    assert (u.mean(-1) - u0.mean(-1, keepdim=True)).abs().max() < 1e-13
    assert ((u**2).mean(-1).diff(dim=2) < 0).all()


def test_energy_rate_is_the_dissipation():
    """<u rhs(u)> = -nu <u_x^2>: advection moves no energy where the product is dealiased; to rounding."""
    u = initial(64)
    k = 2 * math.pi * torch.arange(33, dtype=F64)
    slope = torch.fft.irfft(1j * k * torch.fft.rfft(u), n=64)
    rate = (u * Burgers(grid(64), 0.03).rhs(u)).mean()
    assert abs(rate + 0.03 * (slope**2).mean()) < 1e-13


def test_forcing_that_holds_a_field_still():
    """With f = w w_x - nu w_xx the field w is a fixed point, for a field and for a function of time; to rounding."""
    nu, x = 0.05, 2 * math.pi * positions(64)
    w, slope, bend = 0.3 + x.sin(), 2 * math.pi * x.cos(), -((2 * math.pi) ** 2) * x.sin()
    force = w * slope - nu * bend
    for forcing in (force, lambda time: force):
        solver = Burgers(grid(64), nu, forcing)
        assert solver.rhs(w[None, None]).abs().max() < 1e-12
        u = solver.solve(w[None, None], 1.0, 3, 200)
        assert (u - w).abs().max() < 1e-9  # the time error; the flow amplifies rounding only


def test_forcing_in_time_keeps_order_four():
    """u = sin t: f = cos t, no space; the scheme's quadrature is Simpson's, so halving dt divides the error by 16."""
    solver = Burgers(grid(8), 0.1, lambda time: torch.full((8,), math.cos(time), dtype=F64))
    u0 = torch.zeros(1, 1, 8, dtype=F64)
    errors = [(solver.solve(u0, 1.0, 2, n)[..., -1, :] - math.sin(1.0)).abs().max().item() for n in (8, 16, 32)]
    assert -4.1 < np.polyfit(np.log([8, 16, 32]), np.log(errors), 1)[0] < -3.9


def test_a_viscosity_for_each_sample_is_a_solve_for_each():
    """The batch with nu (B,) equals separate solves; to rounding."""
    nu = torch.tensor([0.02, 0.1], dtype=F64)
    u0 = torch.cat([initial(64), initial(64, 0.5)])
    both = Burgers(grid(64), nu).solve(u0, 0.3, 3, 20)
    for i in range(2):
        assert (both[i : i + 1] - Burgers(grid(64), float(nu[i])).solve(u0[i : i + 1], 0.3, 3, 20)).abs().max() < 1e-13


def test_coefficients_near_zero_are_the_runge_kutta_limits():
    """L = 0 gives RK4: Q = dt/2, f1 = f3 = dt/6, 2 f2 = dt/3. The contour is exact to 1e-14; also for a complex L."""
    for zero in (torch.zeros(1, dtype=F64), torch.zeros(1, dtype=torch.complex128)):
        _, _, q, f1, f2, f3 = etdrk4_coefficients(zero, 0.1)
        expected = torch.tensor([0.05, 0.1 / 6, 0.1 / 6, 0.1 / 6], dtype=F64)
        assert (torch.cat([q, f1, f2, f3]) - expected).abs().max() < 1e-14


def test_coefficients_far_from_zero_are_the_formulas():
    """Where |z| > 3 the formulas lose at most two digits: compared to 1e-13, on the real and the imaginary axis."""
    for z in (-torch.linspace(3, 200, 50, dtype=F64), 1j * torch.linspace(3, 60, 50, dtype=F64)):
        e = z.exp()
        expected = (
            ((z / 2).exp() - 1) / z,
            (-4 - z + e * (4 - 3 * z + z**2)) / z**3,
            (2 + z + e * (z - 2)) / z**3,
            (-4 - 3 * z - z**2 + e * (4 - z)) / z**3,
        )
        for one, other in zip(etdrk4_coefficients(z, 1.0)[2:], expected, strict=True):
            assert (one - other).abs().max() < 1e-13


def test_grid_and_parameters_are_checked():
    with pytest.raises(ValueError, match="periodic"):
        Burgers(Grid(("x",), (np.arange(8.0),), (None,)), 0.1)
    with pytest.raises(ValueError, match="end left out"):
        Burgers(Grid(("x",), (np.linspace(0, 1, 8),), (1.0,)), 0.1)
    with pytest.raises(ValueError, match="nu must be > 0"):
        Burgers(grid(8), 0.0)
    with pytest.raises(ValueError, match=r"shape \(B,\)"):
        Burgers(grid(8), torch.ones(2, 2))
    with pytest.raises(ValueError, match="must end with the shape"):
        Burgers(grid(8), 0.1, torch.zeros(9))
    with pytest.raises(ValueError, match="parameters for 2 samples; got 3"):
        Burgers(grid(8), torch.ones(2)).solve(torch.zeros(3, 1, 8), 1.0, 2)
