"""Tasks of pde_inverse.py, and the methods that know the equation and the law of its input."""

from collections.abc import Callable
from dataclasses import dataclass

import common  # noqa: F401  (finds the package)
import torch
import yaml
from torch import Tensor

import sciml_diffusion as sd
from sciml_diffusion.baselines.enkf import EnsembleKalman
from sciml_diffusion.baselines.gauss_newton import GaussNewton
from sciml_diffusion.inverse.truncated import TruncatedNormal
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Function, Weighted
from sciml_diffusion.physics.elliptic.darcy import Darcy
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.navier_stokes import NavierStokes, fno_forcing
from sciml_diffusion.physics.random_fields_neumann import NeumannRandomField, two_phase
from sciml_diffusion.physics.random_fields_torus import TorusRandomField
from sciml_diffusion.samplers.streams import MemberStreams

F64 = torch.float64
POINTS, SENSORS, NOISE = 64, 123, 0.01  # of an axis; 3 % of the cells; share of the seen field's standard deviation
TEST = 3_000_000  # seed of truths
TASKS = {  # prior, channel seen, channel asked for
    "darcy-forward": ("darcy", 0, 1),
    "darcy-inverse": ("darcy", 1, 0),
    "navier-stokes-forward": ("navier-stokes", 0, 7),
    "navier-stokes-inverse": ("navier-stokes", 7, 0),
}


@dataclass(frozen=True)
class Layout:
    """Truths that are seen by the same sensors.

    Arguments:
        truth: standardised windows, with shape (B, C, H, W).
        index: places of the sensors in the flattened channel, with shape (m,).
        y: what they report, with shape (B, m), standardised.
        std: of their noise.
        seen, asked: channels.
    """

    truth: Tensor
    index: Tensor
    y: Tensor
    std: float
    seen: int
    asked: int

    @property
    def observation(self) -> Observation:
        """The data as seen from whole windows."""
        event = tuple(self.truth.shape[1:])
        places = (self.seen * POINTS**2 + self.index)[:, None]
        operator = Weighted(places, torch.ones(places.shape, dtype=F64), event)
        return Observation(operator, self.y, torch.full((len(self.index),), self.std))


def fields(name: str, count: int, seed: int) -> Tensor:
    """Samples of the law of a shipped prior, as windows with shape (N, C, 64, 64) in physical units."""
    path = common.ROOT / "configs" / "train" / f"{name}.yaml"
    options = yaml.safe_load(path.read_text())["fields"]["generator"]
    data = sd.generate(name, count, seed, **{k: v for k, v in options.items() if k != "_target_"})
    if name == "darcy":
        return torch.cat([torch.from_numpy(data[v].values).reshape(count, 1, POINTS, POINTS) for v in ("a", "u")], 1)
    return torch.from_numpy(data.vorticity.values)


def layouts(task: str, windows: Tensor, groups: int, seed: int) -> list[Layout]:
    """Truths (N, C, H, W), standardised, shared out to `groups` sets of random sensors."""
    _, seen, asked = TASKS[task]
    std, made = NOISE * float(windows[:, seen].std()), []
    for n, part in enumerate(windows.chunk(groups)):
        g = torch.Generator().manual_seed(1000 * seed + 10 * n + seen)
        index = torch.randperm(POINTS**2, generator=g)[:SENSORS]
        clean = part[:, seen].flatten(1)[:, index]
        made.append(Layout(part, index, clean + std * torch.randn(clean.shape, generator=g), std, seen, asked))
    return made


