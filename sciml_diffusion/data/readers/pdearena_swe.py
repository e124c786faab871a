"""pdearena's shallow water on the sphere: u, v, vor, pres(b, time, lev, lat, lon), as Zarr or NetCDF.

Runs lie in seed=NUMBER/run*/output.nc; they become samples, as does the dim b of the Zarr store.
"""

from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from ..lazy import as_float32
from ..on_disk import outer
from ..probe import HDF5, Probe
from ..stacked import Unchanged, stacked

TITLE = "pdearena shallow water: Zarr with u, v, vor, pres and the dim b, or folder of seed=.../run.../output.nc"
NAMES = ("u", "v", "vor", "pres")
STORE = {"zarr.json", ".zgroup", ".zmetadata"}
RUNS = "seed=*/run*/output.nc"


def recognises(probe: Probe) -> bool:
    """Whether it is a store of these fields, or a folder of runs."""
    if probe.files & STORE:
        return set(NAMES) <= probe.files
    return any(name.startswith("seed=") for name in probe.files) and any(probe.path.glob(RUNS))


def read(path: Path) -> xr.Dataset:
    """The fields of all runs; a single level goes.

    Raises:
        ValueError: fields that are missing, or runs of different sizes or times.
        ImportError: Zarr without the extra.
    """
    if any((path / name).is_file() for name in STORE):
        from ..stores import open_store

        ds = open_store(path)
        _complete(path, ds)
        ds = as_float32(ds.rename(b="sample")) if "b" in ds.dims else as_float32(ds)
    else:
        ds = _runs(path)
    for name in NAMES:
        ds[name].attrs.setdefault("units", "")
    ds = ds.squeeze([dim for dim in ("lev", "level") if ds.sizes.get(dim) == 1], drop=True)
    title = {"title": "pdearena: shallow water on the sphere (SpeedyWeather)", "source": "pdearena"}
    return ds.assign_attrs(title | ds.attrs)


def _runs(path: Path) -> xr.Dataset:
    """Every run as a sample, read when it is used."""
    files = sorted(path.glob(RUNS))
    if not files:
        raise ValueError(f"{path} holds no {RUNS}")
    guard = Unchanged(files)
    with _open(files[0]) as first:
        _complete(files[0], first)
        dims, sizes, coords = first["u"].dims, first["u"].shape, {name: first[name].load() for name in first["u"].dims}
        attrs = {name: dict(first[name].attrs) for name in NAMES}
    for file in files[1:]:
        with _open(file) as run:
            _complete(file, run)
            if run["u"].dims != dims or any(not np.array_equal(run[d], coords[d]) for d in dims):
                raise ValueError(f"{file} has other coordinates than {files[0]}; put them in folders of their own")
    data = {
        name: stacked(("sample", *dims), len(files), sizes, partial(_values, files, guard, name), attrs[name])
        for name in NAMES
    }
    return xr.Dataset(data, {"sample": np.arange(len(files))} | coords)


def _complete(path: Path, ds: xr.Dataset) -> None:
    """Raises ValueError where fields are missing or differ in their dims."""
    missing = [name for name in NAMES if name not in ds]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; it holds {', '.join(map(str, ds.data_vars))}")
    if len({ds[name].dims for name in NAMES}) > 1:
        raise ValueError(f"{path}: the fields differ in their dims: { {name: ds[name].dims for name in NAMES} }")


def _open(file: Path) -> xr.Dataset:
    """One run."""
    with file.open("rb") as opened:
        engine = "h5netcdf" if opened.read(8) == HDF5 else "scipy"
    try:
        return xr.open_dataset(file, engine=engine, decode_timedelta=False)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{file} cannot be read ({error}); it is damaged or no NetCDF") from error


def _values(files: list[Path], guard: Unchanged, name: str, number: int, key: tuple) -> np.ndarray:
    """Part of one field of one run."""
    with _open(guard.check(files[number])) as run:
        return outer(run[name].variable, key)
