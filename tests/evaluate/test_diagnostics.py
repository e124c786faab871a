"""Diagnostics. Truths: an exact Gaussian posterior, where members and truth have one law given the data; the coverage
of the interval over repeated experiments; copies among new draws; single waves and Parseval's sum."""

import numpy as np
import pytest
import torch

from sciml_diffusion.evaluate.diagnostics import (
    dataset_chi_square,
    held_out_scores,
    nearest_distance,
    paired_bootstrap,
    residual_chi_square,
)
from sciml_diffusion.evaluate.spectra import axis_spectrum, isotropic_spectrum
from sciml_diffusion.evaluate.xarray_scores import score_dataset
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Matrix

F64 = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def posterior_members(b, k, noise):
    """x ~ N(0, 1) seen directly with std `noise`: truth, data and exact members."""
    y = normal(b, 8) + noise * normal(b, 8, seed=1)
    variance = noise**2 / (1 + noise**2)
    return y, y[:, None] * (1 - variance) + variance**0.5 * normal(b, k, 8, seed=2)


def test_chi_square_of_an_exact_posterior_is_one():
    y, x = posterior_members(4000, 4, 0.5)
    observation = Observation(Matrix(torch.eye(8, dtype=F64), (8,)), y, torch.full((8,), 0.5, dtype=F64))
    value = residual_chi_square(x, observation)
    assert value.shape == (4000,) and abs(value.mean() - 1) < 0.03  # four standard errors
    tight = Observation(observation.operator, y, observation.std / 2)
    assert torch.allclose(residual_chi_square(x, tight), 4 * value)
    one = torch.tensor([0.0, 1.0, 0.0, 0.0])
    assert torch.allclose(residual_chi_square(x, observation, one), residual_chi_square(x[:, 1:2], observation))


def test_chi_square_of_a_dataset_is_that_at_its_sensors(pair, table):
    post, _ = pair
    obs = table([(56.0, 0.0), (53.0, 3.0), (80.0, 0.0)], value=280 - 273.15, std=2.0, units="degC")
    cells = post.sel(latitude=[56.0, 53.0], longitude=[0.0, 3.0])["t2m"].values
    cells = cells[:, :, [0, 1], [0, 1]]
    expected = (post["weight"].values[..., None] * ((cells - 280) / 2) ** 2).sum(0).mean()
    assert np.isclose(dataset_chi_square(post, obs)["t2m"], expected)
    with pytest.raises(ValueError, match="no sensor"):
        dataset_chi_square(post, table([(80.0, 0.0)]))


def test_held_out_scores_pool_the_folds(pair, table):
    post, truth = pair
    first = table([(56.0, 0.0)], value=truth["t2m"].sel(latitude=56.0, longitude=0.0).values)
    second = table(
        [(53.0, 3.0), (54.0, -2.0)],
        value=truth["t2m"].sel(latitude=[53.0, 54.0], longitude=[3.0, -2.0]).values[:, [0, 1], [0, 1]],
    )
    pooled = held_out_scores([(post, first), (post, second)])["t2m"]
    parts = [score_dataset(post, t, None, seed) for t, seed in ((first, [0, 0]), (second, [0, 1]))]
    assert pooled["points"] == 18
    assert np.isclose(pooled["crps"], (6 * parts[0]["crps"] + 12 * parts[1]["crps"]) / 18)
    assert np.isclose(pooled["rmse"] ** 2, (6 * parts[0]["rmse"] ** 2 + 12 * parts[1]["rmse"] ** 2) / 18)
    with pytest.raises(ValueError, match="at least one pair"):
        held_out_scores([])
    with pytest.raises(ValueError, match="none of the posterior's variables"):
        held_out_scores([(post, table([(56.0, 0.0)], variable="u10"))])


def test_bootstrap_gives_the_difference_and_the_ratio_of_means():
    rng = np.random.default_rng(0)
    a, b, blocks = rng.random(60), rng.random(60) + 1, np.repeat(np.arange(12), 5)
    value, low, high = paired_bootstrap(a, b, blocks, np.random.default_rng(1))
    assert np.isclose(value, a.mean() - b.mean()) and low < value < high
    value, low, high = paired_bootstrap(a, b, blocks, np.random.default_rng(1), ratio=True)
    assert np.isclose(value, a.mean() / b.mean()) and low < value < high
    same = paired_bootstrap(b, b, blocks, np.random.default_rng(1), ratio=True)
    assert same == (1.0, 1.0, 1.0)


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says():
    """Blocks of five equal cases: 400 experiments; an interval that ignored the blocks would cover about 0.6."""
    rng, hits = np.random.default_rng(0), 0
    blocks = np.repeat(np.arange(40), 5)
    for _ in range(400):
        a = np.repeat(rng.standard_normal(40), 5) + 0.3
        _, low, high = paired_bootstrap(a, np.zeros(200), blocks, rng, n=400)
        hits += low <= 0.3 <= high
    assert 0.90 < hits / 400 < 0.98  # 0.95 less the known shortness with 40 blocks, and four standard errors


