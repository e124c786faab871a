"""Rotating shallow water on a stencil of its own."""

import torch
from torch import Tensor

from ..grid import Grid
from .equation import Equation, Values


class ShallowWaterEquation(Equation):
    """Shallow water on a beta-plane, advective form, for the depth h and the velocity (u, v).

    h_t = -(h u)_x - (h v)_y, u_t = -u u_x - v u_y + f v - g (h + b)_x + nu lap u - r u,
    v_t = -u v_x - v v_y - f u - g (h + b)_y + nu lap v - r v, f = f0 + beta y.

    All fields are at the points of the grid: bring those of a C-grid there with `centres`. Use a residual scaled by
    `nondimensional`: the channels differ in their units.

    Arguments:
        grid: axes x and y, in either order; y is the coordinate as the grid has it.
        gravity: g, parameter "gravity".
        f0: Coriolis parameter at y = 0, parameter "f0".
        beta: its slope, parameter "beta".
        viscosity: nu, parameter "viscosity".
        drag: r in 1 / time, parameter "drag".
        topography: height b of the ground, broadcasting to (B, 1, *S), parameter "topography".
        scheme: of `Derivatives`.

    Raises:
        ValueError: where the axes are not x and y.
    """

    def __init__(
        self, grid: Grid, gravity=9.81, f0=1e-4, beta=0.0, viscosity=0.0, drag=0.0, topography=0.0, scheme="fd2"
    ):
        if set(grid.dims) != {"x", "y"}:
            raise ValueError(f"shallow water needs the axes x and y; got {grid.dims}")
        friction = {"viscosity": viscosity, "drag": drag}
        parameters = {"gravity": gravity, "f0": f0, "beta": beta, "topography": topography, **friction}
        super().__init__(grid, ("h", "u", "v"), scheme, parameters)
        shape = [-1 if dim == "y" else 1 for dim in grid.dims]
        self.y = torch.from_numpy(grid.coordinates[grid.dims.index("y")]).to(torch.float64).reshape(shape)

    def tendency(self, u: Tensor, values: Values) -> Tensor:
        """Rates of h, u and v: shape (B, 3, *S) -> (B, 3, *S)."""
        h, velocity = u[:, :1], u[:, 1:]
        east, north = velocity.split(1, 1)
        coriolis = values["f0"] + values["beta"] * self.y.to(u)
        height = values["gravity"] * (h + values["topography"])
        push = torch.cat([coriolis * north - self.along(height, "x"), -coriolis * east - self.along(height, "y")], 1)
        carried = self.advection({"x": east, "y": north}, velocity)
        rates = push - carried + values["viscosity"] * self.derivatives.laplacian(velocity) - values["drag"] * velocity
        return torch.cat([-self.derivatives.divergence({"x": h * east, "y": h * north}), rates], 1)


def centres(x: Tensor, grid: Grid) -> Tensor:
    """(h, u, v) of a C-grid at the points of h, by means of two neighbours (order 2): shape (B, 3, T, *S) to itself.

    Arguments:
        x: fields, with shape (B, 3, T, *S); u half a cell before h along x, v half a cell before it along y.
        grid: axes x and y; behind the last row of an axis that does not close the velocity is 0, for a wall is there.
    """
    h, u, v = x.split(1, 1)
    moved = []
    for component, dim in ((u, "x"), (v, "y")):
        i = grid.dims.index(dim)
        axis = i - len(grid.dims)
        first, rest = component.narrow(axis, 0, 1), component.narrow(axis, 1, component.shape[axis] - 1)
        after = torch.cat([rest, first if grid.periods[i] is not None else torch.zeros_like(first)], axis)
        moved.append((component + after) / 2)
    return torch.cat([h, *moved], 1)
