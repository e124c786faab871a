"""Balances of the atmosphere as residuals: geostrophic, thermal-wind, hydrostatic, mass."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from .grid import Grid
from .residuals.base import Parameters, Residual, Terms
from .sphere import Sphere
from .stencils import stencil

GAS_CONSTANT = 287.05  # of dry air, J / (kg K)
GRAVITY = 9.80665  # m / s^2
VAPOUR = 0.608  # R_v / R_d - 1: virtual temperature T (1 + 0.608 q)
LOWEST, HIGHEST = 20.0, 85.0  # |latitude| between which balances with the Coriolis force are measured


def pressure_levels(grid: Grid, units: str = "hPa") -> np.ndarray:
    """Pressures of the axis "level" in Pa.

    Arguments:
        grid: with the dim "level".
        units: of its coordinate, "hPa" or "Pa".

    Raises:
        ValueError: no such axis, another unit, or numbers that cannot be pressures in this unit.
    """
    if "level" not in grid.dims:
        raise ValueError(f"this balance needs the axis 'level' of pressures; got {grid.dims}")
    if units not in ("hPa", "Pa"):
        raise ValueError(f"levels are in 'hPa' or 'Pa'; got {units!r}")
    levels = np.asarray(grid.coordinates[grid.dims.index("level")], dtype=np.float64)
    if levels.min() <= 0 or not (levels.max() <= 1100 if units == "hPa" else 1100 < levels.max() <= 110000):
        raise ValueError(
            f"levels from {levels.min():g} to {levels.max():g} are no pressures in {units}; name their units"
        )
    return levels * (100.0 if units == "hPa" else 1.0)


class Balance(Residual):
    """What the balances share: a sphere, levels in Pa where there are any, rows at which they hold, weights cos(lat).

    Real air keeps these balances only roughly (a Rossby number of about 0.1): penalise what exceeds the floor of
    reanalyses (see `Tolerance`), not the residual itself.

    Arguments:
        grid: dims among "level", "latitude" and "longitude", in any order and direction.
        fields: names of the C channels.
        component: its name.
        units: of the levels, or None where the balance needs none.
        rows: (low, high): |latitude| in degrees between which it is measured.
        scheme: of `Derivatives`.

    Raises:
        ValueError: no rows in this range, or levels that are no pressures.
    """

    def __init__(
        self,
        grid: Grid,
        fields: tuple[str, ...],
        component: str,
        units: str | None,
        rows: tuple[float, float],
        scheme: str | Mapping[str, str] = "fd2",
    ):
        self.grid, self.fields, self.component, self.sphere = grid, tuple(fields), component, Sphere(grid, scheme)
        self.pressures = None if units is None else pressure_levels(grid, units)
        self.rows, self.latitude_axis = self.sphere.inside(*rows), grid.dims.index("latitude") - len(grid.dims)
        if not len(self.rows):
            raise ValueError(
                f"no latitude lies at {rows[0]:g} < |latitude| < {rows[1]:g} degrees; this balance needs some"
            )
        self.weight = {component: self._chosen(self.sphere.weights(torch.zeros(1, dtype=torch.float64)))}

    def _chosen(self, values: Tensor) -> Tensor:
        """The rows at which the balance is measured."""
        return values.index_select(self.latitude_axis, self.rows.to(values.device))

    def _component(self, *terms: Tensor) -> Terms:
        return {
            self.component: tuple(self._chosen(term.expand(torch.broadcast_shapes(*_shapes(terms)))) for term in terms)
        }

    def _log_pressure(self, u: Tensor) -> Tensor:
        """du / d ln p of order 2 on uneven levels: shape (..., *S) -> (..., *S)."""
        axis = self.grid.dims.index("level")
        return stencil(np.log(self.pressures), None, 1, 2).to(u)(u, u.ndim - len(self.grid.dims) + axis)

    def _check_range(self, x: Tensor, field: str, low: float, high: float, hint: str) -> None:
        """Raises ValueError where the median of a field is not between two numbers."""
        middle = float(self.channel(x, field).median())
        if not low < middle < high:
            raise ValueError(f"{field} has the median {middle:.4g}, expected between {low:g} and {high:g}: {hint}")


class Geostrophic(Balance):
    """Component "geostrophic": f u + Phi_y and f v - Phi_x (eastward, northward wind), in m s-2, at |lat| > 20.

    Channels (z, u, v): z the geopotential Phi in m2 s-2, not a height. With or without the axis "level".
    Source: Holton & Hakim, An Introduction to Dynamic Meteorology (2012), section 3.2.

    Arguments:
        grid: dims "latitude", "longitude" and, where there are levels, "level".
        fields: names of geopotential, eastward and northward wind.
        rows: range of |latitude| in degrees.
        scheme: of `Derivatives`.
    """

    def __init__(self, grid: Grid, fields=("z", "u", "v"), rows=(LOWEST, HIGHEST), scheme="fd2"):
        super().__init__(grid, fields, "geostrophic", None, rows, scheme)

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """Coriolis force and pressure force, each of shape (B, 2, T, *rows)."""
        z, u, v = x.split(1, 1)
        wind, slope = torch.cat([u, v], 1), torch.cat([self.sphere.dy(z), -self.sphere.dx(z)], 1)
        return self._component(self.sphere.coriolis(x) * wind, slope)

    def winds(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Geostrophic (u, v) = (-Phi_y, Phi_x) / f in m s-1: shape (..., *S) -> (..., *S) twice; no use near 0 N."""
        f = self.sphere.coriolis(z)
        return -self.sphere.dy(z) / f, self.sphere.dx(z) / f

    def validate(self, x: Tensor) -> None:
        """Also asks whether winds and forces of x (B, 3, T, *S) are of one size, which a height in metres is not."""
        super().validate(x)
        coriolis, slope = (term.pow(2).mean() for term in self.terms(x, {})[self.component])
        if float(slope) * 36 < float(coriolis):
            raise ValueError(
                f"the slope of {self.fields[0]!r} is far too small for these winds; it must be the geopotential in "
                f"m2 s-2: multiply a height in metres by {GRAVITY}"
            )


