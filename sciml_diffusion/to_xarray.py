"""Tensors back to CF-xarray: fields with their coordinates, units, weights and diagnostics."""

from typing import TYPE_CHECKING

import numpy as np

from .prior import Prior

if TYPE_CHECKING:
    import xarray as xr

    from .inverse.reconstruct import Reconstruction

COORDINATES = {
    "latitude": {"standard_name": "latitude", "units": "degrees_north"},
    "longitude": {"standard_name": "longitude", "units": "degrees_east"},
    "time": {"standard_name": "time"},
    "realization": {"standard_name": "realization", "units": "1"},
}


def window_times(prior: Prior, start=None) -> np.ndarray:
    """Times of the frames of one window, with shape (T,): from `start`, or from where the training data began."""
    if not isinstance(prior.step, np.timedelta64):
        return float(start or 0.0) + prior.step * np.arange(prior.window)
    start = start if start is not None else prior.card.get("start")
    if start is None:
        raise ValueError("this prior speaks of dated fields: give start=, the first time of the window")
    try:
        first = np.datetime64(start, "ns")
    except ValueError as error:
        raise ValueError(f"start must be a time such as 2019-03-26T12:00; got {start!r}") from error
    return first + prior.step * np.arange(prior.window)


def fields_dataset(x: np.ndarray, time: np.ndarray, prior: Prior) -> "xr.Dataset":
    """Fields as xarray.

    Arguments:
        x: with shape (K, C, T, *S), in the prior's units.
        time: with shape (T,).
    """
    import xarray as xr

    dims = ("realization", "time", *prior.grid.dims)
    coords = {"realization": np.arange(len(x)), "time": time} | dict(
        zip(prior.grid.dims, prior.grid.coordinates, strict=True)
    )
    fields = {}
    for channel, variable in enumerate(prior.variables):
        attrs = {k: v for k, v in vars(variable).items() if k != "name" and v}
        fields[variable.name] = (dims, x[:, channel].astype(np.float32), attrs)
    out = xr.Dataset(fields, coords, {"Conventions": "CF-1.11"})
    for name, attrs in COORDINATES.items():
        if name in out.coords:
            out[name].attrs.update(attrs)
    for name, period in zip(prior.grid.dims, prior.grid.periods, strict=True):
        if period is not None:
            out[name].attrs["period"] = period
    return out


def posterior_dataset(result: "Reconstruction", prior: Prior, obs, facts: dict) -> "xr.Dataset":
    """A reconstruction as xarray in the units of the sensors: the whole window in model time, so that an initial state
    follows from later sensors; with dates, cut to the frames that the tables span, or whole windows of measurements.

    Arguments:
        result: windows in time order; its members have the shape (W, K, C, T, *S).
        obs: as for `sciml_diffusion.posterior`.
        facts: attributes to record.
    """
    from .observations.measurement import parts_of

    count, members = result.log_weights.shape
    x = result.x.numpy()
    x = np.moveaxis(x, 0, 2).reshape(members, x.shape[2], -1, *x.shape[4:])
    time = result.time.reshape(-1)
    window = np.repeat(np.arange(count), result.time.shape[1])
    measured, tables = parts_of(obs)
    moments = [table["time"].values for table in tables]
    whole = bool(measured) or time.dtype.kind != "M"
    keep = np.arange(len(time)) if whole else _spanned(time, np.concatenate(moments))
    out = fields_dataset(x[:, :, keep], time[keep], prior)
    weights = result.log_weights.softmax(1).numpy()
    log_weights = result.log_weights.numpy()
    out["log_weight"] = (
        ("realization", "time"),
        log_weights.T[:, window[keep]],
        {"long_name": "log-weight, unnormalised"},
    )
    out["weight"] = (
        ("realization", "time"),
        weights.T[:, window[keep]],
        {"long_name": "weight of a member", "units": "1"},
    )
    out["ess"] = ("time", result.diagnostics["ess"][window[keep]], {"long_name": "effective sample size", "units": "1"})
    out = out.assign_coords(window=("time", window[keep], {"long_name": "number of the assimilation window"}))
    for name in ("roots", "family_ess", "log_evidence", "noise_scale_mean"):
        if np.isfinite(result.diagnostics[name]).any():
            out[name] = (
                "time",
                result.diagnostics[name][window[keep]],
                {"long_name": f"{name.replace('_', ' ')} of the window"},
            )
    facts = facts | {"network_calls": result.network_calls, "operator_calls": result.operator_calls}
    if any(result.choices):
        facts["choice"] = in_words(result.choices)
    for table in reversed(tables):  # the first one has the last word
        out = _in_units(out, table, [variable.name for variable in prior.variables])
    return out.assign_attrs({k: v for k, v in facts.items()} | {"prior": str(prior.card.get("name", ""))})


def in_words(choices: tuple[str, ...]) -> str:
    """What was chosen for each window, equal choices once, the most frequent first."""
    counts = {choice: choices.count(choice) for choice in choices if choice}
    if len(counts) == 1:
        return next(iter(counts))
    order = sorted(counts, key=lambda choice: -counts[choice])
    return "; ".join(f"{choice} [{counts[choice]} of {len(choices)} windows]" for choice in order)


def _spanned(time: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Frames from the last one at or before the first observation to the first one at or after the last."""
    first = np.searchsorted(time, observed.min(), "right") - 1
    last = np.searchsorted(time, observed.max(), "left")
    return np.arange(max(first, 0), min(last + 1, len(time)))


def _in_units(out: "xr.Dataset", obs: "xr.Dataset", names: list[str]) -> "xr.Dataset":
    """The fields in the units of the sensors that observed them; a table of one field may leave its name out."""
    import json

    from .observations.table import convert_units

    for name, units in json.loads(obs.attrs.get("units", "{}")).items():
        name = name or (names[0] if len(names) == 1 else "")
        if name in names and units and units != out[name].attrs.get("units", units):
            attrs = out[name].attrs | {"units": units}
            out[name] = (
                out[name]
                .copy(data=convert_units(out[name].values, out[name].attrs["units"], units))
                .assign_attrs(attrs)
            )
    return out
