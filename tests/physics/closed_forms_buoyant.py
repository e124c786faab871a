"""Buoyant flow in closed form: sheets that rise, and fields that forces keep going on a torus and in a box."""

import math
from collections.abc import Callable

import torch
from physics.closed_forms_equations import TURN, T, X, Y, d, stream

from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.residuals.buoyant import BuoyantEquation
from sciml_diffusion.physics.residuals.buoyant_box import BuoyantBoxEquation
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


def sheets_left(n: int, scheme: str, dims: tuple[str, ...] = ("y", "x"), **other) -> float:
    """Root mean square of the residual of sheets, midpoint rule with dt ~ 1 / n; `other` parameters are wrong ones."""
    grid, x, _ = torus(n, dims)
    dt = 3.2 / n
    frames = torch.stack([sheets(x, k * dt) for k in range(n // 4 + 1)], 2)
    given = {"buoyancy": B, "nu": NU, "diffusivity": KAPPA, "scheme": scheme} | other
    return float(MidpointResidual(BuoyantEquation(grid, VELOCITY, **given), dt)(frames)["pde"].square().mean().sqrt())


def forces_of(fields: list[Callable], p: Callable) -> list[Callable]:
    """Sources with which (s, u, v) and the pressure p, functions of (t, x, y), solve the equations; y is up."""
    s, u, v = fields

    def source(f, nu, extra):
        def value(*at):
            diffused = nu * (d(f, X, X)(*at) + d(f, Y, Y)(*at))
            return d(f, T)(*at) + u(*at) * d(f, X)(*at) + v(*at) * d(f, Y)(*at) - diffused + extra(*at)

        return value

    lifted = source(v, NU, lambda *at: d(p, Y)(*at) - B * s(*at))
    return [source(s, KAPPA, lambda *at: 0.0), source(u, NU, d(p, X)), lifted]


def on_torus() -> tuple[list[Callable], Callable]:
    """A density and the velocity of a stream function, (s, u, v), and a pressure, of period 2 pi."""
    s = lambda t, x, y: torch.sin(x - 0.3 * t) * torch.cos(2 * y) + 0.5 * torch.cos(y + t)  # noqa: E731
    p = lambda t, x, y: torch.sin(x + y) * torch.cos(t - 2 * x)  # noqa: E731
    return [s, d(stream, Y), lambda *at: -d(stream, X)(*at)], p


def in_box() -> tuple[list[Callable], Callable]:
    """The same in a box of edge pi with slipping walls; the pressure has a slope at the walls."""
    psi = lambda t, x, y: torch.cos(t) * torch.sin(x) * torch.sin(2 * y) + 0.5 * torch.sin(2 * x) * torch.sin(y)  # noqa: E731
    s = lambda t, x, y: torch.cos(t) * torch.cos(x) * torch.cos(2 * y) + 0.4 * torch.cos(3 * y)  # noqa: E731
    p = lambda t, x, y: torch.sin(x + 0.5) * torch.cos(2 * y + 0.3)  # noqa: E731
    return [s, d(psi, Y), lambda *at: -d(psi, X)(*at)], p


def rates_missed(n: int, scheme: str) -> float:
    """Root mean square of the discrete rates of fields on the torus under their forces, minus the exact rates."""
    grid, x, y = torus(n)
    return _missed(lambda f: BuoyantEquation(grid, VELOCITY, "y", B, NU, KAPPA, f, scheme), on_torus(), x, y)


def rates_missed_in_box(n: int, dims: tuple[str, ...] = ("y", "x")) -> float:
    """The same in the box, on cells, whose number differs along the axes."""
    grid = Grid.cells((n, n + n // 4), (math.pi, math.pi), dims)
    velocity = {dim: VELOCITY[dim] for dim in dims}
    at = [a.clone() for a in torch.meshgrid(*(torch.from_numpy(c) for c in grid.coordinates), indexing="ij")]
    x, y = at[dims.index("x")], at[dims.index("y")]
    (s, u, v), p = in_box()
    order = [0, *(1 + "xy".index(dim) for dim in dims)]
    return _missed(lambda f: BuoyantBoxEquation(grid, velocity, "y", B, NU, KAPPA, f), ([s, u, v], p), x, y, order)


def _missed(build: Callable, exact: tuple[list[Callable], Callable], x, y, order=(0, 1, 2)) -> float:
    """Of an equation that is built from its forcing, on fields whose channels come in some order of (s, u, v)."""
    fields, p = exact
    at = torch.full_like(x, 0.4), x, y
    state, f, rates = (
        torch.stack([functions[i](*at) for i in order])[None]
        for functions in (fields, forces_of(fields, p), [d(g, T) for g in fields])
    )
    return float((build(f).rhs(state, 0.4) - rates).square().mean().sqrt())
