"""Rows of the finite-volume solvers: exact advection, entropy solutions, Cole-Hopf, manufactured control, gas tubes."""

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from physics.closed_forms_conservation import centres, periodic_cells, sine_means, travelling_wave
from physics.closed_forms_forced import manufactured_burgers
from physics.closed_forms_riemann import SOD, riemann_means
from physics.cole_hopf import cole_hopf

from sciml_diffusion.physics.finite_volume.advection import FiniteVolumeAdvection
from sciml_diffusion.physics.finite_volume.burgers import FiniteVolumeBurgers
from sciml_diffusion.physics.finite_volume.compressible import Compressible
from sciml_diffusion.physics.finite_volume.forced_burgers import ForcedBurgers, interior_grid
from sciml_diffusion.physics.finite_volume.riemann import conservative
from sciml_diffusion.physics.grid import Grid


def rows(quick: bool) -> Iterator[dict]:
    """Rows of orders (mean error over cells) and of conserved sums, each the largest drift relative to its size."""
    last = 0 if quick else 1
    for case, solver, error, counts, expected, tolerance in (
        ("sine-period", "FiniteVolumeAdvection", _advection, (32, 64, 128, 256)[: 3 + last], 2, 0.2),
        ("cole-hopf", "FiniteVolumeBurgers", _cole_hopf, (64, 128, 256, 512)[: 3 + last], 2, 0.2),
        ("before-the-shock", "FiniteVolumeBurgers", _steepening, (64, 128, 256, 512)[: 3 + last], 2, 0.2),
        ("travelling-wave", "FiniteVolumeBurgers", _wave, (100, 200, 400, 800)[: 3 + last], 2, 0.2),
        ("cole-hopf-walls", "ForcedBurgers", _walls, (32, 64, 128, 256)[: 3 + last], 2, 0.2),
        ("manufactured-control", "ForcedBurgers", _control, (16, 32, 64, 128)[: 3 + last], 2, 0.2),
        ("entropy-wave", "Compressible", _entropy, (32, 64, 128, 256)[: 3 + last], 2, 0.2),
        ("sod", "Compressible", _sod, (50, 100, 200, 400)[: 3 + last], 1, 0.25),
    ):
        yield _order(case, solver, error, counts, expected, tolerance)
    yield from _conservation()


def _order(
    case: str, solver: str, error: Callable[[int], float], counts: tuple[int, ...], expected: float, tolerance: float
) -> dict:
    begun = time.perf_counter()
    errors = [error(count) for count in counts]
    order = -float(np.polyfit(np.log(counts), np.log(errors), 1)[0])
    found = {"case": case, "solver": solver, "order": order, "expected_order": expected, "tolerance": tolerance}
    seconds = round(time.perf_counter() - begun, 2)
    return found | {"error": errors[-1], "resolutions": ", ".join(map(str, counts)), "seconds": seconds}


def _mean_error(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found - exact).abs().mean())


def _advection(count: int) -> float:
    grid = periodic_cells(count)
    u0 = sine_means(centres(grid), 1 / count)[None, None]
    return _mean_error(FiniteVolumeAdvection(grid, 1.0).solve(u0, 1.0, 2)[:, :, -1], u0)


def _cole_hopf(count: int) -> float:
    amplitudes, times = torch.tensor([0.8, 0.3, -0.1], dtype=torch.float64), torch.tensor([0.0, 0.5])
    fine = cole_hopf(amplitudes, 0.2, 0.02, times, 16 * count, refine=1)
    start, end = (0.5 * (fine + fine.roll(-1, -1))).reshape(2, 1, count, 16).mean(-1)
    return _mean_error(FiniteVolumeBurgers(periodic_cells(count), 0.02).solve(start[None], 0.5, 2)[0, :, -1], end)


def _steepening(count: int) -> float:
    """u = u_0(x - u t) at half the time of the shock."""
    x = (torch.arange(8 * count, dtype=torch.float64) + 0.5) / (8 * count)
    first = u = (2 * math.pi * x).sin()
    for _ in range(200):
        u = (2 * math.pi * (x - 0.08 * u)).sin()
    start, end = (v.reshape(1, 1, count, 8).mean(-1) for v in (first, u))
    return _mean_error(FiniteVolumeBurgers(periodic_cells(count)).solve(start, 0.08, 2)[:, :, -1], end)


