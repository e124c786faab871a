"""PDEBench, forced incompressible flow with smoke: HDF5 with velocity, particles, force, t and `latestIndex`.

v_t + (v.grad) v = -grad p + nu lap v + particles force, div v = 0, walls at rest. Axes are (batch, time, x, y,
component). Velocities were resampled from cell faces to centres, so that their discrete divergence is not zero.
Frames after `latestIndex` were never written.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from ..per_sample import shared_times
from ..probe import Probe
from .pieces import hdf5_field, space_coordinate

TITLE = "PDEBench incompressible flow: HDF5 with velocity, particles, force, t"
KEYS = {"velocity", "particles", "force", "t"}
AXES = ("x", "y")


def recognises(probe: Probe) -> bool:
    """Whether it has the four datasets, the velocity with five axes."""
    return probe.hdf5.keys() >= KEYS and len(probe.hdf5["velocity"] or ()) == 5


def read(path: Path, length: tuple[float, float] | None = None, viscosity: float | None = None) -> xr.Dataset:
    """velocity_x, velocity_y, smoke (sample, time, x, y) as far as written; force_x, force_y (sample, x, y).

    Arguments:
        path: of the file.
        length: of the domain along x and y, where the config in the file does not state `domain_size`.
        viscosity: where the config does not state `NU`.

    Raises:
        ValueError: datasets are missing or do not fit each other, no frame was written, or an unknown length.
    """
    import h5py

    with h5py.File(path, "r") as file:
        missing = KEYS - set(file)
        if missing:
            raise ValueError(f"{path} lacks {', '.join(sorted(missing))}; it has {', '.join(file)}")
        config = _config(file.attrs.get("config", ""))
        times = np.asarray(file["t"][()], np.float64)
        written = int(file.attrs.get("latestIndex", times.shape[-1] - 1)) + 1
    length = length or config.get("domain_size")
    if length is None or len(length) != 2:
        raise ValueError(f"{path} does not state its domain_size; give length=(along x, along y)")
    if not 0 < written <= times.shape[-1]:
        raise ValueError(f"{path} says that {written} of {times.shape[-1]} frames were written; it holds no fields")
    ds = xr.Dataset(_fields(path)).isel(time=slice(written))
    if times.shape != (ds.sizes["sample"], times.shape[-1]):
        raise ValueError(f"{path}: t of shape (batch, time) was expected; got {times.shape}")
    counted = shared_times(times[:, :written], "1")
    coords = {"sample": np.arange(ds.sizes["sample"]), "time": counted.pop("time")}
    for axis, extent in zip(AXES, length, strict=True):
        cells = ds.sizes[axis]
        coords[axis] = space_coordinate(axis, (np.arange(cells) + 0.5) * (float(extent) / cells))
    viscosity = viscosity if viscosity is not None else config.get("NU")
    attrs = {
        "title": "PDEBench forced incompressible flow with smoke",
        "equation": "v_t + (v.grad) v = -grad p + nu lap v + smoke force, div v = 0, smoke_t + v.grad smoke = 0",
        "boundary": "walls at rest",
        "grid": "cell centres; velocities resampled from faces",
    } | ({"nu": float(viscosity)} if viscosity is not None else {})
    return ds.assign(counted).assign_coords(coords).assign_attrs(attrs)


def _fields(path: Path) -> dict[str, xr.Variable]:
    """The components of velocity, smoke and force."""
    layout = ("sample", "time", *AXES)
    fields = {"smoke": hdf5_field(path, "particles", (*layout, 0), {"units": "1", "long_name": "smoke density"})}
    for i, axis in enumerate(AXES):
        text = {"units": "1", "long_name": f"velocity along {axis}"}
        fields[f"velocity_{axis}"] = hdf5_field(path, "velocity", (*layout, i), text)
        text = {"units": "1", "long_name": f"force on smoke along {axis}"}
        fields[f"force_{axis}"] = hdf5_field(path, "force", ("sample", *AXES, i), text)
    sizes = fields["velocity_x"].sizes
    for name, field in fields.items():
        if any(sizes[dim] != size for dim, size in field.sizes.items()):
            raise ValueError(f"{path}: {name} has the sizes {dict(field.sizes)}, velocity_x has {dict(sizes)}")
    return {name: fields[name] for name in ("velocity_x", "velocity_y", "smoke", "force_x", "force_y")}


def _config(text) -> dict:
    """The top of a YAML text (bytes or str); {} where it is none."""
    import yaml

    try:
        content = yaml.safe_load(text.decode() if isinstance(text, bytes) else str(text))
    except yaml.YAMLError:
        return {}
    return content if isinstance(content, dict) else {}
