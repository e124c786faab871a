"""Advection, Burgers, Kuramoto-Sivashinsky and tracers on stencils of their own."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..grid import Grid
from .equation import Equation, Values


class AdvectionEquation(Equation):
    """u_t = -c . grad u + f with a constant velocity.

    Arguments:
        grid: one axis or more.
        velocity: {dim: component}, each a number or of shape (B,); parameters "velocity_DIM".
        scheme: of `Derivatives`.
        forcing: f, parameter "forcing".
        edges: of `Derivatives`.
    """

    def __init__(self, grid: Grid, velocity: Mapping[str, object], scheme="fd2", forcing=0.0, edges=None):
        parameters = {f"velocity_{dim}": component for dim, component in velocity.items()}
        super().__init__(grid, ("u",), scheme, {**parameters, "forcing": forcing}, edges)
        self.moving = tuple(velocity)

    def tendency(self, u: Tensor, values: Values) -> Tensor:
        """-c . grad u + f: shape (B, 1, *S) -> (B, 1, *S)."""
        return values["forcing"] - sum(values[f"velocity_{dim}"] * self.along(u, dim) for dim in self.moving)


class BurgersEquation(Equation):
    """u_t = -(u^2 / 2)_x + nu u_xx + f; or -u u_x in place of the flux where it is not conservative.

    At a shock the pointwise residual grows with 1 / h even on the entropy solution: measure shocks with a
    finite-volume solver's right-hand side.

    Arguments:
        grid: one axis.
        nu: viscosity, parameter "nu".
        scheme: of `Derivatives`.
        forcing: f, parameter "forcing".
        conservative: which form of the advection.
        edges: of `Derivatives`.
    """

    def __init__(self, grid: Grid, nu, scheme="fd2", forcing=0.0, conservative: bool = True, edges=None):
        super().__init__(grid, ("u",), scheme, {"nu": nu, "forcing": forcing}, edges)
        self.conservative = conservative

    def tendency(self, u: Tensor, values: Values) -> Tensor:
        """Shape (B, 1, X) -> (B, 1, X)."""
        (x,) = self.grid.dims
        flux = self.along(u**2 / 2, x) if self.conservative else u * self.along(u, x)
        return values["nu"] * self.along(u, x, 2) - flux + values["forcing"]


class KuramotoSivashinskyEquation(Equation):
    """u_t = -u u_x - u_xx - nu u_xxxx + f, the fourth derivative as the second of the second.

    Rounding of float32 grows with k^4: use float64.

    Arguments:
        grid: one periodic axis.
        nu: hyperviscosity, parameter "nu".
        scheme: of `Derivatives`.
        forcing: f, parameter "forcing".
    """

    def __init__(self, grid: Grid, nu=1.0, scheme="fd2", forcing=0.0):
        super().__init__(grid, ("u",), scheme, {"nu": nu, "forcing": forcing})

    def tendency(self, u: Tensor, values: Values) -> Tensor:
        """Shape (B, 1, X) -> (B, 1, X)."""
        (x,) = self.grid.dims
        bend = self.along(u, x, 2)
        return values["forcing"] - u * self.along(u, x) - bend - values["nu"] * self.along(bend, x, 2)


class TracerEquation(Equation):
    """c_t = -div(v c) + K lap c - lambda c + f for a tracer or smoke that given velocities carry.

    The velocities are channels of the state: fields = (tracer, *velocities), and the tracer alone has an equation.
    Buoyancy and other forces act on the velocities, not here. Data of limited or semi-Lagrangian schemes have a floor
    of order h where the field is steep: look at it first.

    Arguments:
        grid: one axis or more.
        velocity: {dim: name of the channel}, for example {"x": "u", "y": "v"}.
        tracer: name of the tracer's channel.
        diffusivity: K, parameter "diffusivity".
        decay: lambda in 1 / time, parameter "decay".
        forcing: sources f, parameter "forcing".
        scheme: of `Derivatives`.
        edges: of `Derivatives`.
    """

    def __init__(
        self,
        grid: Grid,
        velocity: Mapping[str, str],
        tracer: str = "concentration",
        diffusivity=0.0,
        decay=0.0,
        forcing=0.0,
        scheme="fd2",
        edges=None,
    ):
        parameters = {"diffusivity": diffusivity, "decay": decay, "forcing": forcing}
        super().__init__(grid, (tracer, *velocity.values()), scheme, parameters, edges)
        self.prognostic, self.moving = (tracer,), tuple(velocity)

    def tendency(self, u: Tensor, values: Values) -> Tensor:
        """Shape (B, 1 + D, *S) -> (B, 1, *S)."""
        s, velocity = u[:, :1], dict(zip(self.moving, torch.split(u[:, 1:], 1, 1), strict=True))
        flux = self.derivatives.divergence({dim: component * s for dim, component in velocity.items()})
        return values["diffusivity"] * self.derivatives.laplacian(s) - flux - values["decay"] * s + values["forcing"]
