"""Residuals on what the solvers make. Truths: two discretisations written apart must agree to their order; a solver's
own steps leave rounding."""

import math

import numpy as np
import pytest
import torch

from sciml_diffusion.physics.advection import Advection
from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.physics.elliptic.darcy import Darcy
from sciml_diffusion.physics.elliptic.helmholtz import Helmholtz
from sciml_diffusion.physics.elliptic.poisson import Poisson
from sciml_diffusion.physics.finite_volume.compressible import Compressible
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.kuramoto_sivashinsky import KuramotoSivashinsky
from sciml_diffusion.physics.navier_stokes import NavierStokes, kolmogorov_forcing
from sciml_diffusion.physics.residuals.compressible import CompressibleEquation
from sciml_diffusion.physics.residuals.elliptic import DarcyResidual, HelmholtzResidual, PoissonResidual, SteadyResidual
from sciml_diffusion.physics.residuals.incompressible import Divergence, VorticityEquation
from sciml_diffusion.physics.residuals.shallow_water import ShallowWaterEquation, centres
from sciml_diffusion.physics.residuals.time import CentralResidual, MidpointResidual, StepResidual
from sciml_diffusion.physics.residuals.transport import (
    AdvectionEquation,
    BurgersEquation,
    KuramotoSivashinskyEquation,
    TracerEquation,
)
from sciml_diffusion.physics.shallow_water import ShallowWater
from sciml_diffusion.physics.smoke.scene import Scene
from sciml_diffusion.physics.smoke.solver import Smoke, SmokeWithExits
from sciml_diffusion.physics.tracer import Tracer

F64 = torch.float64
TURN = 2 * math.pi
NU = torch.tensor([0.05, 0.1], dtype=F64)


def line(n: int) -> Grid:
    return Grid.periodic((n,), (TURN,))


