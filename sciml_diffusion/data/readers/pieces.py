"""What several readers share: lazy fields of HDF5 files, coordinates, splits, an initial state before its frames."""

from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from ..on_disk import on_disk, outer

DIMENSIONLESS = {"units": "1"}


def hdf5_field(path: Path, name: str, layout: tuple[str | int, ...], attrs: dict | None = None) -> xr.Variable:
    """A lazy float32 variable of an HDF5 file.

    Arguments:
        path: of the file.
        name: of the dataset in it.
        layout: for each axis on disk the name of a dim, or the one index that is taken.
        attrs: units, long_name.

    Raises:
        ValueError: the dataset has another number of axes.
    """
    import h5py

    with h5py.File(path, "r") as file:
        shape = file[name].shape
    if len(shape) != len(layout):
        raise ValueError(f"{path}: {name} has the shape {shape}; {len(layout)} axes {layout} were expected")
    dims = tuple(part for part in layout if isinstance(part, str))
    sizes = tuple(size for size, part in zip(shape, layout, strict=True) if isinstance(part, str))
    return on_disk(dims, path, sizes, partial(_read_hdf5, path, name, layout), attrs)


def time_coordinate(values: np.ndarray) -> tuple:
    """Model time as a coordinate of the container."""
    return "time", np.asarray(values, dtype=np.float64), {"units": "1", "long_name": "model time"}


def space_coordinate(dim: str, values: np.ndarray, period: float | None = None) -> tuple:
    """Positions as a coordinate of the container, with the period of an axis that closes."""
    closes = {"period": float(period)} if period is not None else {}
    return dim, np.asarray(values, dtype=np.float64), {"units": "1", "long_name": "position", **closes}


def written(**options) -> str:
    """How options of a reader are given, in Python and on the command line, for the end of a message."""
    python = ", ".join(f"{name}={value!r}" for name, value in options.items())
    line = ", ".join(f"{name}: {value}" for name, value in options.items())
    return f"for example in Python open_dataset(path, {python}), on the command line 'options={{{line}}}'"


def times_and_length(
    path: Path, count: int, dt: float | None, duration: float | None, length: float | None, hint: str
) -> tuple[np.ndarray, float]:
    """Equal times from 0, from the step or from the last time, and the side of a square, which a file does not hold.

    Arguments:
        path: of the file.
        count: frames >= 1.
        dt, duration: one of them, > 0.
        length: of the square, > 0.
        hint: end of the error where something is missing: what is known of the format.

    Raises:
        ValueError: something is missing (all of it is named), dt and duration are both given, or a number not > 0.
    """
    if dt is not None and duration is not None:
        raise ValueError(f"{path}: give dt= or duration=, not both; got {dt} and {duration}")
    timed = dt is not None or duration is not None
    wanted = [] if timed else [f"dt= (time between its {count} frames) or duration= (time of the last one)"]
    wanted += [] if length is not None else ["length= (side of the square)"]
    if wanted:
        held = " and ".join(["times"] * (not timed) + ["positions"] * (length is None))
        example = ({} if timed else {"dt": 0.1}) | ({} if length is not None else {"length": 1})
        raise ValueError(f"{path} holds no {held}; give {' and '.join(wanted)}, {written(**example)}. {hint}")
    step = float(dt) if dt is not None else float(duration) / max(count - 1, 1)
    if not 0 < step < np.inf:
        raise ValueError(f"{path}: dt and duration are numbers > 0; got {dt if dt is not None else duration}")
    if not 0 < float(length) < np.inf:
        raise ValueError(f"{path}: length is a number > 0; got {length}")
    return step * np.arange(count), float(length)


def of_split(ds: xr.Dataset, split: str | None, test_fraction: float = 0.1) -> xr.Dataset:
    """The samples of a split where the first ones are the test: split "test", "train", or None for all.

    Raises:
        ValueError: another word.
    """
    if split not in (None, "train", "test"):
        raise ValueError(f'split is "train", "test" or None; got {split!r}')
    held = int(ds.sizes["sample"] * test_fraction)
    ds = ds.assign_attrs({"test_samples": f"the first {held} of {ds.sizes['sample']}"} if held else {})
    if split is None:
        return ds
    if split == "test" and not held:
        raise ValueError(f"{ds.sizes['sample']} samples are too few for a test of {test_fraction:.0%}; use split=None")
    chosen = slice(None, held) if split == "test" else slice(held, None)
    return ds.isel(sample=chosen).assign_attrs(split=split)


def joined(path: Path, first: xr.Variable, rest: xr.Variable) -> xr.Variable:
    """Frames with an initial state before them, still on disk.

    Arguments:
        path: the file that both are in.
        first: the initial state, with the dims of `rest` but for time, in the same order.
        rest: the frames after it.

    Raises:
        ValueError: sizes that do not fit.
    """
    axis = rest.dims.index("time")
    expected = {dim: size for dim, size in rest.sizes.items() if dim != "time"}
    if dict(first.sizes) != expected:
        raise ValueError(f"{path}: initial states of sizes {dict(first.sizes)} do not fit frames of {expected}")
    shape = tuple(size + (i == axis) for i, size in enumerate(rest.shape))
    return on_disk(rest.dims, path, shape, partial(_read_joined, first, rest), rest.attrs)


def steady(path: Path, field: xr.Variable) -> xr.Variable:
    """A field of a steady problem, (sample, ...), as (sample, time, ...) with one time; still on disk.

    Arguments:
        path: the file that it is in.
        field: its first dim is `sample`.
    """
    dims, shape = ("sample", "time", *field.dims[1:]), (field.shape[0], 1, *field.shape[1:])
    return on_disk(dims, path, shape, partial(_read_steady, field), field.attrs)


def _read_steady(field: xr.Variable, key: tuple) -> np.ndarray:
    """Part of a field that has one time."""
    place = 0 if isinstance(key[0], (int, np.integer)) else 1
    values = np.expand_dims(field[(key[0], *key[2:])].values, place)
    return values.take(np.arange(1)[key[1]], axis=place)


def _read_hdf5(path: Path, name: str, layout: tuple[str | int, ...], key: tuple) -> np.ndarray:
    """Part of a dataset: one key for each named axis of the layout."""
    import h5py

    parts = iter(key)
    full = tuple(next(parts) if isinstance(part, str) else part for part in layout)
    with h5py.File(path, "r") as file:
        return outer(file[name], full)


def _read_joined(first: xr.Variable, rest: xr.Variable, key: tuple) -> np.ndarray:
    """Part of frames 0 (in `first`) and 1, 2, ... (in `rest`)."""
    axis = rest.dims.index("time")
    others = key[:axis] + key[axis + 1 :]
    frames = np.arange(rest.sizes["time"] + 1)[key[axis]]
    later = frames[frames > 0] - 1
    place = axis - sum(isinstance(part, (int, np.integer)) for part in key[:axis])
    values = rest[key[:axis] + (later,) + key[axis + 1 :]].values
    if frames.ndim == 0:
        return values.take(0, place) if frames else first[others].values
    if len(later) == len(frames):
        return values
    values = np.concatenate([np.expand_dims(first[others].values, place), values], axis=place)
    return values.take(np.where(frames > 0, np.cumsum(frames > 0), 0), axis=place)
