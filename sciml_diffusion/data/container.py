"""The canonical container of fields, an xarray.Dataset, and the way from it to tensors and back.

One variable per physical field, with dims (sample | realization, time, level, *space); short names; UTC times; the
spatial axes in the order and orientation of the user's own file.
"""

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..physics.grid import Grid
from .coordinates import canonical_level, canonical_longitude, canonical_time, merge_expver, time_axis
from .finite import refuse_broken
from .names import DIMS, PROVENANCE, SAMPLES, SPACE, fields_only, rename

CIRCLE = 360.0


def canonical(ds: xr.Dataset | xr.DataArray) -> xr.Dataset:
    """Fields of any supported layout in the container's form: names, dims, float32, times, longitudes.

    Arguments:
        ds: fields as a public file or a user has them: CDS legacy and new layouts, GRIB through cfgrib, WeatherBench,
            this package's own. The data stay on disk as long as they are float32 there or were opened by `open_path`.

    Raises:
        TypeError: what is not an xarray object. ValueError: no time axis, repeated or decreasing times, forecast steps,
        dims that the container does not know, or no field at all.
    """
    if isinstance(ds, xr.DataArray):
        ds = ds.to_dataset(name=ds.name or "field")
    if not isinstance(ds, xr.Dataset):
        raise TypeError(
            f"fields are an xarray.Dataset, got {type(ds).__name__}; give arrays dims and coordinates in one"
        )
    ds = merge_expver(fields_only(rename(ds)))
    ds = time_axis(ds)
    ds = ds.drop_vars([name for name in PROVENANCE if name in ds.variables and name not in ds.dims])
    _known_dims(ds)
    ds = canonical_level(canonical_longitude(canonical_time(ds)))
    ds = ds.transpose(*[d for d in (*SAMPLES, "time", "lead_time", "level") if d in ds.dims], ...)
    fields = [name for name in ds.data_vars if "time" in ds[name].dims and set(SPACE) & set(ds[name].dims)]
    if not fields:
        raise ValueError(f"no variable has both a time and a spatial dim; got {_layout(ds)}")
    casts = {name: ds[name].astype("float32", copy=False) for name in fields if ds[name].dtype != np.dtype("float32")}
    return ds.assign(casts) if casts else ds


def spatial_dims(ds: xr.Dataset) -> tuple[str, ...]:
    """The spatial dims of the first field, in its own order.

    Raises:
        ValueError: where no field has any.
    """
    for variable in ds.data_vars.values():
        dims = tuple(d for d in variable.dims if d in SPACE)
        if dims and "time" in variable.dims:
            return dims
    raise ValueError(f"no variable has both a time and a spatial dim; got {_layout(ds)}")


def grid_of(ds: xr.Dataset) -> Grid:
    """The spatial grid of a container. An axis is periodic where one of these holds:

    - its coordinate has the attribute `period`;
    - the dataset has the attributes `periodic` (a dim, or several with commas) and `period` (a number for each);
    - it is a longitude whose even steps close the circle.

    Raises:
        ValueError: a spatial dim without coordinate values, or with values that are not strictly monotonic.
    """
    dims = spatial_dims(ds)
    coordinates = []
    for dim in dims:
        if dim not in ds.coords:
            raise ValueError(f"the dim {dim!r} has no coordinate values; give them with ds.assign_coords({dim}=...)")
        coordinates.append(np.asarray(ds[dim].values, dtype=np.float64))
    return Grid(dims, tuple(coordinates), tuple(_period(ds, d, c) for d, c in zip(dims, coordinates, strict=True)))


def split_levels(ds: xr.Dataset) -> xr.Dataset:
    """One variable for each level: z(time, level, ...) becomes z500(time, ...), z850(time, ...)."""
    if "level" not in ds.dims:
        return ds
    parts = {}
    for name, variable in ds.data_vars.items():
        if "level" not in variable.dims:
            parts[name] = variable
            continue
        for index, level in enumerate(ds["level"].values):
            parts[f"{name}{level:g}"] = variable.isel(level=index, drop=True)
    return xr.Dataset(parts, attrs=ds.attrs)


def variables_of(ds: xr.Dataset) -> tuple[dict, ...]:
    """Name, units, standard_name and long_name of every field (of each level), one dictionary for each channel."""
    flat = split_levels(ds)
    wanted = {"time", *spatial_dims(flat)}
    keys = ("units", "standard_name", "long_name")
    return tuple(
        {"name": str(name)} | {key: str(variable.attrs.get(key, "")) for key in keys}
        for name, variable in flat.data_vars.items()
        if wanted <= set(variable.dims) and "lead_time" not in variable.dims
    )


