"""Conservation of air: mass in pressure coordinates, and the mass of the whole column."""

import numpy as np
import torch
from torch import Tensor

from .atmosphere import GRAVITY, Balance
from .grid import Grid
from .residuals.base import Parameters, Terms
from .stencils import stencil

NEAR_POLE = 85.0  # degrees


class PressureContinuity(Balance):
    """Component "mass": div_h V + d omega / dp at constant pressure, in s-1, at |lat| < 85.

    Channels (u, v, w): winds in m s-1 and w = omega = dp/dt in Pa s-1. Source: Holton & Hakim (2012), section 3.1.2.

    Arguments:
        grid: dims "level", "latitude" and "longitude".
        fields: names of eastward wind, northward wind and omega.
        units: of the levels, "hPa" or "Pa".
        scheme: of `Derivatives`, in the horizontal.
    """

    def __init__(self, grid: Grid, fields=("u", "v", "w"), units="hPa", scheme="fd2"):
        super().__init__(grid, fields, "mass", units, (-1.0, NEAR_POLE), scheme)

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """Divergence of the wind and the slope of omega, each of shape (B, 1, T, *rows)."""
        u, v, omega = x.split(1, 1)
        axis = x.ndim - len(self.grid.dims) + self.grid.dims.index("level")
        rise = stencil(self.pressures, None, 1, 2).to(x)(omega, axis)
        return self._component(self.sphere.divergence(u, v), rise)


class ColumnMass(Balance):
    """Component "mass": (ps^{n+1} - ps^n) / dt + div int V dp at the middle of two frames, in Pa s-1, at |lat| < 85.

    int V dp runs from the top level to the surface: each level stands for the layer between the middles towards its
    neighbours, cut at the surface pressure. Channels (u, v, sp); sp in Pa is the same on all levels. Water that falls
    or evaporates changes ps by g (E - P), which is given as the parameter "water" in Pa s-1 or left out: 1 mm / h of
    rain is 2.7e-3 Pa s-1. Reanalyses on pressure levels close this budget poorly, for the divergence nearly cancels in
    the integral (hourly ERA5 over Europe, 0.25 degrees, 20 levels: 0.3 Pa s-1 left, tendency 0.01): look at the floor.

    Arguments:
        grid: dims "level", "latitude" and "longitude".
        dt: seconds between frames, > 0.
        fields: names of eastward wind, northward wind and surface pressure.
        units: of the levels, "hPa" or "Pa".
        scheme: of `Derivatives`, in the horizontal.

    Raises:
        ValueError: dt not > 0, or levels that are no pressures.
    """

    def __init__(self, grid: Grid, dt: float, fields=("u", "v", "sp"), units="hPa", scheme="fd2"):
        if not dt > 0:
            raise ValueError(f"the time between frames dt must be > 0; got {dt}")
        super().__init__(grid, fields, "mass", units, (-1.0, NEAR_POLE), scheme)
        self.dt, self.level_axis = dt, grid.dims.index("level") - len(grid.dims)
        order = np.argsort(self.pressures)
        middles = (self.pressures[order][1:] + self.pressures[order][:-1]) / 2
        top, bottom = np.empty_like(self.pressures), np.empty_like(self.pressures)
        top[order] = np.concatenate([self.pressures[order][:1], middles])
        bottom[order] = np.concatenate([middles, [np.inf]])
        view = [-1] + [1] * (-1 - self.level_axis)
        self.top, self.bottom = (torch.from_numpy(a).reshape(view) for a in (top, bottom))

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """Tendency, convergence of mass and minus the water, each of shape (B, 1, T - 1, *rows), one level."""
        if x.shape[2] < 2:
            raise ValueError(f"the column's mass needs at least 2 frames; got {x.shape[2]}")
        surface = self.channel(x, self.fields[2])
        layer = (surface.minimum(self.bottom.to(x)) - self.top.to(x)).clamp_min(0)
        column = (x[:, :2] * layer).sum(self.level_axis, keepdim=True)
        flux = (column[:, :, 1:] + column[:, :, :-1]) / 2
        rate = surface.diff(dim=2).narrow(self.level_axis, 0, 1) / self.dt
        spread = self.sphere.divergence(flux[:, :1], flux[:, 1:])
        water = torch.as_tensor(parameters.get("water", 0.0), dtype=x.dtype, device=x.device)
        return self._component(rate, spread, -water.expand(rate.shape))

    def validate(self, x: Tensor) -> None:
        """Also asks whether the surface pressure in x (B, 3, T, *S) is in Pa."""
        super().validate(x)
        self._check_range(x, self.fields[2], 3e4, 1.2e5, "surface pressure must be in Pa")


def dry_mass(surface_pressure: Tensor, water: Tensor | float = 0.0) -> Tensor:
    """Mass of dry air over a unit of area, ps / g - water, in kg m-2, with the shape of surface_pressure (any).

    Arguments:
        surface_pressure: in Pa.
        water: total column water in kg m-2, broadcasting to it.
    """
    return surface_pressure / GRAVITY - water