def torus(n: int) -> Grid:
    return Grid.periodic((n, n + n // 2), (TURN, TURN), ("y", "x"))


def mesh(grid: Grid) -> list[torch.Tensor]:
    """Coordinates in the order (x, y)."""
    at = torch.meshgrid(*map(torch.from_numpy, grid.coordinates), indexing="ij")
    return list(reversed(at))


def field_1d(grid: Grid) -> torch.Tensor:
    (x,) = mesh(grid)
    return torch.stack([x.sin() + 0.4 * (2 * x).cos(), 0.3 - 0.5 * (3 * x + 1).sin()])[:, None]


def field_2d(grid: Grid) -> torch.Tensor:
    x, y = mesh(grid)
    return torch.stack([(x + 2 * y).sin() + 0.4 * (2 * x).cos(), (3 * x).cos() * y.sin() + (y - 1).cos()])[:, None]


PAIRS = {  # solver and equation on a grid of n points, and the state that both are asked about
    "advection": (
        lambda n: Advection(line(n), NU), lambda n, scheme: AdvectionEquation(line(n), {"x": NU}, scheme), field_1d,
    ),
    "burgers": (lambda n: Burgers(line(n), NU), lambda n, scheme: BurgersEquation(line(n), NU, scheme), field_1d),
    "kuramoto-sivashinsky": (
        lambda n: KuramotoSivashinsky(line(n), NU),
        lambda n, scheme: KuramotoSivashinskyEquation(line(n), NU, scheme),
        field_1d,
    ),
    "navier-stokes": (
        lambda n: NavierStokes(torus(n), NU, kolmogorov_forcing(torus(n)), 0.1, (0.3, NU)),
        lambda n, scheme: VorticityEquation(torus(n), NU, 0.1, kolmogorov_forcing(torus(n)), (0.3, NU), scheme),
        field_2d,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_spectral_stencils_and_solvers_are_the_same_operator(name):
    """On waves below n / 6, where no product has an alias, both right-hand sides agree to rounding."""
    solver, equation, field = PAIRS[name]
    u = field(solver(32).grid)
    assert (solver(32).rhs(u) - equation(32, "spectral").rhs(u)).abs().max() < 1e-9  # 16^4 times rounding


@pytest.mark.parametrize("name", PAIRS)
def test_finite_differences_approach_the_solvers(name):
    """Largest difference of the right-hand sides against resolution: order 2."""
    solver, equation, field = PAIRS[name]
    sizes, errors = (32, 64, 128), []
    for n in sizes:
        u = field(solver(n).grid)
        errors.append(float((solver(n).rhs(u) - equation(n, "fd2").rhs(u)).abs().max()))
    assert abs(-np.polyfit(np.log(sizes), np.log(errors), 1)[0] - 2) < 0.1


def gas(n: int) -> torch.Tensor:
    (x,) = mesh(line(n))
    return torch.stack([1 + 0.2 * x.sin(), 0.3 * (x + 1).cos(), 1 + 0.1 * (2 * x).sin()]).repeat(2, 1, 1)


def test_limited_finite_volumes_agree_in_the_mean():
    """Compressible flow and a tracer: mean |difference| of order 2 (limiters act at extrema alone)."""
    sizes, errors = (64, 128, 256), []
    for n in sizes:
        flow = Compressible(line(n), 1.4, eta=NU, viscosity="kinematic").rhs(gas(n))
        other = CompressibleEquation(line(n), 1.4, eta=NU, viscosity="kinematic").rhs(gas(n))
        grid = torus(n // 4)
        x, y = mesh(grid)
        wind = torch.stack([0.3 * (x + y).cos(), 0.5 + 0.2 * y.sin()])[None]  # along y, along x
        c = 2 + field_2d(grid)
        carried = Tracer(grid, wind, 0.05, 0.2).rhs(c)
        equation = TracerEquation(grid, {"y": "v", "x": "u"}, diffusivity=0.05, decay=0.2)
        centred = equation.rhs(torch.cat([c, wind.expand(2, -1, -1, -1)], 1))
        errors.append([float((flow - other).abs().mean()), float((carried - centred).abs().mean())])
    for column in np.array(errors).T:
        assert abs(-np.polyfit(np.log(sizes), np.log(column), 1)[0] - 2) < 0.25, column


def made(name: str) -> tuple[object, torch.Tensor, float, int]:
    """A solver, frames that it made, the time between them and its steps."""
    if name == "shallow water":
        grid = Grid.periodic((16, 24), (1e6, 1.5e6), ("y", "x"))
        x, y = mesh(grid)
        height = 100 + (x / 2.4e5).sin() * (TURN * y / 1e6).cos()
        solver, frames, dt, steps = ShallowWater(grid), torch.stack([height, 0 * x, 0 * x])[None], 3000.0, 8
    elif name == "compressible":
        solver, frames, dt, steps = Compressible(line(32)), gas(32), 0.1, 4
    elif name == "tracer":
        wind = torch.full((1, 2, 16, 24), 0.5, dtype=F64)
        solver, frames, dt, steps = Tracer(torus(16), wind, 0.05), field_2d(torus(16)) + 2, 0.1, 4
    else:
        build, _, field = PAIRS[name]
        solver, dt, steps = build(32), 0.05, 4
        frames = field(solver.grid)
    return solver, solver.solve(frames, 3 * dt, 4, steps), dt, steps


@pytest.mark.parametrize("name", [*PAIRS, "shallow water", "compressible", "tracer"])
def test_the_own_steps_of_a_solver_leave_rounding(name):
    """(u' - Step(u)) / dt on the solver's own frames: 1e-11 of the changes; with one step less it is far larger."""
    solver, frames, dt, steps = made(name)
    floor = StepResidual(solver, dt, steps).nondimensional(frames).floor(frames)
    assert floor.rms["pde"] < 1e-11
    if name != "advection":  # whose steps are exact, whatever their number
        assert StepResidual(solver, dt, steps - 1).floor(frames).rms["pde"] > 1e3 * floor.rms["pde"]
    noise = frames + 1e-3 * torch.randn(frames.shape, generator=torch.Generator().manual_seed(0), dtype=F64)
    assert StepResidual(solver, dt, steps).floor(noise).rms["pde"] > 1e-4 / dt / 1e4


def test_steps_need_frames_that_hold_the_state_and_the_same_steps():
    """Smoke averages between faces and centres; finite volumes choose steps of their own, unless they are told them."""
    scene = Scene(torch.zeros(8, 8, dtype=torch.bool), (1.0, 1.0))
    for solver in (Smoke(scene), SmokeWithExits(Smoke(scene))):
        with pytest.raises(ValueError, match="do not hold its whole state"):
            StepResidual(solver, 0.1)
    gases = Compressible(line(32))
    with_own_steps = gases.solve(gas(32), 0.3, 4)
    assert StepResidual(gases, 0.1, 4).floor(with_own_steps).rms["pde"] > 1e-6


@pytest.mark.parametrize("form", [MidpointResidual, CentralResidual])
@pytest.mark.parametrize("name", ["burgers", "navier-stokes"])
def test_right_hand_sides_of_solvers_as_residuals(name, form):
    """Frames of an accurate solution: order 2 in the time between frames; a wrong viscosity leaves nu lap u."""
    solver, _, field = PAIRS[name]
    points = 128 if name == "burgers" else 32  # enough for products without dealiasing
    solver, sizes, counts = solver(points), [], (8, 16, 32)
    for count in counts:
        frames = solver.solve(field(solver.grid), 0.4, count + 1, 64 // count)
        sizes.append(form(solver, 0.4 / count).floor(frames).rms["pde"])
    assert abs(-np.polyfit(np.log(counts), np.log(sizes), 1)[0] - 2) < 0.15
    equation = PAIRS[name][1](points, "spectral")
    middle = (frames[:, :, 1:] + frames[:, :, :-1]) / 2 if form is MidpointResidual else frames[:, :, 1:-1]
    missing = NU.reshape(2, 1, 1, *[1] * len(solver.grid.dims)) * equation.derivatives.laplacian(middle)
    wrong = form(equation, 0.4 / 32)(frames, {"nu": 2 * NU})["pde"]
    assert (wrong + missing).pow(2).mean().sqrt() < 2 * sizes[-1]
    assert missing.pow(2).mean().sqrt() > 10 * sizes[-1]


def test_shallow_water_from_the_c_grid():
    """A collocated stencil on the solver's frames, velocities brought to the points of h: order 2 in h."""
    sizes, errors = (16, 32, 64), []
    for n in sizes:
        grid = Grid.periodic((n, n), (1e6, 1e6), ("y", "x"))
        x, y = (TURN * a / 1e6 for a in mesh(grid))
        start = torch.stack([100 + x.sin() * y.cos() + 0.5 * (x - y).cos(), 0 * x, 0 * x])[None]
        solver = ShallowWater(grid, f0=1e-4, viscosity=1e3)
        frames = centres(solver.solve(start, 1500.0, 16, 8), grid)
        equation = ShallowWaterEquation(grid, f0=1e-4, viscosity=1e3)
        residual = CentralResidual(equation, 100.0).nondimensional(frames)
        errors.append(residual.floor(frames).rms["pde"])
    assert abs(-np.polyfit(np.log(sizes), np.log(errors), 1)[0] - 2) < 0.2, errors
    assert errors[-1] < 0.01


def test_smoke_is_carried_by_its_velocity():
    """Density of the smoke solver in a closed box, continuity by central differences at the cell centres: the floor is
    1 % at 32 cells and falls with order 1.8 (limited fluxes); the central divergence of its velocity falls too."""
    sizes, errors, velocity = (16, 32), [], {"y": "velocity_y", "x": "velocity_x"}
    for n in sizes:
        solver = Smoke(Scene(torch.zeros(n, n, dtype=torch.bool), (1.0, 1.0)), buoyancy=0.5, viscosity=0.01)
        x, y = (math.pi * a for a in mesh(solver.grid))
        density = 1 + 0.5 * x.cos() * y.cos() + 0.2 * (2 * x).cos()
        start = torch.stack([density, -x.cos() * y.sin(), x.sin() * y.cos()])[None]
        count = n // 4
        frames = solver.solve(start, 0.4, count + 1, 4)
        tracer = CentralResidual(TracerEquation(solver.grid, velocity, "density"), 0.4 / count).nondimensional(frames)
        flow = Divergence(solver.grid, velocity).nondimensional(frames[:, 1:])
        errors.append([tracer.floor(frames).rms["pde"], flow.floor(frames[:, 1:]).rms["divergence"]])
    orders = np.log2(np.array(errors[0]) / errors[1])
    assert (1.5 < orders).all() and errors[1][0] < 0.015 and errors[1][1] < 0.003


@pytest.mark.parametrize("points", ["cells", "nodes", "inside"])
@pytest.mark.parametrize("faces", ["harmonic", "arithmetic"])
def test_darcy_with_jumps_needs_the_stencil_that_made_it(points, faces):
    """a in {3, 12}, f = 1: the matching stencil leaves 1e-8, the other mean about as much as f itself, pairs that do
    not belong together more."""
    n = 33
    grid = (Grid.nodes if points == "nodes" else Grid.cells)((n, n), (1.0, 1.0), ("y", "x"))
    blobs = torch.randn(2, 1, n, n, generator=torch.Generator().manual_seed(0), dtype=F64)
    blobs = torch.nn.functional.avg_pool2d(blobs, 7, 1, 3)
    a = torch.where(blobs > 0, 12.0, 3.0).to(F64)
    problem = Darcy(grid, points=points, faces=faces)
    u = problem.solve(a)
    x = torch.cat([a, u], 1)[:, :, None]
    found = DarcyResidual(grid, faces, points=points).floor(x)
    assert found.rms["pde"] < 1e-8 and found.rms.get("boundary", 0.0) == 0
    assert SteadyResidual(problem).floor(x).rms["pde"] < 1e-8
    other = {"harmonic": "arithmetic", "arithmetic": "harmonic"}[faces]
    assert DarcyResidual(grid, other, points=points).floor(x).rms["pde"] > 0.8
    shuffled = torch.stack([x[:, 0], x[:, 1].flip(0)], 1)
    assert DarcyResidual(grid, faces, points=points).floor(shuffled).rms["pde"] > 1
    assert DarcyResidual(grid, faces, 0.5, points).floor(x).rms["pde"] == pytest.approx(0.5, rel=1e-6)


def test_walls_that_a_stencil_does_not_know_are_refused():
    grid = Grid.cells((8, 8), (1.0, 1.0), ("y", "x"))
    with pytest.raises(ValueError, match="needs the flux form"):
        DarcyResidual(grid, "expanded", points="inside")
    with pytest.raises(ValueError, match="points are .* got 'inside'"):
        PoissonResidual(grid, points="inside")


@pytest.mark.parametrize("points", ["cells", "nodes"])
def test_poisson_and_helmholtz_of_the_solvers(points):
    """The five-point stencil is theirs: rounding over h^2. A stencil without 1 / h^2 would leave f."""
    make = Grid.cells if points == "cells" else Grid.nodes
    grid = make((17, 21), (1.0, 1.0), ("y", "x"))
    f = torch.randn(2, 1, 17, 21, generator=torch.Generator().manual_seed(1), dtype=F64)
    for solver, residual in (
        (Poisson(grid, points=points), PoissonResidual(grid, points=points)),
        (Helmholtz(grid, 2.0, points=points), HelmholtzResidual(grid, 2.0, points=points)),
    ):
        x = torch.cat([f, solver.solve(f)], 1)[:, :, None]
        assert residual.floor(x).rms["pde"] < 1e-11
        assert SteadyResidual(solver).floor(x).rms["pde"] < 1e-11
        assert residual.floor(x * torch.tensor([1.0, 1 / 400]).reshape(1, 2, 1, 1, 1)).rms["pde"] > 0.9