class ThermalWind(Balance):
    """Component "thermal wind": f du/dlnp - R_d Tv_y and f dv/dlnp + R_d Tv_x, in m s-2, at |lat| > 20.

    Channels (t, u, v), or (t, u, v, q) with the specific humidity in kg kg-1; derivatives in ln p of order 2.
    Source: Holton & Hakim (2012), section 3.4.

    Arguments:
        grid: dims "level", "latitude" and "longitude".
        fields: names of temperature (K), eastward and northward wind and, where there is one, humidity.
        units: of the levels, "hPa" or "Pa".
        rows: range of |latitude| in degrees.
        scheme: of `Derivatives`, in the horizontal.
    """

    def __init__(self, grid: Grid, fields=("t", "u", "v"), units="hPa", rows=(LOWEST, HIGHEST), scheme="fd2"):
        super().__init__(grid, fields, "thermal wind", units, rows, scheme)

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """Shear and slope of temperature, each of shape (B, 2, T, *rows)."""
        t, wind = virtual_temperature(x[:, :1], x[:, 3:4] if x.shape[1] > 3 else None), x[:, 1:3]
        slope = torch.cat([-self.sphere.dy(t), self.sphere.dx(t)], 1)
        return self._component(self.sphere.coriolis(x) * self._log_pressure(wind), GAS_CONSTANT * slope)

    def validate(self, x: Tensor) -> None:
        """Also asks whether temperatures of x (B, C, T, *S) are in kelvin."""
        super().validate(x)
        self._check_range(x, self.fields[0], 150, 350, "temperatures must be in kelvin")


class Hydrostatic(Balance):
    """Component "hydrostatic": Phi_k - Phi_{k+1} - R_d Tv ln(p_{k+1} / p_k) between neighbouring levels, in m2 s-2.

    Tv is the mean of both levels, the trapezoidal rule in ln p, so the floor is set by the spacing of the levels.
    Channels (z, t), or (z, t, q). Source: Holton & Hakim (2012), section 1.4.

    Arguments:
        grid: dims "level", "latitude" and "longitude".
        fields: names of geopotential (m2 s-2), temperature (K) and, where there is one, humidity (kg kg-1).
        units: of the levels, "hPa" or "Pa".
    """

    def __init__(self, grid: Grid, fields=("z", "t"), units="hPa"):
        super().__init__(grid, fields, "hydrostatic", units, (-1.0, 90.1))
        if len(self.pressures) < 2:
            raise ValueError("the hydrostatic balance needs at least two levels")

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """Thickness and minus that of the mean temperature, each of shape (B, 1, T, *S) with one level less."""
        axis = self.grid.dims.index("level") - len(self.grid.dims)
        tv = virtual_temperature(x[:, 1:2], x[:, 2:3] if x.shape[1] > 2 else None)
        view = [-1] + [1] * (-1 - axis)
        step = torch.from_numpy(np.diff(np.log(self.pressures))).to(x).reshape(view)
        low, high = tv.narrow(axis, 0, tv.shape[axis] - 1), tv.narrow(axis, 1, tv.shape[axis] - 1)
        return self._component(-x[:, :1].diff(dim=axis), -GAS_CONSTANT * (low + high) / 2 * step)

    def validate(self, x: Tensor) -> None:
        """Also asks whether x (B, C, T, *S) holds a geopotential and kelvins."""
        super().validate(x)
        self._check_range(x, self.fields[1], 150, 350, "temperatures must be in kelvin")
        thickness, warm = (term.abs().mean() for term in self.terms(x, {})[self.component])
        if not 0.5 < float(thickness / warm) < 2:
            raise ValueError(
                f"layers of {self.fields[0]!r} are {float(thickness / warm):.2g} times as thick as their temperature "
                f"asks; it must be the geopotential in m2 s-2: multiply a height in metres by {GRAVITY}"
            )


def virtual_temperature(t: Tensor, q: Tensor | None) -> Tensor:
    """Tv = T (1 + 0.608 q) in K, or T where there is no humidity: shapes (B, 1, T, *S) -> (B, 1, T, *S)."""
    return t if q is None else t * (1 + VAPOUR * q)


def _shapes(terms: tuple[Tensor, ...]) -> list[torch.Size]:
    return [term.shape for term in terms]
