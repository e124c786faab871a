"""Rows of the spectral solvers: Cole-Hopf, manufactured and Taylor-Green flow, chaos, exact shifts, budgets."""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from physics.closed_forms_spectral import Manufactured, taylor_green, torus
from physics.cole_hopf import cole_hopf

from sciml_diffusion.physics.advection import Advection
from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.physics.fourier import wavenumbers
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.kuramoto_sivashinsky import KuramotoSivashinsky
from sciml_diffusion.physics.navier_stokes import NavierStokes, fno_forcing
from sciml_diffusion.physics.random_fields_torus import TorusRandomField

UNIT = Grid.periodic((64, 64), (1.0, 1.0), ("y", "x"))


@torch.no_grad()
def rows(quick: bool) -> Iterator[dict]:
    """Rows of orders in time (largest error at the end), of errors at round-off, and of budgets."""
    count = 3 if quick else 4
    for case, solver, error, steps, expected in (
        ("cole-hopf", "Burgers", _cole_hopf, (100, 200, 400, 800), 4),
        ("manufactured", "NavierStokes", _manufactured, (10, 20, 40, 80), 4),
        ("manufactured", "NavierStokes etdrk2", partial(_manufactured, scheme="etdrk2"), (20, 40, 80, 160), 2),
        ("chaos-to-5", "KuramotoSivashinsky", _ChaosToFive(), (40, 80, 160, 320), 4),
        ("public-recipe", "NavierStokes cn-fe", _Recipe(), (50, 100, 200, 400), 1),
    ):
        yield _order(case, solver, error, steps[:count], expected)
    for case, solver, value, limit in (
        ("taylor-green", "NavierStokes", _taylor_green((0.0, 0.0)), 1e-12),
        ("moving-vortex", "NavierStokes", _taylor_green((0.7, -0.3)), 1e-12),
        ("exact-shift", "Advection", _shift(), 1e-12),
        ("divergence", "NavierStokes", _divergence(), 1e-12),
        *_conservation(),
        *_budgets(),
    ):
        yield {"case": case, "solver": solver, "value": value, "limit": limit}


def _order(case: str, solver: str, error: Callable[[int], float], steps: tuple[int, ...], expected: float) -> dict:
    begun = time.perf_counter()
    errors = [error(n) for n in steps]
    order = -float(np.polyfit(np.log(steps), np.log(errors), 1)[0])
    found = {"case": case, "solver": solver, "order": order, "expected_order": expected, "tolerance": 0.2}
    seconds = round(time.perf_counter() - begun, 2)
    return found | {"error": errors[-1], "resolutions": f"steps {', '.join(map(str, steps))}", "seconds": seconds}


def _cole_hopf(steps: int) -> float:
    """Burgers, nu = 0.02, 192 points, T = 0.5, against the exact solution."""
    sines = torch.tensor([0.8, 0.3, -0.1], dtype=torch.float64)
    exact = cole_hopf(sines, 0.3, 0.02, torch.tensor([0.0, 0.5]), 192)
    u = Burgers(Grid.periodic((192,), (1.0,)), 0.02).solve(exact[None, None, 0], 0.5, 2, steps)
    return float((u[0, 0, -1] - exact[1]).abs().max())


def _manufactured(steps: int, scheme: str = "etdrk4") -> float:
    """Two waves with a force that varies in time, drag, T = 1."""
    truth = Manufactured(torus(16), 0.02, 0.1)
    w = NavierStokes(torus(16), 0.02, truth.forcing, 0.1, scheme=scheme).solve(truth.vorticity(0.0), 1.0, 2, steps)
    return float((w[:, :, -1] - truth.vorticity(1.0)).abs().max())


class _ChaosToFive:
    """Kuramoto-Sivashinsky on L = 32 pi to T = 5, beside 1280 steps; rounding leaves 1e-12."""

    def __init__(self):
        length = 32 * math.pi
        x = length * torch.arange(128, dtype=torch.float64) / 128
        self.u0 = ((x / 16).cos() * (1 + (x / 16).sin()))[None, None]
        self.solver = KuramotoSivashinsky(Grid.periodic((128,), (length,)))
        self.reference = self.solver.solve(self.u0, 5.0, 2, 1280)

    def __call__(self, steps: int) -> float:
        return float((self.solver.solve(self.u0, 5.0, 2, steps) - self.reference).abs().max())


