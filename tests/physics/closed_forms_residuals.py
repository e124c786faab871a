"""Residuals with the exact residual of the same fields, for many equations, schemes and grids.

A discrete residual of a smooth field must approach the exact one, whether or not the field solves the equation. A
field that is spoilt (a factor, a sign, swapped axes, another unit of length, a wrong parameter) has an exact residual
too, and the discrete one must show that much.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from physics.closed_forms_equations import (
    ENTROPY_WAVE,
    GAS,
    TURN,
    WATER,
    Function,
    Y,
    advection,
    bumps,
    burgers,
    compressible,
    d,
    darcy,
    divergence,
    drifting_u,
    drifting_v,
    helmholtz,
    kuramoto_sivashinsky,
    positive,
    shallow_water,
    sines,
    smooth,
    stream,
    stream_vorticity,
    taylor_green,
    tracer,
    travelling,
    vorticity,
    wave,
)
from torch import Tensor

from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.residuals.base import Residual
from sciml_diffusion.physics.residuals.compressible import CompressibleEquation
from sciml_diffusion.physics.residuals.elliptic import DarcyResidual, HelmholtzResidual, PoissonResidual
from sciml_diffusion.physics.residuals.incompressible import Divergence, VelocityEquation, VorticityEquation
from sciml_diffusion.physics.residuals.shallow_water import ShallowWaterEquation
from sciml_diffusion.physics.residuals.time import CentralResidual, IntegratedResidual, MidpointResidual
from sciml_diffusion.physics.residuals.transport import (
    AdvectionEquation,
    BurgersEquation,
    KuramotoSivashinskyEquation,
    TracerEquation,
)

DURATION = 0.4


def sample(grid: Grid, functions: list[Function], times: Tensor) -> Tensor:
    """Functions on a grid at some times: shape (1, C, T, *S)."""
    at = torch.meshgrid(times, *(torch.from_numpy(c) for c in grid.coordinates), indexing="ij")
    at = [a.clone() for a in at]
    named = dict(zip(grid.dims, at[1:], strict=True))
    ordered = [at[0], *(named[dim] for dim in ("x", "y") if dim in named)]
    return torch.stack([f(*ordered) for f in functions])[None]


@dataclass
class Case:
    """A residual of fields given by functions, and the same residual without discretisation.

    Arguments:
        build: residual from a grid, the time between frames and parameters.
        exact: functions of the residual's channels from those of the fields and the parameters.
        functions: the fields.
        parameters: of both.
        lengths: of the axes, in the order of dims.
        order: at which the difference falls when h and dt halve.
        kind: of the grid: "periodic", "nodes" or "cells".
        dims: of the grid.
        steady: whether there is one frame.
        solves: whether the functions solve the equation.
        component: that is compared.
        sizes: points along the first axis.
        any_field: whether `exact` holds for every field, not only for these functions.
    """

    build: Callable[..., Residual]
    exact: Callable[..., list[Function]]
    functions: list[Function]
    parameters: dict[str, float] = field(default_factory=dict)
    lengths: tuple[float, ...] = (1.0,)
    order: float = 2.0
    kind: str = "periodic"
    dims: tuple[str, ...] = ("x",)
    steady: bool = False
    solves: bool = False
    component: str = "pde"
    sizes: tuple[int, ...] = (32, 64, 128)
    any_field: bool = True

    def at(self, n: int, functions=None, parameters=None, stretch: float = 1.0) -> tuple[Tensor, Tensor]:
        """The discrete residual (1, C', T', *S') on n points, and the exact one at the same points and times."""
        functions = functions or self.functions
        given = {**self.parameters, **(parameters or {})}
        make = {"periodic": Grid.periodic, "nodes": Grid.nodes, "cells": Grid.cells}[self.kind]
        sizes = tuple(n + i * (n // 4) for i in range(len(self.dims)))  # differ, so that no axis passes as another
        grid = make(sizes, tuple(stretch * length for length in self.lengths), self.dims)
        frames = 1 if self.steady else n // 8 + 1
        dt = DURATION / max(frames - 1, 1)
        residual = self.build(grid, dt, **given)
        times = dt * torch.arange(frames, dtype=torch.float64)
        found = residual(sample(grid, functions, times))[self.component]
        if isinstance(residual, MidpointResidual):
            times = times[:-1] + dt / 2
        elif isinstance(residual, CentralResidual | IntegratedResidual):
            times = times[1:-1]
        exact = sample(grid, self.exact(functions, **given), times)
        if isinstance(residual, HelmholtzResidual | DarcyResidual):
            exact = exact[residual.interior]
        return found, exact

    def errors(self) -> list[float]:
        """Root mean square of discrete minus exact residual, for each size."""
        return [rms(a - b) for a, b in map(self.at, self.sizes)]


def rms(values: Tensor) -> float:
    return float(values.pow(2).mean().sqrt())


def spoilt(case: Case) -> dict[str, tuple[Tensor, Tensor]]:
    """{control: (discrete residual, exact residual)} for fields and parameters that are wrong, on the middle grid."""
    n, functions = case.sizes[1], case.functions
    out = {f"{name} doubled": case.at(n, parameters={name: 2 * value}) for name, value in case.parameters.items()}
    if not case.any_field:
        return out
    out |= {
        "factor 0.9": case.at(n, [lambda *at, f=f: 0.9 * f(*at) for f in functions]),
        "sign": case.at(n, [lambda *at, f=f: -f(*at) for f in functions]),
        "dx doubled": case.at(n, [lambda t, *at, f=f: f(t, *(a / 2 for a in at)) for f in functions], stretch=2.0),
    }
    if len(case.dims) == 2 and case.lengths[0] == case.lengths[1]:
        out["axes swapped"] = case.at(n, [lambda t, x, y, f=f: f(t, y, x) for f in functions])
    return out


TORUS = {"lengths": (TURN, TURN), "dims": ("y", "x"), "sizes": (24, 48, 96)}
SQUARE = {"lengths": (1.0, 1.0), "dims": ("y", "x"), "steady": True, "sizes": (33, 65, 129)}
VELOCITY = {"x": "u", "y": "v"}


def _timed(form, equation, **fixed):
    """Builds a residual of an equation in one form of time."""
    return lambda grid, dt, **given: form(equation(grid, **given, **fixed), dt)


def _gas(scheme, viscosity):
    return _timed(MidpointResidual, CompressibleEquation, scheme=scheme, viscosity=viscosity)


def _cases() -> dict[str, Case]:
    cases = {}
    for scheme, form in itertools.product(("fd2", "fd4", "spectral"), (MidpointResidual, CentralResidual)):
        name = f"{scheme}, {form.__name__.removesuffix('Residual').lower()}"
        moving = lambda grid, dt, c, form=form, scheme=scheme: form(AdvectionEquation(grid, {"x": c}, scheme), dt)  # noqa: E731
        cases[f"advection, {name}"] = Case(moving, advection, [wave], {"c": 0.7}, solves=True)
        cases[f"burgers, {name}"] = Case(
            _timed(form, BurgersEquation, scheme=scheme), burgers, [travelling], {"nu": 0.02}, solves=True
        )
        if scheme != "fd4":  # its error in space is as small as that in time: no clean order
            cases[f"vorticity, {name}"] = Case(
                _timed(form, VorticityEquation, scheme=scheme),
                vorticity(),
                [taylor_green],
                {"nu": 0.05, "drag": 0.1},
                solves=True,
                **TORUS,
            )
    cases["burgers, advective form"] = Case(
        _timed(MidpointResidual, BurgersEquation, conservative=False), burgers, [travelling], {"nu": 0.02}, solves=True
    )
    for scheme in ("fd4", "spectral"):
        cases[f"burgers, {scheme}, integrated"] = Case(
            _timed(IntegratedResidual, BurgersEquation, scheme=scheme),
            burgers,
            [travelling],
            {"nu": 0.02},
            order=4.0,
            solves=True,
            sizes=(64, 128, 256),
        )
    cases["vorticity, fd4, integrated"] = Case(
        _timed(IntegratedResidual, VorticityEquation, scheme="fd4"),
        vorticity(),
        [taylor_green],
        {"nu": 0.05, "drag": 0.1},
        order=4.0,
        solves=True,
        **TORUS,
    )
    for scheme in ("fd2", "spectral"):
        cases |= _of_scheme(scheme)
    return cases | _steady()


def _of_scheme(scheme: str) -> dict[str, Case]:
    """Cases that do not depend on the form of time."""
    ks = [lambda t, x: torch.cos(x) * (1 + torch.sin(x - t))]
    flow = [bumps, lambda *at: d(taylor_green, Y)(*at), lambda *at: bumps(at[0], at[2], at[1])]
    tracers = _timed(MidpointResidual, TracerEquation, velocity=VELOCITY, scheme=scheme)
    velocity = lambda grid, dt, nu: MidpointResidual(VelocityEquation(grid, VELOCITY, nu, scheme=scheme), dt)  # noqa: E731
    water = {"gravity": 1.5, "f0": 0.7, "beta": 0.3, "viscosity": 0.05}
    return {
        f"kuramoto-sivashinsky, {scheme}": Case(
            _timed(MidpointResidual, KuramotoSivashinskyEquation, scheme=scheme),
            kuramoto_sivashinsky,
            ks,
            {"nu": 0.7},
            lengths=(TURN,),
        ),
        f"vorticity of no solution, {scheme}": Case(
            _timed(MidpointResidual, VorticityEquation, scheme=scheme),
            vorticity(stream),
            [stream_vorticity],
            {"nu": 0.05, "drag": 0.1},
            any_field=False,
            **TORUS,
        ),
        f"velocity, {scheme}": Case(
            velocity,
            lambda fields, nu: [lambda *at, f=f: (nu - 0.05) * 2 * (f(*at) - f(*at).mean()) for f in fields],
            [drifting_u, drifting_v],
            {"nu": 0.05},
            solves=True,
            any_field=False,
            **TORUS,
        ),
        f"tracer, {scheme}": Case(tracers, tracer, flow, {"diffusivity": 0.05, "decay": 0.4}, **TORUS),
        f"compressible, kinematic, {scheme}": Case(
            _gas(scheme, "kinematic"), compressible(True), GAS, {"gamma": 1.4, "eta": 0.01, "kappa": 0.02}
        ),
        f"compressible, dynamic, {scheme}": Case(
            _gas(scheme, "dynamic"), compressible(False), GAS, {"gamma": 1.4, "eta": 0.01, "kappa": 0.02}
        ),
        f"entropy wave, {scheme}": Case(
            _gas(scheme, "kinematic"),
            compressible(True),
            ENTROPY_WAVE,
            {"gamma": 1.4, "eta": 0.0, "kappa": 0.0},
            solves=True,
        ),
        f"shallow water, {scheme}": Case(
            _timed(MidpointResidual, ShallowWaterEquation, scheme=scheme), shallow_water, WATER, water, **TORUS
        ),
    }


def _steady() -> dict[str, Case]:
    """Cases between walls, of one frame."""
    cases = {
        "divergence": Case(
            lambda grid, dt: Divergence(grid, VELOCITY), divergence, [smooth(0), smooth(1)], kind="nodes",
            component="divergence", **{**SQUARE, "sizes": (65, 129, 257)},
        ),
        "poisson, nodes": Case(
            lambda grid, dt: PoissonResidual(grid), helmholtz, [smooth(0), smooth(1)], kind="nodes", **SQUARE
        ),
        "poisson, cells": Case(
            lambda grid, dt: PoissonResidual(grid, points="cells"), helmholtz, [smooth(0), sines], kind="cells",
            **SQUARE,
        ),
        "helmholtz, nodes": Case(
            lambda grid, dt, k: HelmholtzResidual(grid, k), helmholtz, [smooth(0), smooth(1)], {"k": 3.0}, kind="nodes",
            **SQUARE,
        ),
    }  # fmt: skip
    for faces in ("arithmetic", "harmonic", "expanded"):
        cases[f"darcy, {faces}, nodes"] = Case(
            lambda grid, dt, forcing, faces=faces: DarcyResidual(grid, faces, forcing),
            darcy, [positive(1), smooth(1)], {"forcing": 0.7}, kind="nodes", **SQUARE,
        )  # fmt: skip
    return cases


CASES = _cases()
