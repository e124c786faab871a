"""DiffusionPDE's training folders (Huang et al. 2024): merge_0.npy, merge_1.npy, ..., one sample (S, S, C) each.

The values are scaled to about [-1, 1]; the scales are not in the files but in `SCALES`, field = (value + shift) factor,
as the method's scripts undo them. Two channels of a steady problem are its coefficient or source and its solution; of
Navier-Stokes, vorticity at two times; the one channel of Burgers is (T, X).
"""

import re
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from ..axis_order import burgers_order
from ..numpy_files import open_npy
from ..on_disk import outer
from ..probe import Probe
from ..stacked import Unchanged, stacked
from .pieces import space_coordinate, time_coordinate, written

TITLE = "DiffusionPDE: a folder of merge_0.npy, merge_1.npy, ..."
TEXT = {"units": "1"}
NAME = re.compile(r"merge_(\d+)\.npy")
SCALES = {  # (shift, factor) of each channel
    "darcy": ((1.5, 1 / 0.2), (0.9, 1 / 115)),
    "poisson": ((0.0, 2.15), (0.0, 1 / 36.5)),
    "helmholtz": ((0.0, 2.15), (0.0, 0.028)),
    "ns-nonbounded": ((0.0, 1.6), (0.0, 1.6)),
    "ns-bounded": ((0.0, 10.0), (0.0, 10.0)),
    "burgers": ((0.0, 1.415),),
}
FACTS = {
    "darcy": ("a", "-div(a grad u) = 1", "u = 0 on the rim of the unit square"),
    "poisson": ("f", "lap u = f", "u = 0 on the rim of the unit square"),
    "helmholtz": ("f", "lap u + u = f", "u = 0 on the rim of the unit square"),
    "ns-nonbounded": ("vorticity", "w_t + v.grad w = nu lap w + f", "periodic"),
    "ns-bounded": ("v", "incompressible Navier-Stokes around a cylinder", "walls and a cylinder"),
    "burgers": ("u", "u_t + u u_x = nu u_xx", "periodic"),
}


def recognises(probe: Probe) -> bool:
    """Whether it is a folder with such files."""
    return any(NAME.fullmatch(name) for name in probe.files)


def read(
    path: Path, dataset: str | None = None, duration: float | None = None, axes: str | None = None, scales=None
) -> xr.Dataset:
    """Fields in physical units, one file read for each sample asked for.

    Steady problems: a or f, and u, (sample, time, x, y) with the one time 0. Navier-Stokes: vorticity (v where bounded)
    at the times 0 and `duration`. Burgers: u (sample, time, x) on [0, 1] x [0, 1).

    Arguments:
        path: of the folder.
        dataset: one of SCALES, which the files do not say.
        duration: time between the two states of Navier-Stokes, or of the last frame of Burgers (default there: 1).
        axes: of Burgers, "tx" or "xt"; by default found by solving the first interval in both orders with nu = 0.01.
        scales: (shift, factor) of each channel, where they are not those of SCALES.

    Raises:
        ValueError: no dataset, no duration where it is needed, an order of axes that stays open; on reading, a file of
            another shape than the first, which is named.
    """
    if dataset not in SCALES:
        raise ValueError(
            f"{path} does not say what its channels are; give dataset=, one of {', '.join(SCALES)} "
            f"(got {dataset!r}), and with those of Navier-Stokes duration=, "
            + written(dataset="ns-nonbounded", duration=1)
        )
    if axes not in (None, "tx", "xt"):
        raise ValueError(f'axes is "tx" or "xt"; got {axes!r}')
    found = [NAME.fullmatch(entry.name) for entry in path.iterdir()]
    numbers = sorted(int(match[1]) for match in found if match)
    paths = tuple(path / f"merge_{number}.npy" for number in numbers)
    shape, scales = open_npy(paths[0]).shape, tuple(scales or SCALES[dataset])
    if len(shape) != 3 or shape[2] != len(scales):
        raise ValueError(f"{paths[0]}: {dataset} has samples of shape (S, S, {len(scales)}); got {shape}")
    read_part = partial(_read, Unchanged(paths), paths, shape, scales)
    if dataset == "burgers":
        ds = _burgers(path, read_part, (len(paths), *shape[:2]), axes, 1.0 if duration is None else duration)
    else:
        ds = _pairs(path, read_part, (len(paths), *shape[:2]), dataset, duration)
    _, equation, boundary = FACTS[dataset]
    attrs = {"title": f"DiffusionPDE {dataset}", "equation": equation, "boundary": boundary}
    return ds.assign_coords(sample=numbers).assign_attrs(attrs)


