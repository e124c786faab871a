"""Derivatives on a sphere, from the axes latitude and longitude in degrees."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from .derivatives import Derivatives
from .grid import Grid

EARTH_RADIUS = 6.371229e6  # m, the sphere of GRIB edition 1 and of ERA5
EARTH_ROTATION = 7.292115e-5  # rad / s
DEGREE = math.pi / 180


class Sphere:
    """d/dx = (1 / (a cos phi)) d/dlambda and d/dy = (1 / a) d/dphi, with the divergence and vorticity they belong to.

    Rows closer than half a degree to a pole have no d/dx; they hold zeros there and `inside` leaves them out.
    Fields are tensors of shape (..., *S) with the axes of the grid last. Latitudes may increase or decrease.

    Arguments:
        grid: with the dims "latitude" and "longitude" in degrees among its dims; longitude periodic with 360, or a part
            of the globe without a period.
        scheme: of `Derivatives`, for all axes or {dim: scheme}.
        radius: a > 0, in metres.

    Raises:
        ValueError: where an axis is missing, a latitude lies outside [-90, 90], or the period of longitude is not 360.
    """

    def __init__(self, grid: Grid, scheme: str | Mapping[str, str] = "fd2", radius: float = EARTH_RADIUS):
        if not {"latitude", "longitude"} <= set(grid.dims):
            raise ValueError(f"a sphere needs the axes 'latitude' and 'longitude' in degrees; got {grid.dims}")
        self.grid, self.radius, self.derivatives = grid, radius, Derivatives(grid, scheme)
        self.latitude = np.asarray(grid.coordinates[grid.dims.index("latitude")], dtype=np.float64)
        period = grid.periods[grid.dims.index("longitude")]
        if np.abs(self.latitude).max() > 90 + 1e-6 or (period is not None and abs(period - 360) > 1e-6):
            raise ValueError(
                f"expected latitudes within +-90 and longitudes with the period 360 or none, in degrees; got latitudes "
                f"up to {np.abs(self.latitude).max():g} and the period {period}"
            )

    def dx(self, u: Tensor) -> Tensor:
        """Eastward derivative u_lambda / (a cos phi), in units of u per metre: shape (..., *S) -> (..., *S)."""
        polar = np.abs(self.latitude) > 89.5
        cos = np.where(polar, 1.0, np.cos(self.latitude * DEGREE))
        return self.derivatives.along(u, "longitude") * self.by_latitude(~polar / (cos * self.radius * DEGREE), u)

    def dy(self, u: Tensor) -> Tensor:
        """Northward derivative u_phi / a, in units of u per metre: shape (..., *S) -> (..., *S)."""
        return self.derivatives.along(u, "latitude") / (self.radius * DEGREE)

    def divergence(self, u: Tensor, v: Tensor) -> Tensor:
        """[u_lambda + (v cos phi)_phi] / (a cos phi), in 1 / time: shapes (..., *S) -> (..., *S)."""
        return self.dx(u) + self._across(v)

    def vorticity(self, u: Tensor, v: Tensor) -> Tensor:
        """[v_lambda - (u cos phi)_phi] / (a cos phi), in 1 / time: shapes (..., *S) -> (..., *S)."""
        return self.dx(v) - self._across(u)

    def coriolis(self, like: Tensor, rotation: float = EARTH_ROTATION) -> Tensor:
        """f = 2 Omega sin phi in 1 / s, as a tensor that broadcasts along the axes (..., *S) of `like` (any shape)."""
        return self.by_latitude(2 * rotation * np.sin(self.latitude * DEGREE), like)

    def inside(self, low: float, high: float) -> Tensor:
        """Positions of the rows with low < |latitude| < high, in degrees: shape (rows,)."""
        return torch.from_numpy(np.flatnonzero((np.abs(self.latitude) > low) & (np.abs(self.latitude) < high)))

    def weights(self, like: Tensor) -> Tensor:
        """cos phi, the area of a cell, as a tensor that broadcasts along the axes (..., *S) of `like` (any shape)."""
        return self.by_latitude(np.cos(self.latitude * DEGREE).clip(0), like)

    def by_latitude(self, values: np.ndarray, like: Tensor) -> Tensor:
        """Numbers of each latitude as a tensor that broadcasts along the axes (..., *S) of `like` (any shape)."""
        after = len(self.grid.dims) - 1 - self.grid.dims.index("latitude")
        return torch.from_numpy(np.asarray(values, dtype=np.float64)).to(like).reshape(-1, *[1] * after)

    def _across(self, v: Tensor) -> Tensor:
        """(v cos phi)_phi / (a cos phi), zero at the poles."""
        polar = np.abs(self.latitude) > 89.5
        cos = np.cos(self.latitude * DEGREE)
        return self.dy(v * self.by_latitude(cos, v)) * self.by_latitude(~polar / np.where(polar, 1.0, cos), v)
