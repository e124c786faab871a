"""Balanced atmospheres in closed form, on latitude, longitude and pressure levels in any order and direction."""

import numpy as np
import torch
from torch import Tensor

from sciml_diffusion.physics.atmosphere import GAS_CONSTANT
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.sphere import EARTH_RADIUS, EARTH_ROTATION

SPEED = 30.0  # m / s
SURFACE = 1e5  # Pa


def globe(
    rows: int,
    levels: int = 0,
    north_first: bool = True,
    top_first: bool = True,
    dims: tuple[str, ...] = ("level", "latitude", "longitude"),
) -> Grid:
    """Latitudes from pole to pole, twice as many longitudes, levels from 100 to 1000 hPa, even in ln p."""
    latitude, level = np.linspace(-90, 90, rows), np.geomspace(100, 1000, max(levels, 2))
    axes = {
        "latitude": latitude[::-1].copy() if north_first else latitude,
        "longitude": np.arange(2 * (rows - 1)) * (180 / (rows - 1)),
        "level": level if top_first else level[::-1].copy(),
    }
    dims = tuple(dim for dim in dims if dim != "level" or levels)
    return Grid(dims, tuple(axes[d] for d in dims), tuple(360.0 if d == "longitude" else None for d in dims))


def places(grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
    """Latitude and longitude in radians and ln(p / p_s), each with shape (*S); ln(p / p_s) is 0 without levels."""
    at = dict(zip(grid.dims, torch.meshgrid(*map(torch.from_numpy, grid.coordinates), indexing="ij"), strict=True))
    latitude, longitude = torch.deg2rad(at["latitude"]), torch.deg2rad(at["longitude"])
    logp = torch.log(at["level"] * 100 / SURFACE) if "level" in at else torch.zeros_like(latitude)
    return latitude, longitude, logp


def geostrophic_wave(grid: Grid) -> Tensor:
    """Channels (z, u, v), shape (1, 3, 1, *S): Phi = Phi_0 + A sin^2(phi) + B cos(phi) sin(phi) sin(2 lambda), with its
    geostrophic wind (-Phi_phi, Phi_lambda / cos(phi)) / (f a). Zonal part: u falls as cos(phi), nearly a solid body."""
    lat, lon, _ = places(grid)
    a = -EARTH_ROTATION * EARTH_RADIUS * SPEED
    b = 1500.0
    f = 2 * EARTH_ROTATION * lat.sin()
    f = torch.where(f.abs() < 1e-8, 1e-8, f)
    phi = 5e4 + a * lat.sin() ** 2 + b * lat.cos() * lat.sin() * (2 * lon).sin()
    u = -(2 * a * lat.sin() * lat.cos() + b * (2 * lat).cos() * (2 * lon).sin()) / (f * EARTH_RADIUS)
    v = 2 * b * lat.sin() * (2 * lon).cos() / (f * EARTH_RADIUS)
    return torch.stack([phi, u, v])[None, :, None]


def thermal_wind_flow(grid: Grid) -> Tensor:
    """Channels (z, t, u, v), shape (1, 4, 1, *S): a flow in exact geostrophic, hydrostatic and thermal-wind balance.

    T = T_0 - G sin^2(phi) - s l (1 + l / 2) with l = ln(p / p_s): Phi = Phi_s - R int T dl; u grows upwards.
    """
    lat, _, logp = places(grid)
    gradient, curve = 20.0, 12.0
    t = 290.0 - gradient * lat.sin() ** 2 + curve * (logp + logp**2 / 2)
    ground = -EARTH_ROTATION * EARTH_RADIUS * SPEED * lat.sin() ** 2
    drop = (290.0 - gradient * lat.sin() ** 2) * logp + curve * (logp**2 / 2 + logp**3 / 6)
    phi = ground - GAS_CONSTANT * drop
    u = (SPEED - gradient * GAS_CONSTANT / (EARTH_ROTATION * EARTH_RADIUS) * logp) * lat.cos()
    return torch.stack([phi, t, u, 0 * u])[None, :, None]


def overturning(grid: Grid) -> Tensor:
    """Channels (u, v, w), shape (1, 3, 1, *S): a divergent wind whose omega balances it, zero at p = 0.

    u = U sin(lambda) cos^2(phi) g(p) has the divergence U cos(lambda) cos(phi) g / a; g = cos(pi p / p_s).
    """
    lat, lon, logp = places(grid)
    p = SURFACE * logp.exp()
    g, integral = torch.cos(torch.pi * p / SURFACE), torch.sin(torch.pi * p / SURFACE) * SURFACE / torch.pi
    u = SPEED * lon.sin() * lat.cos() ** 2 * g
    omega = -SPEED * lon.cos() * lat.cos() / EARTH_RADIUS * integral
    return torch.stack([u, 0 * u, omega])[None, :, None]


def filling_column(grid: Grid, times: Tensor) -> Tensor:
    """Channels (u, v, sp), shape (1, 3, T, *S): the same wind u = U sin(lambda) cos^2(phi) at all heights.

    ps_t = -div(V (ps - p_top)) is met by ps = p_top + q, where q moves with the wind alone: along a parallel
    q_t + (w sin(l) q)_l = 0, w = U cos(phi) / a, has the solution q = Q / (e cos^2(l / 2) + sin^2(l / 2) / e) with
    e = exp(w t), since tan(l / 2) grows as e along a characteristic.
    """
    lat, lon, logp = places(grid)
    top = SURFACE * float(logp.min().exp())
    wind = SPEED * lon.sin() * lat.cos() ** 2
    w = SPEED * lat.cos() / EARTH_RADIUS
    frames = []
    for time in times:
        e = torch.exp(w * time)
        q = 9e4 / (e * (lon / 2).cos() ** 2 + (lon / 2).sin() ** 2 / e)
        frames.append(torch.stack([wind, 0 * wind, top + q]))
    return torch.stack(frames, 1)[None]
