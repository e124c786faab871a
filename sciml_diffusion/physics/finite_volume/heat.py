"""The heat equation on cells, solved exactly in time."""

import math

import torch
from torch import Tensor

from ..constants import Constants
from .base import per_sample


class HeatFlow:
    """u -> exp(t nu D) u, the solution of u_t = nu D u at time t, with D the three-point Laplacian.

    D is diagonal in the Fourier modes of the line mirrored at its ends. Nothing limits t, and no maximum is exceeded.

    Arguments:
        points: X >= 2.
        spacing: dx > 0.
        ends: "periodic", "outflow" (even in walls half a cell away) or "dirichlet" (odd in them: u = 0 there).
    """

    def __init__(self, points: int, spacing: float, ends: str):
        self.points, self.ends = points, ends
        self.length = points if ends == "periodic" else 2 * points
        modes = torch.arange(self.length // 2 + 1, dtype=torch.float64)
        self._eigenvalues = Constants((2 / spacing * (math.pi * modes / self.length).sin()) ** 2)

    def flow(self, u: Tensor, nu: float | Tensor, time: Tensor) -> Tensor:
        """The solution after `time`, with the shape (B, C, X) of u.

        Arguments:
            u: values, with shape (B, C, X).
            nu: viscosity, a number or with shape (B,).
            time: >= 0, with shape (B, 1, 1).
        """
        if self.ends != "periodic":
            u = torch.cat([u, u.flip(-1) if self.ends == "outflow" else -u.flip(-1)], -1)
        decay = torch.exp(-per_sample(nu, u) * time * self._eigenvalues.like(u)[0])
        return torch.fft.irfft(decay * torch.fft.rfft(u), n=self.length)[..., : self.points]
