"""Buoyant flow on a torus in closed form: sheets that rise, and fields that forces keep going."""

import math

import torch
from physics.closed_forms_equations import TURN, T, X, Y, d, stream

from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.residuals.buoyant import BuoyantEquation
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


def rates_missed(n: int, scheme: str) -> float:
    """Root mean square of the discrete rates of `exact_fields` under their forces, minus the exact rates."""
    fields, forces = exact_fields()
    grid, x, y = torus(n)
    at = torch.full_like(x, 0.4), x, y
    state, f, rates = (
        torch.stack([g(*at) for g in functions])[None] for functions in (fields, forces, [d(g, T) for g in fields])
    )
    equation = BuoyantEquation(grid, VELOCITY, "y", B, NU, KAPPA, f, scheme)
    return float((equation.rhs(state, 0.4) - rates).square().mean().sqrt())
