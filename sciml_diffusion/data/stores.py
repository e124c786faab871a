"""Zarr stores, in a folder or behind a URL, and arrays whose two leading axes are read as one."""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

NEEDS = {"gs": "gcsfs", "gcs": "gcsfs", "s3": "s3fs", "http": "aiohttp requests", "https": "aiohttp requests"}
ANONYMOUS = {"gs": {"token": "anon"}, "gcs": {"token": "anon"}, "s3": {"anon": True}}


def is_url(source: str | Path) -> bool:
    """Whether it names something behind a protocol (gs://..., https://...), also after pathlib has cut a slash."""
    return re.match(r"^[a-zA-Z][a-zA-Z0-9+.-]+:/", str(source)) is not None


def open_store(source: str | Path, storage: dict | None = None) -> xr.Dataset:
    """A Zarr store as it is; its arrays stay where they are until they are used.

    Arguments:
        source: a folder, or a URL that fsspec knows; buckets of Google and Amazon are asked without an account.
        storage: options of fsspec for a URL, for example {"token": "google_default"}.

    Raises:
        ImportError: without the extra, or without the package that a URL's protocol needs.
        FileNotFoundError: no store there. ValueError: it cannot be reached or read.
    """
    if find_spec("zarr") is None:
        raise ImportError(f"{source} is a Zarr store; to read it: pip install 'sciml_diffusion[zarr]'")
    options = {"engine": "zarr", "chunks": None, "decode_timedelta": False}
    if not is_url(source):
        return xr.open_dataset(source, consolidated=False, **options)
    url = re.sub(r":/+", "://", str(source), count=1)
    protocol = url.split("://")[0].lower()
    if storage is None:
        storage = ANONYMOUS.get(protocol, {})
    try:
        return _open_url(url, options, storage)
    except ImportError as error:
        package = NEEDS.get(protocol)
        hint = f"to read it: pip install {package}" if package else str(error)
        raise ImportError(f"{url} needs a package that is not installed; {hint}") from error
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"there is no Zarr store at {url}; look at the name in a browser of the bucket"
        ) from error
    except Exception as error:  # each file system has errors of its own
        why = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise ValueError(f"{url} cannot be read ({why}); is the network there, and is it a Zarr store?") from error


def _open_url(url: str, options: dict, storage: dict) -> xr.Dataset:
    """A store behind a URL, from the one file that lists all arrays where there is one."""
    try:
        return xr.open_dataset(url, consolidated=True, storage_options=storage, **options)
    except (KeyError, ValueError):
        return xr.open_dataset(url, consolidated=False, storage_options=storage, **options)


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
        """The values at one key per axis; rows of the first axis are read one by one."""
        numbers, rest = np.arange(self.shape[0])[key[0]], tuple(key[1:])
        slow, fast = np.divmod(numbers, self.variable.shape[1])
        if numbers.ndim == 0:
            return np.asarray(self.variable[(int(slow), int(fast), *rest)].values, dtype=self.dtype)
        parts = [self.variable[(int(row), fast[slow == row], *rest)].values for row in dict.fromkeys(slow.tolist())]
        if not parts:
            return np.asarray(self.variable[(0, slice(0, 0), *rest)].values, dtype=self.dtype)
        values = np.concatenate(parts).astype(self.dtype, copy=False)
        order = np.concatenate([np.flatnonzero(slow == row) for row in dict.fromkeys(slow.tolist())])
        return values[np.argsort(order)]


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
