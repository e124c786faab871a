"""Darcy flow, -div(a grad u) = f, in the flux form of finite volumes."""

import torch
from torch import Tensor

from ..grid import Grid
from .flux_form import FluxFormSolver
from .laplacian import Laplacian
from .poisson import inside
from .steady import Steady

FACES = ("harmonic", "arithmetic")


class Darcy(Steady):
    """-div(a grad u) = f between walls with u = 0, five points, flux form: order 2 where a is smooth.

    The flux through the face between two neighbours is a_face (u_j - u_{j+1}) / h, with a_face = 2 a b / (a + b)
    (harmonic: exact for layers that are constant in each cell) or (a + b) / 2 (arithmetic). Residuals must use the
    stencil that made the data: between the two means alone the residual exceeds f where a jumps.

    | data | points | faces | f |
    |---|---|---|---|
    | recommended for own data | cells | harmonic | any |
    | FNO and DiffusionPDE (before their interpolation between nodes and cells) | nodes | arithmetic | 1 |
    | PDEBench (its ghost cells hold u = 0) | inside | arithmetic | beta |

    "cells": walls half a cell outside the first and last point, where the flux is 2 a u / h. "nodes": walls on the
    outermost points, where u = 0 and a only enters through the means. "inside": walls one step outside the first and
    last point, where the flux is a u / h.
    Source: Eymard, Gallouet & Herbin, Finite Volume Methods (2000); Z. Li et al., Fourier Neural Operator (2021).

    Arguments:
        grid: equispaced axes between walls, one to three of them.
        source: f where `solve` is given none: float, or Tensor of shape (B,), (*S) or (B, 1, *S).
        points: "cells", "nodes" or "inside".
        faces: "harmonic" or "arithmetic".
        no_flow: names of axes whose walls let nothing through (cells only); one axis must keep u = 0.
        method: "auto", "direct" or "iterative", as in `FluxFormSolver`.

    Raises:
        ValueError: unknown words, periodic axes, axes that are not equispaced, no wall with u = 0.
    """

    fields_in = ("a",)
    fields_out = ("u",)

    def __init__(
        self,
        grid: Grid,
        source: float | Tensor = 1.0,
        points: str = "cells",
        faces: str = "harmonic",
        no_flow: tuple[str, ...] = (),
        method: str = "auto",
    ):
        if any(period is not None for period in grid.periods):
            raise ValueError(f"Darcy needs walls on every axis; got periods {grid.periods} on {grid.dims}")
        if faces not in FACES or not set(no_flow) < set(grid.dims):
            raise ValueError(
                f"faces are {FACES} and no_flow names some, not all, of {grid.dims}; got {faces!r} and {no_flow}"
            )
        self.grid, self.source, self.points, self.faces, self.no_flow = grid, source, points, faces, tuple(no_flow)
        walls = tuple("neumann" if dim in self.no_flow else "dirichlet" for dim in grid.dims)
        self.laplacian = Laplacian(grid, walls, points)
        self.interior = self.laplacian.interior
        self.solver = FluxFormSolver(self.laplacian, method)

    def solve(self, inputs: Tensor, f: float | Tensor | None = None, *, check: bool = True) -> Tensor:
        """u from a: shape (B, 1, *S) -> (B, 1, *S), in the dtype of a; solved in float64.

        Differentiable in a and f by the adjoint, at the cost of one more solve; works under `torch.func.jvp` and vmap.

        Arguments:
            inputs: coefficient a > 0, with shape (B, 1, *S).
            f: source, in units of a u / length^2: float, or Tensor of shape (B,), (*S) or (B, 1, *S); by default the
                `source` of the problem. Its values on wall nodes are not used.
            check: test the values; off only inside `torch.func` transforms.

        Raises:
            ValueError: another shape; a value that is not finite or a <= 0, with its sample and point.
            RuntimeError: where the iterative method does not converge.
        """
        source = self._source(inputs, f)
        if check:
            self.check_field("a", inputs)
            self.check_all("a", inputs, inputs.detach() > 0, "> 0")
            self.check_field("f", source)
        right = source.double()[:, 0][(slice(None), *self.interior)]
        solved = self.solver(self.transmissibilities(inputs.double()), right)
        return self.laplacian.outside(solved[:, None]).to(inputs.dtype)

    def apply(self, a: Tensor, u: Tensor) -> Tensor:
        """-div(a grad u), zero on wall nodes: a and u of shape (B, 1, *S) -> (B, 1, *S).

        With nodes, u on the walls enters as it is given; otherwise it is 0 there.
        """
        total, count = 0, len(self.grid.dims)
        for axis, face in zip(range(-count, 0), self.transmissibilities(a), strict=True):
            others = list(self.interior)
            if self.points == "nodes":
                others[axis] = slice(None)
                step = u[:, 0][(slice(None), *others)].diff(dim=axis)
            else:
                zero = torch.zeros_like(u[:, 0].narrow(axis, 0, 1))
                step = torch.cat([zero, u[:, 0], zero], axis).diff(dim=axis)
            total = total - (face * step).diff(dim=axis)
        return self.laplacian.outside(total[:, None])

    def residual(self, inputs: Tensor, outputs: Tensor, f: float | Tensor | None = None) -> Tensor:
        """-div(a grad u) - f, zero on wall nodes: a and u of shape (B, 1, *S) -> (B, 1, *S); f as in `solve`."""
        return self.apply(inputs, outputs) - inside(self._source(inputs, f), self.interior)

    def transmissibilities(self, a: Tensor) -> tuple[Tensor, ...]:
        """a_face / h^2 on the faces of each axis i, walls included: (B, 1, *S) -> shape (B, *I), I_i one more.

        I are the sizes of the interior. Walls have 2 a / h^2 with cells (0 where nothing flows) and a / h^2 inside.
        """
        result, count = [], len(self.grid.dims)
        for axis in range(-count, 0):
            others = list(self.interior)
            others[axis] = slice(None)
            values = a[:, 0][(slice(None), *others)]
            n = values.shape[axis]
            low, high = values.narrow(axis, 0, n - 1), values.narrow(axis, 1, n - 1)
            face = 2 * low * high / (low + high) if self.faces == "harmonic" else (low + high) / 2
            if self.points != "nodes":
                wall = 1.0 if self.points == "inside" else 0.0 if self.grid.dims[axis] in self.no_flow else 2.0
                face = torch.cat([wall * values.narrow(axis, 0, 1), face, wall * values.narrow(axis, n - 1, 1)], axis)
            result.append(face / self.grid.spacings[axis] ** 2)
        return tuple(result)

    def _source(self, a: Tensor, f: float | Tensor | None) -> Tensor:
        """f with shape (B, 1, *S)."""
        f = self.source if f is None else f
        if not isinstance(f, Tensor):
            return torch.full_like(a, f)
        f, size = f.to(a), self.grid.sizes
        if f.shape == a.shape[:1] and f.shape != size:
            f = f.reshape(-1, *(1,) * (a.ndim - 1))
        if tuple(f.shape) not in (size, (len(a), 1, *size), (len(a), *(1,) * (a.ndim - 1))):
            raise ValueError(
                f"f must be a number or have the shape (B,), {size} or (B, 1, *S) with B = {len(a)}; "
                f"got {tuple(f.shape)}"
            )
        return f.expand(a.shape)
