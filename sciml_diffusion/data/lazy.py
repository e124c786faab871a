"""Fields that stay on disk: conversion to native float32 at the moment of reading."""

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from .names import SPACE, canonical_dim

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
    """Every numeric field (a variable with a spatial dim) as float32, still on disk, with its attributes."""
    converted = {}
    for name, variable in ds.data_vars.items():
        inner = variable.variable
        if inner.dtype != FLOAT32 and inner.dtype.kind in "iuf" and any(canonical_dim(d) in SPACE for d in inner.dims):
            data = indexing.LazilyIndexedArray(AsFloat32(inner))
            converted[name] = xr.Variable(inner.dims, data, inner.attrs)
    return ds.assign(converted)
