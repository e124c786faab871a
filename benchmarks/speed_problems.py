"""The problems that solver_speed.py and solver_throughput.py solve: initial fields, solvers, numbers of steps."""

import math

import numpy as np
import torch

from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.navier_stokes import NavierStokes

BATCHES = (1, 64)


def vortices(samples: int, points: int) -> torch.Tensor:
    """Random modes |k| <= 3 of rms 3, with shape (B, 1, points, points)."""
    rng, place = np.random.default_rng(0), 2 * math.pi * np.arange(points) / points
    y, x = np.meshgrid(place, place, indexing="ij")
    w = np.zeros((samples, points, points))
    for ky in range(-3, 4):
        for kx in range(4):
            if 0 < kx * kx + ky * ky <= 9:
                a, b = rng.standard_normal((2, samples, 1, 1))
                w += a * np.cos(kx * x + ky * y) + b * np.sin(kx * x + ky * y)
    return torch.from_numpy(3 * w / w.std((1, 2), keepdims=True))[:, None]


def waves(samples: int, points: int) -> torch.Tensor:
    """Random modes k <= 4 of rms 0.7, with shape (B, 1, points)."""
    rng, x = np.random.default_rng(1), np.arange(points) / points
    u = np.zeros((samples, points))
    for k in range(1, 5):
        a, b = rng.standard_normal((2, samples, 1)) / k
        u += a * np.cos(2 * math.pi * k * x) + b * np.sin(2 * math.pi * k * x)
    return torch.from_numpy(0.7 * u / u.std(1, keepdims=True))[:, None]


def problems(quick: bool) -> dict[str, dict]:
    """Solver, initial fields, numbers of steps and parameters of each problem."""
    n, m = (64, 256) if quick else (128, 1024)
    torus = Grid.periodic((n, n), (2 * math.pi, 2 * math.pi), ("y", "x"))
    line = Grid.periodic((m,), (1.0,))
    flow, shock = {"nu": 0.02}, {"nu": 0.005}
    return {
        "navier-stokes": {
            "u0": vortices(max(BATCHES), n),
            "make": lambda scheme: NavierStokes(torus, flow["nu"], scheme=scheme),
            "steps": [20, 40, 80] if quick else [80, 160, 320, 640],
            **flow,
        },
        "burgers": {
            "u0": waves(max(BATCHES), m),
            "make": lambda scheme: Burgers(line, shock["nu"], scheme=scheme),
            "steps": [400, 800, 1600] if quick else [1600, 3200, 6400],
            **shock,
        },
    }
