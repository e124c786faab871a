"""Accuracy of Darcy, Poisson, Helmholtz and rotating shallow water."""

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from physics import closed_forms_elliptic as steady
from physics import closed_forms_shallow_water as water

from sciml_diffusion.physics.elliptic.darcy import Darcy
from sciml_diffusion.physics.elliptic.helmholtz import Helmholtz
from sciml_diffusion.physics.elliptic.poisson import Poisson
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.random_fields_neumann import NeumannRandomField, two_phase
from sciml_diffusion.physics.shallow_water import ShallowWater
from sciml_diffusion.physics.shallow_water_balanced import BalancedFields

TAU = 2 * math.pi


def rows(quick: bool) -> Iterator[dict]:
    """Rows of the accuracy benchmark: orders of 2, then balances and invariants at round-off."""
    yield from _steady_orders([16, 32, 64] if quick else [32, 64, 128, 256])
    yield from _steady_balances(64 if quick else 128)
    yield from _waves([12, 24, 48] if quick else [16, 32, 64, 96])
    yield from _water_invariants(32 if quick else 64)


def _steady_orders(resolutions: list[int]) -> Iterator[dict]:
    for points, faces in (("cells", "harmonic"), ("nodes", "arithmetic"), ("inside", "arithmetic")):

        def darcy(n: int, points=points, faces=faces) -> float:
            grid = steady.grid_of(points, n)
            a, f, u = steady.manufactured_darcy(grid)
            return (Darcy(grid, f, points, faces).solve(a) - u).abs().max().item()

        yield _order("manufactured", f"Darcy, {points}, {faces}", resolutions, darcy)
    for points in ("cells", "nodes"):
        for k in (0.0, 6.0):

            def diagonal(n: int, points=points, k=k) -> float:
                grid = steady.grid_of(points, n)
                f, u = steady.smooth_poisson(grid, k)
                problem = Helmholtz(grid, k, points=points) if k else Poisson(grid, points=points)
                return (problem.solve(f) - u).abs().max().item()

            yield _order("manufactured", f"{'Helmholtz k=6' if k else 'Poisson'}, {points}", resolutions, diagonal)

    def neumann(n: int) -> float:
        grid = steady.grid_of("cells", n)
        f, u = steady.cosine_poisson(grid)
        return (Poisson(grid, walls="neumann").solve(f) - u).abs().max().item()

    yield _order("manufactured", "Poisson, no flow", resolutions, neumann)


