"""Rows of gradients: against finite differences for every differentiable solver, and their memory against the steps."""

import math
import time
from collections.abc import Iterator

import numpy as np
import torch
from physics.peak_memory import PeakMemory
from torch import Tensor

from sciml_diffusion.physics.advection import Advection
from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.physics.elliptic.darcy import Darcy
from sciml_diffusion.physics.finite_volume.advection import FiniteVolumeAdvection
from sciml_diffusion.physics.finite_volume.burgers import FiniteVolumeBurgers
from sciml_diffusion.physics.finite_volume.compressible import Compressible
from sciml_diffusion.physics.finite_volume.forced_burgers import ForcedBurgers, interior_grid
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.kuramoto_sivashinsky import KuramotoSivashinsky
from sciml_diffusion.physics.navier_stokes import NavierStokes, fno_forcing
from sciml_diffusion.physics.shallow_water import ShallowWater
from sciml_diffusion.physics.smoke.scene import empty_box
from sciml_diffusion.physics.smoke.solver import Smoke
from sciml_diffusion.physics.tracer import Tracer

LINE = Grid.periodic((32,), (1.0,))
PLANE = Grid.periodic((16, 16), (1.0, 1.0), ("y", "x"))
STEP = 1e-6  # of the difference: rounding errs by 1e-10 of the derivative, the kinks of limiters by about the step


def rows(quick: bool) -> Iterator[dict]:
    """Relative errors of directional derivatives, and the order of the peak memory in the number of steps."""
    for solver, offset in _solvers():
        error = _time_dependent(solver, offset)
        yield {"case": "gradient / difference - 1", "solver": type(solver).__name__, "value": error, "limit": 1e-5}
    yield {"case": "gradient / difference - 1", "solver": "Darcy", "value": _darcy(), "limit": 1e-5}
    counts = (64, 256, 1024)[: 2 if quick else 3]
    for solver, duration in ((Burgers(LINE, 0.05), 0.5), (NavierStokes(PLANE, 0.01), 0.5)):
        yield _memory(solver, duration, counts)


def _solvers() -> Iterator[tuple]:
    """Solvers, with what is added to random fields of size 0.1 to make states of them: one number for each field."""
    yield Advection(LINE, 0.3), (0.0,)
    yield Burgers(LINE, 0.05), (0.0,)
    yield KuramotoSivashinsky(Grid.periodic((32,), (8 * math.pi,))), (0.0,)
    yield NavierStokes(PLANE, 0.01, fno_forcing(PLANE)), (0.0,)
    yield FiniteVolumeAdvection(LINE, 0.3), (0.0,)
    yield FiniteVolumeBurgers(LINE, 0.05), (0.0,)
    yield ForcedBurgers(interior_grid(31), 0.05), (0.0,)
    yield Compressible(LINE), (1.0, 0.0, 1.0)
    yield ShallowWater(PLANE, gravity=1.0, f0=1.0), (1.0, 0.0, 0.0)
    yield Smoke(empty_box((16, 16), (1.0, 1.0), ())), (1.0, 0.0, 0.0)
    wind = torch.full((1, 2, 1, 16, 16), 0.3, dtype=torch.float64)[:, :, 0]
    yield Tracer(PLANE, wind, diffusivity=0.01), (1.0,)


def _smooth(solver, offset: tuple[float, ...], seed: int) -> Tensor:
    """A few waves of size 0.1 about the offset, with shape (1, C, *S)."""
    generator, sizes = torch.Generator().manual_seed(seed), solver.grid.sizes
    noise = torch.randn(1, len(offset), *sizes, generator=generator, dtype=torch.float64)
    axes = tuple(range(2, noise.ndim))
    waves = torch.fft.rfftn(noise, dim=axes)
    for axis, n in zip(axes, sizes, strict=True):
        m = torch.arange(waves.shape[axis]) if axis == noise.ndim - 1 else torch.fft.fftfreq(n, 1 / n)
        waves = waves * (m.abs() <= 2).reshape([-1 if i == axis else 1 for i in range(noise.ndim)])
    field = torch.fft.irfftn(waves, s=sizes, dim=axes)
    centre = torch.tensor(offset, dtype=torch.float64).reshape(1, -1, *(1,) * len(sizes))
    return centre + 0.1 * field / field.abs().amax(axes, keepdim=True)


def _time_dependent(solver, offset: tuple[float, ...]) -> float:
    u0, direction = _smooth(solver, offset, 0), _smooth(solver, (0.0,) * len(offset), 1)
    weight = _smooth(solver, (0.3,) * len(offset), 2)
    return _directional(lambda u: (weight * solver.solve(u, 0.05, 2, 16)[:, :, -1]).sum(), u0, direction)


def _darcy() -> float:
    solver = Darcy(Grid.cells((16, 16), (1.0, 1.0), ("y", "x")))
    a, direction, weight = _smooth(solver, (2.0,), 0), _smooth(solver, (0.0,), 1), _smooth(solver, (0.3,), 2)
    return _directional(lambda a: (weight * solver.solve(a)).sum(), a, direction)


def _directional(value, u: Tensor, direction: Tensor) -> float:
    """|<gradient, direction> / central difference - 1|."""
    (gradient,) = torch.autograd.grad(value(u := u.clone().requires_grad_()), u)
    with torch.no_grad():
        difference = (value(u + STEP * direction) - value(u - STEP * direction)) / (2 * STEP)
    return abs(float((gradient * direction).sum() / difference) - 1)


def _memory(solver, duration: float, counts: tuple[int, ...]) -> dict:
    """Order of the peak memory of a gradient in the number of steps; `error` is the peak of the last, in MB."""
    u0, begun, peaks = _smooth(solver, (0.0,), 0).requires_grad_(), time.perf_counter(), []
    for steps in counts:
        with PeakMemory() as memory:
            torch.autograd.grad(solver.solve(u0, duration, 2, steps).square().sum(), u0)
        peaks.append(memory.peak)
    order = float(np.polyfit(np.log(counts), np.log(peaks), 1)[0])
    row = {"case": "memory of a gradient", "solver": type(solver).__name__, "order": order, "expected_order": 0.5}
    row |= {"tolerance": 0.2, "error": peaks[-1] / 1e6, "resolutions": f"steps {', '.join(map(str, counts))}"}
    return row | {"seconds": round(time.perf_counter() - begun, 2)}
