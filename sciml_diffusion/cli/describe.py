"""Fields in words: axes, variables with their range and what is missing in them, parameters, terms."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..data.container import grid_of
from .show import facts

if TYPE_CHECKING:
    import xarray as xr

SPACE = ("z", "y", "x", "latitude", "longitude")
FIRST = ("title", "equation", "boundary", "forcing", "source", "comment")
TERMS = ("licence", "license", "notice", "attribution", "rights", "references", "acknowledgement")
TERM = re.compile(r"licen[cs]e|copyright|Copernicus", re.IGNORECASE)
KINDS = {"netcdf3": "NetCDF-3", "netcdf4": "NetCDF-4", "grib": "GRIB", "zarr": "Zarr", "zip": "ZIP of NetCDF files"}
ENOUGH = 20_000_000  # values of one variable that are read for its range
LONGEST = 300


def describe_fields(name: str, ds: "xr.Dataset", format: str | None = None) -> str:
    """What fields are: format, equation, axes, variables, parameters, terms.

    Arguments:
        name: as the user called them.
        format: the one that it was opened as, where its content leaves it open.
        ds: a container; of each variable as many samples are read as hold ENOUGH values, or some frames of one.
    """
    attrs = {str(key): _plain(value) for key, value in ds.attrs.items()}
    lower = {key.lower(): key for key in attrs}
    known = {"format": _format(name, format)} | {key: attrs[lower[key]] for key in FIRST if key in lower}
    fields = {n: v for n, v in ds.data_vars.items() if {*SPACE, "time"} & set(v.dims)}
    parameters = {n: _range(v.values, v.attrs) for n, v in ds.data_vars.items() if n not in fields}
    terms = {k: v for k, v in attrs.items() if k.lower() in TERMS or TERM.search(str(v))}
    rest = {k: v for k, v in attrs.items() if k not in terms and k.lower() not in FIRST}
    parameters |= {k: v for k, v in rest.items() if isinstance(v, (int, float)) and "grib" not in k.lower()}
    texts = {k: str(v) for k, v in rest.items() if k not in parameters and not k.startswith("GRIB_")}
    known |= {dim: ds.sizes[dim] for dim in ("sample", "realization") if dim in ds.dims}
    grid = grid_of(ds)
    periods = dict(zip(grid.dims, grid.periods, strict=True))
    known["axes"] = {d: _axis(ds[d], periods.get(d)) for d in ds.dims if d not in ("sample", "realization")}
    known["variables"] = {n: _variable(v) for n, v in fields.items()}
    known |= {"parameters": parameters, "terms": terms, "more": texts}
    card = Path(name).expanduser().parent / "README.md"
    known["card"] = str(card) if Path(name).exists() and card.is_file() else ""
    shown = {k: _shortened(v) for k, v in known.items() if v != {}}
    return f"dataset {name}\n" + facts(shown, "  ")


def _format(name: str, wanted: str | None) -> str:
    """The title of the format that a file is read as; empty for names of shipped datasets."""
    from ..data.formats import claimed, reader
    from ..data.open import recognise
    from ..data.probe import Probe

    path = Path(name).expanduser()
    if not path.exists():
        return ""
    found = [wanted] if wanted else claimed(Probe(path))
    if found:
        return " or ".join(reader(name).TITLE for name in found)
    try:
        return KINDS[recognise(path)]
    except IsADirectoryError:
        return "folder of files"


def _axis(axis: "xr.DataArray", period: float | None) -> str:
    """First and last value, number, step, units and period of a coordinate."""
    values = axis.values
    steps = np.diff(values) if len(values) > 1 else values[:0]
    text = " ... ".join(dict.fromkeys(_value(v) for v in (values[0], values[-1]))) if len(values) else "none"
    units = str(axis.attrs.get("units", ""))
    text += f" {units}" if units not in ("", "1") else ""
    parts = [f"{len(values)} values" if len(values) != 1 else "1 value"]
    if len(steps):
        numbers = steps.astype("f8")
        even = np.allclose(numbers, numbers[0], rtol=1e-3, atol=0)
        parts.append(f"step {_value(steps[0])}" if even else "uneven steps")
    if period is not None:
        parts.append(f"period {period:g}")
    if axis.attrs.get("long_name") and str(axis.attrs["long_name"]).lower() != axis.name:
        parts.append(str(axis.attrs["long_name"]))
    return f"{text} ({', '.join(parts)})"


def _variable(field: "xr.DataArray") -> str:
    """Units, long name, dims, and the range of the samples that are read."""
    attrs = field.attrs
    units = f"[{attrs['units']}] " if attrs.get("units") else ""
    text = f"{units}{attrs.get('long_name', '')}".strip()
    dims = f"({', '.join(map(str, field.dims))})"
    methods = f", {attrs['cell_methods']}" if "cell_methods" in attrs else ""
    part, seen = _part(field)
    values = _range(part.values, {})
    return f"{text} {dims}{methods}: {seen}{'from ' if values[0] in '-0123456789' else ''}{values}".strip()


def _part(field: "xr.DataArray") -> "tuple[xr.DataArray, str]":
    """As many samples as hold ENOUGH values, or at least some frames of one, and which these are in words."""
    lead = next((dim for dim in ("sample", "realization") if dim in field.dims), None)
    seen = ""
    if lead:
        total = field.sizes[lead]
        count = max(1, min(total, ENOUGH * total // max(field.size, 1)))
        field = field.isel({lead: slice(count)})
        which = f"the first of {total}" if count == 1 else f"the first {count} of {total}"
        seen = f"{which} {lead}s " if count < total else f"all {total} {lead}s " if total > 1 else ""
    if field.size > ENOUGH and "time" in field.dims:
        frames = field.sizes["time"]
        count = max(1, ENOUGH * frames // field.size)
        field = field.isel(time=np.unique(np.linspace(0, frames - 1, count).round().astype(int)))
        seen += f"in {count} of {frames} frames "
    return field, seen


def _range(values: np.ndarray, attrs: dict) -> str:
    """Least, mean and greatest value, and how many are missing or infinite."""
    values = np.asarray(values)
    if values.dtype.kind not in "iufb":
        return " ... ".join(dict.fromkeys(str(v) for v in values.ravel()[[0, -1]]))
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    units = f" {attrs['units']}" if attrs.get("units", "1") != "1" else ""
    missing = int(np.isnan(values).sum()) if values.dtype.kind == "f" else 0
    infinite = values.size - known.size - missing
    if known.size == 0 and infinite:
        return f"no finite value: {missing} missing and {infinite} infinite of {values.size}"
    if known.size == 0:
        return "all values missing"
    low, mean, high = float(known.min()), known.mean(dtype="f8"), float(known.max())
    text = f"{low:.5g}{units}" if low == high else f"{low:.5g} to {high:.5g}, mean {mean:.5g}{units}"
    counts = [f"{n} {kind}" for n, kind in ((missing, "missing"), (infinite, "infinite")) if n]
    if not counts:
        return text + (", none missing" if values.ndim > 1 else "")
    return f"{text}, {' and '.join(counts)} of {values.size}"


def _value(value) -> str:
    """A number, date or duration in words."""
    if isinstance(value, np.datetime64):
        return str(np.datetime_as_string(value, "m")).replace("T", " ")
    if isinstance(value, np.timedelta64):
        return f"{value / np.timedelta64(1, 'h'):g} h"
    return f"{float(value):.6g}"


def _plain(value):
    """A number or text of an attribute, which files give as arrays."""
    array = np.asarray(value)
    return array.item() if array.size == 1 else ", ".join(map(str, array.ravel().tolist()))


def _shortened(value):
    """Texts of a bearable length, on one line."""
    if isinstance(value, dict):
        return {k: _shortened(v) for k, v in value.items()}
    text = " ".join(str(value).split()) if isinstance(value, str) else value
    return text[: LONGEST - 4] + " ..." if isinstance(text, str) and len(text) > LONGEST else text
