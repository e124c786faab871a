"""A user's own arrays and xarray objects in the container's form."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import xarray as xr

from .container import canonical
from .names import DIMS, SAMPLES, SPACE

Dims = Sequence[str] | Mapping[str, Sequence[str]]


def from_arrays(
    fields: Mapping,
    dims: Dims | None = None,
    coords: Mapping | None = None,
    units: Mapping[str, str] | None = None,
    periodic: Sequence[str] | Mapping[str, float] = (),
    parameters: Mapping | None = None,
    attrs: Mapping | None = None,
) -> xr.Dataset:
    """Fields from NumPy arrays or tensors; they are copied as float32.

    For example `from_arrays({"u": u}, dims=("sample", "time", "x"), coords={"time": t, "x": x}, periodic=("x",),
    parameters={"nu": nu})`.

    Arguments:
        fields: arrays or tensors by name, of any shape that `dims` names.
        dims: names of the axes, the same for all fields or by field: sample (or realization), time, level, and x, y, z
            or latitude, longitude. Where no field has time, the problem is steady and gets the one time 0.
        coords: values of each dim but sample; times are numbers or dates.
        units: of fields and coordinates, by name.
        periodic: axes that close on themselves, of even steps; the period is n steps, or that of a mapping.
        parameters: numbers of the equation: one for all samples, or an array (N,) with one for each.
        attrs: further attributes, for example equation and boundary.

    Raises:
        TypeError: fields that are no mapping, or no arrays of real numbers. ValueError: dims missing or unknown, sizes
        that do not fit or are 0, coordinates missing, not finite or not monotonic, an unknown name, units that are no
        text, values beyond float32, a periodic axis of uneven steps.
    """
    if not isinstance(fields, Mapping) or not fields:
        raise TypeError(f'fields are arrays by name, for example {{"u": u}}; got {type(fields).__name__}')
    arrays = {str(name): _array(name, values) for name, values in fields.items()}
    axes = {name: _dims(name, values, dims) for name, values in arrays.items()}
    data = {name: (axes[name], values) for name, values in arrays.items()}
    coords = dict(coords or {})
    if not any("time" in names for names in axes.values()):
        data = {name: (("time", *names), arrays[name][None]) for name, names in axes.items()}
        coords.setdefault("time", [0.0])
    sizes = _sizes(data)
    _check_coordinates(sizes, coords)
    coords = {str(dim): (dim, _plain(values)) for dim, values in coords.items()}
    samples = next((dim for dim in SAMPLES if dim in sizes), None)
    if samples and samples not in coords:
        coords[samples] = (samples, np.arange(sizes[samples]))
    numbers, varying = _parameters(parameters or {}, samples, sizes)
    ds = xr.Dataset(data | varying, coords, dict(attrs or {}) | numbers)
    return canonical(_periodic(_with_units(ds, units or {}), periodic))


def from_xarray(
    ds: xr.Dataset | xr.DataArray, rename: Mapping[str, str] | None = None, units: Mapping[str, str] | None = None
) -> xr.Dataset:
    """A user's xarray object in the container's form; float32 data stay where they are (on disk, in dask).

    Arguments:
        ds: fields with dims, coordinates and names of any kind.
        rename: from names in `ds` (dims, coordinates, variables) to those of the container.
        units: of fields and coordinates, by their new names; they replace those that `ds` has.

    Raises:
        TypeError: no xarray object. ValueError: an unknown name, or dims and times that the container does not take
        (see `container.canonical`).
    """
    if isinstance(ds, xr.DataArray):
        ds = ds.to_dataset(name=ds.name or "field")
    if not isinstance(ds, xr.Dataset):
        raise TypeError(f"an xarray.Dataset or DataArray is needed, got {type(ds).__name__}; see from_arrays")
    known = {*map(str, ds.dims), *map(str, ds.variables)}
    unknown = [name for name in rename or {} if name not in known]
    if unknown:
        raise ValueError(f"there is no {unknown[0]!r} to rename; the dataset has {', '.join(sorted(known))}")
    return canonical(_with_units(ds.rename(rename or {}), units or {}))


def _array(name, values) -> np.ndarray:
    """Native, contiguous float32 on the CPU."""
    if isinstance(values, torch.Tensor):
        if values.is_complex():
            raise TypeError(f"{name} is complex; give its real and imaginary parts as two fields")
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    values = np.asarray(values)
    if values.dtype.kind not in "iufb":
        raise TypeError(f"{name} has the type {values.dtype}; arrays of real numbers are needed")
    with np.errstate(over="ignore"):
        cast = np.array(values, dtype=np.float32, order="C")
    if values.dtype.itemsize > 4 and (lost := np.isinf(cast) & np.isfinite(values)).any():
        raise ValueError(
            f"{name} holds {int(lost.sum())} values beyond float32 ({np.finfo(np.float32).max:.3g}), such as "
            f"{values[lost][0]:g}; rescale it"
        )
    return cast


def _plain(values) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def _dims(name: str, values: np.ndarray, dims: Dims | None) -> tuple[str, ...]:
    """Names of the axes of one field."""
    given = dims.get(name) if isinstance(dims, Mapping) else dims
    if given is None:
        raise ValueError(
            f"{name} has the shape {values.shape}, which does not tell its axes; give dims=, for example "
            f'("sample", "time", "x")'
        )
    given = (given,) if isinstance(given, str) else tuple(given)
    if len(given) != values.ndim or len(set(given)) != len(given):
        raise ValueError(f"{name} has the shape {values.shape}; dims {given} do not name its {values.ndim} axes")
    unknown = [dim for dim in given if dim not in DIMS]
    if unknown:
        raise ValueError(f"unknown dims {', '.join(map(str, unknown))} of {name}; known are {', '.join(DIMS)}")
    return given


def _sizes(data: dict) -> dict[str, int]:
    """Size of each dim, which all fields must share."""
    sizes, first = {}, {}
    for name, (dims, values) in data.items():
        for dim, size in zip(dims, values.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise ValueError(f"{dim} has {sizes[dim]} values in {first[dim]} and {size} in {name}")
            first.setdefault(dim, name)
    return sizes


def _check_coordinates(sizes: dict[str, int], coords: dict) -> None:
    """Raises ValueError where the coordinates are not those of the dims."""
    unknown = [str(dim) for dim in coords if dim not in sizes]
    if unknown:
        raise ValueError(f"coords has {', '.join(unknown)}; the fields have the dims {', '.join(sizes)}")
    missing = [dim for dim in sizes if dim not in coords and dim not in SAMPLES]
    if missing:
        raise ValueError(
            f"coords lacks {', '.join(missing)}; give their values (times and positions are never guessed)"
        )
    empty = [dim for dim, size in sizes.items() if size == 0]
    if empty:
        raise ValueError(f"the fields have 0 values along {', '.join(empty)}; at least one is needed")
    for dim, values in coords.items():
        values = _plain(values)
        if values.shape != (sizes[dim],):
            raise ValueError(
                f"the coordinate {dim} has the shape {values.shape}; the fields have {sizes[dim]} values there"
            )
        if dim not in SAMPLES:
            _check_positions(str(dim), values)


def _check_positions(dim: str, values: np.ndarray) -> None:
    """Raises ValueError where times or positions are not finite, or those of an axis go to and fro."""
    if dim in SPACE and values.dtype.kind not in "iuf":
        raise ValueError(f"the coordinate {dim} has the type {values.dtype}; numbers are needed")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise ValueError(
            f"the coordinate {dim} has {bad} of {len(values)} values that are not finite; give all of them"
        )
    if dim not in SPACE:
        return
    steps = np.diff(values.astype(np.float64))
    turns = dim == "longitude" and int((steps < 0).sum()) == 1  # across 0 degrees, where they are made one piece
    if not ((steps > 0).all() or (steps < 0).all() or turns):
        raise ValueError(
            f"the coordinate {dim} neither increases nor decreases throughout; sort it, and the fields with it"
        )


def _parameters(parameters: Mapping, samples: str | None, sizes: dict) -> tuple[dict, dict]:
    """Numbers for all samples (attributes), and variables over the samples."""
    numbers, varying = {}, {}
    for name, values in parameters.items():
        values = _plain(values)
        if values.ndim == 0:
            numbers[str(name)] = values.item()
        elif samples and values.shape == (sizes[samples],):
            varying[str(name)] = (samples, values)
        else:
            wanted = f"one number or shape ({sizes[samples]},)" if samples else "one number, for there are no samples"
            raise ValueError(f"the parameter {name} has the shape {values.shape}; expected {wanted}")
    return numbers, varying


def _with_units(ds: xr.Dataset, units: Mapping[str, str]) -> xr.Dataset:
    """The dataset with units set, the original untouched."""
    unknown = [name for name in units if name not in ds.variables]
    if unknown:
        raise ValueError(
            f"units has {unknown[0]!r}; the fields and coordinates are {', '.join(map(str, ds.variables))}"
        )
    for name, unit in units.items():
        if not isinstance(unit, str):
            raise ValueError(f'units are texts, such as "m s-1" ("1" for none); got {unit!r} for {name}')
    named = {name: ds[name].copy(deep=False).assign_attrs(units=unit) for name, unit in units.items()}
    coords = {name: value for name, value in named.items() if name in ds.coords}
    return ds.assign({n: v for n, v in named.items() if n not in coords}).assign_coords(coords)


def _periodic(ds: xr.Dataset, periodic: Sequence[str] | Mapping[str, float]) -> xr.Dataset:
    """The dataset with the period of each axis that closes as an attribute of its coordinate."""
    for dim in [periodic] if isinstance(periodic, str) else periodic:
        if dim not in ds.dims or dim not in SPACE:
            raise ValueError(
                f"periodic has {dim!r}; the spatial dims are {', '.join(d for d in ds.dims if d in SPACE)}"
            )
        values = ds[dim].values.astype(np.float64)
        steps = np.diff(values)
        even = len(values) > 1 and np.allclose(steps, steps[0], rtol=1e-3, atol=0)
        if not even:
            raise ValueError(f"the steps of the periodic axis {dim} are not even; it needs x_j = x_0 + j L / n")
        period = periodic[dim] if isinstance(periodic, Mapping) else abs(steps.mean()) * len(values)
        if abs(period - abs(steps.mean()) * len(values)) > 1e-3 * period:
            raise ValueError(
                f"{len(values)} steps of {abs(steps.mean()):g} do not make the period {period:g} of {dim}; "
                "leave out the end point, which repeats the first"
            )
        ds[dim].attrs["period"] = float(period)
    return ds
