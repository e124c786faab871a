"""Incompressible flow on stencils of its own: vorticity, velocity, divergence."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..derivatives import Derivatives
from ..grid import Grid
from ..projections import DivergenceFree
from .base import Parameters, Residual, Terms
from .equation import Equation, Values


class VorticityEquation(Equation):
    """w_t = -u w_x - v w_y + nu lap w - drag w + f, lap psi = -w, u = U + psi_y, v = V - psi_x, w = v_x - u_y.

    The stream function inverts the scheme's own Laplacian; products are not dealiased. The mean of w does not enter.

    Arguments:
        grid: two periodic axes named x and y, in either order.
        nu: viscosity, parameter "nu".
        drag: linear drag in 1 / time, parameter "drag".
        forcing: f, parameter "forcing".
        mean_flow: (U, V), parameters "mean_x" and "mean_y".
        scheme: of `Derivatives`.

    Raises:
        ValueError: where the axes are not x and y.
    """

    def __init__(self, grid: Grid, nu, drag=0.0, forcing=0.0, mean_flow=(0.0, 0.0), scheme="fd2"):
        if set(grid.dims) != {"x", "y"}:
            raise ValueError(f"the vorticity equation needs the axes x and y; got {grid.dims}")
        mean = dict(zip(("mean_x", "mean_y"), mean_flow, strict=True))
        super().__init__(grid, ("vorticity",), scheme, {"nu": nu, "drag": drag, "forcing": forcing, **mean})

    def velocity(self, w: Tensor) -> dict[str, Tensor]:
        """{"x": psi_y, "y": -psi_x}, each with the shape (..., *S) of w."""
        psi = self.derivatives.inverse_laplacian(-w)
        return {"x": self.along(psi, "y"), "y": -self.along(psi, "x")}

    def tendency(self, u: Tensor, values: Values) -> Tensor:
        """Shape (B, 1, *S) -> (B, 1, *S)."""
        diffusion = values["nu"] * self.derivatives.laplacian(u)
        velocity = {dim: values[f"mean_{dim}"] + component for dim, component in self.velocity(u).items()}
        return diffusion - self.advection(velocity, u) - values["drag"] * u + values["forcing"]


class VelocityEquation(Equation):
    """v_t = P [-(v . grad) v + nu lap v - drag v + f], P the projection on fields without divergence.

    P takes the place of the pressure, which need not be stored. f enters component by component.

    Arguments:
        grid: periodic axes.
        velocity: {dim: name of the channel}, one for each axis of the grid.
        nu: viscosity, parameter "nu".
        drag: linear drag in 1 / time, parameter "drag".
        forcing: f, parameter "forcing": shape (B or 1, D, *S) with the components in the order of `velocity`, or 0.
        scheme: of `Derivatives`.
    """

    def __init__(self, grid: Grid, velocity: Mapping[str, str], nu, drag=0.0, forcing=0.0, scheme="fd2"):
        parameters = {"nu": nu, "drag": drag, "forcing": forcing}
        super().__init__(grid, tuple(velocity.values()), scheme, parameters)
        self.moving, self.projection = tuple(velocity), DivergenceFree(grid, velocity, scheme)

    def tendency(self, u: Tensor, values: Values) -> Tensor:
        """Shape (B, D, *S) -> (B, D, *S)."""
        velocity = dict(zip(self.moving, torch.split(u, 1, 1), strict=True))
        change = values["nu"] * self.derivatives.laplacian(u) - self.advection(velocity, u) - values["drag"] * u
        return self.projection((change + values["forcing"]).unsqueeze(2)).squeeze(2)


class Divergence(Residual):
    """Component "divergence": sum_dim d v_dim / d dim, in 1 / time, at every point.

    Arguments:
        grid: axes.
        velocity: {dim: name of the channel}, for example {"x": "u", "y": "v"}.
        scheme: of `Derivatives`.
        edges: of `Derivatives`.
    """

    def __init__(self, grid: Grid, velocity: Mapping[str, str], scheme="fd2", edges=None):
        self.grid, self.fields, self.velocity = grid, tuple(velocity.values()), dict(velocity)
        self.derivatives = Derivatives(grid, scheme, edges)

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """One derivative for each axis, each of shape (B, 1, T, *S)."""
        pieces = (self.derivatives.along(self.channel(x, name), dim) for dim, name in self.velocity.items())
        return {"divergence": tuple(pieces)}
