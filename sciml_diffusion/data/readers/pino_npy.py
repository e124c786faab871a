"""PINO's Kolmogorov flow (Li et al. 2024): a NumPy array (N, T, X, Y) of vorticity, its initial state included.

Periodic on [0, 2 pi]^2, w_t + v.grad w = (1/Re) lap w - 4 cos 4 y. The array holds no times and no lengths, so they are
asked for; the published Re 500 files have dt = 1/128. Sample i + 1 begins where sample i ends: consecutive samples are
windows of one long run, and splits must be by contiguous blocks.
"""

from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from ..axis_order import kolmogorov_forcing, navier_stokes_order
from ..numpy_files import open_npy
from ..on_disk import on_disk, outer
from ..probe import Probe
from .pieces import space_coordinate, time_coordinate, times_and_length

TITLE = "PINO Kolmogorov flow: a .npy array (N, T, X, Y)"
HINT = "PINO's published files of Re 500 have dt=1/128 and length=2*pi"


def recognises(probe: Probe) -> bool:
    """Whether it is an array of four axes, the last two equal, without a description beside it."""
    shape = probe.npy
    return len(shape) == 4 and shape[2] == shape[3] and not probe.path.with_suffix(".json").exists()


def read(
    path: Path,
    dt: float | None = None,
    duration: float | None = None,
    length: float | None = None,
    viscosity: float | None = None,
    axes: str | None = None,
) -> xr.Dataset:
    """vorticity (sample, time, x, y), read from a memory map.

    Arguments:
        path: of the file.
        dt, duration: time between frames, or of the last frame; one of them.
        length: of the periodic square.
        viscosity: 1 / Re; with it and a length of 2 pi the order of x and y is checked by solving the first interval.
        axes: "xy" or "yx"; the format has "xy".

    Raises:
        ValueError: another number of axes, no dt, duration or length, or an order of axes that solves no interval.
    """
    shape = open_npy(path).shape
    if len(shape) != 4:
        raise ValueError(f"{path}: an array (N, T, X, Y) was expected; got the shape {shape}")
    if axes not in (None, "xy", "yx"):
        raise ValueError(f'axes is "xy" or "yx"; got {axes!r}')
    times, length = times_and_length(path, shape[1], dt, duration, length, HINT)
    if axes is None and viscosity is not None and abs(length - 2 * np.pi) < 1e-6 and shape[1] > 1:
        axes = _checked_order(path, times[1], viscosity, length)
    dims = ("sample", "time", *(axes or "xy"))
    w = npy_field(path, dims, {"units": "1", "long_name": "vorticity"})
    coords = {"sample": np.arange(shape[0]), "time": time_coordinate(times)}
    for axis, points in zip(dims[2:], shape[2:], strict=True):
        coords[axis] = space_coordinate(axis, np.arange(points) * (length / points), length)
    attrs = {
        "title": "PINO Kolmogorov flow",
        "equation": "w_t + v.grad w = nu lap w - 4 cos(4 y), w = curl v, div v = 0",
        "boundary": "periodic",
        "samples": "consecutive windows of one run: split by contiguous blocks of samples, never at random",
        "consecutive_samples": 1,
    } | ({"nu": viscosity} if viscosity is not None else {})
    return xr.Dataset({"vorticity": w}, coords, attrs)


def npy_field(path: Path, dims: tuple[str, ...], attrs: dict) -> xr.Variable:
    """A lazy float32 variable of a .npy file, all of its axes named.

    Arguments:
        path: of the file.
        dims: names of its axes.
        attrs: units, long_name.
    """
    return on_disk(dims, path, open_npy(path).shape, partial(_read, path), attrs)


def _read(path: Path, key: tuple) -> np.ndarray:
    return outer(open_npy(path), key)


def _checked_order(path: Path, interval: float, viscosity: float, length: float) -> str:
    """The order of x and y in which the first interval of two samples solves the equation."""
    frames = np.array(open_npy(path)[:2, :2])
    axes = navier_stokes_order(frames[:, 0], frames[:, 1], interval, (viscosity,), kolmogorov_forcing, length)
    if axes is None:
        raise ValueError(
            f"{path}: the first interval solves the equation with viscosity {viscosity:g} neither as (x, y) nor as "
            '(y, x), or as both; check dt= and viscosity=, or give axes="xy" or axes="yx"'
        )
    return axes
