"""Rows of residuals: orders against exact residuals, floors on the solvers' own data, divergence after projection."""

import time
from collections.abc import Iterator

import numpy as np
import torch
from physics.closed_forms_atmosphere import (
    filling_column,
    geostrophic_wave,
    globe,
    overturning,
    thermal_wind_flow,
)
from physics.closed_forms_buoyant import rates_missed, rates_missed_in_box, sheets_left
from physics.closed_forms_residuals import CASES

from sciml_diffusion.physics.air_mass import ColumnMass, PressureContinuity
from sciml_diffusion.physics.atmosphere import Geostrophic, Hydrostatic, ThermalWind
from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.physics.elliptic.darcy import Darcy
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.navier_stokes import NavierStokes
from sciml_diffusion.physics.projections import DivergenceFree, LinearInvariants, mass_row
from sciml_diffusion.physics.residuals.elliptic import DarcyResidual
from sciml_diffusion.physics.residuals.incompressible import Divergence
from sciml_diffusion.physics.residuals.time import StepResidual

TURN = 2 * np.pi
FLOW = {"x": "u", "y": "v"}
BALANCES = {  # levels or none, residual, fields
    "geostrophic wave": (False, Geostrophic, geostrophic_wave),
    "thermal wind": (True, ThermalWind, lambda grid: thermal_wind_flow(grid)[:, 1:]),
    "hydrostatic": (True, Hydrostatic, lambda grid: thermal_wind_flow(grid)[:, :2]),
    "mass on levels": (True, PressureContinuity, overturning),
    "mass of the column": (
        True,
        lambda grid: ColumnMass(grid, 5e5 / grid.sizes[1]),
        lambda grid: filling_column(grid, 5e5 / grid.sizes[1] * torch.arange(3.0)),
    ),
}


@torch.no_grad()
def rows(quick: bool) -> Iterator[dict]:
    """Orders of every residual (of some where quick), then floors and what projections leave."""
    for name in list(CASES)[:: 4 if quick else 1]:
        begun, case = time.perf_counter(), CASES[name]
        yield _order(f"residual of {name}", name.split(",")[0], case.sizes, case.errors(), case.order, begun)
    for name, (levels, build, fields) in BALANCES.items():
        begun, sizes, errors = time.perf_counter(), (19, 37, 73), []
        for n in sizes:
            grid = globe(n, n // 2 + 1 if levels else 0)
            residual = build(grid).nondimensional(fields(grid))
            errors.append(residual.floor(fields(grid)).rms[residual.component])
        yield _order(f"balance: {name}", "atmosphere", [n - 1 for n in sizes], errors, 2.0, begun)
    buoyant = {"rising sheets": (sheets_left, (16, 32, 64), {"fd2": 2.0, "spectral": 2.0})}
    buoyant["rates of manufactured fields"] = (rates_missed, (32, 64, 128), {"fd2": 2.0, "fd4": 4.0})
    for name, (error, sizes, orders) in buoyant.items():
        for scheme, order in orders.items():
            begun, errors = time.perf_counter(), [error(n, scheme) for n in sizes]
            yield _order(f"residual of {name}, {scheme}", "buoyant", sizes, errors, order, begun)
    begun, sizes = time.perf_counter(), (32, 64, 128)
    errors = [rates_missed_in_box(n) for n in sizes]
    yield _order("residual of rates between walls", "buoyant", sizes, errors, 2.0, begun)
    for case, solver, value, limit in (*_floors(), *_projections()):
        yield {"case": case, "solver": solver, "value": value, "limit": limit}


def _order(case: str, solver: str, sizes, errors: list[float], expected: float, begun: float) -> dict:
    return {
        "case": case,
        "solver": solver,
        "order": -float(np.polyfit(np.log(sizes), np.log(errors), 1)[0]),
        "expected_order": expected,
        "tolerance": 0.2,
        "error": errors[-1],
        "resolutions": ", ".join(map(str, sizes)),
        "seconds": round(time.perf_counter() - begun, 2),
    }


def _floors() -> Iterator[tuple[str, str, float, float]]:
    """Residuals of the solvers' own steps and stencils, relative to their terms."""
    x = torch.arange(64, dtype=torch.float64) * (TURN / 64)
    burgers = Burgers(Grid.periodic((64,), (TURN,)), 0.05)
    frames = burgers.solve((x.sin() + 0.3 * (2 * x).cos())[None, None], 1.0, 6, 10)
    yield "floor of own steps", "Burgers", _relative(StepResidual(burgers, 0.2, 10), frames), 1e-11
    flow = NavierStokes(Grid.periodic((64, 64), (TURN, TURN), ("y", "x")), 0.02)
    frames = flow.solve(((x + 2 * x[:, None]).sin() + (3 * x[:, None]).cos() * x.sin())[None, None], 0.5, 3, 10)
    yield "floor of own steps", "NavierStokes", _relative(StepResidual(flow, 0.25, 10), frames), 1e-11
    grid = Grid.cells((64, 64), (1.0, 1.0), ("y", "x"))
    a = torch.where((x.sin() * (2 * x[:, None]).cos() > 0), 12.0, 3.0).double()[None, None]
    pair = torch.cat([a, Darcy(grid).solve(a)], 1)[:, :, None]
    yield (
        "floor of a in {3, 12}, same faces",
        "Darcy",
        DarcyResidual(grid, "harmonic", 1.0, "cells").floor(pair).rms["pde"],
        1e-8,
    )


def _relative(residual: StepResidual, frames: torch.Tensor) -> float:
    return residual.nondimensional(frames).floor(frames).rms["pde"]


def _projections() -> Iterator[tuple[str, str, float, float]]:
    """White noise after projection, in the divergence of the same scheme and in the mass asked for."""
    grid = Grid.periodic((128, 96), (TURN, TURN), ("y", "x"))
    u = torch.randn(2, 2, 1, 128, 96, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for scheme in ("spectral", "fd2", "fd4"):
        left = Divergence(grid, FLOW, scheme)(DivergenceFree(grid, FLOW, scheme)(u))["divergence"]
        yield f"divergence after projection, {scheme}", "DivergenceFree", float(left.abs().max()), 1e-12
    project = LinearInvariants(mass_row(torch.full((128, 96), 1 / (128 * 96), dtype=torch.float64), 0, 2))
    wanted = torch.full((2, 1, 1), 0.3, dtype=torch.float64)
    yield (
        "mass after projection",
        "LinearInvariants",
        float((project.values(project(u, wanted)) - 0.3).abs().max()),
        1e-14,
    )
