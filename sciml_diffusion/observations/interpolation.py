"""Linear interpolation on rectilinear axes: which grid points a point lies between, and with which weights."""

import itertools

import numpy as np

LONGITUDES = ("longitude", "lon")
EDGE = 1e-4  # of a grid spacing: sensors on the edge of the domain may miss it by the rounding of float32 coordinates


def corners(dims, coordinates, periods, points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The corners of every point's cell, for linear interpolation.

    Arguments:
        dims: names of the axes; longitudes match modulo 360.
        coordinates: increasing or decreasing, one array for each axis.
        periods: of each axis, or None.
        points: positions along each axis, each with shape (m,).

    Returns:
        Indices into the flattened axes and weights, both with shape (m, p) and p <= 2^d, and which points lie outside,
        with shape (m,).
    """
    brackets = [_bracket(*axis) for axis in zip(dims, coordinates, periods, points, strict=True)]
    sizes = tuple(len(c) for c in coordinates)
    index, weight = [], []
    for corner in itertools.product((0, 1), repeat=len(dims)):
        index.append(np.ravel_multi_index([b[side] for b, side in zip(brackets, corner, strict=True)], sizes))
        weight.append(np.prod([b[2] if side else 1 - b[2] for b, side in zip(brackets, corner, strict=True)], axis=0))
    index, weight = np.stack(index, 1), np.stack(weight, 1)
    # corners without weight go last, and are cut where every point has them
    order = np.argsort(weight == 0, axis=1, kind="stable")
    used = max(1, int((weight != 0).sum(1).max(initial=1)))
    index, weight = (np.take_along_axis(a, order, 1)[:, :used] for a in (index, weight))
    return index, weight, np.logical_or.reduce([b[3] for b in brackets])


def _bracket(dim: str, coordinate, period: float | None, points) -> tuple[np.ndarray, ...]:
    """The two grid points around each point: indices, weight of the second, and which points lie outside; all (m,)."""
    c, p = np.asarray(coordinate, np.float64), np.asarray(points, np.float64)
    n = len(c)
    if n > 1 and c[0] > c[-1]:
        c, p = -c, -p
    if period is not None:
        p, c = c[0] + np.mod(p - c[0], period), np.append(c, c[0] + period)
    edge = EDGE * ((c[-1] - c[0]) / (len(c) - 1) if len(c) > 1 else 1.0)
    if period is None and dim in LONGITUDES:
        p = c[0] - edge + np.mod(p - c[0] + edge, 360.0)
    outside = ~((p >= c[0] - edge) & (p <= c[-1] + edge))
    p = np.clip(np.where(outside, c[0], p), c[0], c[-1])
    if len(c) == 1:
        zero = np.zeros(len(p), dtype=np.int64)
        return zero, zero, np.zeros(len(p)), outside
    lower = np.clip(np.searchsorted(c, p, side="right") - 1, 0, len(c) - 2)
    return lower, (lower + 1) % n, (p - c[lower]) / (c[lower + 1] - c[lower]), outside


def numeric_times(frames: np.ndarray, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times of frames and observations as float64; dated ones in seconds since the first frame."""
    dated = [np.issubdtype(np.asarray(a).dtype, np.datetime64) for a in (frames, moments)]
    if dated[0] != dated[1]:
        kinds = ["dates" if d else "model time" for d in dated]
        raise ValueError(
            f"the frames have {kinds[0]} but the table has {kinds[1]}; write the table's times like the frames'"
        )
    if not dated[0]:
        return np.asarray(frames, np.float64), np.asarray(moments, np.float64)
    start = frames[0].astype("datetime64[ns]")
    return tuple((a.astype("datetime64[ns]") - start) / np.timedelta64(1, "s") for a in (frames, moments))
