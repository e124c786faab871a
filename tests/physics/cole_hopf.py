"""Exact periodic solutions of Burgers by the Cole-Hopf transform u = m - 2 nu phi_x / phi, phi_t = nu phi_xx."""

import math

import torch
from torch import Tensor


def cole_hopf(amplitudes: Tensor, mean: float, nu: float, times: Tensor, points: int, refine: int = 8) -> Tensor:
    """Solution on the unit interval of u_0 = mean + sum_k a_k sin(2 pi k x) at x_j = j / points: shape (T, X), float64.

    phi(x, 0) = exp(-U / (2 nu)), U the integral of u_0 - mean; in a frame that moves with the mean the transform is
    exact, and phi's modes decay as exp(-nu k^2 t). Valid while the range of U / (2 nu) stays below about 30.

    Arguments:
        amplitudes: a_k for k = 1 .. K, with shape (K,).
        times: with shape (T,).
        refine: phi is represented on refine * points points.
    """
    fine = refine * points
    x = torch.arange(fine, dtype=torch.float64) / fine
    waves = 2 * math.pi * torch.arange(1, len(amplitudes) + 1, dtype=torch.float64)
    potential = -(amplitudes / waves) @ (waves[:, None] * x).cos()
    phi = torch.fft.rfft(torch.exp(-(potential - potential.mean()) / (2 * nu)))
    k = 2 * math.pi * torch.arange(fine // 2 + 1, dtype=torch.float64)
    t = times[:, None].to(torch.float64)
    phi = phi * torch.exp(-nu * k**2 * t - 1j * k * mean * t)
    u = mean - 2 * nu * torch.fft.irfft(1j * k * phi, n=fine) / torch.fft.irfft(phi, n=fine)
    return u[:, ::refine]
