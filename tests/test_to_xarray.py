"""Posteriors as xarray. Truth: the frames of the window; an AR(1) law in time, whose start follows from its end."""

import numpy as np
import torch
import xarray as xr

import sciml_diffusion as sd
from sciml_diffusion.codecs.standardise import Standardise
from sciml_diffusion.denoisers.basis import MatrixBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.prior import Prior, Variable

FRAMES, POINTS, CORRELATION = 4, 5, 0.9


def prior() -> Prior:
    """Equal values along x, and an AR(1) of unit variance in time, in model time."""
    lag = torch.arange(FRAMES)
    time = CORRELATION ** (lag[:, None] - lag).abs().double()
    covariance = torch.kron(time, torch.ones(POINTS, POINTS, dtype=torch.float64))
    variance, vectors = torch.linalg.eigh(covariance)
    event = (1, FRAMES, POINTS)
    denoiser = GaussianDenoiser(torch.zeros(event).double(), MatrixBasis(vectors, event), variance.clamp_min(1e-9))
    one = torch.ones(1, 1, 1).double()
    codec = Standardise(0 * one, one, event, False)
    grid = Grid.periodic((POINTS,), (1.0,))
    return Prior(denoiser, codec, grid, (Variable("u", "1"),), FRAMES, 0.5, (1e-3, 50.0))


def test_a_sensor_at_the_end_tells_of_the_start():
    """E[u_0 | u_3 = 2] = 2 CORRELATION^3 with noise of 0.01, and all frames of the window come back."""
    table = {"time": [1.5], "x": [0.2], "variable": ["u"], "station": ["a"]}
    coordinates = {k: ("observation", v) for k, v in table.items()}
    values = {"value": ("observation", [2.0]), "std": ("observation", [0.01])}
    obs = xr.Dataset(values, coordinates, {"units": '{"u": "1"}'})
    post = sd.posterior(prior(), obs, members=400, steps=8, seed=0, progress=False)
    np.testing.assert_allclose(post["time"], [0, 0.5, 1.0, 1.5])
    mean = post["u"].mean(("realization", "x"))
    # 400 members of standard deviation sqrt(1 - 0.9^6) = 0.68 at the start: standard error 0.034, three of them
    assert abs(float(mean[0]) - 2 * CORRELATION**3) < 0.1
    assert abs(float(mean[-1]) - 2) < 0.01
