"""Arrays that stay in their file: any reader's slices behind an xarray variable, and a guard against changing files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from .stamp import Stamp


class OnDisk(BackendArray):
    """An array of which parts are read when they are asked for, as native float32 (or as they are, if not numbers).

    Arguments:
        path: the file; reading stops with an error where it has changed since this object was made.
        shape: of the whole array.
        read: from one key per axis (integers, slices, or integer arrays) to the values at their outer product. It opens
            and closes the file itself, so that the array may be copied into other processes.
        dtype: of the result.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], read: Callable[[tuple], np.ndarray], dtype="float32"):
        self.path, self.shape, self.dtype, self._values = Path(path), tuple(shape), np.dtype(dtype), read
        self._stamp = Stamp(self.path)

    def __getitem__(self, key):
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple) -> np.ndarray:
        self._stamp.check()
        return np.asarray(self._values(key), dtype=self.dtype, order="C")  # keeps a single number without axes


def on_disk(dims, path: Path, shape: tuple[int, ...], read: Callable, attrs: dict | None = None) -> xr.Variable:
    """A float32 variable that stays on disk.

    Arguments:
        dims: names of the axes of `shape`.
        path, shape, read: see `OnDisk`.
        attrs: units, long_name, standard_name.
    """
    return xr.Variable(dims, indexing.LazilyIndexedArray(OnDisk(path, shape, read)), attrs or {})


def outer(array, key: tuple) -> np.ndarray:
    """array[key] as an outer product for arrays (h5py, memory maps) that take one list at a time.

    Arguments:
        array: has a shape and takes slices; one read fetches the block that holds all that is asked for.
        key: one integer, slice or integer array for each axis.
    """
    block, inner = [], []
    for axis, part in enumerate(key):
        if isinstance(part, slice):
            index = np.arange(*part.indices(array.shape[axis]))
        else:
            index = np.asarray(part)
        if index.size == 0:
            block.append(slice(0, 0))
            inner.append(index)
            continue
        low, high = int(index.min()), int(index.max())
        block.append(slice(low, high + 1))
        inner.append(index - low)
    values = np.asarray(array[tuple(block)])
    for axis in reversed(range(len(key))):
        values = values.take(inner[axis], axis=axis)
    return values
