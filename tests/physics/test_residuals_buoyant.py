"""Buoyant flow. Truths: rising sheets in closed form, manufactured fields under any pressure, layers at rest."""

import math

import numpy as np
import pytest
import torch
from physics.closed_forms_equations import TURN, T, X, Y, d, stream

from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.residuals.buoyant import BuoyantEquation
from sciml_diffusion.physics.residuals.incompressible import VelocityEquation
from sciml_diffusion.physics.residuals.time import MidpointResidual

VELOCITY = {"x": "u", "y": "v"}
B, NU, KAPPA = 1.3, 0.05, 0.02


def torus(n: int, dims: tuple[str, ...] = ("y", "x")) -> tuple[Grid, torch.Tensor, torch.Tensor]:
    """A grid with the period 2 pi along both axes, and its x and y."""
    grid = Grid.periodic((n, n + n // 4), (TURN, TURN), dims)
    at = [a.clone() for a in torch.meshgrid(*(torch.from_numpy(c) for c in grid.coordinates), indexing="ij")]
    return grid, at[dims.index("x")], at[dims.index("y")]


def sheets(x: torch.Tensor, t: float) -> torch.Tensor:
    """s = e^{-kappa k^2 t} cos kx lifts v_t = nu v_xx + b s from rest; k = 2. Fields (1, 3, *S)."""
    s, rest = math.exp(-KAPPA * 4 * t), math.exp(-NU * 4 * t)
    v = B * (s - rest) / ((NU - KAPPA) * 4)
    return torch.stack([s * (2 * x).cos(), 0 * x, v * (2 * x).cos()])[None]


@pytest.mark.parametrize("dims", [("y", "x"), ("x", "y")])
@pytest.mark.parametrize("scheme", ["fd2", "spectral"])
def test_rising_sheets_solve_it_with_order_two(scheme, dims):
    """The midpoint rule is of order 2 in dt ~ h; wrong parameters, or the other axis, leave much more."""
    errors, wrong = [], []
    for n in (16, 32, 64):
        grid, x, _ = torus(n, dims)
        dt = 3.2 / n
        frames = torch.stack([sheets(x, k * dt) for k in range(n // 4 + 1)], 2)
        build = lambda grid=grid, dt=dt, **more: MidpointResidual(  # noqa: E731
            BuoyantEquation(grid, VELOCITY, **{"buoyancy": B, "nu": NU, "diffusivity": KAPPA, "scheme": scheme} | more),
            dt,
        )
        errors.append(float(build()(frames)["pde"].square().mean().sqrt()))
        spoilt = [build(buoyancy=-B), build(nu=2 * NU), build(diffusivity=3 * KAPPA), build(up="x")]
        wrong = [float(r(frames)["pde"].square().mean().sqrt()) for r in spoilt]
    order = -np.polyfit(np.log([16, 32, 64]), np.log(errors), 1)[0]
    assert abs(order - 2) < 0.1 and min(wrong) > 30 * errors[-1], (errors, wrong)


def exact_fields():
    """A density and the velocity of a stream function, that solve the equations with these sources."""
    s = lambda t, x, y: torch.sin(x - 0.3 * t) * torch.cos(2 * y) + 0.5 * torch.cos(y + t)  # noqa: E731
    p = lambda t, x, y: torch.sin(x + y) * torch.cos(t - 2 * x)  # noqa: E731
    u, v = d(stream, Y), lambda *at: -d(stream, X)(*at)

    def source(f, nu, extra):
        def value(*at):
            diffused = nu * (d(f, X, X)(*at) + d(f, Y, Y)(*at))
            return d(f, T)(*at) + u(*at) * d(f, X)(*at) + v(*at) * d(f, Y)(*at) - diffused + extra(*at)

        return value

    forces = [
        source(s, KAPPA, lambda *at: 0.0),
        source(u, NU, lambda *at: d(p, X)(*at)),
        source(v, NU, lambda *at: d(p, Y)(*at) - B * s(*at)),
    ]
    return [s, u, v], forces


@pytest.mark.parametrize(("scheme", "order"), [("fd2", 2), ("fd4", 4)])
def test_rates_of_manufactured_fields_approach_theirs(scheme, order):
    """Whatever gradient the forcing has, P takes it out; 0.25 for sizes that are not yet asymptotic."""
    fields, forces = exact_fields()
    errors = []
    for n in (24, 48, 96):
        grid, x, y = torus(n)
        at = torch.full_like(x, 0.4), x, y
        state, f, rates = (
            torch.stack([g(*at) for g in functions])[None] for functions in (fields, forces, [d(g, T) for g in fields])
        )
        equation = BuoyantEquation(grid, VELOCITY, "y", B, NU, KAPPA, f, scheme)
        errors.append(float((equation.rhs(state, 0.4) - rates).square().mean().sqrt()))
    assert abs(-np.polyfit(np.log([24, 48, 96]), np.log(errors), 1)[0] - order) < 0.25, errors


def test_layers_stay_at_rest_and_without_buoyancy_the_flow_is_that_of_the_velocity_equation():
    """The pressure carries what depends on the height alone: rounding of fields of size 1."""
    grid, x, y = torus(16)
    layers = torch.stack([y.cos() + (2 * y).sin(), 0 * x, 0 * x])[None]
    assert BuoyantEquation(grid, VELOCITY, buoyancy=B).rhs(layers).abs().max() < 1e-13
    u = torch.randn(2, 3, *grid.sizes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    free = BuoyantEquation(grid, VELOCITY, buoyancy=torch.zeros(2), nu=NU).rhs(u)[:, 1:]
    assert torch.allclose(free, VelocityEquation(grid, VELOCITY, NU).rhs(u[:, 1:]), rtol=0, atol=1e-12)


def test_walls_and_unknown_axes_are_refused():
    box = Grid.cells((8, 8), (1.0, 1.0), ("y", "x"))
    for grid, up in ((box, "y"), (torus(8)[0], "z")):
        with pytest.raises(ValueError, match="needs periodic axes and a velocity along"):
            BuoyantEquation(grid, VELOCITY, up)
