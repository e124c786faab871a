"""A folder of files of one kind, or with one kind for each variable, as one set of fields, still on disk."""

import re
from pathlib import Path

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from .names import SAMPLES, SPACE
from .open import open_path

SKIPPED = re.compile(r"\..*|.*\.(md|txt|json|yaml|yml|sha256|idx)")  # cards and records beside the data


class Concatenated(BackendArray):
    """Variables side by side along one axis; only the parts that are asked for are read.

    Arguments:
        parts: variables with the same dims; where `new`, without the axis, each one long on it.
        axis: its number in the result.
        new: whether the parts lack the axis.
    """

    def __init__(self, parts: list[xr.Variable], axis: int, new: bool):
        self.parts, self.axis, self.new = parts, axis, new
        sizes = [1 if new else part.shape[axis] for part in parts]
        self.starts = np.cumsum([0, *sizes])
        shape = list(parts[0].shape)
        shape[axis : axis if new else axis + 1] = [int(self.starts[-1])]
        self.shape, self.dtype = tuple(shape), np.dtype("float32")

    def __getitem__(self, key):
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple) -> np.ndarray:
        """The values at one key for each axis."""
        before, after = key[: self.axis], key[self.axis + 1 :]
        wanted = np.arange(self.shape[self.axis])[key[self.axis]]
        owners = np.searchsorted(self.starts, np.atleast_1d(wanted), side="right") - 1
        place = sum(not isinstance(part, (int, np.integer)) for part in before)
        pieces = []
        for owner in np.unique(owners) if len(owners) else [0]:
            inside = np.atleast_1d(wanted)[owners == owner] - self.starts[owner]
            if self.new:
                values = np.expand_dims(self.parts[owner][before + after].values, place)
                values = values.take(inside, axis=place)
            else:
                values = self.parts[owner][before + (inside,) + after].values
            pieces.append(values)
        order = np.argsort(np.argsort(owners, kind="stable"), kind="stable")
        joined = np.concatenate(pieces, axis=place).take(order, axis=place).astype(self.dtype, copy=False)
        return joined.take(0, axis=place) if wanted.ndim == 0 else joined


