"""Samples that blew up: found with the time of the first value that is not finite, and left out."""

import numpy as np
import xarray as xr

SPLIT = 1 << 24  # values that are read at a time


def broken_samples(ds: xr.Dataset) -> dict[int, str]:
    """For each sample with a value that is not finite, the variable and the first time where that is so.

    The fields are read in blocks of samples, so that they need not fit in memory.

    Arguments:
        ds: a container with the dim `sample`.

    Raises:
        ValueError: no samples.
    """
    if "sample" not in ds.dims:
        raise ValueError(f"the fields have no dim 'sample'; got {', '.join(map(str, ds.dims))}")
    labels = ds["sample"].values if "sample" in ds.coords else np.arange(ds.sizes["sample"])
    found = {}
    for name, variable in ds.data_vars.items():
        if "sample" not in variable.dims or variable.dtype.kind != "f":
            continue
        block = max(1, SPLIT * ds.sizes["sample"] // max(variable.size, 1))
        for start in range(0, ds.sizes["sample"], block):
            part = variable.isel(sample=slice(start, start + block))
            bad = ~np.isfinite(part)
            bad = bad.any([dim for dim in bad.dims if dim not in ("sample", "time")])
            for i in np.flatnonzero(bad.any([dim for dim in bad.dims if dim != "sample"])):
                first = int(bad.isel(sample=int(i)).argmax("time")) if "time" in bad.dims else None
                when = "" if first is None else f" at time {_text(ds['time'].values[first])}"
                found.setdefault(int(labels[start + i]), f"{name}{when}")
    return dict(sorted(found.items()))


def without_broken_samples(ds: xr.Dataset) -> xr.Dataset:
    """The samples whose values are all finite, still on disk.

    Arguments:
        ds: a container with the dim `sample`.

    Raises:
        ValueError: no samples, or none that is finite.
    """
    broken = broken_samples(ds)
    if not broken:
        return ds
    if len(broken) == ds.sizes["sample"]:
        raise ValueError(f"every sample has values that are not finite; the first: {next(iter(broken.values()))}")
    labels = ds["sample"].values if "sample" in ds.coords else np.arange(ds.sizes["sample"])
    return ds.isel(sample=np.flatnonzero(~np.isin(labels, list(broken))))


def _text(time) -> str:
    return f"{float(time):.6g}" if np.issubdtype(type(time), np.number) else str(time)
