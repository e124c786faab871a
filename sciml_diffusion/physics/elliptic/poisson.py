"""Poisson's equation, Lap u = f."""

import torch
from torch import Tensor

from ..grid import Grid
from .laplacian import Laplacian
from .steady import Steady


class Poisson(Steady):
    """Lap u = f (no minus sign), solved exactly in the eigenvectors of the discrete Laplacian: O(N log N), any device.

    With points="nodes" and dirichlet walls this is the Poisson set of DiffusionPDE (J. Huang et al., NeurIPS 2024):
    u = 0 on the outermost nodes, h = L / (S - 1). Where no wall is dirichlet, u is the solution of mean 0.

    Arguments:
        grid: equispaced, in one to three dimensions; an axis with a period is periodic.
        walls: "dirichlet" (u = 0) or "neumann" (zero slope), one for all or one for each axis.
        points: "cells" (walls half a cell outside), "nodes" (walls on the outer points) or "inside" (a step outside).
        symbol: "stencil" (second differences of order 2) or "spectral" (exact derivatives of the eigenvectors).

    Raises:
        ValueError: unknown words, or an axis that is not equispaced.
    """

    fields_in = ("f",)
    fields_out = ("u",)

    def __init__(
        self,
        grid: Grid,
        walls: str | tuple[str, ...] = "dirichlet",
        points: str = "cells",
        symbol: str = "stencil",
    ):
        self.grid, self.laplacian = grid, Laplacian(grid, walls, points, symbol)
        self.interior = self.laplacian.interior

    def solve(self, inputs: Tensor, *, check: bool = True) -> Tensor:
        """u with Lap u = f: shape (B, 1, *S) -> (B, 1, *S), differentiable.

        Arguments:
            inputs: f, with shape (B, 1, *S), in units of u / length^2; wall nodes are not used.
            check: test the values; off only inside `torch.func` transforms.

        Raises:
            ValueError: another shape; a value that is not finite, or a mean of f that is not 0 where no wall is
                dirichlet (there is no solution then), with its sample.
        """
        if check:
            self.check_field("f", inputs)
            if self.laplacian.singular:
                _check_mean(inputs)
        return self.laplacian.inverse(inputs)

    def apply(self, u: Tensor) -> Tensor:
        """Lap u, zero on wall nodes: shape (B, 1, *S) -> (B, 1, *S)."""
        return self.laplacian.apply(u)

    def residual(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Lap u - f, zero on wall nodes: f and u of shape (B, 1, *S) -> (B, 1, *S)."""
        left = self.apply(outputs)
        return left - inside(inputs, self.interior)


def inside(f: Tensor, interior: tuple[slice, ...]) -> Tensor:
    """f with zeros outside the interior: shape (..., *S) -> (..., *S)."""
    mask = torch.zeros(f.shape[-len(interior) :], dtype=f.dtype, device=f.device)
    mask[interior] = 1
    return f * mask


def _check_mean(f: Tensor) -> None:
    """The mean of f may be its rounding: 1e3 units in the last place of the largest value."""
    flat = f.detach().flatten(1)
    bad = flat.mean(1).abs() > 1e3 * torch.finfo(f.dtype).eps * flat.abs().amax(1)
    if bad.any():
        sample = int(bad.nonzero()[0])
        raise ValueError(
            f"Lap u = f has no solution where no wall is dirichlet and the mean of f is not 0; sample {sample} has "
            f"mean {float(flat[sample].mean()):.3g}: subtract it, or use check=False to leave it out"
        )
