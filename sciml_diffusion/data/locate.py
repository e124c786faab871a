"""Fields from wherever they are: a shipped sample by name, a file, a folder of files, a store behind a URL."""

from pathlib import Path

import xarray as xr

from .catalogue import resolve
from .container import canonical
from .folder import open_folder
from .formats import claimed, reader
from .open import open_path
from .probe import Probe
from .stores import is_url

STORE = {"zarr.json", ".zgroup", ".zmetadata"}


def open_source(source: str | Path, format: str | None = None, **options) -> xr.Dataset:
    """Opens a shipped sample, file, folder or URL as canonical fields that stay where they are until they are used.

    Arguments:
        source: name of a shipped sample; path of a file, or of a folder that is one data set or holds files of one kind
            (`open_folder`); URL of a Zarr store.
        format: one of `formats.READERS`, where the content leaves it open.
        options: of that format's reader, or of `open_folder`.

    Raises:
        FileNotFoundError: nothing there. ValueError: an unknown name, format or option; what the readers find wrong.
        ImportError: a format whose extra is not installed.
    """
    if is_url(source):
        return canonical(reader("weatherbench2").read(str(source), **options)).drop_encoding()
    path = resolve(source)
    if not path.is_dir():
        return open_path(path, format, **options)
    probe = Probe(path)
    whole = reader(format).recognises(probe) if format else bool(claimed(probe) or probe.files & STORE)
    return open_path(path, format, **options) if whole else open_folder(path, format=format, **options)
