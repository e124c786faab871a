"""Samples on two axes. Truths: a stationary law of known covariance; windows that the symmetries must give back."""

import math

import numpy as np
import pytest
import torch
import xarray as xr

from sciml_diffusion.physics.elliptic.darcy import Darcy
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.navier_stokes import NavierStokes, fno_forcing
from sciml_diffusion.physics.random_fields_torus import TorusRandomField
from sciml_diffusion.prior import Prior, Variable
from sciml_diffusion.training.augment import compose_augment, random_diagonal_shift, random_square, random_torus_shift
from sciml_diffusion.training.fit import FitConfig
from sciml_diffusion.training.recipe import train_prior
from sciml_diffusion.training.spectral import fit_separable

CONFIG = FitConfig(steps=4, batch=4, validate_every=2, levels=2, device="cpu")
N = 8


def waves(n, times=2, seed=0):
    """a cos(x + y) + b sin(x + y) + (c cos(y) + d sin(y)) / 2 frames of correlation 1/2; (n, times, N, N)."""
    g = torch.Generator().manual_seed(seed)
    place = 2 * math.pi * torch.arange(N, dtype=torch.float64) / N
    phases = torch.stack([place[:, None] + place, place[:, None] + 0 * place])
    x = torch.zeros(n, times, N, N, dtype=torch.float64)
    for phase, size in zip(phases, (1.0, 0.5), strict=True):
        for wave in (phase.cos(), phase.sin()):
            a = torch.randn(n, 1, generator=g, dtype=torch.float64)
            b = torch.randn(n, times, generator=g, dtype=torch.float64)
            x += size * (math.sqrt(0.5) * (a + b))[..., None, None] * wave
    return x


def covariance(times=2):
    """E[x_t(i) x_s(j)] = (1 + (t = s)) / 2 (cos(d_x + d_y) + cos(d_y) / 4) at distance d, with shape (T N N, T N N)."""
    place = 2 * math.pi * torch.arange(N, dtype=torch.float64) / N
    y, x = (p.flatten() for p in torch.meshgrid(place, place, indexing="ij"))
    dy, dx = y[:, None] - y, x[:, None] - x
    frames = 0.5 + 0.5 * torch.eye(times, dtype=torch.float64)
    return torch.kron(frames, (dx + dy).cos() + dy.cos() / 4)


def test_periodic_anchor_has_the_covariance():
    denoiser = fit_separable(waves(20000), (True, True), ridge=1e-9)
    size = 2 * N * N
    columns = denoiser.surrogate(torch.tensor(math.inf)).apply(torch.eye(size).reshape(size, 2, N, N))
    # 20000 windows, 2 modes for each wave: a variance of 1.25 is known to 0.7 %; 5 standard errors
    torch.testing.assert_close(columns.reshape(size, size).double(), covariance(), rtol=0, atol=0.05)


def test_open_anchor_is_exact_for_cosine_modes():
    """Amplitudes of single cosine modes that two channels share: the covariance is theirs, channels coupled."""
    g, place = torch.Generator().manual_seed(0), (torch.arange(N, dtype=torch.float64) + 0.5) / N
    mode = (math.pi * place).cos()[:, None] * (2 * math.pi * place).cos()
    a = torch.randn(4000, 1, 1, 1, generator=g, dtype=torch.float64)
    denoiser = fit_separable(torch.cat([a * mode, -2 * a * mode], 1), (False, False), ridge=1e-9)
    column = denoiser.surrogate(torch.tensor(math.inf)).apply(torch.eye(2 * N * N).reshape(-1, 2, N, N)[:1])
    factor = float(a.square().mean() - a.mean() ** 2) * mode[0, 0]
    expected = torch.stack([mode, -2 * mode])[None] * factor
    # the ridge is 1e-9 of the mean variance; single precision of the basis
    torch.testing.assert_close(column.double(), expected, rtol=0, atol=1e-4)


