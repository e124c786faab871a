"""PDEBench, one group for each sample: HDF5 with 0000/data (T, X[, Y], C), 0000/grid/{x, y, t} and a text `config`.

Diffusion-sorption in 1-D (u), diffusion-reaction in 2-D (u, v: FitzHugh-Nagumo, no flux at the rim), shallow water in
2-D (h, the depth of a radial dam break; open rim). Which one is told by the axes, the components and the config.
"""

import re
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from ..on_disk import on_disk, outer
from ..probe import Probe
from .pieces import of_split, space_coordinate, time_coordinate

TITLE = "PDEBench diffusion-sorption, diffusion-reaction, shallow water: HDF5 with groups 0000, 0001, ..."
GROUP = re.compile(r"\d{4,}")
FAMILIES = {
    (1, 1): {
        "fields": {"u": "concentration"},
        "equation": "u_t = D / R(u) u_xx, R(u) = 1 + (1 - por) / por rho_s k_f n_f u^(n_f - 1)",
        "boundary": "u = sol at the left end, u = D u_x at the right end",
    },
    (2, 2): {
        "fields": {"u": "activator", "v": "inhibitor"},
        "equation": "u_t = Du lap u + u - u^3 - k - v, v_t = Dv lap v + u - v",
        "boundary": "no flux",
    },
    (2, 1): {
        "fields": {"h": "water depth"},
        "equation": "shallow water: h_t + div(h v) = 0, (h v)_t + div(h v v + g h^2 / 2) = 0; only h is in the file",
        "boundary": "open (zero gradient)",
    },
}


def recognises(probe: Probe) -> bool:
    """Whether all that it holds are groups named by four digits or more, the first with data and grid."""
    names = probe.hdf5
    if not names or any(shape is not None or not GROUP.fullmatch(name) for name, shape in names.items()):
        return False
    import h5py

    with h5py.File(probe.path, "r") as file:
        return {"data", "grid"} <= set(file[min(names)])


def read(path: Path, split: str | None = None) -> xr.Dataset:
    """The components of `data` (sample, time, x[, y]); the numbers under `sim` in the config become attributes.

    The names of the groups are looked up once; they are the coordinate `sample`.

    Arguments:
        path: of the file.
        split: "test" (the first tenth, as PDEBench has it), "train" (the others) or None (all).

    Raises:
        ValueError: a first group without data or grid, another number of axes or components; a group of another shape
            than the first, which is named.
    """
    import h5py

    with h5py.File(path, "r") as file:
        groups = tuple(sorted(file))
        first = file[groups[0]]
        try:
            shape = first["data"].shape
            axes = tuple(axis for axis in ("x", "y") if axis in first["grid"])
            grid = {axis: np.asarray(first[f"grid/{axis}"][()], np.float64) for axis in ("t", *axes)}
        except KeyError as error:
            raise ValueError(f"{path}: the group {groups[0]} is not complete: {error.args[0]}") from error
        config = first.attrs.get("config", "")
        shapes = {name: getattr(file.get(f"{name}/data"), "shape", None) for name in groups}
    family = FAMILIES.get((len(axes), shape[-1]))
    if family is None or shape[:-1] != tuple(len(grid[name]) for name in ("t", *axes)):
        lengths = {name: len(values) for name, values in grid.items()}
        raise ValueError(f"{path}: data of shape {shape} do not fit a grid of {lengths}; expected (T, X[, Y], C)")
    odd = [name for name in groups if shapes[name] != shape]
    if odd:
        got = f"{shapes[odd[0]]}, the first one, {groups[0]}, {shape}; {len(odd)} of {len(groups)} groups differ"
        raise ValueError(f"{path}: the group {odd[0]} has data of shape {got}")
    dims, sizes = ("sample", "time", *axes), (len(groups), *shape[:-1])
    data = {
        name: on_disk(dims, path, sizes, partial(_read, path, groups, shape, i), {"units": "1", "long_name": text})
        for i, (name, text) in enumerate(family["fields"].items())
    }
    coords = {"sample": [int(name) for name in groups], "time": time_coordinate(grid["t"])}
    coords |= {axis: space_coordinate(axis, grid[axis]) for axis in axes}
    attrs = {"title": "PDEBench trajectories", "equation": family["equation"], "boundary": family["boundary"]}
    return of_split(xr.Dataset(data, coords, attrs | {"grid": "cell centres"} | _numbers(config)), split)


def _read(path: Path, groups: tuple[str, ...], shape: tuple[int, ...], component: int, key: tuple) -> np.ndarray:
    """One component of some samples, group by group."""
    import h5py

    chosen = np.arange(len(groups))[key[0]]
    parts = []
    with h5py.File(path, "r") as file:
        for index in np.atleast_1d(chosen):
            parts.append(outer(file[f"{groups[index]}/data"], (*key[1:], component)))
    if chosen.ndim == 0:
        return parts[0]
    return np.stack(parts) if parts else outer(np.empty((0, *shape[:-1]), np.float32), (slice(None), *key[1:]))


def _numbers(config) -> dict[str, float]:
    """The numbers under `sim` in a YAML text (bytes or str), but for the seed; {} where there are none."""
    import yaml

    text = config.decode() if isinstance(config, bytes) else str(config)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    found = content.get("sim", {}) if isinstance(content, dict) else {}
    numbers = {}
    for name, value in (found if isinstance(found, dict) else {}).items():
        try:
            numbers[name] = float(value)  # YAML 1.1 reads 1E-3 as text
        except (TypeError, ValueError):
            continue
    return {name: value for name, value in numbers.items() if name != "seed"}
