"""Zarr stores, in a folder or behind a URL."""

import re
from importlib.util import find_spec
from pathlib import Path

import xarray as xr

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
        return in_order(xr.open_dataset(source, consolidated=False, **options))
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
        return in_order(xr.open_dataset(url, consolidated=True, storage_options=storage, **options))
    except (KeyError, ValueError):
        return in_order(xr.open_dataset(url, consolidated=False, storage_options=storage, **options))


def in_order(ds: xr.Dataset) -> xr.Dataset:
    """The variables by name: a store that lists no arrays gives them in the order in which they happen to be found."""
    return ds[sorted(ds.data_vars, key=str)]
