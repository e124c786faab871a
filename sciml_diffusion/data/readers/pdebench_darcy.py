"""PDEBench, Darcy flow: HDF5 with tensor (N, 1, X, Y), the solution, and nu (N, X, Y), the coefficient.

-div(nu grad u) = beta on the unit square, u = 0 on its rim; positions are cell centres.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from ..probe import Probe
from .pdebench_scalar import cell_period, look
from .pieces import hdf5_field, of_split, space_coordinate, steady, time_coordinate

TITLE = "PDEBench Darcy flow: HDF5 with tensor, nu, x-coordinate, y-coordinate"
KEYS = {"tensor", "nu", "x-coordinate", "y-coordinate"}


def recognises(probe: Probe) -> bool:
    """Whether it has the solution with four axes, the coefficient with three and the coordinates."""
    shapes = probe.hdf5
    return shapes.keys() >= KEYS and len(shapes["tensor"] or ()) == 4 and len(shapes["nu"] or ()) == 3


def read(path: Path, split: str | None = None) -> xr.Dataset:
    """a, the coefficient (nu in the file), and u, the solution: both (sample, time, x, y) with the one time 0.

    Arguments:
        path: of the file.
        split: "test" (the first tenth, as PDEBench has it), "train" (the others) or None (all).

    Raises:
        ValueError: datasets are missing or do not fit each other; another split.
    """
    stated, coordinates, _ = look(path, KEYS, ("x", "y"))
    u = hdf5_field(path, "tensor", ("sample", "time", "x", "y"), {"units": "1", "long_name": "solution"})
    a = hdf5_field(path, "nu", ("sample", "x", "y"), {"units": "1", "long_name": "coefficient"})
    if u.sizes["time"] != 1 or dict(a.sizes) != {dim: n for dim, n in u.sizes.items() if dim != "time"}:
        raise ValueError(f"{path}: tensor (N, 1, X, Y) and nu (N, X, Y) were expected; got {u.shape} and {a.shape}")
    coords = {"sample": np.arange(u.sizes["sample"]), "time": time_coordinate(np.zeros(1))}
    for axis, values in coordinates.items():
        cell_period(path, axis, values, u.sizes[axis])
        coords[axis] = space_coordinate(axis, values)
    attrs = {
        "title": "PDEBench Darcy flow",
        "equation": "-div(a grad u) = beta",
        "boundary": "u = 0 on the rim of the unit square",
        "grid": "cell centres",
        "points": "inside",  # as physics.elliptic.Darcy names the stencil of these data
        "faces": "arithmetic",
    } | {name: stated[name] for name in ("beta",) if name in stated}
    return of_split(xr.Dataset({"a": steady(path, a), "u": u}, coords, attrs), split)
