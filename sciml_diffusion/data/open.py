"""Files opened by what they contain, never by their names."""

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import xarray as xr

from .accumulations import mark_accumulations
from .container import canonical
from .formats import read_as
from .lazy import as_float32
from .probe import HDF5, Probe
from .stamp import Stamp
from .stores import in_order
from .unknown import ADVICE, arrays_without_dims, not_known, shapes, zip_content

TAIL = 1 << 16


def open_path(path: str | Path, format: str | None = None, **options) -> xr.Dataset:
    """Opens a file of fields and returns it in the container's form (`container.canonical`); data stay on disk.

    Known by content: the public formats of trajectories (`formats.READERS`); NetCDF-3 and NetCDF-4, among them the
    legacy and the new layout of the Copernicus Climate Data Store, the ZIP that it sends for mixed requests, and this
    package's own files; GRIB and Zarr with their extras.

    Arguments:
        path: of a file or folder.
        format: one of `formats.READERS`, where the content leaves it open.
        options: of that format's reader, for example dt=0.1 where the file holds no times.

    Raises:
        FileNotFoundError: nothing there. IsADirectoryError: a folder that is none of the known ones.
        ValueError: a file of no known format, of two, incomplete, or without a time axis; an unknown option.
        ImportError: GRIB or Zarr without the extra.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    stamp = Stamp(path) if _is_store(path) else None
    fields = read_as(Probe(path), format, options)
    if fields is not None:
        return canonical(as_float32(fields, stamp) if stamp else fields).drop_encoding()
    if options:
        raise ValueError(f"{path} needs no options; got {', '.join(options)}")
    kind = recognise(path)
    if kind == "zip" and (other := zip_content(path)):
        raise ValueError(other)
    stamp = None if kind == "zip" else Stamp(path)  # the parts of a ZIP are in memory
    try:
        raw = _OPENERS[kind](path)
    except ImportError:
        raise
    except Exception as error:  # each reader has its own errors for a damaged file
        dates = "decode time" in str(error)
        why = "its times are no dates of the standard calendar" if dates else "it is damaged or incomplete"
        raise ValueError(f"{path} begins as {kind} but cannot be read ({_first_line(error)}); {why}") from error
    try:
        if any(str(dim).startswith("phony_dim") for dim in raw.dims):
            raise ValueError(arrays_without_dims(path))
        if not raw.data_vars:
            raise ValueError(
                f"no variables at the top of the file{_groups(path, kind)}; it is {kind}, but not laid out as NetCDF "
                f"fields are. {ADVICE}"
            )
        return mark_accumulations(canonical(as_float32(raw, stamp))).drop_encoding()
    except (ValueError, TypeError) as error:
        raw.close()
        raise ValueError(f"{path}: {error}") from error


def recognise(path: Path) -> str:
    """The format of a file from its first bytes, or of a folder from what it holds: a key of the readers.

    Raises:
        FileNotFoundError, IsADirectoryError, ValueError: as `open_path`.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if path.is_dir():
        if _is_store(path):
            return "zarr"
        raise IsADirectoryError(f"{path} is a folder and no Zarr store; name one file in it")
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        raise ValueError(f"{path} is empty; fetch it again")
    if head[:3] == b"CDF" and head[3:4] in (b"\x01", b"\x02"):
        return "netcdf3"
    if head == HDF5:
        return "netcdf4"
    if head[:4] == b"GRIB":
        return "grib"
    if head[:4] == b"PK\x03\x04":
        return "zip"
    if head[:4] == b"CDF\x05":
        raise ValueError(f"{path} is NetCDF in the CDF-5 variant, which is not read; convert it with nccopy -k nc4")
    raise ValueError(not_known(path))


def _netcdf(engine: str, **options):
    """A reader of NetCDF through one engine; model time in seconds stays a number."""

    def reader(path) -> xr.Dataset:
        return xr.open_dataset(path, engine=engine, decode_timedelta=False, **options)

    return reader


