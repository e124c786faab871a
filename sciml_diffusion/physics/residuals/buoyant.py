"""Buoyant flow (Boussinesq) on a periodic stencil of its own; between walls there is `BuoyantBoxEquation`."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..grid import Grid
from ..projections import DivergenceFree
from .equation import Equation, Values


class BuoyantEquation(Equation):
    """s_t = -div(v s) + kappa lap s + f_s, v_t = P [-(v . grad) v + nu lap v + b s e + f_v].

    P, the projection on fields without divergence, takes the place of the pressure; e points along one axis. s is a
    density of smoke or a temperature above that of rest: its mean drives the mean flow, for no wall holds it.
    Source: Boussinesq's approximation, Tritton, Physical Fluid Dynamics (1988).

    Arguments:
        grid: periodic axes.
        velocity: {dim: name of the channel}, one for each axis of the grid; channels are ("density", *velocity).
        up: the axis of e.
        buoyancy: b, acceleration along e for each unit of s, parameter "buoyancy".
        nu: viscosity, parameter "nu".
        diffusivity: kappa, parameter "diffusivity".
        forcing: (f_s, f_v), parameter "forcing": shape (B or 1, 1 + D, *S) in the order of the channels, or 0.
        scheme: of `Derivatives`.

    Raises:
        ValueError: an axis that is not there, has no velocity or does not close.
    """

    def __init__(
        self,
        grid: Grid,
        velocity: Mapping[str, str],
        up: str = "y",
        buoyancy=1.0,
        nu=0.0,
        diffusivity=0.0,
        forcing=0.0,
        scheme="fd2",
    ):
        if up not in velocity or any(period is None for period in grid.periods):
            raise ValueError(
                f"buoyant flow needs periodic axes and a velocity along {up!r}; got velocities along "
                f"{list(velocity)} and the periods {grid.periods}"
            )
        parameters = {"buoyancy": buoyancy, "nu": nu, "diffusivity": diffusivity, "forcing": forcing}
        super().__init__(grid, ("density", *velocity.values()), scheme, parameters)
        self.moving, self.up = tuple(velocity), up
        self.projection = DivergenceFree(grid, velocity, scheme, self.fields)

    def tendency(self, u: Tensor, values: Values) -> Tensor:
        """Rates of the density and the velocity: shape (B, 1 + D, *S) -> (B, 1 + D, *S)."""
        s, v = u[:, :1], u[:, 1:]
        velocity = dict(zip(self.moving, v.split(1, 1), strict=True))
        flux = self.derivatives.divergence({dim: component * s for dim, component in velocity.items()})
        carried = values["diffusivity"] * self.derivatives.laplacian(s) - flux
        lift = torch.cat([values["buoyancy"] * s if dim == self.up else torch.zeros_like(s) for dim in self.moving], 1)
        pushed = values["nu"] * self.derivatives.laplacian(v) - self.advection(velocity, v) + lift
        rates = torch.cat([carried, pushed], 1) + values["forcing"]
        return self.projection(rates.unsqueeze(2)).squeeze(2)
