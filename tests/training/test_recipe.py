"""Truths: the parts that went in come out; the Gaussian anchor's own error; a run without a stop."""

import numpy as np
import pytest
import torch
import xarray as xr

from sciml_diffusion.prior import Prior, Variable
from sciml_diffusion.training.augment import random_mirror, random_shift
from sciml_diffusion.training.fit import FitConfig
from sciml_diffusion.training.fit_prior import fit_prior
from sciml_diffusion.training.recipe import train_prior
from sciml_diffusion.training.sources import validation_blocks

CONFIG = FitConfig(steps=6, batch=4, validate_every=3, levels=2, device="cpu")
NETWORK = {"width": 8, "multipliers": (1, 2)}


def trajectories(n=40) -> xr.Dataset:
    """Random standing waves on a circle, u = a cos(x) + b sin(x) with a drift in time."""
    generator = np.random.default_rng(0)
    a, b = generator.standard_normal((2, n, 1, 1))
    x, t = np.arange(8) / 8, np.linspace(0, 1, 6)
    u = (a * np.cos(2 * np.pi * x) + b * np.sin(2 * np.pi * x)) * (1 + t[:, None]) + 3
    u = u + 0.1 * generator.standard_normal(u.shape)
    coordinates = {"sample": np.arange(n), "time": t, "x": ("x", x, {"period": 1.0})}
    return xr.Dataset({"u": (("sample", "time", "x"), u.astype("float32"), {"units": "m s-1"})}, coordinates)


def train(**more):
    return train_prior(trajectories(), **({"config": CONFIG, "network": NETWORK, "progress": False} | more))


def prior_of(parts) -> Prior:
    return Prior(**parts._asdict() | {"variables": tuple(Variable(**v) for v in parts.variables)})


def test_parts_make_a_prior(tmp_path):
    parts = train()
    prior = prior_of(parts)
    assert prior.shape == (1, 6, 8) and prior.grid.periods == (1.0,) and prior.step == pytest.approx(0.2)
    assert prior.variables[0].units == "m s-1"
    assert parts.card["steps"] == 6 and len(parts.card["by_sigma"]) == 2
    prior.save(tmp_path / "prior")
    again, x_t = Prior.load(tmp_path / "prior"), torch.randn(2, 1, 6, 8, generator=torch.Generator().manual_seed(0))
    for sigma in (torch.tensor(0.02), torch.tensor(2.0)):
        assert torch.equal(again.denoiser(x_t, sigma), parts.denoiser(x_t, sigma))


def test_standardised_by_the_training_part():
    parts, u = train(), trajectories()["u"].values[:32]
    assert float(parts.codec.mean) == pytest.approx(float(u.mean()), rel=1e-5)
    assert float(parts.codec.std) == pytest.approx(float(u.std()), rel=1e-5)


def series(hours=240) -> xr.Dataset:
    """Two smooth patterns with AR(1) amplitudes and a daily cycle, on a regional grid."""
    generator = np.random.default_rng(0)
    latitude, longitude = np.linspace(60, 50, 6), np.linspace(-8, 2, 7)
    patterns = np.stack([np.add.outer(latitude - 55, 0 * longitude), np.add.outer(0 * latitude, longitude + 3)]) / 5
    a = np.zeros((hours, 2))
    for n in range(1, hours):
        a[n] = 0.95 * a[n - 1] + 0.3 * generator.standard_normal(2)
    u = np.einsum("tk,kyx->tyx", a, patterns) + np.sin(np.arange(hours) * np.pi / 12)[:, None, None] + 280
    u = (u + 0.05 * generator.standard_normal(u.shape)).astype("float32")
    time = np.datetime64("2020-01-01", "ns") + np.arange(hours) * np.timedelta64(1, "h")
    coordinates = {"time": time, "latitude": latitude, "longitude": longitude}
    return xr.Dataset({"t2m": (("time", "latitude", "longitude"), u, {"units": "K"})}, coordinates)


def test_series_uses_the_anchor_and_codec_of_all_fields(tmp_path):
    parts = train_prior(series(), "6h", config=CONFIG, network=NETWORK, progress=False)
    whole, codec, *_ = fit_prior(series(), "6h")
    assert torch.equal(parts.denoiser.anchor.variance, whole.variance)
    assert torch.equal(parts.codec.mean, codec.mean) and torch.equal(parts.codec.std, codec.std)
    assert parts.denoiser.event == (6, 6, 7) and parts.window == 6 and parts.step == np.timedelta64(1, "h")
    assert (parts.denoiser.ratio <= 1).all()  # the level is the anchor's; the network may only lower it
    prior_of(parts).save(tmp_path / "prior")
    again, x_t = Prior.load(tmp_path / "prior"), torch.randn(2, 6, 6, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.denoiser(x_t, torch.tensor(0.5)), parts.denoiser(x_t, torch.tensor(0.5)))


def test_same_seed_same_prior_and_resume(tmp_path):
    a, b, c = train(seed=1, folder=tmp_path), train(seed=1), train(seed=2)
    again = train(seed=1, folder=tmp_path, resume=True)  # of a run that is done: nothing is trained
    weights = [torch.cat([p.flatten() for p in parts.denoiser.parameters()]) for parts in (a, b, c, again)]
    assert torch.equal(weights[0], weights[1]) and torch.equal(weights[0], weights[3])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(a.denoiser.beta, again.denoiser.beta)


def test_without_anchor():
    parts = train(anchored=False)
    assert parts.denoiser.surrogate(torch.tensor(1.0)) is None
    assert parts.denoiser(torch.randn(2, 1, 6, 8), torch.tensor(1.0)).shape == (2, 1, 6, 8)


def test_shift_and_mirror():
    """cos(k (x - s)) is what a shift makes of cos(kx); u(x) -> -u(-x) turns the sign of cosines alone."""
    place = 2 * torch.pi * torch.arange(8, dtype=torch.float64) / 8
    wave = torch.stack([torch.sin(place), torch.cos(place)]).expand(20, 1, 2, 8)
    generator = torch.Generator().manual_seed(0)
    mirrored = random_mirror(wave, generator)
    torch.testing.assert_close(mirrored[:, :, 0], wave[:, :, 0], rtol=0, atol=1e-12)
    signs = mirrored[:, 0, 1, 0]
    assert set(signs.round().tolist()) == {-1.0, 1.0}
    shifted = random_shift(wave, generator)
    for row in shifted[:, 0]:
        s = torch.atan2(row[0], row[1])[0]  # the same shift in both frames
        torch.testing.assert_close(row, torch.stack([torch.sin(place + s), torch.cos(place + s)]), rtol=0, atol=1e-12)
    assert len({round(float(r), 6) for r in shifted[:, 0, 0, 0]}) > 3


def test_validation_blocks_keep_their_distance():
    train_frames, check = validation_blocks(240, 8)
    assert len(check) == 48 and np.abs(train_frames[:, None] - check).min() == 25
    assert check[0] == 0 and check[-1] == 239 and (np.diff(check) > 1).sum() == 1  # two blocks
    with pytest.raises(ValueError, match="too few"):
        validation_blocks(100, 8)


def test_fields_that_do_not_fit():
    with pytest.raises(ValueError, match="periodic axis"):
        open_ends = trajectories()
        del open_ends["x"].attrs["period"]
        train_prior(open_ends, config=CONFIG, progress=False)
    with pytest.raises(ValueError, match="window"):
        train(window=7)
