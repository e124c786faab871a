"""Steady equations: Poisson, Helmholtz and Darcy on stencils of their own, and any steady problem with a residual."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..derivatives import Derivatives
from ..grid import Grid
from .base import Parameters, Residual, Terms
from .equation import resolved


class WalledResidual(Residual):
    """What steady equations between walls share: component "pde" inside, component "boundary" u = 0 on wall nodes.

    Axes with a period have no walls. Between cells, walls lie half a cell outside, their value enters the stencil
    beside them, and there is no component "boundary". "inside" has walls one step outside, and else is like "cells".

    Arguments:
        grid: axes.
        fields: names of the C channels, the solution last.
        points: one of `places`: "nodes" (walls on the outermost points), "cells" or "inside".

    Raises:
        ValueError: another word for the points.
    """

    places = ("nodes", "cells")

    def __init__(self, grid: Grid, fields: tuple[str, ...], points: str):
        if points not in self.places:
            raise ValueError(f"points are {self.places}; got {points!r}")
        self.grid, self.fields, self.points = grid, fields, points
        shut = [period is None and points == "nodes" for period in grid.periods]
        self.interior = (..., *(slice(1, -1) if wall else slice(None) for wall in shut))
        wall = torch.ones(grid.sizes, dtype=torch.bool)
        wall[self.interior] = False
        self.wall = wall.flatten().nonzero().flatten()  # indices of the flattened grid

    def bounded(self, pde: Sequence[Tensor], u: Tensor) -> Terms:
        """Terms of both components: those of the equation (B, 1, T, *S) inside, u (B, 1, T, *S) on the walls."""
        terms = {"pde": tuple(term[self.interior] for term in pde)}
        if len(self.wall):
            terms["boundary"] = (u.flatten(-len(self.grid.dims)).index_select(-1, self.wall.to(u.device)),)
        return terms

    def edges(self) -> dict[str, str] | None:
        """How values continue beyond walls between cells: u = 0 there."""
        if self.points != "cells":
            return None
        return {dim: "odd" for dim, period in zip(self.grid.dims, self.grid.periods, strict=True) if period is None}


class HelmholtzResidual(WalledResidual):
    """lap u + k^2 u - f = 0 with u = 0 on walls; channels (f, u). k = 0 is Poisson's equation, lap u = f (no minus).

    Arguments:
        grid: axes, periodic or between walls.
        k: wavenumber, a number or of shape (B,), parameter "k". Take at least ten points for a wavelength.
        scheme: of `Derivatives`.
        points: "nodes" or "cells".
    """

    def __init__(self, grid: Grid, k=0.0, scheme="fd2", points: str = "nodes"):
        super().__init__(grid, ("f", "u"), points)
        self.k, self.derivatives = k, Derivatives(grid, scheme, self.edges())

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """lap u, k^2 u and -f inside; u on the walls."""
        f, u = x.split(1, 1)
        k = resolved(parameters.get("k", self.k), 0.0, u)
        return self.bounded((self.derivatives.laplacian(u), k**2 * u, -f), u)


class PoissonResidual(HelmholtzResidual):
    """lap u - f = 0 (no minus sign) with u = 0 on walls; channels (f, u).

    Arguments:
        grid: axes, periodic or between walls.
        scheme: of `Derivatives`.
        points: "nodes" or "cells".
    """

    def __init__(self, grid: Grid, scheme="fd2", points: str = "nodes"):
        super().__init__(grid, 0.0, scheme, points)


class DarcyResidual(WalledResidual):
    """-div(a grad u) - f = 0 with u = 0 on walls; channels (a, u).

    "arithmetic", "harmonic": the flux form of finite volumes, the face between a and b having (a + b) / 2 or
    2 a b / (a + b). "expanded": -a lap u - grad a . grad u, for smooth a alone. Where a jumps, two stencils differ by
    more than f: measure data with the stencil that made them, here points="nodes" with arithmetic faces for FNO and
    DiffusionPDE before they interpolate, points="inside" with arithmetic faces for PDEBench, points="cells" with
    harmonic faces for our own.
    Source: Eymard, Gallouet & Herbin, Finite Volume Methods (2000).

    Arguments:
        grid: axes between walls.
        faces: "arithmetic", "harmonic" or "expanded".
        forcing: f, a number, of shape (B,) or broadcasting to (B, 1, 1, *S); parameter "forcing".
        points: "nodes", "cells" or, for the flux form, "inside".

    Raises:
        ValueError: another word for faces or points, "expanded" with "inside", or an axis that closes.
    """

    places = ("nodes", "cells", "inside")

    def __init__(self, grid: Grid, faces: str = "arithmetic", forcing=1.0, points: str = "nodes"):
        if faces not in ("arithmetic", "harmonic", "expanded") or any(p is not None for p in grid.periods):
            raise ValueError(
                "faces are 'arithmetic', 'harmonic' or 'expanded', and every axis has walls; "
                f"got {faces!r} and the periods {grid.periods}"
            )
        if faces == "expanded" and points == "inside":
            raise ValueError("points='inside' needs the flux form; got faces='expanded'")
        super().__init__(grid, ("a", "u"), points)
        self.faces, self.forcing = faces, forcing
        self.slopes = Derivatives(grid, "fd2", self.edges())
        self.coefficient = Derivatives(grid, "fd2")

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """-div(a grad u), axis by axis, and -f inside; u on the walls."""
        a, u = x.split(1, 1)
        f = resolved(parameters.get("forcing", self.forcing), 0.0, u)
        if self.faces == "expanded":
            pieces = [self._expanded(a, u, dim) for dim in self.grid.dims]
        else:
            pieces = [self._flux(a, u, axis) for axis in range(-len(self.grid.dims), 0)]
        return self.bounded((*pieces, -f * torch.ones_like(u)), u)

    def _expanded(self, a: Tensor, u: Tensor, dim: str) -> Tensor:
        slope = self.coefficient.along(a, dim) * self.slopes.along(u, dim)
        return -a * self.slopes.along(u, dim, 2) - slope

    def _flux(self, a: Tensor, u: Tensor, axis: int) -> Tensor:
        """-(F_{j+1/2} - F_{j-1/2}) / h along an axis; on wall nodes something that `bounded` leaves out."""
        n, h = u.shape[axis], self.grid.spacings[axis]
        low, high = a.narrow(axis, 0, n - 1), a.narrow(axis, 1, n - 1)
        face = (low + high) / 2 if self.faces == "arithmetic" else 2 * low * high / (low + high)
        first, last = u.narrow(axis, 0, 1), u.narrow(axis, n - 1, 1)
        near = 1 if self.points == "inside" else 2  # 1 / distance of the wall, in 1 / h
        outer = [near * a.narrow(axis, 0, 1) * first, -near * a.narrow(axis, n - 1, 1) * last]
        flux = torch.cat([outer[0], face * u.diff(dim=axis), outer[1]], axis)
        return -flux.diff(dim=axis) / h**2


class SteadyResidual(Residual):
    """Component "pde" of a steady problem with a `residual(inputs, outputs)` that is linear in its outputs.

    Channels are fields_in + fields_out; it holds on the problem's interior. On what the problem itself solved it has
    the size of rounding and of the linear solver's tolerance.

    Arguments:
        problem: with grid, fields_in, fields_out, interior and residual.
    """

    def __init__(self, problem):
        self.problem, self.grid = problem, problem.grid
        self.fields = (*problem.fields_in, *problem.fields_out)

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """The part that is linear in the outputs and the rest, each of shape (B, C', T, *interior)."""
        frames = x.transpose(1, 2).flatten(0, 1)
        inputs, outputs = frames.split([len(self.problem.fields_in), len(self.problem.fields_out)], 1)
        whole = self.problem.residual(inputs, outputs, **parameters)
        rest = self.problem.residual(inputs, torch.zeros_like(outputs), **parameters)
        inside = (..., *self.problem.interior)
        pieces = (whole - rest, rest)
        return {"pde": tuple(p.unflatten(0, (len(x), -1)).transpose(1, 2)[inside] for p in pieces)}
