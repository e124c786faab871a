"""Burgers of PINO (Li et al. 2024) and DiffusionPDE (Huang et al. 2024): MATLAB files with input and output.

u_t + u u_x = nu u_xx for t in [0, 1], periodic on [0, 1), x_j = j / X. input (N, X) is the initial state, output the
frames: (N, T, X) or, as DiffusionPDE's text says, (N, X, T). The order is told by where output repeats input.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from ..matlab import matlab_field, small
from ..probe import Probe
from .pieces import joined, space_coordinate, time_coordinate

TITLE = "PINO and DiffusionPDE Burgers: MATLAB files with input and output[, visc]"
SAME = 1e-5  # relative difference of equal states, of which one may have been stored as float32


def recognises(probe: Probe) -> bool:
    """Whether it has input with two axes and output with three."""
    return (len(probe.matlab.get("input", ())), len(probe.matlab.get("output", ()))) == (2, 3)


def read(path: Path, axes: str | None = None, viscosity: float | None = None, duration: float = 1.0) -> xr.Dataset:
    """u (sample, time, x). Where output begins after the initial state, as in PINO's old files, input is put first.

    Arguments:
        path: of the file.
        axes: "tx" or "xt", the order of the last two axes of output, where it cannot be found out.
        viscosity: where the file has no visc (DiffusionPDE: 0.01).
        duration: last time; 1 in both formats.

    Raises:
        ValueError: arrays are missing or do not fit each other, the order of axes remains open, or a duration not > 0.
    """
    shapes = Probe(path).matlab
    if not {"input", "output"} <= shapes.keys():
        raise ValueError(f"{path} lacks input and output; it has {', '.join(shapes) or 'no arrays'}")
    if not duration > 0:
        raise ValueError(f"duration is a number > 0; got {duration}")
    samples, points = shapes["input"]
    axes, included = _order(path, shapes, axes)
    layout = ("sample", *({"t": "time", "x": "x"}[axis] for axis in axes))
    u = matlab_field(path, "output", layout, {"units": "1", "long_name": "velocity"})
    if not included:
        u = joined(path, matlab_field(path, "input", ("sample", "x")), u)
    times = np.linspace(0.0, duration, u.sizes["time"])
    coords = {"sample": np.arange(samples), "time": time_coordinate(times)}
    coords["x"] = space_coordinate("x", np.arange(points) / points, 1.0)
    visc = small(path, "visc")
    nu = viscosity if viscosity is not None else (float(visc[0]) if len(visc) else None)
    attrs = {"title": "Burgers trajectories", "equation": "u_t + u u_x = nu u_xx", "boundary": "periodic"}
    attrs |= {"nu": nu} if nu is not None else {}
    return xr.Dataset({"u": u}, coords, attrs).transpose("sample", "time", "x")


def _order(path: Path, shapes: dict, axes: str | None) -> tuple[str, bool]:
    """The order of axes of output, and whether its first frame is the initial state."""
    (samples, points), output = shapes["input"], shapes["output"]
    possible = [order for order in ("tx", "xt") if output[1 + order.index("x")] == points and output[0] == samples]
    if axes is not None:
        if axes not in ("tx", "xt"):
            raise ValueError(f'axes is "tx" or "xt"; got {axes!r}')
        possible = [order for order in possible if order == axes]
    if not possible:
        wanted = f"axes={axes!r}: " if axes else ""
        raise ValueError(
            f"{path}: {wanted}output of shape ({samples}, T, {points}) or ({samples}, {points}, T) was expected for "
            f"input of shape {shapes['input']}; got {output}"
        )
    some = slice(min(3, samples))
    initial = matlab_field(path, "input", ("sample", "x"))[some].values
    scale = SAME * max(float(np.abs(initial).max()), 1e-30)
    starts = {"tx": ("sample", 0, "x"), "xt": ("sample", "x", 0)}
    begins = [
        order
        for order in possible
        if np.abs(matlab_field(path, "output", starts[order])[some].values - initial).max() <= scale
    ]
    if len(begins) == 1:
        return begins[0], True
    if len(possible) == 1:
        return possible[0], bool(begins)
    raise ValueError(
        f"{path}: output of shape {output} repeats input {'in both orders' if begins else 'nowhere'}, so that time and "
        'space cannot be told apart; give axes="tx" or axes="xt"'
    )
