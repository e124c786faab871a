"""Buoyant flow (Boussinesq) between walls along which air slips, on a stencil of its own."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..derivatives import Derivatives
from ..grid import Grid
from ..smoke.faces import to_centres, to_faces
from ..smoke.projection import Projection
from ..smoke.scene import empty_box
from .equation import Equation, Values


class BuoyantBoxEquation(Equation):
    """s_t = -div(v s) + kappa lap s + f_s, v_t = P [-(v . grad) v + nu lap v + b s e + f_v] in a box with walls.

    On walls v . n = 0, and neither smoke nor momentum along the wall crosses them: s and the components along a wall
    are even in it, the component normal to it odd. P takes means on faces, projects these exactly, and takes means at
    the centres again: of order 2 also beside walls. These are the walls of the `Smoke` solver, without obstacles.
    Source: Boussinesq's approximation, Tritton, Physical Fluid Dynamics (1988).

    Arguments:
        grid: centres of equal cells along two axes that do not close.
        velocity: {dim: name of the channel}, one for each axis in the order of the grid; channels are
            ("density", *velocity).
        up: the axis of e.
        buoyancy: b, acceleration along e for each unit of s, parameter "buoyancy".
        nu: viscosity, parameter "nu".
        diffusivity: kappa, parameter "diffusivity".
        forcing: (f_s, f_v), parameter "forcing": shape (B or 1, 3, *S) in the order of the channels, or 0.

    Raises:
        ValueError: an axis that closes or has no velocity in its place, or `up` is none of them.
    """

    def __init__(
        self, grid: Grid, velocity: Mapping[str, str], up: str = "y", buoyancy=1.0, nu=0.0, diffusivity=0.0, forcing=0.0
    ):
        if len(grid.dims) != 2 or tuple(velocity) != grid.dims or up not in velocity or any(grid.periods):
            raise ValueError(
                f"buoyant flow in a box needs two axes that do not close and velocities along them in their order, one "
                f"of them {up!r}; got {grid.dims} with the periods {grid.periods} and velocities along {list(velocity)}"
            )
        parameters = {"buoyancy": buoyancy, "nu": nu, "diffusivity": diffusivity, "forcing": forcing}
        super().__init__(grid, ("density", *velocity.values()), "fd2", parameters, dict.fromkeys(grid.dims, "even"))
        self.up = grid.dims.index(up)
        self.normal = [  # derivatives of what is odd in the walls at the ends of one axis
            Derivatives(grid, "fd2", {other: "odd" if other == dim else "even" for other in grid.dims})
            for dim in grid.dims
        ]
        lengths = tuple(n * h for n, h in zip(grid.sizes, grid.spacings, strict=True))
        self.projection = Projection(empty_box(grid.sizes, lengths))

    def tendency(self, u: Tensor, values: Values) -> Tensor:
        """Rates of the density and the velocity: shape (B, 3, *S) -> (B, 3, *S)."""
        s, *velocity = u.split(1, 1)
        pairs = list(zip(self.grid.dims, velocity, strict=True))
        flux = sum(
            stencil.along(component * s, dim) for (dim, component), stencil in zip(pairs, self.normal, strict=True)
        )
        forces = torch.zeros_like(u) + values["forcing"]
        pushed = []
        for axis, (component, stencil) in enumerate(zip(velocity, self.normal, strict=True)):
            carried = sum(speed * stencil.along(component, dim) for dim, speed in pairs)
            lift = values["buoyancy"] * s if axis == self.up else 0.0
            change = values["nu"] * stencil.laplacian(component) - carried + lift
            pushed.append((change + forces[:, axis + 1 : axis + 2])[:, 0])
        rates = to_centres(self.projection(to_faces(*pushed)))
        density = values["diffusivity"] * self.derivatives.laplacian(s) - flux + forces[:, :1]
        return torch.cat([density, torch.stack(rates, 1)], 1)