def test_bootstrap_is_paired():
    """What both methods share cancels: blocks differ by 100, the methods by 1."""
    rng = np.random.default_rng(0)
    shared = np.repeat(100 * rng.standard_normal(10), 3)
    value, low, high = paired_bootstrap(shared + 1, shared, np.repeat(np.arange(10), 3), rng)
    assert np.isclose(value, 1) and np.isclose(low, 1) and np.isclose(high, 1)


def test_bootstrap_errors():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="one length; got 3, 3 and 2"):
        paired_bootstrap(np.ones(3), np.ones(3), [0, 1], rng)
    with pytest.raises(ValueError, match="at least two blocks; got 1"):
        paired_bootstrap(np.ones(3), np.ones(3), [0, 0, 0], rng)
    with pytest.raises(ValueError, match="must be finite"):
        paired_bootstrap([1.0, np.nan], [1.0, 1.0], [0, 1], rng)


def test_copies_are_near_and_new_draws_are_as_far_as_held_out_ones():
    training, held_out = normal(300, 2, 4, 4), normal(60, 2, 4, 4, seed=1)
    samples = torch.cat([training[7:9] + 0.01, normal(60, 2, 4, 4, seed=2)])
    distance = nearest_distance(samples, training, held_out, batch=37)
    assert distance.shape == (62,) and distance[:2].max() < 0.02 and 0.9 < distance[2:].median() < 1.1
    assert torch.allclose(distance, nearest_distance(samples, training, held_out))
    plain = torch.cdist(samples.flatten(1), training.flatten(1)).amin(1)
    assert torch.allclose(nearest_distance(samples, training), plain)
    with pytest.raises(ValueError, match="windows of one shape"):
        nearest_distance(samples[:, :1], training)
    with pytest.raises(ValueError, match="copies of training windows"):
        nearest_distance(samples, training, training[:5])


@pytest.mark.parametrize("n", [16, 17])
def test_axis_spectrum_keeps_the_power_and_finds_a_wave(n):
    x = normal(3, n, 5)
    spectrum = axis_spectrum(x, dim=1)
    assert spectrum.shape == (3, n // 2 + 1)
    assert torch.allclose(spectrum.sum(1), (x**2).mean((1, 2)), rtol=1e-12)
    wave = torch.cos(2 * torch.pi * 3 * torch.arange(n, dtype=F64) / n)[None]
    expected = torch.zeros(1, n // 2 + 1, dtype=F64)
    expected[0, 3] = 0.5
    assert torch.allclose(axis_spectrum(wave), expected, atol=1e-14)
    with pytest.raises(ValueError, match="first axis"):
        axis_spectrum(x, dim=0)


def test_isotropic_spectrum_keeps_the_power_and_sorts_waves_by_length():
    y, x = torch.meshgrid(torch.arange(16.0, dtype=F64), torch.arange(12.0, dtype=F64), indexing="ij")
    fields = torch.stack([torch.cos(2 * torch.pi * (3 * y / 16)), torch.cos(2 * torch.pi * 3 * x / 12) + 2])
    spectrum = isotropic_spectrum(fields)
    assert spectrum.shape == (2, 9)
    assert torch.isclose(spectrum[0, 3], torch.tensor(0.5, dtype=F64))
    assert torch.isclose(spectrum[1, 4], torch.tensor(0.5, dtype=F64))  # 3 waves in 12 cells are 4 in 16
    assert torch.isclose(spectrum[1, 0], torch.tensor(4.0, dtype=F64))
    with pytest.raises(ValueError, match="needs the shape"):
        isotropic_spectrum(fields[0])


def test_window_removes_the_leak_of_a_trend():
    ramp = torch.linspace(0, 10, 64, dtype=F64)[None] + 0.1 * torch.cos(torch.arange(64, dtype=F64))[None]
    assert axis_spectrum(ramp)[0, 20:].sum() > 20 * axis_spectrum(ramp, window=True)[0, 20:].sum()
    white = normal(400, 64)
    assert abs(axis_spectrum(white, window=True).sum(1).mean() - 1) < 0.07  # power kept, less that of the trend
