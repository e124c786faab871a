"""From fields to a closed-form prior: the climatology it removes, the layouts it takes, what it refuses."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from sciml_diffusion.codecs.standardise import Climatology, Standardise
from sciml_diffusion.training.fit_prior import anomalies_of, fit_prior


def dated(days: int = 8, step: str = "1h", sizes=(4, 5), names=("t2m",), seed: int = 0) -> xr.Dataset:
    """A daily cycle of 2 K plus white noise of 1 K that is shared by all points, and 0.3 K that is not."""
    rng = np.random.default_rng(seed)
    time = pd.date_range("2020-01-01", periods=int(pd.Timedelta(f"{days}D") / pd.Timedelta(step)), freq=step)
    cycle = 280 + 2 * np.cos(2 * np.pi * time.hour / 24).to_numpy()[:, None, None]
    data = {}
    for name in names:
        noise = rng.normal(size=(len(time), 1, 1)) + 0.3 * rng.normal(size=(len(time), *sizes))
        data[name] = (("time", "latitude", "longitude"), cycle + noise, {"units": "K"})
    coords = {"time": time, "latitude": np.linspace(53, 50, sizes[0]), "longitude": np.linspace(0, 3, sizes[1])}
    return xr.Dataset(data, coords)


def test_parts_of_a_dated_series():
    denoiser, codec, grid, step, variables, sigma_range, card = fit_prior(dated(), "4h")
    assert isinstance(codec, Climatology) and grid.dims == ("latitude", "longitude") and grid.sizes == (4, 5)
    assert step == np.timedelta64(1, "h") and denoiser.event == (4, 4, 5) and card["window"] == 4
    assert [v["name"] for v in variables] == ["t2m"] and variables[0]["units"] == "K"
    assert 0 < sigma_range[0] < 0.1 and sigma_range[1] > 1 and card["start"] == "2020-01-01T00:00:00"
    # anomalies have the std sqrt(1 + 0.09) = 1.04 K; 192 hours: 1 / sqrt(2 192) = 5 % of error, 3 of them
    assert float(codec.std) == pytest.approx(1.04, rel=0.15)
    assert denoiser.mean.dtype == torch.float32


def test_codec_removes_the_cycle_of_every_hour():
    codec = fit_prior(dated(days=40), "8h")[1]
    expected = 280 + 2 * torch.cos(2 * torch.pi * torch.arange(24) / 24)
    # 5 coefficients from 40 days of 24 hours of noise 1 K: an error of sqrt(5 / 960) = 0.07 K, 4 of them
    assert float((codec.mean.mean((0, 2, 3)) - expected).abs().max()) < 0.3


def test_draws_have_the_covariance_of_the_fields():
    denoiser, codec, *_ = fit_prior(dated(days=40), 2)
    c = denoiser.surrogate(torch.tensor(torch.inf)).apply(torch.eye(40).reshape(40, 2, 4, 5)).reshape(40, 40)
    c = c * float(codec.std) ** 2
    # variance 1.09, covariance 1 in one frame (less where the fit localises), 0 across frames of white noise
    assert float(c.diagonal().mean()) == pytest.approx(1.09, rel=0.1)
    assert float(c[0, 1]) == pytest.approx(1.0, rel=0.15) and abs(float(c[0, 20])) < 0.15


def test_trajectories_and_model_time_take_the_mean_of_each_point():
    rng, x = np.random.default_rng(0), np.linspace(0, 1, 16)
    values = np.sin(2 * np.pi * x) + 0.1 * rng.normal(size=(6, 20, 16))
    fields = xr.Dataset({"u": (("sample", "time", "x"), values)}, {"time": 0.1 * np.arange(20), "x": x})
    denoiser, codec, grid, step, *_ = fit_prior(fields, 5)
    assert isinstance(codec, Standardise) and denoiser.event == (1, 5, 16) and step == pytest.approx(0.1)
    # 120 frames of noise 0.1: 0.009 of error at a point, 4 of them
    assert float((codec.mean[0, 0] - torch.sin(2 * torch.pi * torch.from_numpy(x))).abs().max()) < 0.04
    assert len(anomalies_of(fields, 5).segments) == 6


def test_several_variables_one_frame_and_daily_fields():
    denoiser, codec, _, _, variables, _, _ = fit_prior(dated(names=("t2m", "d2m")), 1)
    assert denoiser.event == (2, 4, 5) and len(variables) == 2 and codec.std.shape[0] == 2
    daily = fit_prior(dated(days=30, step="1D"), "2D")
    assert isinstance(daily[1], Standardise) and daily[3] == np.timedelta64(1, "D")


def test_windows_do_not_cross_gaps():
    fields = dated()
    cut = fields.isel(time=np.r_[0:100, 120:192])
    assert [len(s) for s in anomalies_of(cut, "4h").segments] == [100, 72]


def test_few_frames_give_a_prior_without_choices():
    card = fit_prior(dated().isel(time=slice(0, 12)), "4h")[-1]
    assert card["law"]["folds"] == 0 and card["law"]["log_crps"] is None


@pytest.mark.parametrize(
    ("fields", "window", "words"),
    [
        (dated().isel(time=slice(0, 1)), "1h", "at least 2 frames"),
        (dated(), "30min", "whole number"),
        (dated().isel(time=slice(0, 6)), "8h", "8 frames"),
        (dated().where(dated().longitude < 2), "4h", "missing"),
        (dated() * 0 + 280, "4h", "does not vary"),
        (dated(sizes=(90, 90)).isel(time=slice(0, 24)), "4h", "Coarsen"),
    ],
)
def test_what_makes_no_prior_is_refused(fields, window, words):
    with pytest.raises(ValueError, match=words):
        fit_prior(fields, window)
