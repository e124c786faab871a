"""Statistics. Truth: fields made from a known diurnal cycle, and sums written out."""

import numpy as np
import pytest
import torch

from sciml_diffusion.data.statistics import anomalies, anomaly_std, hourly_mean, mean_std

START = np.datetime64("2020-01-01", "ns")


def hours(count: int, step: int = 1) -> np.ndarray:
    return START + np.arange(0, count, step) * np.timedelta64(1, "h")


def cycle(time: np.ndarray, waves: int) -> torch.Tensor:
    """A cycle of `waves` harmonics that differs from point to point: shape (T, 2, 3)."""
    h = torch.from_numpy(time.astype("datetime64[h]").astype(int) % 24).double()[:, None, None]
    point = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    waves = [torch.cos(2 * torch.pi * k * (h - point) / 24) / k for k in range(1, waves + 1)]
    return 280 + point + 5 * sum(waves)


def test_hourly_mean_of_an_exact_cycle_plus_zero_mean_noise():
    time = hours(96)
    noise = torch.randn(24, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = torch.cat([noise, -noise, 2 * noise, -2 * noise])  # sums to zero at every hour
    mean = hourly_mean(cycle(time, 5) + noise, time)
    assert mean.shape == (2, 24, 3)
    # 4 additions of numbers near 300 in float64
    torch.testing.assert_close(mean, cycle(hours(24), 5).movedim(0, 1), rtol=0, atol=1e-12)
    torch.testing.assert_close(anomalies(cycle(time, 5) + noise, mean, time), noise, rtol=0, atol=1e-12)
    expected = noise.square().mean((0, 2)).sqrt()
    got = anomaly_std(cycle(time, 5) + noise, mean, time)
    assert got.shape == (2, 1, 1)
    torch.testing.assert_close(got.flatten(), expected, rtol=1e-12, atol=0)


def test_absent_hours_are_nan():
    time = hours(48, step=6)
    mean = hourly_mean(cycle(time, 1), time)
    assert [h for h in range(24) if not torch.isnan(mean[:, h]).any()] == [0, 6, 12, 18]
    assert torch.isnan(mean[:, 1]).all()


def test_harmonics_recover_a_cycle_that_they_span():
    time = hours(75)  # hours 0 to 2 once more than the others
    smooth = hourly_mean(cycle(time, 2), time, harmonics=2)
    torch.testing.assert_close(smooth, cycle(hours(24), 2).movedim(0, 1), rtol=0, atol=1e-10)  # least squares near 300


def test_harmonics_are_the_least_squares_fit_of_all_fields():
    """The normal equations hold for the raw fields, whatever the count of each hour: B^T (x - fit) = 0."""
    time = hours(75)
    x = cycle(time, 5) + torch.randn(75, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    residual = anomalies(x, hourly_mean(x, time, harmonics=2), time)
    angle = 2 * np.pi * torch.arange(75, dtype=torch.float64) / 24
    for wave in (torch.ones(75, dtype=torch.float64), torch.cos(angle), torch.sin(2 * angle)):
        # 75 terms of size 5, from numbers near 300 in float64
        assert torch.einsum("t,tcs->cs", wave, residual).abs().max() < 1e-9
    smooth, raw = hourly_mean(x, time, harmonics=2), hourly_mean(x, time)
    assert (smooth - raw).abs().max() > 0.1


def test_float32_fields_are_summed_in_float64():
    """2000 fields of 300 + small: a float32 sum would err by 1e-2."""
    time = hours(24 * 2000, step=24)
    x = 300 + torch.arange(2000, dtype=torch.float32).reshape(-1, 1, 1) % 7 / 8
    mean = hourly_mean(x, time)[0, 0]
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean.double(), x.double().mean(0)[0], rtol=0, atol=2e-5)  # one rounding at 300


def test_mean_std():
    x = torch.tensor([[[1.0, 3.0], [10.0, 10.0]], [[5.0, 7.0], [10.0, 14.0]]], dtype=torch.float64)  # (T, C, X)
    mean, std = mean_std(x)
    assert mean.shape == std.shape == (2, 1, 1)
    torch.testing.assert_close(mean.flatten(), torch.tensor([4.0, 11.0], dtype=torch.float64))
    torch.testing.assert_close(std.flatten(), torch.tensor([5.0, 3.0], dtype=torch.float64).sqrt())


def test_refusals():
    with pytest.raises(ValueError, match="dated fields"):
        hourly_mean(torch.zeros(3, 1, 2), np.arange(3.0))
    with pytest.raises(ValueError, match="3 fields and 4 times"):
        hourly_mean(torch.zeros(3, 1, 2), hours(4))
    with pytest.raises(ValueError, match="5 hours of the day; the data have 4"):
        hourly_mean(torch.zeros(8, 1, 2), hours(48, step=6), harmonics=2)