def _zip(path: Path) -> xr.Dataset:
    """The NetCDF files of a ZIP, each canonical, on their common times."""
    if not zipfile.is_zipfile(path):
        raise ValueError("the end of the archive is missing")
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        parts = [archive.read(name) for name in names]
    if not parts or any(part[:8] != HDF5 for part in parts):
        raise ValueError(f"it holds {', '.join(names) or 'nothing'}, not NetCDF-4 files alone")
    opened = [canonical(as_float32(_OPENERS["netcdf4"](io.BytesIO(part)))) for part in parts]
    _same_units(opened)
    return xr.merge(opened, join="inner", compat="no_conflicts", combine_attrs="drop_conflicts")


def _grib(path: Path) -> xr.Dataset:
    """GRIB through cfgrib, without an index file beside it."""
    if find_spec("cfgrib") is None:
        raise ImportError(f"{path} is GRIB; to read it: pip install 'sciml_diffusion[grib]'")
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, TAIL), 2)
        if not file.read().rstrip(b"\0").endswith(b"7777"):  # some archives pad with zeros
            raise ValueError("the end of the last message is missing")
    from cfgrib import DatasetBuildError, open_datasets

    try:
        raw = xr.open_dataset(path, engine="cfgrib", backend_kwargs={"indexpath": ""}, decode_timedelta=True)
        return _scanned_longitude(raw)
    except DatasetBuildError:
        parts = [_scanned_longitude(part) for part in open_datasets(str(path), backend_kwargs={"indexpath": ""})]
        parts = [canonical(part) for part in parts]
        _same_units(parts)
        return xr.merge(parts, join="exact", compat="no_conflicts", combine_attrs="drop")


def _same_units(parts: list[xr.Dataset]) -> None:
    """Raises ValueError where a field of two parts has different units."""
    units: dict = {}
    for part in parts:
        for name, field in part.data_vars.items():
            known = units.setdefault(name, field.attrs.get("units"))
            if known != field.attrs.get("units"):
                other = field.attrs.get("units")
                raise ValueError(f"{name} is in {known} in one part and in {other} in another; convert one of them")


def _scanned_longitude(ds: xr.Dataset) -> xr.Dataset:
    """Longitudes in the order of the data: cfgrib sorts them, which misplaces a region written across 0 degrees."""
    if "longitude" not in ds.dims or not ds.data_vars:
        return ds
    header = next(iter(ds.data_vars.values())).attrs
    first, step = header.get("GRIB_longitudeOfFirstGridPointInDegrees"), header.get("GRIB_iDirectionIncrementInDegrees")
    if header.get("GRIB_gridType") != "regular_ll" or first is None or not step:
        return ds
    if abs(float(ds["longitude"][0]) - first) < 1e-3 * step:
        return ds
    step = -step if header.get("GRIB_iScansNegatively") else step
    values = first + step * np.arange(ds.sizes["longitude"])
    return ds.assign_coords(longitude=("longitude", values, ds["longitude"].attrs))


def _is_store(path: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zmetadata"))


def _zarr(path: Path) -> xr.Dataset:
    """A Zarr store on disk."""
    if find_spec("zarr") is None:
        raise ImportError(f"{path} is a Zarr store; to read it: pip install 'sciml_diffusion[zarr]'")
    return in_order(xr.open_dataset(path, engine="zarr", chunks=None, consolidated=False, decode_timedelta=False))


def _groups(path: Path, kind: str) -> str:
    """What else an HDF5 file has at its top."""
    found = shapes(Probe(path).hdf5) if kind == "netcdf4" else ""
    return f", but {found}" if found else ""


def _first_line(error: Exception) -> str:
    """What an error of a reader says, in one line."""
    return (str(error) or type(error).__name__).splitlines()[0][:200]


_OPENERS = {
    "netcdf3": _netcdf("scipy"),
    "netcdf4": _netcdf("h5netcdf", phony_dims="sort"),
    "grib": _grib,
    "zip": _zip,
    "zarr": _zarr,
}
