"""Arrays of one sample each, side by side along the axis of samples, still on disk."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from .stamp import Stamp


class Stacked(BackendArray):
    """Parts of equal shape as one array; only the parts that are asked for are opened.

    Arguments:
        count: N parts, the first axis.
        shape: of one part.
        read: from the number of a part and one key for each axis of it to its values; it opens and closes its file.
    """

    def __init__(self, count: int, shape: tuple[int, ...], read: Callable[[int, tuple], np.ndarray]):
        self.shape, self.dtype, self._values = (count, *shape), np.dtype("float32"), read

    def __getitem__(self, key):
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple) -> np.ndarray:
        first, rest = key[0], tuple(key[1:])
        if isinstance(first, (int, np.integer)):
            return np.ascontiguousarray(self._values(int(first), rest), dtype=self.dtype)
        numbers = np.arange(self.shape[0])[first]
        if not len(numbers):
            axes = [np.arange(size)[part] for size, part in zip(self.shape[1:], rest, strict=True)]
            return np.empty((0, *(len(axis) for axis in axes if axis.ndim)), self.dtype)
        return np.stack([np.asarray(self._values(int(number), rest), dtype=self.dtype) for number in numbers])


def stacked(dims, count: int, shape: tuple[int, ...], read: Callable, attrs: dict | None = None) -> xr.Variable:
    """A float32 variable of N parts that stay on disk.

    Arguments:
        dims: names of the axes, the parts' first.
        count, shape, read: see `Stacked`.
        attrs: units, long_name, standard_name.
    """
    return xr.Variable(dims, indexing.LazilyIndexedArray(Stacked(count, shape, read)), attrs or {})


class Unchanged:
    """A guard against files that change while they are in use: compares size and time of change with those at first.

    Arguments:
        paths: of the files.
    """

    def __init__(self, paths: Sequence[Path]):
        self._stamps = {path: Stamp(path) for path in paths}

    def check(self, path: Path) -> Path:
        """The path, where the file is what it was.

        Raises:
            ValueError: it has changed.
        """
        self._stamps[path].check()
        return path
