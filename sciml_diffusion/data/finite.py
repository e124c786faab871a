"""Values that are not finite: named with their sample and time; samples that hold some are left out."""

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


def refuse_broken(name: str, values: np.ndarray, ds: xr.Dataset, lead: str | None, missing: bool = False) -> None:
    """Raises ValueError where values are not finite, with the first sample and time where that is so.

    Arguments:
        name: of the field.
        values: with shape (T, *S), or (lead, T, *S).
        ds: the container that they come from, for the labels of samples and times.
        lead: name of the first dim where it is one of samples.
        missing: whether NaN may pass; infinite values never do.
    """
    bad = np.isinf(values) if missing else ~np.isfinite(values)
    if not bad.any():
        return
    nan = int(np.isnan(values).sum())
    counts = {
        "missing values (NaN)": 0 if missing else nan,
        "infinite values": int(bad.sum()) - (0 if missing else nan),
    }
    said = " and ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    place = np.unravel_index(int(bad.argmax()), bad.shape)
    where = f"at time {_text(ds['time'].values[place[1 if lead else 0]])}"
    advice = "fill them, or cut the region or the period"
    if lead:
        where = f"in {lead} {ds[lead].values[place[0]] if lead in ds.coords else place[0]} {where}"
        if lead == "sample":
            advice = f"leave such samples out (data.finite.without_broken_samples), {advice}"
    raise ValueError(f"{name} holds {said} of {values.size} in all, first {where}; {advice}")


def _text(time) -> str:
    return f"{float(time):.6g}" if np.issubdtype(type(time), np.number) else str(time)
