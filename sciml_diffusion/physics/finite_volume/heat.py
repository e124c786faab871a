"""The heat equation on cells or nodes, solved exactly in time."""

import math

import torch
from torch import Tensor

from .base import per_sample


class HeatFlow:
    """u -> exp(t nu D) u + t phi(t nu D) f, the solution of u_t = nu D u + f with a constant f at time t.

    D is the three-point Laplacian, diagonal in the Fourier modes of the line mirrored at its ends; phi(z) is
    (e^z - 1) / z. Nothing limits t, and no maximum is exceeded.

    Arguments:
        points: X >= 2.
        spacing: dx > 0.
        ends: "periodic"; "outflow" (even in walls half a cell away); "dirichlet" (odd in walls half a cell away);
            "nodes" (odd in the nodes beside the first and the last, which hold 0).
    """

    def __init__(self, points: int, spacing: float, ends: str):
        self.points, self.ends = points, ends
        self.length = {"periodic": points, "nodes": 2 * (points + 1)}.get(ends, 2 * points)
        modes = torch.arange(self.length // 2 + 1, dtype=torch.float64)
        self.eigenvalues = (2 / spacing * (math.pi * modes / self.length).sin()) ** 2

    def flow(self, u: Tensor, nu: float | Tensor, time: Tensor, forcing: Tensor | None = None) -> Tensor:
        """The solution after `time`, with the shape (B, C, X) of u.

        Arguments:
            u: values, with shape (B, C, X).
            nu: viscosity, a number or with shape (B,).
            time: >= 0, with shape (B, 1, 1).
            forcing: f, with the shape of u; none by default.
        """
        z = per_sample(nu, u) * time * self.eigenvalues.to(u)
        modes = torch.exp(-z) * self._transform(u)
        if forcing is not None:
            small = z < 1e-6
            safe = torch.where(small, torch.ones_like(z), z)
            phi = torch.where(small, 1 - z / 2, -torch.expm1(-safe) / safe)
            modes = modes + time * phi * self._transform(forcing)
        first = 1 if self.ends == "nodes" else 0
        return torch.fft.irfft(modes, n=self.length)[..., first : first + self.points]

    def _transform(self, u: Tensor) -> Tensor:
        """Fourier modes of the line mirrored at its ends: shape (..., X) -> (..., length // 2 + 1)."""
        if self.ends == "outflow":
            u = torch.cat([u, u.flip(-1)], -1)
        elif self.ends == "dirichlet":
            u = torch.cat([u, -u.flip(-1)], -1)
        elif self.ends == "nodes":
            zero = torch.zeros_like(u[..., :1])
            u = torch.cat([zero, u, zero, -u.flip(-1)], -1)
        return torch.fft.rfft(u)