def planes(n=24, frames=3, periodic=True) -> xr.Dataset:
    u = waves(n, frames).numpy().astype("float32")
    axis = {"period": 1.0} if periodic else {}
    coordinates = {"sample": np.arange(n), "time": np.arange(frames) * 0.5}
    coordinates |= {d: (d, np.arange(N) / N, axis) for d in ("y", "x")}
    dims = ("sample", "time", "y", "x")
    return xr.Dataset({"w": (dims, u, {"units": "s-1"}), "q": (dims, 2 * u + 1, {"units": "1"})}, coordinates)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("frames", [1, 3])
def test_training_makes_a_prior(periodic, frames, tmp_path):
    fields = planes(frames=frames, periodic=periodic)
    parts = train_prior(fields, network={"width": 8, "multipliers": (1, 2)}, config=CONFIG, progress=False)
    prior = Prior(**parts._asdict() | {"variables": tuple(Variable(**v) for v in parts.variables)})
    assert prior.shape == (2, frames, N, N) and prior.codec.event == (2 * frames, N, N)
    prior.save(tmp_path / "prior")
    again = Prior.load(tmp_path / "prior")
    x_t = torch.randn(2, *prior.codec.event, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.denoiser(x_t, torch.tensor(0.5)), parts.denoiser(x_t, torch.tensor(0.5)))


def test_symmetries_move_points_and_nothing_else():
    x = torch.arange(2 * 3 * 4 * 4, dtype=torch.float64).reshape(2, 3, 4, 4)
    g = torch.Generator().manual_seed(0)
    for symmetry in (random_torus_shift, random_diagonal_shift, random_square):
        moved = symmetry(x.repeat(20, 1, 1, 1), g)
        assert torch.equal(moved.flatten(2).sort(-1).values, x.repeat(20, 1, 1, 1).flatten(2).sort(-1).values)
        assert len({tuple(m.flatten().tolist()) for m in moved[::2]}) > 3


def test_diagonal_shift_keeps_functions_of_the_sum():
    place = torch.arange(N, dtype=torch.float64)
    f = (2 * math.pi * (place[:, None] + place) / N).sin().expand(10, 1, N, N)
    torch.testing.assert_close(random_diagonal_shift(f, torch.Generator().manual_seed(0)), f, rtol=0, atol=1e-12)


def test_unknown_symmetry():
    with pytest.raises(ValueError, match="unknown symmetry 'rotate'; known are shift"):
        compose_augment(["rotate"])
    assert compose_augment([]) is None


@pytest.mark.parametrize("symmetry", ["turn", "diagonal-shift"])
def test_symmetries_of_forced_flow_give_flows(symmetry):
    """A trajectory under the forcing of x + y, turned or shifted, is what the solver makes of its first frame."""
    grid = Grid.periodic((16, 16), (1.0, 1.0), ("y", "x"))
    solver, law = NavierStokes(grid, 0.01, fno_forcing(grid)), TorusRandomField(modes=5)
    w = solver.solve(law.evaluate(law.coefficients(0, [0]), grid)[:, None], 1.0, 3, 8)[:, 0]
    moved = compose_augment([symmetry])(w.repeat(12, 1, 1, 1), torch.Generator().manual_seed(0))
    assert len({round(float(m[0, 0, 0]), 9) for m in moved}) > 1
    # modes above n / 3 leave the first frame at the first step: the same in both, to rounding
    torch.testing.assert_close(solver.solve(moved[:, None, 0], 1.0, 3, 8)[:, 0], moved, rtol=0, atol=1e-12)


def test_symmetries_of_the_square_give_solutions_of_darcy():
    grid = Grid.cells((8, 8), (1.0, 1.0), ("y", "x"))
    a = 1 + torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pair = torch.cat([a, Darcy(grid).solve(a)], 1).repeat(20, 1, 1, 1)
    moved = compose_augment(["square"])(pair, torch.Generator().manual_seed(0))
    assert len({round(float(m[0, 0, 0]), 9) for m in moved}) == 4  # any corner may come first
    torch.testing.assert_close(Darcy(grid).solve(moved[:, :1]), moved[:, 1:], rtol=0, atol=1e-12)