def _wave(count: int) -> float:
    grid, nu = Grid.cells((count,), (2.0,)), 0.03
    thirds = ((-1 / count, 1 / 6), (0.0, 2 / 3), (1 / count, 1 / 6))  # Simpson's rule over a cell of width 2 / count
    start, end = (
        sum(w * travelling_wave(centres(grid) + dx, t, nu, 1.2, 0.2, 0.9) for dx, w in thirds)[None, None]
        for t in (0.0, 0.3)
    )
    solver = FiniteVolumeBurgers(grid, nu, "dirichlet", (1.2, 0.2))
    return _mean_error(solver.solve(start, 0.3, 2)[:, :, -1], end)


def _walls(count: int) -> float:
    amplitudes, times = torch.tensor([0.8, 0.3, -0.1], dtype=torch.float64), torch.tensor([0.0, 0.5])
    start, end = cole_hopf(amplitudes, 0.0, 0.05, times, count)[:, 1:]
    return _mean_error(ForcedBurgers(interior_grid(count - 1), 0.05).solve(start[None, None], 0.5, 2)[0, 0, -1], end)


def _control(count: int) -> float:
    x, nu = torch.from_numpy(interior_grid(count - 1).coordinates[0]), 0.03
    middles = (torch.arange(count, dtype=torch.float64)[:, None] + 0.5) / count
    control = manufactured_burgers(x, middles, nu)[1][None]
    start, end = (manufactured_burgers(x, torch.tensor(t), nu)[0] for t in (0.0, 1.0))
    solver = ForcedBurgers(interior_grid(count - 1), nu, control, 1 / count)
    return _mean_error(solver.solve(start[None, None], 1.0, count // 4 + 1)[0, 0, -1], end)


def _entropy(count: int) -> float:
    density = 1 + 0.2 * sine_means(centres(periodic_cells(count)), 1 / count)
    u0 = torch.stack([density, torch.ones_like(density), torch.ones_like(density)])[None]
    found = Compressible(periodic_cells(count), 1.4).solve(u0, 0.5, 2)[0, 0, -1]
    return _mean_error(found, density.roll(count // 2))


def _sod(count: int) -> float:
    inside = centres(Grid.cells((count,), (1.0,))) < 0.5
    u0 = torch.where(inside, *(torch.tensor(side, dtype=torch.float64)[:, None] for side in SOD))[None]
    solver = Compressible(Grid.cells((count,), (1.0,)), 1.4, boundary="outflow")
    exact = riemann_means(np.linspace(0, 1, count + 1), 0.2, 0.5, *SOD)
    return _mean_error(solver.solve(u0, 0.2, 2)[0, 0, -1], torch.from_numpy(exact[0]))


def _conservation() -> Iterator[dict]:
    """Sums over a periodic line of 64 cells, through shocks; bounds are the rounding of some hundred steps."""
    phase = 2 * math.pi * centres(periodic_cells(64))
    wave = (0.5 + phase.sin())[None, None]
    for solver in (FiniteVolumeAdvection(periodic_cells(64), 1.0), FiniteVolumeBurgers(periodic_cells(64), 0.001)):
        totals = solver.solve(wave, 1.0, 5).sum(-1)
        drift = float(((totals - totals[:, :, :1]) / totals).abs().max())
        yield {"case": "mass", "solver": type(solver).__name__, "value": drift, "limit": 1e-13}
    gas = torch.stack([1 + 0.3 * phase.sin(), 3 * (2 * phase).cos(), 1.5 + 0.4 * (phase + 1).cos()])[None]
    u = Compressible(periodic_cells(64), 1.4, 0.001, 0.001).solve(gas, 0.5, 5)
    totals = torch.stack([conservative(u[:, :, i], 1.4).sum(-1) for i in range(5)], -1)
    size = totals.abs().max()
    for channel, name in enumerate(("mass", "momentum", "energy")):
        drift = float((totals[:, channel] - totals[:, channel, :1]).abs().max() / size)
        yield {"case": name, "solver": "Compressible", "value": drift, "limit": 1e-12}
