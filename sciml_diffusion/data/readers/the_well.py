"""The Well (Ohana et al. 2024): HDF5 with the groups t0_fields, t1_fields and t2_fields.

Axes of a field are (sample, time, *space, *components), each of the first three kinds only where the attributes
`sample_varying`, `time_varying` and `dim_varying` say so. Missing axes of samples and space are filled in here by
repetition (without copies on disk); a field that does not vary in time stays without time.
"""

from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from ..on_disk import on_disk, outer
from ..per_sample import shared_times
from ..probe import Probe

TITLE = "The Well: HDF5 with t0_fields, t1_fields, t2_fields"
ORDERS = {"t0_fields": 0, "t1_fields": 1, "t2_fields": 2}
AXES = ("x", "y", "z")
UNITS = {"units": ""}  # the format names none
SIZES = ("n_spatial_dims", "n_trajectories")  # numbers at the top that are no parameters
ON_THE_SPHERE = {"theta": "y", "phi": "x", "r": "z", "log_r": "z"}  # angles and radii keep their units


def recognises(probe: Probe) -> bool:
    """Whether it has the groups of fields and of dimensions."""
    return {"t0_fields", "dimensions"} <= {name for name, shape in probe.hdf5.items() if shape is None}


def read(path: Path) -> xr.Dataset:
    """The fields of one file: NAME, NAME_x for vectors, NAME_xy for tensors; with parameters and boundaries.

    Times that differ by sample: see `per_sample.shared_times`. Spherical axes keep their values and are called y
    (theta), x (phi) and z (radius).

    Raises:
        ValueError: groups, attributes or datasets that the format requires are missing or do not fit each other.
    """
    import h5py

    with h5py.File(path, "r") as file:
        try:
            return _dataset(path, file)
        except KeyError as error:
            raise ValueError(f"{path} is not complete as a file of The Well: {error.args[0]}") from error


def _dataset(path: Path, file) -> xr.Dataset:
    names = _texts(file["dimensions"].attrs["spatial_dims"])
    space = _space(names)
    sizes = {dim: file["dimensions"][name].shape[-1] for name, dim in space.items()}
    samples = int(file.attrs["n_trajectories"])
    coords = {"sample": ("sample", np.arange(samples))} | _coordinates(file, space)
    times = shared_times(file["dimensions/time"][()])
    sizes |= {"sample": samples, "time": times["time"].size}
    coords["time"] = times.pop("time")
    data = dict(times)
    for group, order in ORDERS.items():
        if group not in file:
            continue
        for name in _texts(file[group].attrs.get("field_names", ())):
            data |= _components(path, file[group][name], order, space, sizes)
    attrs = _attributes(file)
    for name in _texts(file["scalars"].attrs.get("field_names", ())) if "scalars" in file else ():
        _scalar(file["scalars"][name], name, sizes, data, attrs)
    boundary = _boundaries(file, space)
    for dim, kinds in boundary.items():
        if kinds == {"PERIODIC"}:
            values = coords[dim].values
            coords[dim].attrs["period"] = float(abs(values[-1] - values[0]) * len(values) / (len(values) - 1))
    attrs["boundary"] = ", ".join(f"{dim}: {'/'.join(sorted(kinds)).lower()}" for dim, kinds in boundary.items())
    return xr.Dataset(data, coords, attrs)


def _space(names: list[str]) -> dict[str, str]:
    """The container's name of each axis of the file."""
    space = {name: name if name in AXES else ON_THE_SPHERE.get(name, "") for name in names}
    if not names or "" in space.values() or len(set(space.values())) < len(names):
        raise ValueError(f"the axes {', '.join(names) or 'of no name'} are not known; known are x, y, z, theta, phi, r")
    return space


def _coordinates(file, space: dict[str, str]) -> dict[str, xr.Variable]:
    """Values of the spatial axes; those of the first sample where they differ by sample."""
    coords = {}
    for name, dim in space.items():
        values = np.asarray(file["dimensions"][name][()], dtype=np.float64)
        rows = np.atleast_2d(values)
        if not np.allclose(rows, rows[:1]):
            raise ValueError(f"the axis {name} differs from sample to sample; split the file by samples")
        coords[dim] = xr.Variable(dim, rows[0], {} if name == dim else {"long_name": name})
    return coords


