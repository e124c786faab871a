"""What is said of a file that no format knows: what was found in it, and what to do."""

import zipfile
from pathlib import Path

import numpy as np

from .formats import READERS
from .probe import NPY, Probe

KNOWN = (
    "NetCDF-3, NetCDF-4 (HDF5), GRIB (extra 'grib'), a Zarr folder (extra 'zarr'), a ZIP of NetCDF files from the CDS"
)
ADVICE = (
    f"If it is one of the formats {', '.join(READERS)}, say which with format= (with dt= where it holds no times, and "
    "what else that reader asks for); otherwise load the arrays and give them to data.arrays.from_arrays"
)
MOST = 12  # names in a message


def not_known(path: Path) -> str:
    """The message for a file that is neither fields of a self-describing kind nor recognised by a reader.

    Arguments:
        path: of a file.
    """
    return f"{path} is of no known format ({_found(Probe(path))}). Read by itself: {KNOWN}. {ADVICE}"


def arrays_without_dims(path: Path) -> str:
    """The message for HDF5 whose arrays have no names of axes.

    Arguments:
        path: of an HDF5 file.
    """
    found = shapes(Probe(path).hdf5)
    return (
        f"the arrays {found} have no named dims and no format recognises them; it is HDF5, but not NetCDF-4. PDEBench "
        f"files hold tensor with x-coordinate and t-coordinate. {ADVICE}"
    )


def zip_content(path: Path) -> str | None:
    """The message for a whole ZIP that is a torch file or NumPy arrays of unknown content; None for another one.

    Arguments:
        path: of a file that begins as ZIP.
    """
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    if any(name.endswith("/data.pkl") for name in names):
        found = shapes(Probe(path).torch) or "no tensors by name"
        return f"{path} is of no known format (a torch file with {found}; neuralop_pt has tensors x and y). {ADVICE}"
    if names and all(name.endswith(".npy") for name in names):
        arrays = ", ".join(name.removesuffix(".npy") for name in names[:MOST])
        return (
            f"{path} is of no known format (a NumPy archive, .npz, with {arrays}); load it with numpy.load and give "
            "the arrays to data.arrays.from_arrays, with dims= and coords="
        )
    return None


def shapes(found: dict) -> str:
    """Names with shapes, groups as such."""
    said = [f"{name} {tuple(shape)}" if shape is not None else f"{name} (a group)" for name, shape in found.items()]
    return ", ".join(said[:MOST]) + (f" and {len(said) - MOST} more" if len(said) > MOST else "")


def _found(probe: Probe) -> str:
    """What a file seems to be."""
    if probe.head[:6] == NPY:
        return f"a NumPy array of shape {probe.npy}"
    if probe.head[:6] == b"MATLAB":
        return f"MATLAB with {shapes(probe.matlab) or 'no variables'}"
    if probe.head[:1] == b"\x80":
        return f"a torch file or pickle with {shapes(probe.torch) or 'no tensors by name'}"
    text = probe.head[:64]
    if text.lstrip()[:1] in (b"{", b"["):
        return f"it seems to be JSON: {text[:24].decode(errors='replace')!r}"
    if np.all([32 <= byte < 127 or byte in (9, 10, 13) for byte in text]):
        return f"it is text: {text[:24].decode()!r}"
    return f"it begins with {text[:8]!r}"