def _burgers(path: Path, read_part, shape: tuple, axes: str | None, duration: float) -> xr.Dataset:
    """Trajectories, of which the one channel holds time and space."""
    axes = axes or _order(path, read_part, shape)
    dims = ("sample", *({"t": "time", "x": "x"}[axis] for axis in axes))
    u = stacked(dims, shape[0], shape[1:], partial(read_part, 0), TEXT | {"long_name": "velocity"})
    points = u.sizes["x"]
    coords = {"time": time_coordinate(np.linspace(0.0, duration, u.sizes["time"]))}
    coords["x"] = space_coordinate("x", np.arange(points) / points, 1.0)
    return xr.Dataset({"u": u}, coords).transpose("sample", "time", "x")


def _pairs(path: Path, read_part, shape: tuple, dataset: str, duration: float | None) -> xr.Dataset:
    """Two fields of a steady problem, or one field at two times."""
    name, moving = FACTS[dataset][0], dataset.startswith("ns")
    if moving and (duration is None or not duration > 0):
        raise ValueError(
            f"{path} holds two states; give duration= > 0, the time between them (ns-nonbounded: 1), "
            + written(dataset=dataset, duration=1)
        )
    coords = {"time": time_coordinate([0.0, duration] if moving else [0.0])}
    for axis, points in zip("xy", shape[1:], strict=True):
        coords[axis] = _positions(dataset, axis, points)
    dims, sizes = ("sample", "time", "x", "y"), (2 if moving else 1, *shape[1:])
    channels = {name: None} if moving else {name: 0, "u": 1}
    data = {
        key: stacked(dims, shape[0], sizes, partial(_timed, read_part, channel), TEXT)
        for key, channel in channels.items()
    }
    return xr.Dataset(data, coords)


def _positions(dataset: str, axis: str, points: int) -> tuple:
    """The unit interval: periodic, cell centres, or nodes with both ends."""
    if dataset == "ns-nonbounded":
        return space_coordinate(axis, np.arange(points) / points, 1.0)
    if dataset in ("darcy", "ns-bounded"):
        return space_coordinate(axis, (np.arange(points) + 0.5) / points)
    return space_coordinate(axis, np.linspace(0.0, 1.0, points))


def _read(guard: Unchanged, paths: tuple[Path, ...], shape: tuple, scales: tuple, channel: int, n: int, key: tuple):
    """One channel of sample n in physical units: key is (first axis, second axis)."""
    values = open_npy(guard.check(paths[n]))
    if values.shape != shape:
        raise ValueError(f"{paths[n]} has the shape {values.shape}, the first file {shape}")
    shift, factor = scales[channel]
    return (outer(values, (*key, channel)) + shift) * factor


def _timed(read_part, channel: int | None, n: int, key: tuple) -> np.ndarray:
    """The same with a time axis: channel None means that the channels are the times."""
    frames = np.arange(2 if channel is None else 1)[key[0]]
    parts = [read_part(int(t) if channel is None else channel, n, key[1:]) for t in np.atleast_1d(frames)]
    return parts[0] if frames.ndim == 0 else np.stack(parts)


def _order(path: Path, read_part, shape: tuple) -> str:
    """The order of time and space of Burgers."""
    axes = burgers_order(read_part(0, 0, (slice(None), slice(None)))[None], 1.0 / (shape[1] - 1), (0.01,))
    if axes is None:
        raise ValueError(
            f"{path}: the first frames solve Burgers with nu = 0.01 in both orders of axes or in none; give "
            'axes="tx" or axes="xt"'
        )
    return axes