def _components(path: Path, array, order: int, space: dict[str, str], sizes: dict[str, int]) -> dict[str, xr.Variable]:
    """The components of one field as variables that stay on disk."""
    name = array.name.rsplit("/", 1)[1]
    varying = {"sample": bool(array.attrs["sample_varying"]), "time": bool(array.attrs["time_varying"])}
    varying |= dict(zip(space.values(), map(bool, np.atleast_1d(array.attrs["dim_varying"])), strict=True))
    stored = tuple(dim for dim, varies in varying.items() if varies)
    expected = tuple(sizes[dim] for dim in stored) + (len(space),) * order
    if array.shape != expected:
        raise ValueError(f"{path}: {array.name} has the shape {array.shape}, but its attributes mean {expected}")
    dims = tuple(dim for dim in varying if dim != "time" or varying["time"])
    shape = tuple(sizes[dim] for dim in dims)
    result = {}
    for index in np.ndindex(*(len(space),) * order):
        suffix = "".join(list(space)[i] for i in index)
        read = partial(_read, path, array.name, tuple(dim in stored for dim in dims), shape, index)
        attrs = UNITS | ({"component_of": name} if order else {})
        result[f"{name}_{suffix}" if order else name] = on_disk(dims, path, shape, read, attrs)
    return result


def _read(path: Path, name: str, stored: tuple[bool, ...], shape: tuple[int, ...], index: tuple, key: tuple):
    """Part of one component; axes that are not stored repeat."""
    import h5py

    with h5py.File(path, "r") as file:
        inner = tuple(part for part, there in zip(key, stored, strict=True) if there)
        values = outer(file[name], inner + index)
    place = 0
    for part, there, size in zip(key, stored, shape, strict=True):
        if isinstance(part, (int, np.integer)):
            continue
        if not there:
            values = np.repeat(np.expand_dims(values, place), len(np.arange(size)[part]), axis=place)
        place += 1
    return values


def _scalar(array, name: str, sizes: dict[str, int], data: dict, attrs: dict) -> None:
    """A scalar as an attribute where it is the same for all, else as a variable."""
    dims = tuple(dim for dim in ("sample", "time") if bool(array.attrs.get(f"{dim}_varying", False)))
    values = np.asarray(array[()])
    if values.shape != tuple(sizes[dim] for dim in dims):
        raise ValueError(f"the scalar {name} has the shape {values.shape}, but its attributes mean the dims {dims}")
    if dims:
        data[name if name not in data else f"scalar_{name}"] = (dims, values)
    else:
        attrs[name] = float(values)


def _boundaries(file, space: dict[str, str]) -> dict[str, set[str]]:
    """The kinds of boundary at the ends of each axis."""
    kinds: dict[str, set[str]] = {}
    for part in file.get("boundary_conditions", {}).values():
        for name in _texts(part.attrs.get("associated_dims", ())):
            if name in space:
                kinds.setdefault(space[name], set()).add(_texts(part.attrs.get("bc_type", "unknown"))[0].upper())
    return kinds


def _attributes(file) -> dict:
    """Attributes at the top of the file that are numbers or texts."""
    kept = {"title": f"The Well: {_texts(file.attrs.get('dataset_name', 'unnamed'))[0]}", "source": "The Well"}
    for name, value in file.attrs.items():
        if np.ndim(value) == 0 and name not in SIZES:
            kept[name] = _texts(value)[0] if isinstance(value, (str, bytes)) else np.asarray(value).item()
    return kept


def _texts(value) -> list[str]:
    """Texts of an attribute: one or many, bytes or str; h5py stores an empty list as an empty array of floats."""
    items = [value] if isinstance(value, (str, bytes)) else list(np.asarray(value, dtype=object).ravel())
    return [item.decode() if isinstance(item, bytes) else str(item) for item in items]
