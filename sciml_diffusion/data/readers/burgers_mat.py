"""Burgers of PINO (Li et al. 2024) and DiffusionPDE (Huang et al. 2024): MATLAB files with input and output.

u_t + u u_x = nu u_xx for t in [0, 1], periodic on [0, 1), x_j = j / X. input (N, X) is the initial state, output the
frames: (N, T, X) or, as DiffusionPDE's text says, (N, X, T). The order is told by where output repeats input. In PINO's
old files output begins one interval after input, which is then put before it where the frames follow from it.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from ..axis_order import follows_burgers
from ..matlab import matlab_field, small
from ..probe import Probe
from .pieces import joined, space_coordinate, time_coordinate

TITLE = "PINO and DiffusionPDE Burgers: MATLAB files with input and output[, visc]"
SAME = 1e-5  # relative difference of equal states, of which one may have been stored as float32
STEADY = 3.0  # the change from input to the first frame, over that to the next: diffusion slows it down by less
RELATED = 0.8  # that change over the variation of input; states that have nothing in common differ by about 1.4


def recognises(probe: Probe) -> bool:
    """Whether it has input with two axes and output with three."""
    return (len(probe.matlab.get("input", ())), len(probe.matlab.get("output", ()))) == (2, 3)


def read(
    path: Path,
    axes: str | None = None,
    viscosity: float | None = None,
    duration: float = 1.0,
    join: bool | None = None,
) -> xr.Dataset:
    """u (sample, time, x). Where output begins after the initial state, as in PINO's old files, input is put first.

    Arguments:
        path: of the file.
        axes: "tx" or "xt", the order of the last two axes of output, where it cannot be found out.
        viscosity: where the file has no visc (DiffusionPDE: 0.01).
        duration: last time; 1 in both formats.
        join: whether input is the state one interval before output (True), or output begins at t = 0 (False), where
            it cannot be found out.

    Raises:
        ValueError: arrays are missing or do not fit each other, the order of axes remains open, output neither repeats
            nor continues input, or a duration not > 0.
    """
    shapes = Probe(path).matlab
    if not {"input", "output"} <= shapes.keys():
        raise ValueError(f"{path} lacks input and output; it has {', '.join(shapes) or 'no arrays'}")
    if not duration > 0:
        raise ValueError(f"duration is a number > 0; got {duration}")
    samples, points = shapes["input"]
    visc = small(path, "visc")
    nu = viscosity if viscosity is not None else (float(visc[0]) if len(visc) else None)
    axes, included = _order(path, shapes, axes)
    layout = ("sample", *({"t": "time", "x": "x"}[axis] for axis in axes))
    u = matlab_field(path, "output", layout, {"units": "1", "long_name": "velocity"})
    if join is None and not included:
        _check_continues(path, matlab_field(path, "input", ("sample", "x")), u, duration, nu)
    if join or (join is None and not included):
        u = joined(path, matlab_field(path, "input", ("sample", "x")), u)
    times = np.linspace(0.0, duration, u.sizes["time"])
    coords = {"sample": np.arange(samples), "time": time_coordinate(times)}
    coords["x"] = space_coordinate("x", np.arange(points) / points, 1.0)
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


def _check_continues(path: Path, initial: xr.Variable, frames: xr.Variable, duration: float, nu: float | None) -> None:
    """Raises ValueError where the frames do not seem to follow from the initial state.

    With a viscosity the first interval is solved. Else it may not change the state by much more than the next one.
    """
    some, count = slice(min(3, initial.shape[0])), frames.sizes["time"]
    before = initial[some].values.astype(np.float64)
    later = frames.isel(sample=some, time=slice(2)).transpose("sample", "time", "x").values.astype(np.float64)
    follows = follows_burgers(before, later[:, 0], duration / count, nu) if nu is not None else None
    if follows is None and count > 1:
        first, second = (np.linalg.norm(one) for one in (later[:, 0] - before, later[:, 1] - later[:, 0]))
        varies = np.linalg.norm(before - before.mean(axis=1, keepdims=True))
        follows = bool(first <= STEADY * second and first <= RELATED * varies)
    if not follows:
        how = f"with nu = {nu:g}" if nu is not None else "by the size of its changes"
        raise ValueError(
            f"{path}: output neither begins with input nor continues it ({how}); is input the state one interval "
            "before output? Give join=True if so, join=False if output begins at t = 0 and input is no part of it"
        )
