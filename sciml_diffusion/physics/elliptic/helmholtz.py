"""The Helmholtz equation, Lap u + k^2 u = f."""

import torch
from torch import Tensor

from ..grid import Grid
from .laplacian import Laplacian
from .poisson import inside
from .steady import Steady

CLOSE = 1e-9  # of k^2: closer than that to an eigenvalue is resonance


class Helmholtz(Steady):
    """Lap u + k^2 u = f, solved exactly in the eigenvectors of the discrete Laplacian.

    With points="nodes" and k = 1 this is the Helmholtz set of DiffusionPDE (J. Huang et al., NeurIPS 2024). The phase
    error of the stencil grows with (k h)^2: take at least ten points for each wavelength 2 pi / k.

    Arguments:
        grid: equispaced, in one to three dimensions; an axis with a period is periodic.
        k: wavenumber > 0 in radians for each unit of length; float, or Tensor of shape (B,).
        walls: "dirichlet" (u = 0) or "neumann" (zero slope), one for all or one for each axis.
        points: "cells" (walls half a cell outside), "nodes" (walls on the outer points) or "inside" (a step outside).
        symbol: "stencil" (second differences of order 2) or "spectral" (exact derivatives of the eigenvectors).

    Raises:
        ValueError: unknown words, an axis that is not equispaced, k not > 0, or k^2 an eigenvalue of -Lap (resonance:
            the error names the mode).
    """

    fields_in = ("f",)
    fields_out = ("u",)

    def __init__(
        self,
        grid: Grid,
        k: float | Tensor = 1.0,
        walls: str | tuple[str, ...] = "dirichlet",
        points: str = "cells",
        symbol: str = "stencil",
    ):
        self.grid, self.k, self.laplacian = grid, k, Laplacian(grid, walls, points, symbol)
        self.interior = self.laplacian.interior
        self._check_resonance()

    def solve(self, inputs: Tensor, *, check: bool = True) -> Tensor:
        """u with Lap u + k^2 u = f: shape (B, 1, *S) -> (B, 1, *S), differentiable in f and k.

        Arguments:
            inputs: f, with shape (B, 1, *S), in units of u / length^2; wall nodes are not used.
            check: test the values; off only inside `torch.func` transforms.

        Raises:
            ValueError: another shape, or a value that is not finite, with its sample and point.
        """
        if check:
            self.check_field("f", inputs)
            if isinstance(self.k, Tensor) and self.k.shape != inputs.shape[:1]:
                raise ValueError(f"k has shape {tuple(self.k.shape)}; expected one for each of {len(inputs)} samples")
        shift = self.k[:, None] ** 2 if isinstance(self.k, Tensor) else self.k**2
        return self.laplacian.inverse(inputs, shift)

    def apply(self, u: Tensor) -> Tensor:
        """Lap u + k^2 u, zero on wall nodes: shape (B, 1, *S) -> (B, 1, *S)."""
        k = self.k.to(u).reshape(-1, *(1,) * (u.ndim - 1)) if isinstance(self.k, Tensor) else self.k
        return self.laplacian.apply(u) + k**2 * inside(u, self.interior)

    def residual(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Lap u + k^2 u - f, zero on wall nodes: f and u of shape (B, 1, *S) -> (B, 1, *S)."""
        return self.apply(outputs) - inside(inputs, self.interior)

    def _check_resonance(self) -> None:
        k = torch.as_tensor(self.k, dtype=torch.float64).detach().cpu().reshape(-1)
        if not ((k > 0) & k.isfinite()).all():
            raise ValueError(f"the wavenumber k must be > 0 and finite; got {self.k}")
        symbol = self.laplacian.eigenvalues
        for value in k:
            distance = (symbol + value**2).abs()
            if distance.min() <= CLOSE * value**2:
                mode = (distance == distance.min()).nonzero()[0]
                first = [1 if kind == "dirichlet" else 0 for kind in self.laplacian.kinds]
                named = ", ".join(f"{d} {int(i) + o}" for d, i, o in zip(self.grid.dims, mode, first, strict=True))
                raise ValueError(
                    f"k = {float(value):.12g} is in resonance with the mode ({named}), whose k is "
                    f"{float((-symbol[tuple(mode)]).sqrt()):.12g}: the equation has no unique solution; change k"
                )
