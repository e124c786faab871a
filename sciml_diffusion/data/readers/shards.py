"""A folder of generated trajectories: its files as one data set, each opened when a sample of it is read.

Opening compares sizes only. `verify=True` (`open_dataset(folder, verify=True)`) compares the checksums too, which reads
every file once; `sciml-diffusion info` and `train` do so.
"""

import re
from bisect import bisect_right
from pathlib import Path

import numpy as np
import xarray as xr

from ..manifest import KIND, NAME, Manifest, verify_trajectories
from ..on_disk import on_disk, outer
from ..probe import Probe

TITLE = "a folder that `sciml-diffusion generate` wrote"
OURS = re.compile(r"fields(-\d{5})?\.(nc|zarr)$")


def recognises(probe: Probe) -> bool:
    """A folder with our manifest, or with files named as ours beside one that is damaged, which `read` then says."""
    path = probe.path / NAME
    if NAME not in probe.files or not path.is_file():
        return False
    if any(OURS.match(name) for name in probe.files):
        return True
    with path.open(encoding="utf-8", errors="replace") as file:
        return f'"{KIND}"' in file.read()


def read(path: Path, verify: bool = False) -> xr.Dataset:
    """All samples of the folder in one data set; the fields stay on disk.

    Arguments:
        path: of the folder.
        verify: compare every file with its checksum first; without, only missing files and other sizes are noticed.

    Raises:
        ValueError: a file is missing, has another size, changes while it is open, or (verify) another checksum; no
            sample is there yet.
    """
    path = Path(path)
    if verify:
        verify_trajectories(path)
    manifest = Manifest.load(path)
    if not manifest.shards:
        raise ValueError(f"{path} holds no trajectories yet; generating into it again with resume=true makes them")
    files = [_Shard(path / entry["file"], entry["bytes"]) for entry in manifest.shards]
    ends = np.cumsum([entry["samples"] for entry in manifest.shards])
    with files[0].open() as first:
        data, coordinates = {}, {}
        for name, variable in first.variables.items():
            if name in first.coords:
                coordinates[name] = variable.load()
            elif "sample" not in variable.dims:
                data[name] = variable.load()
            else:
                shape = (int(ends[-1]), *variable.shape[1:])
                data[name] = on_disk(variable.dims, path / NAME, shape, _reader(name, files, ends), variable.attrs)
        attrs = first.attrs
    order = [name for name in manifest.shards[0].get("moments", {}) if name in data]
    data = {name: data[name] for name in dict.fromkeys([*order, *data])}
    index = [np.arange(entry["first"], entry["first"] + entry["samples"]) for entry in manifest.shards]
    coordinates["sample"] = xr.Variable("sample", np.concatenate(index), coordinates["sample"].attrs)
    return xr.Dataset(data, coordinates, attrs)


class _Shard:
    """One file or Zarr folder, whose size and time of change are watched."""

    def __init__(self, path: Path, size: int):
        self.path = path
        if not path.exists():
            raise ValueError(f"{path} is missing; generating into its folder again with resume=true makes it anew")
        if path.is_file() and path.stat().st_size != size:
            raise ValueError(f"{path} has {path.stat().st_size} bytes, its manifest says {size}; it is damaged")
        self.stamp = self._now()

    def open(self) -> xr.Dataset:
        """The file as an xarray data set, to be closed again."""
        if self._now() != self.stamp:
            raise ValueError(f"{self.path} has changed since it was opened; open its folder again")
        if self.path.is_dir():
            return xr.open_zarr(self.path, chunks=None, consolidated=False, decode_timedelta=False)
        return xr.open_dataset(self.path, engine="h5netcdf", decode_timedelta=False)

    def _now(self) -> tuple[int, int]:
        status = self.path.stat()
        return status.st_size, status.st_mtime_ns


def _reader(name: str, files: list[_Shard], ends: np.ndarray):
    """A function from one key for each axis to values, the samples taken from the files that hold them."""

    def values(key: tuple) -> np.ndarray:
        samples, rest = key[0], key[1:]
        single = np.ndim(samples) == 0 and not isinstance(samples, slice)
        index = np.arange(*samples.indices(int(ends[-1]))) if isinstance(samples, slice) else np.atleast_1d(samples)
        owner = np.array([bisect_right(ends, i) for i in index], dtype=int)
        parts = [None] * len(index)
        for number in np.unique(owner):
            begin = 0 if number == 0 else int(ends[number - 1])
            where = np.flatnonzero(owner == number)
            with files[number].open() as opened:
                read = outer(opened[name].variable, (index[where] - begin, *rest))
            for row, place in zip(read, where, strict=True):
                parts[place] = row
        whole = np.stack(parts) if parts else np.empty((0, *_lengths(rest, files[0], name)), np.float32)
        return whole[0] if single else whole

    return values


def _lengths(key: tuple, file: _Shard, name: str) -> list[int]:
    """Lengths of the other axes of an empty selection."""
    with file.open() as opened:
        shape = opened[name].shape[1:]
    lengths = [np.arange(n)[part] for n, part in zip(shape, key, strict=True)]
    return [len(part) for part in lengths if np.ndim(part)]
