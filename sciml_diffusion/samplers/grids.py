"""Grids of noise levels: sigma_0 > sigma_1 > ... > sigma_{n-1} > sigma_n = 0."""

import torch
from torch import Tensor


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """sigma_i = (smax^{1/rho} + i/(n-1) (smin^{1/rho} - smax^{1/rho}))^rho for i < n, then 0; shape (n + 1,), float64.

    Source: Karras et al., Elucidating the design space of diffusion-based generative models, 2022, eq. 5.

    Arguments:
        steps: n >= 2, the number of network calls of a first-order sampler.
        sigma_min, sigma_max: smallest level above 0, and the first.
        rho: 7 spends most steps at small noise; 1 is uniform in sigma.
    """
    _check(steps, sigma_min, sigma_max)
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return torch.cat([(high + ramp * (low - high)) ** rho, torch.zeros(1, dtype=torch.float64)])


def log_sigmas(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Levels evenly spaced in log sigma from sigma_max to sigma_min, then 0; shape (steps + 1,), float64."""
    _check(steps, sigma_min, sigma_max)
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    return torch.cat([sigma_max * (sigma_min / sigma_max) ** ramp, torch.zeros(1, dtype=torch.float64)])


def _check(steps: int, sigma_min: float, sigma_max: float) -> None:
    if steps < 2:
        raise ValueError(f"a noise grid needs at least 2 steps; got {steps}")
    if not 0 < sigma_min < sigma_max:
        raise ValueError(
            f"a noise grid needs 0 < sigma_min < sigma_max; got sigma_min = {sigma_min}, sigma_max = {sigma_max}"
        )
