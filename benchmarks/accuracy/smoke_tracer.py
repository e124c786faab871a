"""Accuracy of smoke (pressure, transport, flow, budget) and of the tracer."""

import math
import time
from collections.abc import Callable, Iterator

import torch
from physics import closed_forms_smoke_tracer as exact

from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.smoke.advection import Advection
from sciml_diffusion.physics.smoke.faces import divergence
from sciml_diffusion.physics.smoke.flux_form import FluxForm
from sciml_diffusion.physics.smoke.iterative import IterativePoisson
from sciml_diffusion.physics.smoke.pressure import BoxPoisson, CapacitancePoisson
from sciml_diffusion.physics.smoke.projection import Projection
from sciml_diffusion.physics.smoke.scene import SIDES, Scene, empty_box, wdno_scene
from sciml_diffusion.physics.smoke.solver import Smoke
from sciml_diffusion.physics.smoke.wdno import wdno_control, wdno_smoke
from sciml_diffusion.physics.tracer import Tracer

WIND = (0.5, 0.8)


def rows(quick: bool) -> Iterator[dict]:
    """Rows of the accuracy benchmark: orders of pressure, transport, flow and tracer, then divergence and budgets."""
    yield from _pressure_orders([16, 32, 64] if quick else [16, 32, 64, 128])
    yield from _transport_orders([32, 48, 64, 96] if quick else [32, 64, 128])
    yield from _flow_orders([16, 24, 32] if quick else [16, 32, 64])
    yield from _tracer_orders([32, 48, 64] if quick else [32, 64, 128])
    yield from _divergences(48 if quick else 128)
    yield _smoke_budget(8 if quick else 32)
    yield _tracer_budget(24 if quick else 64)


def _pressure_orders(resolutions: list[int]) -> Iterator[dict]:
    for name, sides in (("walls", ()), ("open", SIDES), ("walls and open", ("left", "bottom"))):

        def box(n: int, sides=sides) -> float:
            scene = empty_box((n, n), (1.0, 2.0), sides)
            p, f = _mode(scene, sides)
            return float((BoxPoisson(scene.sizes, scene.spacings, sides)(f) - p).abs().max())

        yield _order("manufactured pressure", f"smoke, empty box, {name}", resolutions, box)

    def beside_a_wall(n: int) -> float:
        solid = torch.zeros(n, 2 * n, dtype=torch.bool)
        solid[:, n:] = True  # the left half is a box of its own
        scene, half = Scene(solid, (1.0, 2.0)), empty_box((n, n))
        p, f = _mode(half, ())
        found = CapacitancePoisson(scene)(torch.nn.functional.pad(f, (0, n))[None])[0, :, :n]
        return float((found - found.mean() - p).abs().max())

    yield _order("manufactured pressure", "smoke, beside a wall", resolutions, beside_a_wall)


