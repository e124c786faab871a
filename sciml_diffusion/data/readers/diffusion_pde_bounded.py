"""DiffusionPDE (Huang et al. 2024), flow around a cylinder: a NumPy array (N, X, Y, T), time last.

The array holds no times and no lengths, and the format defines none.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from ..numpy_files import open_npy
from ..probe import Probe
from .pieces import space_coordinate, time_coordinate, times_and_length
from .pino_npy import npy_field

TITLE = "DiffusionPDE bounded Navier-Stokes: a .npy array (N, X, Y, T)"
HINT = "DiffusionPDE publishes neither; dt=1 counts frames, length=1 gives shares of the square"


def recognises(probe: Probe) -> bool:
    """Whether it is an array of four axes, the second and third equal, without a description beside it."""
    shape = probe.npy
    return len(shape) == 4 and shape[1] == shape[2] and not probe.path.with_suffix(".json").exists()


def read(path: Path, dt: float | None = None, duration: float | None = None, length: float | None = None) -> xr.Dataset:
    """v (sample, time, x, y), read from a memory map; cell centres of a square that is not periodic.

    Arguments:
        path: of the file.
        dt, duration: time between frames, or of the last frame; one of them.
        length: of the square.

    Raises:
        ValueError: another number of axes; no dt, duration or length.
    """
    shape = open_npy(path).shape
    if len(shape) != 4:
        raise ValueError(f"{path}: an array (N, X, Y, T) was expected; got the shape {shape}")
    times, length = times_and_length(path, shape[3], dt, duration, length, HINT)
    v = npy_field(path, ("sample", "x", "y", "time"), {"units": "1", "long_name": "flow field as stored"})
    coords = {"sample": np.arange(shape[0]), "time": time_coordinate(times)}
    for axis, points in zip("xy", shape[1:3], strict=True):
        coords[axis] = space_coordinate(axis, (np.arange(points) + 0.5) * (length / points))
    attrs = {
        "title": "DiffusionPDE bounded Navier-Stokes",
        "equation": "incompressible Navier-Stokes around a cylinder",
        "boundary": "walls and a cylinder, which the file does not mark",
    }
    return xr.Dataset({"v": v}, coords, attrs).transpose("sample", "time", ...)
