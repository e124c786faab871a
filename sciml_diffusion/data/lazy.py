"""Fields that stay on disk: conversion to native float32 at the moment of reading."""

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

FLOAT32 = np.dtype("float32")


class AsFloat32(BackendArray):
    """A variable on disk, of any number type and byte order, read as native float32.

    Arguments:
        variable: a lazily opened xarray variable.
    """

    def __init__(self, variable: xr.Variable):
        self.variable, self.shape, self.dtype = variable, variable.shape, FLOAT32

    def __getitem__(self, key):
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple) -> np.ndarray:
        """The values at one key per axis (integers, slices or arrays)."""
        return np.asarray(self.variable[key].values, dtype=FLOAT32)


def as_float32(ds: xr.Dataset) -> xr.Dataset:
    """Every numeric data variable as float32, still on disk; attributes stay, the file's packing is forgotten."""
    converted = {}
    for name, variable in ds.data_vars.items():
        inner = variable.variable
        if inner.dtype != FLOAT32 and inner.dtype.kind in "iuf" and inner.ndim:
            data = indexing.LazilyIndexedArray(AsFloat32(inner))
            converted[name] = xr.Variable(inner.dims, data, inner.attrs)
    return ds.assign(converted)