def _transport_orders(resolutions: list[int]) -> Iterator[dict]:
    for name, expected, sizes in (
        ("flux", 2, resolutions),
        ("maccormack", 2, resolutions),
        ("semi-lagrangian", 1, None),
    ):

        def turn(n: int, name=name) -> float:
            scene = empty_box((n, n), (1.0, 1.0), SIDES)
            transport = FluxForm(scene) if name == "flux" else Advection(scene, name)
            c, aim = (exact.gaussian_means(scene.grid, middle, 0.08) for middle in ((0.5, 0.3), (0.3, 0.5)))
            by = exact.rotation_faces((n, n), scene.size)
            for _ in range(n // 2):
                c = transport.density(c, by, math.pi / n)
                c = c[0] if isinstance(c, tuple) else c
            return float((c - aim).abs().mean())

        yield _order("rotation, L1", f"smoke, {name}", sizes or [96, 128, 192], turn, expected)


def _flow_orders(resolutions: list[int]) -> Iterator[dict]:
    for momentum, nu, expected in (("maccormack", 0.0, 2), ("maccormack", 0.05, 2), ("semi-lagrangian", 0.0, 1)):

        def vortex(n: int, momentum=momentum, nu=nu) -> float:
            scene = empty_box((n, n), (math.pi, math.pi))
            start = exact.taylor_green(scene.grid, nu, 0.0)
            u0 = torch.cat([torch.zeros_like(start[:, :1]), start], 1)
            steps = max(n // 2, math.ceil(2 * nu * (n / math.pi) ** 2))
            u = Smoke(scene, momentum, viscosity=nu).solve(u0, 1.0, 2, steps)[:, 1:, -1]
            return float((u - exact.taylor_green(scene.grid, nu, 1.0)).abs().max())

        yield _order("taylor-green in a box", f"smoke, {momentum}, nu={nu:g}", resolutions, vortex, expected)


def _tracer_orders(resolutions: list[int]) -> Iterator[dict]:
    for limited in (True, False):

        def puff(n: int, limited=limited) -> float:
            grid, k, decay = _torus(n), 2e-3, 0.7
            wind = torch.tensor(WIND, dtype=torch.float64)[None, :, None, None].expand(1, 2, n, n)
            u0 = exact.puff(grid, (0.3, 0.4), WIND, 0.1, k, 0.0)[None]
            c = Tracer(grid, wind, k, decay, limited=limited).solve(u0, 0.5, 2, 5 * n // 4)[0, 0, -1]
            aim = math.exp(-decay * 0.5) * exact.puff(grid, (0.3, 0.4), WIND, 0.1, k, 0.5)[0]
            return float((c - aim).abs().mean())

        yield _order("gaussian puff, L1", f"tracer, {'limited' if limited else 'linear'}", resolutions, puff)


def _divergences(n: int) -> Iterator[dict]:
    generator = torch.Generator().manual_seed(0)
    for name, scene, solve, limit in (
        ("walls", empty_box((n, n), (n, n)), None, 1e-12),
        ("open", empty_box((n, n), (n, n), SIDES), None, 1e-12),
        ("obstacles, dense matrix", wdno_scene(n), None, 1e-9),
        ("obstacles, conjugate gradients", wdno_scene(n), IterativePoisson(wdno_scene(n)), 1e-9),
    ):
        w = tuple(
            torch.randn(4, *s, generator=generator, dtype=torch.float64) for s in ((n + 1, n), (n, n + 1))
        )  # div w is of order 1 in cells
        u = Projection(scene, solve)(w)
        value = float(divergence(u, scene.spacings).abs().max() / divergence(w, scene.spacings).abs().max())
        yield {
            "case": "relative divergence after projection",
            "solver": f"smoke, {name}",
            "value": value,
            "limit": limit,
        }


def _smoke_budget(intervals: int) -> dict:
    scene = wdno_scene(32)
    smoke = Smoke(scene, momentum=None, control=wdno_control(scene, 0, range(2)))
    fields, left = smoke.solve_with_exits(wdno_smoke(scene, 0, range(2)), 8.0 * intervals, intervals + 1, 8)
    total = fields[:, 0].sum((-1, -2)) * math.prod(scene.spacings) + left.sum(-1)
    return {
        "case": f"smoke inside + left / initial - 1, {8 * intervals} steps",
        "solver": "smoke, WDNO scene, 32 cells",
        "value": float((total / total[:, :1] - 1).abs().max()),
        "limit": 1e-12,
    }


def _tracer_budget(n: int) -> dict:
    grid, decay, generator = _torus(n), 0.9, torch.Generator().manual_seed(0)
    y, x = (2 * math.pi * c for c in exact.centres(grid))
    wind = torch.stack([x.sin() * y.cos() + 0.3, -x.cos() * y.sin()])[None]
    u0, source = torch.rand(2, 1, 1, n, n, generator=generator, dtype=torch.float64)
    c = Tracer(grid, wind, 1e-3, decay, source[0]).solve(u0, 1.0, 2)[:, 0, -1]
    mass = math.exp(-decay) * u0.sum() - math.expm1(-decay) / decay * source.sum()
    return {
        "case": "mass with source and decay / exact - 1",
        "solver": "tracer, limited",
        "value": float(abs(c.sum() / mass - 1)),
        "limit": 1e-12,
    }


def _mode(scene: Scene, sides: tuple[str, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """The lowest mode with the ends of a scene and minus its Laplacian, at cell centres, each (Y, X)."""
    p, factor = 1.0, 0.0
    for axis, ends in ((0, SIDES[:2]), (1, SIDES[2:])):
        first, last = (side in sides for side in ends)
        k = math.pi * (0.5 if first != last else 1.0) / scene.size[axis]
        x = exact.centres(scene.grid)[axis]
        p, factor = p * ((k * x).sin() if first else (k * x).cos()), factor + k**2
    return p, factor * p


def _torus(n: int) -> Grid:
    return Grid(("y", "x"), Grid.cells((n, n), (1.0, 1.0)).coordinates, (1.0, 1.0))


def _order(case: str, solver: str, resolutions: list[int], error: Callable[[int], float], expected: int = 2) -> dict:
    begun = time.perf_counter()
    errors = [error(n) for n in resolutions]
    return {
        "case": case,
        "solver": solver,
        "order": exact.observed_order(resolutions, errors),
        "expected_order": expected,
        "tolerance": 0.2,
        "error": errors[-1],
        "resolutions": " ".join(map(str, resolutions)),
        "seconds": round(time.perf_counter() - begun, 2),
    }