def waves(index: Tensor, modes: int = 64) -> Tensor:
    """Scaled cosines of the law of Darcy's g at some cells: shape (m, modes^2), g = waves xi."""
    law = NeumannRandomField(modes=modes)
    k = torch.arange(modes, dtype=F64)
    at = (torch.stack([index // POINTS, index % POINTS]).to(F64) + 0.5) / POINTS
    basis = torch.cos(torch.pi * at[:, :, None] * k) * torch.where(k == 0, 1.0, 2**0.5)
    return torch.einsum("mj,mk,jk->mjk", basis[0], basis[1], law.amplitudes).flatten(1)


def darcy_exact(layout: Layout, scale: Callable, members: int, seed: int) -> Tensor:
    """u of members of the exact law given signs of g at the sensors (the noise cannot hide them): (B, K, H, W).

    g at the sensors is a normal law cut off at 0, drawn by bouncing paths; the rest of g by kriging; u by the solver.
    """
    features, everywhere = waves(layout.index), waves(torch.arange(POINTS**2))
    covariance = features @ features.T + 1e-6 * torch.eye(len(features), dtype=F64)
    a = scale(layout.y.to(F64), layout.seen)
    streams = MemberStreams(seed, range(len(a)), range(members), F64)
    w = signed_draws(covariance, torch.where(a > 7.5, 1.0, -1.0).to(F64), streams)
    xi = streams.normal((features.shape[1],))
    g = xi @ everywhere.T + torch.linalg.solve(covariance, (w - xi @ features.T).T).T @ (features @ everywhere.T)
    coefficient = two_phase(g).reshape(-1, 1, POINTS, POINTS)
    return Darcy(square(), 1.0).solve(coefficient).reshape(len(a), members, POINTS, POINTS)


def signed_draws(covariance: Tensor, side: Tensor, streams: MemberStreams, sweeps: int = 20) -> Tensor:
    """w ~ N(0, covariance) given the signs of its entries, K rows for each row of side: shapes (m, m), (B, m)."""
    free, zero = torch.zeros_like(side, dtype=torch.bool), torch.zeros_like(side)
    law = TruncatedNormal(covariance, free, side, zero)
    begin = (side * covariance.diagonal().sqrt() * 0.5).repeat_interleave(streams.rows // len(side), 0)
    return law.draw(torch.zeros_like(begin), begin, sweeps, streams.normal)


def square() -> Grid:
    """The cells of Darcy's unit square."""
    return Grid.cells((POINTS, POINTS), (1.0, 1.0), ("y", "x"))


def darcy_kalman(layout: Layout, scale: Callable, members: int, seed: int, rounds: int = 5) -> Tensor:
    """a of a level-set ensemble Kalman inversion of g through the solver: shape (B, K, H, W).

    Gauss-Newton has nothing to hold on to here: a does not change with g, but where g crosses 0.
    Source: M. Iglesias, Y. Lu and A. Stuart, Interfaces and Free Boundaries 18 (2016).
    """
    everywhere, solver = waves(torch.arange(POINTS**2), 24), Darcy(square(), 1.0)

    def coefficient(xi: Tensor) -> Tensor:
        return two_phase(xi @ everywhere.T).reshape(-1, 1, POINTS, POINTS)

    def seen(xi: Tensor) -> Tensor:
        return solver.solve(coefficient(xi)).flatten(1)[:, layout.index]

    unit = scale(torch.ones(1), layout.seen) - scale(torch.zeros(1), layout.seen)
    operator = Function(seen, (everywhere.shape[1],), SENSORS, differentiable=False)
    y, std = scale(layout.y.to(F64), layout.seen), torch.full((SENSORS,), layout.std * float(unit), dtype=F64)
    streams = MemberStreams(seed, range(len(y)), range(members), F64)
    method = EnsembleKalman(lambda s: s.normal((everywhere.shape[1],)), rounds)
    xi = method.posterior(Observation(operator, y, std), streams).x.flatten(0, 1)
    return coefficient(xi).reshape(len(y), members, POINTS, POINTS)


def torus(points: int) -> Grid:
    """The periodic unit square."""
    return Grid.periodic((points, points), (1.0, 1.0), ("y", "x"))


def flow(points: int) -> NavierStokes:
    """The equation of the prior."""
    grid = torus(points)
    return NavierStokes(grid, 1e-3, fno_forcing(grid))


def torus_waves(law: TorusRandomField, index: Tensor) -> Tensor:
    """Scaled waves of a law at some points: shape (m, P), w = waves xi."""
    at = torch.stack([index % POINTS, index // POINTS], 1).to(F64) / POINTS
    phase = 2 * torch.pi * at @ law.shells.to(F64).T
    return (torch.stack([phase.cos(), phase.sin()], -1) * law.amplitudes[:, None]).flatten(1)


def flow_exact(layout: Layout, scale: Callable, members: int, seed: int) -> Tensor:
    """Last frames, shape (B, K, H, W): draws of the first by kriging with its exact covariance, then the solver."""
    law = TorusRandomField()
    rows = torus_waves(law, layout.index)
    y, std = scale(layout.y.to(F64), 0), layout.std * float(scale(torch.ones(1), 0) - scale(torch.zeros(1), 0))
    streams = MemberStreams(seed, range(len(y)), range(members), F64)
    xi = streams.normal((rows.shape[1],))
    data = y.repeat_interleave(members, 0) - std * streams.normal((SENSORS,))
    total = rows @ rows.T + std**2 * torch.eye(SENSORS, dtype=F64)
    xi = xi + torch.linalg.solve(total, (data - xi @ rows.T).T).T @ rows
    first = law.evaluate(xi.reshape(len(xi), -1, 2), torus(POINTS))[:, None]
    last = torch.cat([flow(POINTS).solve(part, 7.0, 2)[:, 0, -1] for part in first.split(32)])
    return last.reshape(len(y), members, POINTS, POINTS)


def last_frame(modes: int, coarse: int = 24) -> Callable[[Tensor], Tensor]:
    """The map from the first waves of the initial field, (N, 2 K), to the vorticity at t = 7, (N, 64, 64).

    Solved on coarse x coarse points, which the decay of short waves allows, and carried to 64 x 64 by its waves.
    """
    law, solver, half = TorusRandomField(), flow(coarse), coarse // 2
    grid = torus(coarse)

    def forward(xi: Tensor) -> Tensor:
        first = law.evaluate(xi.reshape(len(xi), 2 * modes * (modes + 1), 2), grid)[:, None]
        last = torch.fft.rfft2(solver.solve(first, 7.0, 8, 4, check=False, checkpoint=False)[:, 0, -1])
        pad = last.new_zeros(len(xi), POINTS - coarse + 1, half)
        full = torch.cat([last[:, :half, :half], pad, last[:, half + 1 :, :half]], 1)
        return torch.fft.irfft2(full, s=(POINTS, POINTS)) * (POINTS / coarse) ** 2

    return forward


def flow_variational(layout: Layout, scale: Callable, members: int, seed: int, modes: int = 4) -> Tensor:
    """First frames by 4D-Var: the waves with |k_i| <= modes by Gauss-Newton through the solver, with its Laplace law.

    Higher waves have decayed by more than exp(-6.9) at t = 7, below the noise; members draw them from the prior.
    Returns shape (B, K, H, W).
    """
    law, low = TorusRandomField(), 2 * modes * (modes + 1)
    places = layout.index[:, None]
    operator = Weighted(places, torch.ones(places.shape, dtype=F64), (POINTS, POINTS))
    y, std = scale(layout.y.to(F64), 0), layout.std * float(scale(torch.ones(1), 0) - scale(torch.zeros(1), 0))
    observation = Observation(operator, y, torch.full((SENSORS,), std, dtype=F64))
    xi, hessian, _ = GaussNewton(last_frame(modes), 2 * low, iterations=8, tolerance=1e-3, chunk=4).solve(observation)
    streams = MemberStreams(seed, range(len(y)), range(members), F64)
    z = streams.normal((2 * len(law.shells),)).reshape(len(y), members, -1)
    upper = torch.linalg.cholesky(hessian).mT
    z[..., : 2 * low] = xi[:, None] + torch.linalg.solve_triangular(upper, z[..., : 2 * low].mT, upper=True).mT
    first = law.evaluate(z.reshape(len(y) * members, -1, 2), torus(POINTS))
    return first.reshape(len(y), members, POINTS, POINTS)


PHYSICAL = {  # name, method: they know the equation and the law of its input
    "darcy-forward": ("exact_law_solver", darcy_exact),
    "darcy-inverse": ("level_set_enki", darcy_kalman),
    "navier-stokes-forward": ("exact_law_solver", flow_exact),
    "navier-stokes-inverse": ("4d_var", flow_variational),
}