def to_tensor(ds: xr.Dataset, names=None, dtype: torch.dtype = torch.float32, missing: bool = False) -> Tensor:
    """Fields as one tensor, with shape (T, C, *S), or (sample, T, C, *S) where there are samples or realizations.

    Arguments:
        ds: a container with T times.
        names: C variables, in this order (with levels: z500); all fields by default.
        dtype: torch.float32 or torch.float64.
        missing: whether missing values (NaN) may pass; infinite ones never do.

    Raises:
        ValueError: an unknown variable; missing or infinite values, with the first sample and time.
    """
    flat = split_levels(ds)
    known = [v["name"] for v in variables_of(flat)]
    names = known if names is None else list(names)
    unknown = [n for n in names if n not in known]
    if unknown:
        raise ValueError(f"the fields have no variable {', '.join(map(repr, unknown))}; they have {', '.join(known)}")
    lead = [d for d in SAMPLES if d in flat[names[0]].dims]
    order = (*lead, "time", *spatial_dims(flat))
    kind = np.float64 if dtype == torch.float64 else np.float32
    arrays = [np.asarray(flat[name].transpose(*order).values, dtype=kind) for name in names]
    for name, array in zip(names, arrays, strict=True):
        refuse_broken(name, array, flat, next(iter(lead), None), missing)
    return torch.from_numpy(np.stack(arrays, axis=len(lead) + 1)).to(dtype)


def from_tensor(
    x: Tensor, time: np.ndarray, grid: Grid, variables, lead: str = "sample", attrs: dict | None = None
) -> xr.Dataset:
    """Inverse of `to_tensor`: a container from a tensor.

    Arguments:
        x: with shape (T, C, *S), or (lead, T, C, *S).
        time: T times, datetime64 or numbers.
        grid: spatial axes of shape S.
        variables: C dictionaries (or objects) with name, units, standard_name, long_name.
        lead: name of the first dim where x has one: "sample" or "realization".
        attrs: attributes of the dataset.

    Raises:
        ValueError: where the shape of x does not fit.
    """
    variables = [v if isinstance(v, dict) else vars(v) for v in variables]
    expected = (len(time), len(variables), *grid.sizes)
    if tuple(x.shape) != expected and tuple(x.shape[1:]) != expected:
        raise ValueError(f"a tensor of shape {expected} or (n, {str(expected)[1:]} is needed, got {tuple(x.shape)}")
    extra = x.ndim > len(expected)
    dims = ((lead,) if extra else ()) + ("time", *grid.dims)
    values = x.detach().cpu().numpy()
    coords = {d: (d, c) for d, c in zip(grid.dims, grid.coordinates, strict=True)}
    coords |= {"time": ("time", time)} | ({lead: (lead, np.arange(len(x)))} if extra else {})
    data = {v["name"]: (dims, values.take(i, axis=1 + extra), _attributes(v)) for i, v in enumerate(variables)}
    ds = xr.Dataset(data, coords=coords, attrs=attrs or {})
    for dim, period in zip(grid.dims, grid.periods, strict=True):
        units = {"latitude": "degrees_north", "longitude": "degrees_east"}.get(dim)
        ds[dim].attrs |= {"units": units, "standard_name": dim} if units else {}
        ds[dim].attrs |= {"period": float(period)} if period is not None else {}
    return ds


def _attributes(variable: dict) -> dict:
    """The CF attributes of a variable that are known."""
    return {k: variable[k] for k in ("units", "standard_name", "long_name") if variable.get(k)}


def _layout(ds: xr.Dataset) -> str:
    """Variables with their dims, for messages."""
    listed = ", ".join(f"{name}({', '.join(map(str, v.dims))})" for name, v in list(ds.data_vars.items())[:8])
    return listed or "no variables"


def _known_dims(ds: xr.Dataset) -> None:
    """Raises ValueError where a dim is not one of the container's."""
    unknown = [str(d) for d in ds.dims if d not in DIMS]
    if not unknown:
        return
    new, old = [], unknown[0]
    if not set(SAMPLES) & set(ds.dims):
        new.append(f"ds.rename({{{old!r}: 'sample'}}) where it counts trajectories")
    if len(set(SPACE) & set(ds.dims)) < 2 or not new:
        axis = next((dim for dim in ("x", "y", "z") if dim not in ds.dims), "x")
        new.append(f"ds.rename({{{old!r}: {axis!r}}}) where it is an axis of space")
    raise ValueError(
        f"unknown dims {', '.join(unknown)} in {_layout(ds)}; the container knows {', '.join(DIMS)}: rename them "
        f"({', '.join(new)}) or choose one value (ds.isel({old}=0))"
    )


def _period(ds: xr.Dataset, dim: str, values: np.ndarray) -> float | None:
    """The period of an axis, or None."""
    if "period" in ds[dim].attrs:
        return float(ds[dim].attrs["period"])
    periodic = ds.attrs.get("periodic", "")
    periodic = [p.strip() for p in periodic.split(",")] if isinstance(periodic, str) else [str(p) for p in periodic]
    if dim in periodic and "period" in ds.attrs:
        lengths = np.atleast_1d(np.asarray(ds.attrs["period"], dtype=np.float64))
        return float(lengths[periodic.index(dim) if len(lengths) > 1 else 0])
    if dim == "longitude" and len(values) > 2:
        steps = np.diff(values)
        even = np.allclose(steps, steps.mean(), rtol=0, atol=1e-3 * abs(steps.mean()))
        if even and abs(abs(steps.mean()) * len(values) - CIRCLE) < 1e-3 * abs(steps.mean()) * len(values):
            return CIRCLE
    return None
