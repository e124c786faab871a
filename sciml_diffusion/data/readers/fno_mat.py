"""The Fourier neural operator's data (Li et al. 2020): MATLAB files of Burgers, Darcy and Navier-Stokes.

Burgers: a and u (N, X), the states at 0 and at T = 1 on x_j = j / X. Darcy: coeff and sol (N, S, S). Navier-Stokes: a
(N, X, Y), vorticity at 0, and u (N, X, Y, T), where the first frame of u comes one interval after a; periodic unit
square, forced by 0.1 (sin 2 pi (x + y) + cos 2 pi (x + y)). Written as v7.3 by some programs and read by others, files
of Navier-Stokes go about with x and y exchanged, which no shape tells: the first interval is solved in both orders.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from ..axis_order import fno_forcing, navier_stokes_order
from ..matlab import matlab_field, small
from ..probe import Probe
from .pieces import joined, space_coordinate, steady, time_coordinate, written

TITLE = "FNO: MATLAB files with a and u, or coeff and sol"
VISCOSITIES = (1e-3, 1e-4, 1e-5)  # of the published files; their names say which
ORDERS = ("xy", "yx")


def recognises(probe: Probe) -> bool:
    """Whether it has a and u with 2 axes (Burgers), or 3 and 4 (Navier-Stokes), or coeff and sol."""
    shapes = probe.matlab
    if {"coeff", "sol"} <= shapes.keys():
        return True
    return (len(shapes.get("a", ())), len(shapes.get("u", ()))) in {(2, 2), (3, 4)}


def read(path: Path, viscosity: float | None = None, axes: str | None = None, dt: float | None = None) -> xr.Dataset:
    """Burgers: u (sample, time, x). Darcy: a and u (sample, time, x, y). Navier-Stokes: vorticity (sample, time, x, y).

    Arguments:
        path: of the file.
        viscosity: of Burgers or Navier-Stokes (the file does not hold it); with it the order of x and y of
            Navier-Stokes is found, without it by trying 1e-3, 1e-4 and 1e-5.
        axes: "xy" or "yx", the order of space in a and u, where it cannot be found out; then nothing is checked.
        dt: time between frames of Navier-Stokes, where the file has no t; FNO's own have 1.

    Raises:
        ValueError: arrays are missing or do not fit each other; the order of x and y remains open; no times.
    """
    shapes = Probe(path).matlab
    if axes not in (None, *ORDERS):
        raise ValueError(f'axes is "xy" or "yx"; got {axes!r}')
    if {"coeff", "sol"} <= shapes.keys():
        return darcy(path, "coeff", "sol", "FNO Darcy flow")
    if not {"a", "u"} <= shapes.keys():
        raise ValueError(f"{path} lacks a and u (or coeff and sol); it has {', '.join(shapes) or 'no arrays'}")
    if len(shapes["a"]) == 2 and shapes["a"] == shapes["u"]:
        return _burgers(path, shapes["u"], viscosity)
    return _navier_stokes(path, shapes["a"], shapes["u"], viscosity, axes, dt)


def darcy(path: Path, coefficient: str, solution: str, title: str) -> xr.Dataset:
    """-div(a grad u) = 1 on the unit square from two arrays (N, S, S) of a MATLAB file, as `a` and `u`.

    Where the solution vanishes on the rim the points are nodes, both ends included; else they are cell centres, for the
    generator's scheme moves solutions from nodes to centres in the end. Both arrays have x and y in the same order, so
    that the equation holds whichever is first.

    Raises:
        ValueError: arrays of other or unequal shapes.
    """
    shapes = Probe(path).matlab
    if len(shapes[solution]) != 3 or shapes[coefficient] != shapes[solution]:
        got = f"{shapes[coefficient]} and {shapes[solution]}"
        raise ValueError(f"{path}: {coefficient} and {solution} of one shape (N, S, S) were expected; got {got}")
    layout = ("sample", "x", "y")
    a = matlab_field(path, coefficient, layout, {"units": "1", "long_name": "coefficient"})
    u = matlab_field(path, solution, layout, {"units": "1", "long_name": "solution"})
    coords = {"sample": np.arange(u.sizes["sample"]), "time": time_coordinate(np.zeros(1))}
    nodes = _vanishes_on_the_rim(u[0].values)
    for axis in ("x", "y"):
        points = u.sizes[axis]
        values = np.linspace(0.0, 1.0, points) if nodes else (np.arange(points) + 0.5) / points
        coords[axis] = space_coordinate(axis, values)
    attrs = {
        "title": title,
        "equation": "-div(a grad u) = 1",
        "boundary": "u = 0 on the rim of the unit square",
        "grid": "nodes, both ends included" if nodes else "cell centres",
    } | ({"points": "nodes", "faces": "arithmetic"} if nodes else {"points": "cells"})
    return xr.Dataset({"a": steady(path, a), "u": steady(path, u)}, coords, attrs)


def _burgers(path: Path, shape: tuple[int, ...], viscosity: float | None) -> xr.Dataset:
    """Initial and final state of u_t + u u_x = nu u_xx."""
    points = shape[1]
    attrs = {"units": "1", "long_name": "velocity"}
    last = steady(path, matlab_field(path, "u", ("sample", "x"), attrs))
    u = joined(path, matlab_field(path, "a", ("sample", "x")), last)
    coords = {"sample": np.arange(shape[0]), "time": time_coordinate([0.0, 1.0])}
    coords["x"] = space_coordinate("x", np.arange(points) / points, 1.0)
    facts = {"title": "FNO Burgers", "equation": "u_t + u u_x = nu u_xx", "boundary": "periodic"}
    return xr.Dataset({"u": u}, coords, facts | ({"nu": viscosity} if viscosity is not None else {}))


def _navier_stokes(path: Path, initial: tuple, frames: tuple, viscosity, axes, dt) -> xr.Dataset:
    """Vorticity with its initial state, in the order of axes in which it solves the equation."""
    if len(frames) != 4 or frames[:3] != initial:
        raise ValueError(f"{path}: a (N, X, Y) and u (N, X, Y, T) were expected; got {initial} and {frames}")
    times = _times(path, frames[3], dt)
    axes = axes or _order(path, min(2, initial[0]), times[1], viscosity)
    layout = ("sample", *axes)
    rest = matlab_field(path, "u", (*layout, "time"), {"units": "1", "long_name": "vorticity"})
    w = joined(path, matlab_field(path, "a", layout), rest)
    coords = {"sample": np.arange(initial[0]), "time": time_coordinate(times)}
    for axis, points in zip(layout[1:], initial[1:], strict=True):
        coords[axis] = space_coordinate(axis, np.arange(points) / points, 1.0)
    attrs = {
        "title": "FNO Navier-Stokes",
        "equation": "w_t + v.grad w = nu lap w + f, w = curl v, div v = 0, f = 0.1 (sin 2 pi (x+y) + cos 2 pi (x+y))",
        "boundary": "periodic",
    } | ({"nu": viscosity} if viscosity is not None else {})
    return xr.Dataset({"vorticity": w}, coords, attrs).transpose("sample", "time", ...)


def _order(path: Path, samples: int, interval: float, viscosity: float | None) -> str:
    """The order of x and y in which the first interval of some samples solves the equation, "xy" or "yx"."""
    layout = ("sample", "first", "second")
    before = matlab_field(path, "a", layout)[:samples].values
    after = matlab_field(path, "u", (*layout, 0))[:samples].values
    axes = navier_stokes_order(before, after, interval, VISCOSITIES if viscosity is None else (viscosity,), fno_forcing)
    if axes is None:
        tried = "1e-3, 1e-4 and 1e-5" if viscosity is None else f"{viscosity:g}"
        hint = ", or viscosity= where it is another" if viscosity is None else ", or check viscosity= and dt="
        raise ValueError(
            f"{path}: the first interval ({interval:g}), solved with space as (x, y) and as (y, x) for viscosity "
            f'{tried}, does not tell which order the file has; give axes="xy" or axes="yx"{hint}'
        )
    return axes


def _times(path: Path, count: int, dt: float | None) -> np.ndarray:
    """0 and the times of the frames, which begin one interval later."""
    times = small(path, "t")
    if dt is None and len(times) == count and times[0] > 0:
        return np.concatenate([[0.0], times])
    if dt is None or not dt > 0:
        raise ValueError(
            f"{path} has {len(times)} times for {count} frames (or one at 0); give dt= > 0, the time between frames "
            f"and from a to the first of them (FNO's own files have 1), {written(dt=1)}"
        )
    return dt * np.arange(count + 1)


def _vanishes_on_the_rim(u: np.ndarray) -> bool:
    """Whether a field (S, S) is zero on its rim, to what float32 holds."""
    rim = max(np.abs(u[[0, -1]]).max(), np.abs(u[:, [0, -1]]).max())
    return bool(rim <= 1e-6 * max(np.abs(u).max(), 1e-30))
