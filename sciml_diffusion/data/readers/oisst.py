"""Boxes of sea surface temperature (OISST) as DYffusion has them: one NetCDF file of 60 x 60 points for each box.

sst(time, lat, lon), daily; the boxes of a folder become samples, so their latitudes and longitudes give way to
numbers of points, and the corner of each box is kept. DYffusion's files are standardised at each point, which no
attribute says.
"""

from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from ..on_disk import outer
from ..probe import HDF5, Probe
from ..stacked import Unchanged, stacked

TITLE = "OISST boxes (DYffusion): folder of NetCDF files, sst(time, lat, lon) with 60 x 60 points"
SIZE = 60
DIMS = ("sample", "time", "y", "x")


def recognises(probe: Probe) -> bool:
    """Whether it is a folder of NetCDF files alone, the first of which is a box of 60 x 60 points."""
    if not probe.files or not all(_is_netcdf(probe.path / name) for name in probe.files):
        return False
    try:
        with _open(probe.path / min(probe.files)) as box:
            return "sst" in box and box["sst"].shape[1:] == (SIZE, SIZE)
    except (OSError, ValueError):
        return False


def read(path: Path) -> xr.Dataset:
    """sst(sample, time, y, x) of all boxes of a folder, or of one file; each box is read when it is used.

    Raises:
        ValueError: a file that is no box, or boxes of different sizes or times.
    """
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    guard = Unchanged(files)
    parts = [_look(file) for file in files]
    first = parts[0]
    for file, part in zip(files, parts, strict=True):
        if part["shape"] != first["shape"] or not np.array_equal(part["time"].values, first["time"].values):
            raise ValueError(f"{file} has other sizes or times than {files[0]}; put them in folders of their own")
    index = {"long_name": "number of the point in its box"}
    coords = {"sample": np.arange(len(files)), "time": first["time"]}
    coords |= {
        dim: (dim, np.arange(float(size)), index) for dim, size in zip(DIMS[2:], first["shape"][1:], strict=True)
    }
    values = stacked(DIMS, len(files), first["shape"], partial(_values, files, guard), first["attrs"])
    corner = {"comment": "least coordinate of the points of the box"}
    data = {
        "sst": values,
        "south": ("sample", [part["south"] for part in parts], corner | {"units": "degrees_north"}),
        "west": ("sample", [part["west"] for part in parts], corner | {"units": "degrees_east"}),
    }
    attrs = {"title": "Boxes of sea surface temperature (OISST)", "source": "DYffusion"}
    return xr.Dataset(data, coords, attrs | {"boxes": ", ".join(file.name for file in files)})


def _is_netcdf(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        head = opened.read(8)
    return head == HDF5 or head[:3] == b"CDF"


def _open(file: Path) -> xr.Dataset:
    """One box, with its sst on disk."""
    with file.open("rb") as opened:
        engine = "h5netcdf" if opened.read(8) == HDF5 else "scipy"
    return xr.open_dataset(file, engine=engine, decode_timedelta=False)


def _look(file: Path) -> dict:
    """Shape, times and corner of a box."""
    try:
        with _open(file) as box:
            time, lat, lon = box["sst"].dims
            if time != "time" or lat not in ("lat", "latitude") or lon not in ("lon", "longitude"):
                raise ValueError(f"its sst has the dims {box['sst'].dims}, expected (time, lat, lon)")
            attrs = {key: box["sst"].attrs[key] for key in ("units", "long_name") if key in box["sst"].attrs}
            corner = {"south": float(box[lat].min()), "west": float(box[lon].min())}
            return {"shape": box["sst"].shape, "time": box["time"].load(), "attrs": attrs} | corner
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{file} is no box of sst(time, lat, lon): {error}") from error


def _values(files: list[Path], guard: Unchanged, number: int, key: tuple) -> np.ndarray:
    """Part of one box."""
    with _open(guard.check(files[number])) as box:
        return outer(box["sst"].variable, key)
