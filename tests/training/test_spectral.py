"""Truth: a stationary Gaussian law with a known covariance for each wavenumber."""

import math

import pytest
import torch

from sciml_diffusion.training.spectral import fit_spectral


def travelling(n, channels=1, times=5, points=8, seed=0):
    """Standing waves a_k(t) cos(kx) + b_k(t) sin(kx), a_k an AR(1) of correlation 0.8^k."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.zeros(n, channels, times, points, dtype=torch.float64)
    place = 2 * math.pi * torch.arange(points, dtype=torch.float64) / points
    for k in (1, 2, 3):
        for wave in (torch.cos(k * place), torch.sin(k * place)):
            a = torch.randn(n, channels, generator=generator, dtype=torch.float64)
            for t in range(times):
                x[:, :, t] += a[..., None] / k * wave
                step = torch.randn(n, channels, generator=generator, dtype=torch.float64)
                a = 0.8**k * a + math.sqrt(1 - 0.8 ** (2 * k)) * step
    return x


def covariance(times=5, points=8):
    """E[x(t, j) x(s, l)] = sum_k 0.8^(k |t - s|) cos(k (j - l)) / k^2, with shape (T X, T X)."""
    lag = (torch.arange(times)[:, None] - torch.arange(times)).abs().double()
    place = 2 * math.pi * torch.arange(points, dtype=torch.float64) / points
    distance = place[:, None] - place
    parts = [torch.einsum("ts,jl->tjsl", 0.8 ** (k * lag), torch.cos(k * distance) / k**2) for k in (1, 2, 3)]
    return sum(parts).reshape(times * points, times * points)


def test_covariance():
    denoiser = fit_spectral(travelling(20000), ridge=1e-9)
    columns = denoiser.surrogate(torch.tensor(math.inf)).apply(torch.eye(40).reshape(40, 1, 5, 8)).reshape(40, 40)
    # 20000 windows and 2 modes for each k: a variance of 1.36 is known to 0.7 %; 5 standard errors
    torch.testing.assert_close(columns.double(), covariance(), rtol=0, atol=0.05)


def test_nearly_as_good_as_the_exact_denoiser():
    x, sigma = travelling(500, seed=1), 0.5
    z = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    x_t, c = x + sigma * z, covariance()
    gain = torch.linalg.solve(c + sigma**2 * torch.eye(40, dtype=torch.float64), c)
    exact = ((x_t.flatten(1) @ gain - x.flatten(1)) ** 2).sum()
    fitted = fit_spectral(travelling(2000))(x_t.float(), torch.tensor(sigma))
    # 2000 windows for 15 numbers of each mode: excess error of about 15 / 4000
    assert float(exact) * 0.999 < float((fitted - x).square().sum()) < 1.01 * float(exact)


def test_channels_are_kept_apart():
    x = torch.cat([travelling(200), 3 * travelling(200, seed=1)], 1)
    denoiser = fit_spectral(x)
    assert denoiser.event == (2, 5, 8)
    draw = denoiser.surrogate(torch.tensor(math.inf)).sqrt(
        torch.randn(2000, 2, 5, 8, generator=torch.Generator().manual_seed(0))
    )
    # 200 windows: about 5 % on the ratio of standard deviations
    assert float(draw[:, 1].std() / draw[:, 0].std()) == pytest.approx(3.0, rel=0.2)


def test_too_few_windows():
    with pytest.raises(ValueError, match="too few"):
        fit_spectral(torch.randn(2, 1, 5, 8))
    with pytest.raises(ValueError, match="axes"):
        fit_spectral(torch.randn(20, 5, 8))
