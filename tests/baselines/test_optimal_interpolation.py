"""Optimal interpolation against the kriging formula on dense matrices, and on fields whose law is known."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import sciml_diffusion as sd
from sciml_diffusion.baselines.kriging import ClosedForm, window_score
from sciml_diffusion.baselines.optimal_interpolation import OptimalInterpolation, temporal_correlation
from sciml_diffusion.denoisers.basis import IdentityBasis, MatrixBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.denoisers.mixture import MixtureDenoiser
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Matrix
from sciml_diffusion.samplers.streams import MemberStreams


def fields(days: int = 16, seed: int = 0) -> xr.Dataset:
    """Hourly fields on 6 x 7 points: a daily cycle and anomalies of 2 K, 300 km and 12 hours."""
    rng, latitude, longitude = np.random.default_rng(seed), np.linspace(54, 51, 6), np.linspace(-4, 0, 7)
    a, b = (m.ravel() for m in np.meshgrid(latitude * 111, longitude * 68, indexing="ij"))
    distance = np.hypot(a[:, None] - a, b[:, None] - b)
    root = np.linalg.cholesky(np.exp(-distance / 300) + 1e-9 * np.eye(42))
    hours, rho = np.arange(24 * days), math.exp(-1 / 12)
    z = [root @ rng.normal(size=42)]
    for _ in hours[1:]:
        z.append(rho * z[-1] + math.sqrt(1 - rho**2) * root @ rng.normal(size=42))
    values = 280 + 3 * np.cos(2 * np.pi * hours / 24)[:, None] + 2 * np.array(z)
    return xr.Dataset(
        {"t2m": (("time", "latitude", "longitude"), values.reshape(-1, 6, 7), {"units": "K"})},
        {
            "time": pd.date_range("2020-01-01", periods=len(hours), freq="1h"),
            "latitude": latitude,
            "longitude": longitude,
        },
    )


def test_closed_form_draws_have_the_moments_of_kriging():
    generator = torch.Generator().manual_seed(0)
    d, m, members = 6, 3, 4000
    root = torch.randn(d, d, generator=generator, dtype=torch.float64)
    variance, modes = torch.linalg.eigh(root @ root.T + 0.1 * torch.eye(d))
    mean = torch.randn(d, generator=generator, dtype=torch.float64)
    denoiser = GaussianDenoiser(mean, MatrixBasis(modes, (d,)), variance)
    a, y = (
        torch.randn(m, d, generator=generator, dtype=torch.float64),
        torch.randn(1, m, dtype=torch.float64, generator=generator),
    )
    std = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    streams = MemberStreams(0, [0], range(members), torch.float64)
    x = ClosedForm().sample(denoiser, Observation(Matrix(a, (d,)), y, std), streams).x[0]
    c = modes @ variance.diag() @ modes.T
    gain = c @ a.T @ torch.linalg.inv(a @ c @ a.T + std.square().diag())
    truth, covariance = mean + gain @ (y[0] - a @ mean), c - gain @ a @ c
    scale = covariance.diagonal().sqrt()
    # 4000 draws: standard error 1.6 % of a standard deviation for the mean, 2.2 % for a covariance; 4 of them
    assert ((x.mean(0) - truth) / scale).abs().max() < 0.065
    assert ((torch.cov(x.T) - covariance) / (scale[:, None] * scale)).abs().max() < 0.1


def test_closed_form_draws_refuse_what_has_no_covariance():
    mixture = MixtureDenoiser(torch.zeros(1), torch.zeros(1, 2), IdentityBasis(), torch.ones(1, 2))
    observation = Observation(Matrix(torch.eye(2), (2,)), torch.zeros(1, 2), torch.ones(2))
    with pytest.raises(TypeError, match="Gaussian"):
        ClosedForm().sample(mixture, observation, MemberStreams(0, [0], range(2)))


def test_score_of_windows_is_least_for_the_true_time_scale():
    generator = torch.Generator().manual_seed(1)
    place = torch.linspace(0, 3, 12, dtype=torch.float64)
    space = torch.exp(-(place[:, None] - place).abs())
    time = temporal_correlation(4, 6.0)
    root = torch.linalg.cholesky(torch.kron(time, space))
    check = (torch.randn(4000, 48, generator=generator, dtype=torch.float64) @ root.T).reshape(-1, 4, 12)
    sets = [(torch.tensor([0, 6]), torch.tensor([2, 4, 9]))]
    scores = [float(window_score(space, temporal_correlation(4, tau), check, sets, 0.3)[0]) for tau in (1.0, 6.0, 60.0)]
    assert scores[1] < min(scores[0], scores[2])


def test_analysis_beats_the_climatology_and_is_calibrated():
    data = fields()
    train, truth = data.isel(time=slice(0, 12 * 24)), data.isel(time=slice(13 * 24, 16 * 24))
    baseline = OptimalInterpolation.fit(train, "8h")
    obs = sd.observe(truth, stations=8, std=0.1, seed=0)
    post = baseline.posterior(obs, members=40, seed=0)
    scores = sd.score(post, truth, obs)
    assert post["t2m"].dims == ("realization", "time", "latitude", "longitude")
    # exponential covariance of 300 km, stations about 80 km away: rmse about 2 sqrt(1 - exp(-2 80 / 300)) = 1.3 K
    assert scores["rmse"] < 1.5 and 0.8 < scores["coverage90"] < 0.98
    # with stations this exact the score is flat from 12 hours (the truth) up
    assert baseline.choices["folds"] == 4 and baseline.choices["tau"] >= 6.0


def test_same_seed_gives_the_same_analysis():
    data = fields(4)
    baseline = OptimalInterpolation.fit(data, "4h")
    obs = sd.observe(data.isel(time=slice(0, 8)), stations=3, std=0.1, seed=0)
    xr.testing.assert_identical(baseline.posterior(obs, 4, seed=1), baseline.posterior(obs, 4, seed=1))
