"""Fields that stay on disk: conversion to native float32, and two axes read as one, at the moment of reading."""

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from .names import SPACE, canonical_dim
from .stamp import Stamp

FLOAT32 = np.dtype("float32")


class AsFloat32(BackendArray):
    """A variable on disk, of any number type and byte order, read as native float32.

    Arguments:
        variable: a lazily opened xarray variable.
        stamp: of its file, which is checked before each reading; None for one that is in memory.
        dtype: of the result, where it is not float32.
    """

    def __init__(self, variable: xr.Variable, stamp: Stamp | None = None, dtype: np.dtype = FLOAT32):
        self.variable, self.shape, self.dtype, self._stamp = variable, variable.shape, dtype, stamp

    def __getitem__(self, key):
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple) -> np.ndarray:
        """The values at one key per axis (integers, slices or arrays)."""
        if self._stamp is not None:
            self._stamp.check()
        return np.asarray(self.variable[key].values, dtype=self.dtype)


def as_float32(ds: xr.Dataset, stamp: Stamp | None = None) -> xr.Dataset:
    """Every numeric field (a variable with a spatial dim) as float32, still on disk, with its attributes.

    Arguments:
        ds: lazily opened.
        stamp: of the file, taken before it was opened: every variable is then refused once the file has changed.
    """
    converted = {}
    for name, variable in ds.data_vars.items():
        inner = variable.variable
        field = inner.dtype.kind in "iuf" and any(canonical_dim(d) in SPACE for d in inner.dims)
        dtype = FLOAT32 if field else inner.dtype
        if stamp is not None or inner.dtype != dtype:
            data = indexing.LazilyIndexedArray(AsFloat32(inner, stamp, dtype))
            converted[name] = xr.Variable(inner.dims, data, inner.attrs, inner.encoding)
    return ds.assign(converted)


class Merged(BackendArray):
    """A variable whose first two axes are read as one, the second fastest; it stays on disk.

    Arguments:
        variable: a lazily opened xarray variable.
    """

    def __init__(self, variable: xr.Variable):
        self.variable, self.dtype = variable, np.dtype("float32")
        self.shape = (variable.shape[0] * variable.shape[1], *variable.shape[2:])

    def __getitem__(self, key):
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple) -> np.ndarray:
        """The values at one key per axis, whose numbers increase (as xarray asks); row by row of the first axis."""
        numbers, rest = np.arange(self.shape[0])[key[0]], tuple(key[1:])
        slow, fast = np.divmod(numbers, self.variable.shape[1])
        if numbers.ndim == 0:
            return np.asarray(self.variable[(int(slow), int(fast), *rest)].values, dtype=self.dtype)
        parts = [self.variable[(int(row), fast[slow == row], *rest)].values for row in np.unique(slow)]
        if not parts:
            return np.asarray(self.variable[(0, slice(0, 0), *rest)].values, dtype=self.dtype)
        return np.concatenate(parts).astype(self.dtype, copy=False)


def merged(ds: xr.Dataset, slow: str, fast: str, values: np.ndarray) -> xr.Dataset:
    """The dataset with two dims as one dim `time`, their product in order; fields stay on disk.

    Arguments:
        ds: fields, with slow and fast as dims.
        slow, fast: names of the dims; the fast one changes first.
        values: times, of shape (slow * fast,).
    """
    fields = {}
    for name, array in ds.data_vars.items():
        if {slow, fast} <= set(array.dims):
            rest = tuple(d for d in array.dims if d not in (slow, fast))
            inner = array.variable.transpose(slow, fast, *rest)
            data = indexing.LazilyIndexedArray(Merged(inner))
            fields[name] = xr.Variable(("time", *rest), data, inner.attrs)
        elif not {slow, fast} & set(array.dims):
            fields[name] = array.variable
        else:
            raise ValueError(f"{name} has only one of the dims {slow} and {fast}; drop it with ds.drop_vars({name!r})")
    coords = {name: c.variable for name, c in ds.coords.items() if not {slow, fast} & set(c.dims)}
    coords.pop("time", None)
    return xr.Dataset(fields, coords | {"time": ("time", values)}, ds.attrs)
