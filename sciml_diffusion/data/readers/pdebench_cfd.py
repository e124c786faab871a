"""PDEBench, compressible flow in 1-D to 3-D: HDF5 with density, pressure, Vx[, Vy[, Vz]] and coordinates.

rho_t + div(rho v) = 0; rho (v_t + v.grad v) = -grad p + rho [eta lap v + (zeta + eta/3) grad div v]; energy with
E = p / (gamma - 1) + rho |v|^2 / 2, gamma = 5/3. The generator multiplies the stress by the local density, so that eta
and zeta are kinematic. The boundary is part of the published file's name only: say it with boundary=.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from ..probe import Probe
from .pdebench_scalar import cell_period, look
from .pieces import hdf5_field, of_split, space_coordinate, time_coordinate

TITLE = "PDEBench compressible flow: HDF5 with density, pressure, Vx, ..."
KEYS = {"density", "pressure", "Vx", "x-coordinate", "t-coordinate"}
AXES = ("x", "y", "z")
BOUNDARIES = {"periodic": "periodic", "outflow": "outflow (zero gradient)"}
BOUNDARIES["trans"] = BOUNDARIES["outflow"]  # PDEBench's word for it


def recognises(probe: Probe) -> bool:
    """Whether it has density, pressure, Vx and the coordinates."""
    return probe.hdf5.keys() >= KEYS


def read(path: Path, split: str | None = None, boundary: str | None = None) -> xr.Dataset:
    """density, velocity_x[, velocity_y[, velocity_z]] and pressure (sample, time, x[, y[, z]]).

    Arguments:
        path: of the file.
        split: "test" (the first tenth, as PDEBench has it), "train" (the others) or None (all).
        boundary: "periodic" or "outflow" (also "trans", as in PDEBench's names), which the file does not hold.

    Raises:
        ValueError: datasets are missing or do not fit each other; another split or boundary.
    """
    if boundary is not None and boundary not in BOUNDARIES:
        raise ValueError(f'boundary is "periodic" or "outflow" (PDEBench: trans); got {boundary!r}')
    axes = AXES[: _dimensions(path)]
    needed = KEYS | {f"V{axis}" for axis in axes} | {f"{axis}-coordinate" for axis in axes}
    stated, coordinates, frames = look(path, needed, axes)
    names = {"density": "density"} | {f"velocity_{axis}": f"V{axis}" for axis in axes} | {"pressure": "pressure"}
    layout = ("sample", "time", *axes)
    data = {
        name: hdf5_field(path, key, layout, {"units": "1", "long_name": name.replace("_", " along ")})
        for name, key in names.items()
    }
    sizes = data["density"].sizes
    odd = [name for name, variable in data.items() if variable.sizes != sizes]
    if odd:
        raise ValueError(f"{path}: {odd[0]} has the sizes {dict(data[odd[0]].sizes)}, density has {dict(sizes)}")
    coords = {"sample": np.arange(sizes["sample"]), "time": time_coordinate(frames(sizes["time"]))}
    for axis in axes:
        period = cell_period(path, axis, coordinates[axis], sizes[axis])
        coords[axis] = space_coordinate(axis, coordinates[axis], period if boundary == "periodic" else None)
    attrs = {
        "title": "PDEBench compressible flow",
        "equation": "compressible Navier-Stokes; stress = density times (eta, zeta), which are kinematic",
        "boundary": BOUNDARIES.get(boundary, "not stated in the file; give boundary='periodic' or 'outflow'"),
        "grid": "cell centres; values are cell averages",
        "gamma": 5 / 3,
    } | {name: stated[name] for name in ("eta", "zeta", "M") if name in stated}
    return of_split(xr.Dataset(data, coords, attrs), split)


def _dimensions(path: Path) -> int:
    """Number of spatial axes: those of the density beside sample and time."""
    import h5py

    with h5py.File(path, "r") as file:
        shape = file["density"].shape if "density" in file else ()
    if not 3 <= len(shape) <= 5:
        raise ValueError(f"{path}: density of shape (N, T, X[, Y[, Z]]) was expected; got {shape}")
    return len(shape) - 2