def _steady_balances(n: int) -> Iterator[dict]:
    """Exact layers, flux balance and residual on the two-phase coefficients of FNO."""
    a = 3 * 400 ** torch.rand(1, 1, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    f = torch.zeros(n, dtype=torch.float64)
    f[n // 3] = n
    heads = Darcy(Grid.cells((n,), (1.0,), ("x",)), f).solve(a)[0, 0]
    error = float((heads / steady.layered_darcy(a[0, 0], n // 3) - 1).abs().max())
    yield {"case": "exact layers, contrast 400", "solver": "Darcy, cells, harmonic", "value": error, "limit": 1e-11}
    grid, law = steady.grid_of("cells", n), NeumannRandomField()
    y, x = (torch.as_tensor(c, dtype=torch.float64) for c in grid.coordinates)
    a = two_phase(law.evaluate(law.coefficients(0, range(4)), y, x))[:, None]
    for method, limit in (("direct", 1e-11), ("iterative", 1.01e-10)):
        problem = Darcy(grid, method=method)
        begun = time.perf_counter()
        u = problem.solve(a)
        seconds = time.perf_counter() - begun
        residual = float(problem.residual(a, u).flatten(1).norm(dim=1).max()) / n
        yield {"case": f"relative residual, {seconds / 4:.2g} s per solve at {n}^2", "solver": f"Darcy, {method}",
               "value": residual, "limit": limit}  # fmt: skip
        out = sum((2 * a * u).narrow(axis, at, 1).sum((1, 2, 3)) for axis in (2, 3) for at in (0, n - 1))
        yield {"case": "int f = flux through the walls", "solver": f"Darcy, {method}",
               "value": float((out - 1).abs().max()), "limit": 1e-11 if method == "direct" else 1e-8}  # fmt: skip


def _waves(resolutions: list[int]) -> Iterator[dict]:
    depth, gravity = 0.5, 2.0
    turn = (depth, gravity, 5.0, TAU, 2 * TAU)
    quarter = 0.5 * math.pi / math.sqrt(5.0**2 + gravity * depth * (turn[3] ** 2 + turn[4] ** 2))
    cases = [
        ("inertia-gravity wave", water.torus, 5.0, 0.0, quarter, lambda s: water.poincare_wave(s, *turn)),
        ("Kelvin wave on a wall", water.channel, 4.0, 0.0, 0.5,
         lambda s: water.kelvin_wave(s, depth, gravity, 4.0, 0.0, TAU)),
        ("Kelvin wave on the equator", lambda n: water.channel(n, 3.0, 1.0, -1.5), 0.0, 20.0, 0.5,
         lambda s: water.kelvin_wave(s, depth, gravity, 0.0, 20.0, TAU)),
        ("balanced jet, beta-plane", lambda n: water.channel(n, 1.0, 1.0, -0.5), 3.0, 2.0, 0.5,
         lambda s: water.balanced_jet(1.0, gravity, 3.0, 2.0, 0.2, 0.15)),
    ]  # fmt: skip
    for name, grid_of, f0, beta, duration, exact in cases:

        def error(n: int, grid_of=grid_of, f0=f0, beta=beta, duration=duration, exact=exact) -> float:
            grid = grid_of(n)
            start, end = (water.on_places(grid, exact(s)) for s in (0.0, duration))
            solved = ShallowWater(grid, gravity, f0, beta).solve(start, duration, 2)[:, :, -1]
            return ((solved - end).abs().max() / (end - end.mean((-1, -2), keepdim=True)).abs().max()).item()

        yield _order(name, "ShallowWater", resolutions, error)


def _water_invariants(n: int) -> Iterator[dict]:
    solver = ShallowWater(water.torus(n), 1.0, 5.0)
    start = BalancedFields(solver, 1.0, 0.1, 0.1).draw(0, [0, 1]).requires_grad_()
    (slope,) = torch.autograd.grad(solver.energy(start).sum(), start)
    rate = slope * solver.rhs(start).detach()
    yield _limit("energy rate of the tendency, relative", float(rate.sum().abs() / rate.abs().sum()), 1e-12)
    start = start.detach()
    end = solver.solve(start, 2.0, 11)[:, :, -1]
    for name, limit in (("mass", 1e-13), ("energy", 1e-6), ("enstrophy", 0.02)):
        before, after = (getattr(solver, name)(u) for u in (start, end))
        yield _limit(f"{name} drift over 2 time units", float((after / before - 1).abs().max()), limit)
    bottom = 0.5 * torch.rand(n, n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    lake = torch.stack([1 - bottom, 0 * bottom, 0 * bottom])[None]
    moved = ShallowWater(water.torus(n), 9.81, 1.0, topography=bottom).solve(lake, 1.0, 2)[:, :, -1] - lake
    yield _limit("lake at rest over a rough bottom", float(moved.abs().max()), 1e-13)


def _limit(case: str, value: float, limit: float) -> dict:
    return {"case": case, "solver": "ShallowWater", "value": value, "limit": limit}


def _order(case: str, solver: str, resolutions: list[int], error: Callable[[int], float]) -> dict:
    """The row of an order of convergence, by regression of log error on log resolution."""
    begun = time.perf_counter()
    errors = [error(n) for n in resolutions]
    return {
        "case": case,
        "solver": solver,
        "order": float(-np.polyfit(np.log(resolutions), np.log(errors), 1)[0]),
        "expected_order": 2,
        "tolerance": 0.2,
        "error": errors[-1],
        "resolutions": " ".join(str(n) for n in resolutions),
        "seconds": time.perf_counter() - begun,
    }
