"""Trajectories on disk: files of some samples each, whole or not at all, with checksums, statistics and a card."""

import json
import math
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import xarray as xr

from .. import __version__
from .card import card
from .generate import bar, check_request
from .generators.base import Generator
from .generators.blocks import assemble, solved_for
from .manifest import NAME, PART, Manifest, digest, fits, remove, write_text
from .moments import Moments, merge_moments, moments_of, summaries

ONE_FILE = 1 << 29  # bytes up to which everything goes into one file
SHARD = 1 << 28  # bytes of a file beyond that
ENDINGS = {"netcdf": ".nc", "zarr": ".zarr"}


class Written(NamedTuple):
    """What a folder holds: samples, how many of them were made just now, names of the files, their bytes."""

    samples: int
    made: int
    files: list[str]
    bytes: int


def write_trajectories(
    generator: Generator,
    folder: str | Path,
    samples: int,
    seed: int,
    *,
    start: int = 0,
    shard: int | None = None,
    format: str = "netcdf",
    workers: int = 1,
    resume: bool = False,
    progress: bool = False,
) -> Written:
    """Writes the samples start, ..., start + samples - 1 of a generator into a folder that `open_dataset` opens.

    One file fields.nc, or fields-00000.nc and so on; beside them manifest.json (checksums, settings, versions),
    statistics.json (of all samples) and the card README.md. Each file is written under another name first; the manifest
    lists it when it is whole. What an interrupted run wrote is kept for `resume`.

    Arguments:
        generator: one of `data.generators`.
        folder: made where it is missing.
        samples, seed, start, workers, progress: see `generate`.
        shard: samples of a file; by default all in one up to 512 MiB, else files of about 256 MiB.
        format: netcdf (NetCDF-4, a chunk for each sample) or zarr (extra 'zarr').
        resume: keep the files of the same request whose checksums fit, and make the others.

    Raises:
        ValueError: numbers out of range, another request in that folder, a sample that is not finite (it is named).
        FileExistsError: the folder holds trajectories and resume is off. OSError: not enough space.
        ImportError: zarr without the extra.
    """
    check_request(samples, seed, start, workers)
    shard = _shard(generator, samples, shard)
    _check_format(format)
    folder = Path(folder).expanduser()
    request = {**generator.settings, "seed": seed, "start": start, "samples": samples, "shard": shard, "format": format}
    manifest = _begun(folder, {**request, "version": __version__}, resume)
    wanted = _missing(manifest, shard)
    _check_space(folder, generator.bytes_per_sample * sum(map(len, wanted)))
    kept = manifest.samples
    with bar(solved_for(generator, wanted), progress, generator.name) as tick:
        for chosen, arrays in zip(wanted, assemble(generator, seed, wanted, workers, tick), strict=True):
            name = "fields" if shard >= samples else f"fields-{(chosen.start - start) // shard:05d}"
            entry = _write(generator.dataset(arrays, seed, chosen.start), folder, name + ENDINGS[format])
            manifest.add(entry)
            manifest.save(folder)
    _describe(generator, folder, manifest)
    return Written(samples, samples - kept, [s["file"] for s in manifest.shards], manifest.bytes)


def statistics_of(manifest: Manifest) -> dict[str, dict[str, dict]]:
    """Mean, std, min, max and count of every variable and of its increments, over all files of a folder."""
    parts = [
        {
            name: {kind: Moments(**numbers) for kind, numbers in kinds.items()}
            for name, kinds in entry["moments"].items()
        }
        for entry in manifest.shards
    ]
    return summaries(merge_moments(parts))


def _shard(generator: Generator, samples: int, shard: int | None) -> int:
    """Samples of a file."""
    if shard is not None:
        if shard < 1:
            raise ValueError(f"expected shard >= 1 samples for each file; got {shard}")
        return min(shard, samples)
    size = generator.bytes_per_sample
    if samples * size <= ONE_FILE:
        return samples
    return generator.block * max(1, math.floor(SHARD / size / generator.block))


def _check_format(format: str) -> None:
    if format not in ENDINGS:
        raise ValueError(f"there is no format {format!r}; known are {', '.join(ENDINGS)}")
    if format == "zarr" and find_spec("zarr") is None:
        raise ImportError("to write Zarr: pip install 'sciml_diffusion[zarr]'")


def _begun(folder: Path, request: dict, resume: bool) -> Manifest:
    """The manifest to go on with: a new one, or that of an earlier run with the files that are still whole."""
    if not (folder / NAME).exists():
        return Manifest(request)
    if not resume:
        raise FileExistsError(f"{folder} holds trajectories; resume=true goes on with them, another folder keeps them")
    manifest = Manifest.load(folder)
    for key in sorted(set(request) | set(manifest.request)):
        old, new = manifest.request.get(key), request.get(key)
        if old != new:
            raise ValueError(
                f"{folder} was begun with {key}={old}, now it is {new}; going on needs the same request, another "
                "folder starts anew"
            )
    return Manifest(request, [entry for entry in manifest.shards if fits(folder, entry)])


def _missing(manifest: Manifest, shard: int) -> list[range]:
    """Samples of the files that are not there yet."""
    start, end = manifest.request["start"], manifest.request["start"] + manifest.request["samples"]
    done = {entry["first"] for entry in manifest.shards}
    return [range(first, min(first + shard, end)) for first in range(start, end, shard) if first not in done]


def _check_space(folder: Path, needed: int) -> None:
    """Raises OSError where the disk has not room for what is to be written."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise OSError(f"{folder} needs {needed / 1e9:.3g} GB, the disk has {free / 1e9:.3g} GB; ask for fewer samples")


def _write(ds: xr.Dataset, folder: Path, name: str) -> dict:
    """Writes one file and returns its entry in the manifest."""
    unfinished, path = folder / (name + PART), folder / name
    folder.mkdir(parents=True, exist_ok=True)
    remove(unfinished)
    try:
        if path.suffix == ".zarr":
            ds.to_zarr(unfinished, mode="w", consolidated=False, encoding=_encoding(ds, "chunks"))
        else:
            ds.to_netcdf(unfinished, engine="h5netcdf", encoding=_encoding(ds, "chunksizes"))
        size, sha256 = digest(unfinished)
        moments = {n: {k: m.as_dict() for k, m in kinds.items()} for n, kinds in moments_of(ds).items()}
        remove(path)
        os.replace(unfinished, path)
    except BaseException:
        remove(unfinished)
        raise
    entry = {"file": name, "first": int(ds["sample"][0]), "samples": ds.sizes["sample"]}
    return entry | {"bytes": size, "sha256": sha256, "moments": moments}


def _encoding(ds: xr.Dataset, key: str) -> dict:
    """A chunk for each sample; nothing is marked as missing, for nothing is."""
    found = {}
    for name, variable in ds.data_vars.items():
        found[name] = {"_FillValue": None}
        if variable.ndim > 1:
            found[name][key] = tuple(1 if d == "sample" else variable.sizes[d] for d in variable.dims)
    return found


def _describe(generator: Generator, folder: Path, manifest: Manifest) -> None:
    """Writes statistics and card."""
    statistics = statistics_of(manifest)
    write_text(folder / "statistics.json", json.dumps(statistics, indent=1) + "\n")
    write_text(folder / "README.md", card(generator, manifest, statistics))
