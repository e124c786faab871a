"""Coordinates that differ from sample to sample, where the container has one axis for all."""

import numpy as np
import xarray as xr


def shared_times(times: np.ndarray, units: str = "") -> dict[str, xr.Variable]:
    """One axis `time` for all samples, and what differs between them as a variable over the samples.

    Times that are the same for all stay as they are. Where only the starts differ, the axis counts from each start and
    `start_time(sample)` holds the starts. Else the axis holds frame numbers, and `model_time(sample, time)` the times.

    Arguments:
        times: with shape (T,) or (N, T).
        units: of the times, where they are known.

    Raises:
        ValueError: times of another shape, that are not finite, or that do not increase.
    """
    times = np.asarray(times, dtype=np.float64)
    if times.ndim not in (1, 2) or times.shape[-1] == 0:
        raise ValueError(f"times must have shape (T,) or (N, T), got {times.shape}")
    if not np.isfinite(times).all() or (np.diff(times, axis=-1) <= 0).any():
        raise ValueError("the times are not finite or do not increase")
    attrs = {"units": units} if units else {}
    rows = np.atleast_2d(times)
    if _same(rows, rows[:1]):
        return {"time": xr.Variable("time", rows[0], attrs)}
    elapsed = rows - rows[:, :1]
    if _same(elapsed, elapsed[:1]):
        return {
            "time": xr.Variable("time", elapsed[0], attrs | {"long_name": "time since the start of the sample"}),
            "start_time": xr.Variable("sample", rows[:, 0], attrs | {"long_name": "time of the first frame"}),
        }
    return {
        "time": xr.Variable("time", np.arange(rows.shape[1], dtype=np.float64), {"long_name": "frame number"}),
        "model_time": xr.Variable(("sample", "time"), rows, attrs | {"long_name": "time of the frame"}),
    }


def cells(count: int, length: np.ndarray | float, dim: str, offset: float = 0.0) -> dict[str, xr.Variable]:
    """A periodic axis of equal cells, (i + offset) L / n; where L differs by sample, in shares of `length(sample)`.

    Arguments:
        count: n cells.
        length: L, one number or one for each sample, shape (N,).
        dim: name of the axis.
        offset: 0 for points that begin at the origin, 0.5 for centres of cells.
    """
    length = np.atleast_1d(np.asarray(length, dtype=np.float64))
    if not np.isfinite(length).all() or (length <= 0).any():
        raise ValueError(f"the length of the axis {dim} must be positive, got {length.min():g}")
    shares = (np.arange(count) + offset) / count
    if _same(length[:, None], length[:1, None]):
        values = shares * length[0]
        return {dim: xr.Variable(dim, values, {"period": float(length[0])})}
    return {
        dim: xr.Variable(dim, shares, {"period": 1.0, "long_name": f"{dim} over the length of the sample"}),
        f"length_{dim}": xr.Variable("sample", length, {"long_name": f"length of the axis {dim}"}),
    }


def _same(values: np.ndarray, first: np.ndarray) -> bool:
    """Equal to what float32 can tell apart."""
    scale = max(np.abs(values).max(), np.abs(np.diff(values, axis=-1)).max(initial=0.0), 1e-30)
    return bool(np.abs(values - first).max() <= 1e-5 * scale)
