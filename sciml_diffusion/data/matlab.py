"""MATLAB files, v5 to v7 and v7.3 (HDF5), with axes in MATLAB's order."""

from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import xarray as xr

from .matlab_v5 import arrays
from .on_disk import on_disk, outer

HDF5_MARK = b"MATLAB 7.3"


def variables(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the arrays of numbers of a MATLAB file, in MATLAB's order of axes.

    Raises:
        ValueError: a damaged or incomplete file.
    """
    try:
        if is_hdf5(path):
            import h5py

            with h5py.File(path, "r") as file:
                return {name: item.shape[::-1] for name, item in file.items() if isinstance(item, h5py.Dataset)}
        return {name: stored.shape for name, stored in arrays(path).items()}
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise ValueError(f"{path} is a MATLAB file that cannot be read ({why}); it is damaged or incomplete") from error


def is_hdf5(path: Path) -> bool:
    """Whether a MATLAB file is of v7.3, which is HDF5 behind a header."""
    with Path(path).open("rb") as file:
        return file.read(len(HDF5_MARK)) == HDF5_MARK


def matlab_field(path: Path, name: str, layout: tuple[str | int, ...], attrs: dict | None = None) -> xr.Variable:
    """A lazy float32 variable, read in parts; packed variables before v7.3 are unpacked whole, and the last two kept.

    Arguments:
        path: MATLAB file.
        name: of the variable.
        layout: for each of its axes, in MATLAB's order, the name of a dim, or the one index that is taken.
        attrs: units, long_name.
    """
    shape = variables(path)[name]
    dims = tuple(part for part in layout if isinstance(part, str))
    sizes = tuple(size for size, part in zip(shape, layout, strict=True) if isinstance(part, str))
    return on_disk(dims, path, sizes, partial(_read, path, name, layout), attrs)


def small(path: Path, name: str) -> np.ndarray:
    """A small variable (a parameter, the times) as a flat float64 array; empty where the file has none."""
    shape = variables(path).get(name)
    if shape is None:
        return np.empty(0)
    values = _read(path, name, tuple("abcdefgh"[: len(shape)]), (slice(None),) * len(shape))
    return np.asarray(values, dtype=np.float64).ravel()


def _read(path: Path, name: str, layout: tuple[str | int, ...], key: tuple) -> np.ndarray:
    """Part of a variable: one key for each named axis of the layout."""
    parts = iter(key)
    full = tuple(next(parts) if isinstance(part, str) else part for part in layout)
    if not is_hdf5(path):
        return outer(_opened(path, Path(path).stat().st_mtime_ns, name), full)
    import h5py

    with h5py.File(path, "r") as file:
        return outer(file[name], full[::-1]).transpose()


@lru_cache(maxsize=2)
def _opened(path: Path, stamp: int, name: str) -> np.ndarray:
    """A variable of a file before v7.3: a memory map, or unpacked in memory."""
    return arrays(path)[name].open(path)