def open_folder(
    path: str | Path, along: str | None = None, format: str | None = None, pattern: str = "*", **options
) -> xr.Dataset:
    """All files of a folder, in the order of their names (file 10 after file 9), as one dataset that stays on disk.

    Files with samples, and files without that cover the same times, are joined along `sample`; files whose times
    follow each other along `time`; one file alone stays as it is. Numbers that differ between files, such as
    viscosities in their attributes, become variables over the samples. Files of other variables on the same axes, as
    the Climate Data Store sends them, are joined among themselves, then merged.

    Arguments:
        path: of the folder. Hidden files and *.md, *.txt, *.json, *.yaml, *.sha256, *.idx in it are passed over.
        along: "sample" or "time", where the files leave it open; with one file too.
        format, options: as of `open_path`, for every file.
        pattern: of the names of the files, for example "*.nc".

    Raises:
        FileNotFoundError: no such folder, or no file in it. NotADirectoryError: a file.
        ValueError: what a file is refused for; a file that differs from the first in dims, positions or units, or kinds
            of files that share some variables or differ in their axes, which are named.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"there is no folder {path}")
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is a file; open it with open_path")
    if along not in (None, "sample", "time"):
        raise ValueError(f'along is "sample" or "time"; got {along!r}')
    files = sorted((f for f in path.glob(pattern) if not SKIPPED.fullmatch(f.name)), key=_natural)
    if not files:
        raise FileNotFoundError(f"{path} holds no file {pattern}")
    parts = [open_path(file, format, **options) for file in files]
    kinds: dict[frozenset, list[int]] = {}
    for number, part in enumerate(parts):
        kinds.setdefault(_fields(part), []).append(number)
    firsts = [files[numbers[0]] for numbers in kinds.values()]
    _check_kinds(firsts, list(kinds))
    series = [_series([files[i] for i in numbers], [parts[i] for i in numbers], along) for numbers in kinds.values()]
    return _merged(firsts, series) if len(series) > 1 else series[0]


def _fields(ds: xr.Dataset) -> frozenset[str]:
    """Names of the variables that lie in space."""
    return frozenset(str(name) for name, variable in ds.data_vars.items() if set(variable.dims) & set(SPACE))


def _check_kinds(firsts: list[Path], kinds: list[frozenset]) -> None:
    """Raises ValueError where two kinds of files share a variable."""
    for i, kind in enumerate(kinds):
        for first, other in zip(firsts[:i], kinds[:i], strict=True):
            if kind & other:
                named = [", ".join(sorted(names)) for names in (kind, other)]
                raise ValueError(
                    f"{firsts[i].name} holds {named[0]}, {first.name} holds {named[1]}: two kinds of files that share "
                    f"{', '.join(sorted(kind & other))}; {_choice(first, other, firsts[i])}"
                )


def _choice(file: Path, kind: frozenset, other: Path) -> str:
    """How to open the first of two kinds of files: by a variable in its name alone, where there is one."""
    patterns = [f"*{name}*" for name in sorted(kind) if name in file.name and name not in other.name]
    return f'choose one kind, for example with pattern="{(patterns or [file.name])[0]}"'


def _series(files: list[Path], parts: list[xr.Dataset], along: str | None) -> xr.Dataset:
    """Files of one kind as one dataset."""
    if len(parts) == 1 and along is None:
        return parts[0]
    along = along or _along(parts)
    for file, part in zip(files[1:], parts[1:], strict=True):
        _check_alike(files[0], parts[0], file, part, along)
    if along == "time":
        _check_times(files, parts)
    return _joined(parts, along)


def _merged(files: list[Path], series: list[xr.Dataset]) -> xr.Dataset:
    """Several kinds of files on the same axes as one dataset.

    Raises:
        ValueError: axes that differ, or numbers beside the fields that do.
    """
    first, known, merged = files[0], series[0], [series[0]]
    for file, part in zip(files[1:], series[1:], strict=True):
        held = [", ".join(sorted(_fields(ds))) for ds in (part, known)]
        what = f"{file.name} holds {held[0]}, {first.name} holds {held[1]}: two kinds of files"
        axes = [set(ds.dims) - {"level"} for ds in (part, known)]
        odd = sorted(map(str, axes[0] ^ axes[1]))
        odd += [dim for dim in part.dims if dim in known.dims and not _same(part[dim].values, known[dim].values)]
        if odd:
            raise ValueError(f"{what} that differ in {', '.join(odd)}; {_choice(first, _fields(known), file)}")
        merged.append(part.assign_coords({dim: known[dim] for dim in part.dims if dim in known.dims}))
    try:
        return xr.merge(merged, join="exact", compat="equals", combine_attrs="drop_conflicts")
    except ValueError as error:  # MergeError, and other levels
        why = str(error).splitlines()[0][:200]
        raise ValueError(
            f"the {len(files)} kinds of files do not fit each other ({why}); {_choice(first, _fields(known), files[1])}"
        ) from error


def _natural(file: Path) -> list:
    """A key of names in which numbers count as numbers."""
    return [(0, int(text), "") if text.isdigit() else (1, 0, text) for text in re.split(r"(\d+)", file.name)]


def _along(parts: list[xr.Dataset]) -> str:
    """The dim along which files belong together."""
    if len(parts) == 1 or any("sample" in part.dims for part in parts):
        return "sample"
    return "sample" if parts[0]["time"].equals(parts[1]["time"]) else "time"


def _check_alike(first: Path, one: xr.Dataset, file: Path, other: xr.Dataset, along: str) -> None:
    """Raises ValueError where a file is of another kind than the first."""
    titles = [ds.attrs.get("title", "of no title") for ds in (other, one)]
    formats = "" if titles[0] == titles[1] else f"; the files are {titles[0]} and {titles[1]}"
    if set(one.data_vars) != set(other.data_vars):
        named = [", ".join(map(str, ds.data_vars)) for ds in (other, one)]
        raise ValueError(f"{file.name} holds {named[0]}, {first.name} holds {named[1]}{formats}; one kind is needed")
    for name, variable in one.data_vars.items():
        if other[name].dims != variable.dims:
            here = f"{name} has the dims ({', '.join(map(str, other[name].dims))})"
            raise ValueError(f"{file.name}: {here}, in {first.name} ({', '.join(map(str, variable.dims))}){formats}")
        units = [ds[name].attrs.get("units", "") for ds in (other, one)]
        if units[0] != units[1]:
            raise ValueError(
                f"{file.name}: {name} is in {units[0] or 'no units'}, in {first.name} in {units[1] or 'none'}; convert "
                f"the values of one of them, or, where only the label is wrong, correct it with from_xarray(..., "
                f"units={{{name!r}: {units[1] or '1'!r}}}) and save it"
            )
        if along == "time" and "time" not in variable.dims and not _same(variable.values, other[name].values):
            raise ValueError(f"{file.name}: {name}, which has no time, differs from that in {first.name}")
    for dim in sorted(one.dims, key=lambda dim: dim == "time"):  # time last: its hint holds where all else agrees
        if dim == along:
            continue
        if one.sizes[dim] != other.sizes[dim] or not _same(one[dim].values, other[dim].values):
            follows = dim == "time" and not formats and other[dim].values[0] >= one[dim].values[-1]
            hint = '; its times differ: along="time"?' if follows else formats
            raise ValueError(f"{file.name} has other values of {dim} than {first.name}{hint}")


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype.kind == "f" and other.dtype.kind == "f":
        tiny = 1e-6 * np.nanmax(np.abs(one), initial=1e-30)
        return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-6, atol=tiny, equal_nan=True))
    return bool(np.array_equal(one, other))


def _check_times(files: list[Path], parts: list[xr.Dataset]) -> None:
    """Raises ValueError where a file does not begin after the one before it ends."""
    for i in range(1, len(parts)):
        if not parts[i]["time"].values[0] > parts[i - 1]["time"].values[-1]:
            raise ValueError(
                f"{files[i].name} begins at {parts[i]['time'].values[0]}, before or when {files[i - 1].name} ends; "
                'name files in the order of their times, or join them with along="sample"'
            )


def _joined(parts: list[xr.Dataset], along: str) -> xr.Dataset:
    """One dataset of many."""
    first, new = parts[0], along not in parts[0].dims
    data = {}
    for name, variable in first.data_vars.items():
        if along not in variable.dims and not new:
            data[name] = variable.variable
            continue
        dims = (along, *variable.dims) if new else variable.dims
        axis = dims.index(along)
        if not set(variable.dims) & set(SPACE):  # a number for each sample, for example
            values = [part[name].values for part in parts]
            data[name] = xr.Variable(dims, np.stack(values) if new else np.concatenate(values, axis), variable.attrs)
            continue
        array = indexing.LazilyIndexedArray(Concatenated([part[name].variable for part in parts], axis, new))
        data[name] = xr.Variable(dims, array, variable.attrs)
    coords = {name: value.variable for name, value in first.coords.items() if along not in value.dims}
    labels = np.arange(len(parts)) if new else np.concatenate([part[along].values for part in parts])
    if along in SAMPLES and len(np.unique(labels)) < len(labels):
        labels = np.arange(len(labels))
    coords[along] = xr.Variable(along, labels, {} if new else first[along].attrs)
    shared = {key: value for key, value in first.attrs.items() if all(_equal(p.attrs.get(key), value) for p in parts)}
    if along == "sample":
        counts = [1 if new else part.sizes["sample"] for part in parts]
        for key in first.attrs.keys() - shared.keys():
            values = [part.attrs.get(key) for part in parts]
            if key not in data and all(isinstance(v, (int, float, np.number)) for v in values):
                data[key] = xr.Variable("sample", np.repeat(np.asarray(values, np.float64), counts))
    return xr.Dataset(data, coords, shared)


def _equal(one, other) -> bool:
    return type(one) is type(other) and bool(np.all(one == other))
