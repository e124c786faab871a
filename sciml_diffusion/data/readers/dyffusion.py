"""DYffusion's benchmark (Rühling Cachay et al. 2023): npz archives with system_meta.json.

The systems navier-stokes and spring-mesh come from nn-benchmark (Otness et al. 2021): the JSON names, for each
trajectory, the arrays of the archive. Nodes are lattices in row-major order: 221 x 42 with x first (a channel with
obstacles, the first frame one step after the start), and 10 x 10.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from ..on_disk import outer
from ..per_sample import shared_times
from ..probe import Probe
from ..stacked import Unchanged, stacked

TITLE = "DYffusion: folder with system_meta.json and trajectories.npz (navier-stokes, spring-mesh)"
META, ARRAYS = "system_meta.json", "trajectories.npz"
LATTICES = {"navier-stokes": (221, 42), "spring-mesh": (10, 10)}
NAMES = {
    "navier-stokes": {"p": ("velocity_x", "velocity_y"), "q": ("pressure",)},
    "spring-mesh": {"p": ("momentum_x", "momentum_y"), "q": ("position_x", "position_y")},
}
DIMS = ("sample", "time", "x", "y")


def recognises(probe: Probe) -> bool:
    """Whether it is a folder with the two files."""
    return {META, ARRAYS} <= probe.files


def read(path: Path) -> xr.Dataset:
    """The trajectories of one folder as samples.

    Raises:
        ValueError: JSON, arrays or shapes that are not what the format requires.
    """
    missing = [name for name in (META, ARRAYS) if not (path / name).is_file()]
    if missing:
        raise ValueError(f"{path} lacks {' and '.join(missing)}; both files of a system are needed")
    system, trajectories = _metadata(path / META)
    guard = Unchanged([path / ARRAYS])
    archive = _archive(path / ARRAYS, guard)
    data, lattice = {}, LATTICES[system]
    times = [_array(archive, path, one, "t") for one in trajectories]
    if len({len(one) for one in times}) > 1:
        raise ValueError(
            f"{path}: the trajectories have {sorted({len(t) for t in times})} frames; equal ones are needed"
        )
    data |= shared_times(np.stack(times))
    for field, names in NAMES[system].items():
        keys = [_key(archive, path, one, field) for one in trajectories]
        for index, name in enumerate(names):
            read = partial(_node_values, path / ARRAYS, guard, keys, (len(times[0]), lattice, len(names)), index)
            data[name] = stacked(DIMS, len(keys), (len(times[0]), *lattice), read)
    if system == "navier-stokes":
        masks = [_on_nodes(archive, path, one, "extra_fixed_mask", lattice)[..., -1] for one in trajectories]
        flags = np.stack(masks).astype("float32")
        data["obstacle"] = (("sample", "x", "y"), flags, {"long_name": "1 in obstacles, else 0"})
    coords = {"sample": np.arange(len(times))} | _nodes(archive, path, trajectories[0], system)
    coords["time"] = data.pop("time")
    attrs = {"title": f"DYffusion: {system}", "source": "nn-benchmark", "system": system}
    for parameter in ("viscosity", "in_velocity", "noise_sigma"):
        _parameter(parameter, [one.get(parameter) for one in trajectories], data, attrs)
    return xr.Dataset(data, coords, attrs)


def _metadata(file: Path) -> tuple[str, list[dict]]:
    """The system and its trajectories."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        system, trajectories = str(content["system"]), list(content["trajectories"])
        complete = trajectories and all({"name", "field_keys"} <= set(one) for one in trajectories)
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file} is not the expected JSON ({error}); it must name a system and trajectories"
        ) from error
    if not complete:
        raise ValueError(f"{file} lists no trajectories with name and field_keys")
    if system not in LATTICES:
        raise ValueError(f"{file}: the system {system!r} is not known; known are {', '.join(LATTICES)}")
    return system, trajectories


def _archive(file: Path, guard: Unchanged):
    """The archive of arrays, opened without running code; arrays are read one by one."""
    try:
        return np.load(guard.check(file), allow_pickle=False)
    except Exception as error:  # a damaged ZIP has many errors
        raise ValueError(f"{file} cannot be read ({error}); it is damaged or incomplete") from error


def _key(archive, path: Path, trajectory: dict, field: str) -> str:
    """The name in the archive of one field of a trajectory."""
    name = trajectory["field_keys"].get(field)
    if name not in archive.files:
        raise ValueError(f"{path / META}: {field} of {trajectory['name']} is {name!r}, which {ARRAYS} does not hold")
    return name


def _array(archive, path: Path, trajectory: dict, field: str) -> np.ndarray:
    """A small array of a trajectory."""
    return _member(archive, path / ARRAYS, _key(archive, path, trajectory, field))


def _member(archive, file: Path, name: str) -> np.ndarray:
    """One array of the archive."""
    try:
        return archive[name]
    except Exception as error:  # a damaged ZIP has many errors
        if "allow_pickle" in str(error):
            raise ValueError(
                f"{file}: {name} holds Python objects; reading it could run code, so it is refused"
            ) from error
        raise ValueError(f"{file}: {name} cannot be read ({error}); the file is damaged or incomplete") from error


def _on_nodes(archive, path: Path, trajectory: dict, field: str, lattice: tuple[int, int]) -> np.ndarray:
    """What a trajectory holds once for each node, on the lattice: shape (221, 42, components)."""
    values = _array(archive, path, trajectory, field)
    if values.ndim != 2 or len(values) != np.prod(lattice):
        raise ValueError(f"{path}: {field} has the shape {values.shape}, expected ({np.prod(lattice)}, components)")
    return values.reshape(*lattice, -1)


def _node_values(file: Path, guard: Unchanged, keys: list[str], sizes: tuple, index: int, number: int, key: tuple):
    """Part of one component of one trajectory, on the lattice."""
    frames, lattice, components = sizes
    with _archive(file, guard) as archive:
        values = _member(archive, file, keys[number])
    expected = (frames, int(np.prod(lattice)), components)
    if values.shape not in (expected, expected[:2] if components == 1 else expected):
        raise ValueError(f"{file}: {keys[number]} has the shape {values.shape}, expected {expected}")
    return outer(values.reshape(frames, *lattice, components)[..., index], key)


def _nodes(archive, path: Path, trajectory: dict, system: str) -> dict:
    """Positions of the lattice: those of the file where it has them, else numbers of nodes."""
    lattice = LATTICES[system]
    if system == "navier-stokes" and trajectory["field_keys"].get("vertices") in archive.files:
        nodes = _on_nodes(archive, path, trajectory, "vertices", lattice).astype(np.float64)
        x, y = nodes[:, 0, 0], nodes[0, :, 1]
        if not (np.allclose(nodes[..., 0], x[:, None]) and np.allclose(nodes[..., 1], y)):
            raise ValueError(f"{path}: the nodes are no lattice of {lattice[0]} x {lattice[1]}, x first")
        return {"x": x, "y": y}
    attrs = {"long_name": "number of the node"}
    return {dim: (dim, np.arange(size, dtype=float), attrs) for dim, size in zip("xy", lattice, strict=True)}


def _parameter(name: str, values: list, data: dict, attrs: dict) -> None:
    """A parameter as an attribute where it is the same for all, else as a variable."""
    if None in values:
        return
    if len(set(values)) == 1:
        attrs[name] = float(values[0])
    else:
        data[name] = ("sample", np.asarray(values, dtype=np.float64))
