"""Rotating shallow water on a stencil of its own."""

import torch
from torch import Tensor

from ..grid import Grid
from .equation import Equation, Values


class ShallowWaterEquation(Equation):
    """Shallow water on a beta-plane, advective form, for the depth h and the velocity (u, v).

    h_t = -(h u)_x - (h v)_y, u_t = -u u_x - v u_y + f v - g (h + b)_x + nu lap u - drag u,
    v_t = -u v_x - v v_y - f u - g (h + b)_y + nu lap v - drag v, f = f0 + beta y.

    Use a residual scaled by `nondimensional`: the channels differ in their units.

    Arguments:
        grid: axes x and y, in either order; y is the coordinate as the grid has it.
        gravity: g, parameter "gravity".
        f0: Coriolis parameter at y = 0, parameter "f0".
        beta: its slope, parameter "beta".
        nu: viscosity, parameter "nu".
        drag: linear drag in 1 / time, parameter "drag".
        bottom: height b of the ground, broadcasting to (B, 1, *S), parameter "bottom".
        scheme: of `Derivatives`.

    Raises:
        ValueError: where the axes are not x and y.
    """

    def __init__(self, grid: Grid, gravity=9.80665, f0=0.0, beta=0.0, nu=0.0, drag=0.0, bottom=0.0, scheme="fd2"):
        if set(grid.dims) != {"x", "y"}:
            raise ValueError(f"shallow water needs the axes x and y; got {grid.dims}")
        parameters = {"gravity": gravity, "f0": f0, "beta": beta, "nu": nu, "drag": drag, "bottom": bottom}
        super().__init__(grid, ("h", "u", "v"), scheme, parameters)
        shape = [-1 if dim == "y" else 1 for dim in grid.dims]
        self.y = torch.from_numpy(grid.coordinates[grid.dims.index("y")]).to(torch.float64).reshape(shape)

    def tendency(self, u: Tensor, values: Values) -> Tensor:
        """Rates of h, u and v: shape (B, 3, *S) -> (B, 3, *S)."""
        h, velocity = u[:, :1], u[:, 1:]
        east, north = velocity.split(1, 1)
        coriolis = values["f0"] + values["beta"] * self.y.to(u)
        height = values["gravity"] * (h + values["bottom"])
        push = torch.cat([coriolis * north - self.along(height, "x"), -coriolis * east - self.along(height, "y")], 1)
        carried = self.advection({"x": east, "y": north}, velocity)
        rates = push - carried + values["nu"] * self.derivatives.laplacian(velocity) - values["drag"] * velocity
        return torch.cat([-self.derivatives.divergence({"x": h * east, "y": h * north}), rates], 1)