class _Recipe:
    """Crank-Nicolson and forward Euler on FNO's flow, nu = 1e-2, T = 0.5, beside ETDRK4."""

    def __init__(self):
        self.w = _vorticity(1)
        self.reference = NavierStokes(UNIT, 1e-2, fno_forcing(UNIT)).solve(self.w, 0.5, 2, 100)
        self.solver = NavierStokes(UNIT, 1e-2, fno_forcing(UNIT), scheme="cn-fe")

    def __call__(self, steps: int) -> float:
        return float((self.solver.solve(self.w, 0.5, 2, steps) - self.reference).abs().max())


def _vorticity(samples: int) -> torch.Tensor:
    """Draws of FNO's law with shape (B, 1, 64, 64), times 4: a rate of turning near 1."""
    field = TorusRandomField(modes=20)
    return 4 * field.evaluate(field.coefficients(0, range(samples)), UNIT)[:, None]


def _taylor_green(flow: tuple[float, float]) -> float:
    """Error at T = 1 of a vortex that decays, and that a mean flow carries."""
    grid, nu = torus(64), 0.05
    w = NavierStokes(grid, nu, mean_flow=flow).solve(taylor_green(grid, 0.0, nu), 1.0, 2, 100)
    return float((w[:, :, -1] - taylor_green(grid, 1.0, nu, 2, flow)).abs().max())


def _shift() -> float:
    """Error of a smooth bump after 50 steps and 3.7 periods."""
    grid = Grid.periodic((128,), (1.0,))
    x = 2 * math.pi * torch.from_numpy(grid.coordinates[0])
    u = Advection(grid, 3.7).solve(torch.exp(2 * x.cos())[None, None], 1.0, 2, 50)
    return float((u[0, 0, -1] - torch.exp(2 * (x - 2 * math.pi * 3.7).cos())).abs().max())


def _divergence() -> float:
    """Largest |u_x + v_y| of the velocity of a random vorticity, by spectral derivatives."""
    ky, kx = wavenumbers(UNIT, odd=True)
    hats = torch.fft.rfft2(NavierStokes(UNIT, 1e-3).velocity(_vorticity(4)))
    return float(torch.fft.irfft2(1j * (kx * hats[:, 0] + ky * hats[:, 1]), s=UNIT.sizes).abs().max())


def _conservation() -> list[tuple]:
    """Rates of energy and enstrophy by advection alone, over the mean of what they sum."""
    solver, found = NavierStokes(UNIT, 0.0), []
    w = solver.inverse(solver.transform(_vorticity(4)))
    rate = solver.rhs(w)
    for name, test in (("energy", solver.streamfunction(w)), ("enstrophy", w)):
        value = ((test * rate).mean((1, 2, 3)) / (test * rate).abs().mean((1, 2, 3))).abs().max()
        found.append((f"{name} of advection", "NavierStokes", float(value), 1e-13))
    return found


def _budgets() -> list[tuple]:
    """dE/dt and dZ/dt by differences in time beside dissipation, drag and work: the largest relative gap."""
    solver = NavierStokes(UNIT, 2e-3, fno_forcing(UNIT), 0.1)
    w = solver.solve(solver.solve(_vorticity(4), 0.5, 2)[:, :, -1], 2e-3, 3, 1)
    values = {"energy": solver.energy(w), "enstrophy": solver.enstrophy(w)}
    found = []
    for (name, value), rate in zip(values.items(), solver.budget(w[:, :, 1]), strict=True):
        gap = ((value[:, 2] - value[:, 0]) / 2e-3 - rate).abs() / rate.abs()
        found.append((f"{name} budget", "NavierStokes", float(gap.max()), 1e-5))
    return found
