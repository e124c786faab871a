"""neuraloperator's small data sets: torch files of a dictionary with x and y, and for Burgers visc.

Burgers: x (N, X), y (N, T, X) with y[:, 0] = x, t in [0, 1], x_j = j / X, every X-th part of a finer solution. Darcy: x
(N, S, S) of booleans, a = 12 where true and 3 elsewhere, y (N, S, S), rescaled, so that the equation holds only up to
factors. Only tensors are loaded (weights_only); what would run code is refused.
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from ..on_disk import on_disk, outer
from ..probe import Probe
from ..torch_files import load_torch
from .pieces import space_coordinate, steady, time_coordinate

TITLE = "neuraloperator: a .pt dictionary with x and y"


def recognises(probe: Probe) -> bool:
    """Whether x and y are (N, X) and (N, T, X), or both (N, S, S)."""
    x, y = probe.torch.get("x", ()), probe.torch.get("y", ())
    return (len(x), len(y)) in {(2, 3), (3, 3)} and x[0] == y[0] and x[-1] == y[-1]


def read(path: Path, equation: str | None = None, duration: float = 1.0) -> xr.Dataset:
    """Burgers: u (sample, time, x). Darcy: a and u, or f and vorticity: (sample, time, x, y) with one time.

    Arguments:
        path: of the file.
        equation: "darcy" or "navier-stokes" (forcing to vorticity), where x is not boolean and the file does not tell.
        duration: last time of Burgers; 1 in the format.

    Raises:
        ValueError: a file that would run code or is damaged; x and y are missing or do not fit each other; frames that
            do not begin with x; an unknown equation.
    """
    content = load_torch(path)
    x, y = content.get("x"), content.get("y")
    if not (isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor)):
        raise ValueError(f"{path} lacks the tensors x and y; it has {', '.join(map(str, content)) or 'nothing'}")
    if not recognises(Probe(path)):
        raise ValueError(
            f"{path}: x and y of shapes (N, X) and (N, T, X), or both (N, S, S), were expected; got {tuple(x.shape)} "
            f"and {tuple(y.shape)}"
        )
    if x.ndim == 2:
        return _burgers(path, content, duration)
    if x.dtype == torch.bool and equation is None:
        equation = "darcy"
    if equation not in ("darcy", "navier-stokes"):
        raise ValueError(f'{path} does not tell its equation; give equation="darcy" or "navier-stokes"')
    first, second = ("a", "u") if equation == "darcy" else ("f", "vorticity")
    layout, coords = ("sample", "x", "y"), {"sample": np.arange(len(y)), "time": time_coordinate([0.0])}
    closes = 1.0 if equation == "navier-stokes" else None
    for axis, points in zip("xy", y.shape[1:], strict=True):
        coords[axis] = space_coordinate(axis, np.arange(points) / points, closes)
    data = {
        first: steady(path, _field(path, "x", layout, x, "coefficient" if first == "a" else "forcing")),
        second: steady(path, _field(path, "y", layout, y, "solution" if second == "u" else "vorticity")),
    }
    facts = {
        "darcy": ("-div(a grad u) = 1, up to factors: a = 12 where 1 and 3 where 0, u is rescaled", "u = 0 on the rim"),
        "navier-stokes": ("f to w at a later time, up to factors", "periodic"),
    }[equation]
    attrs = {"title": f"neuraloperator {equation}", "equation": facts[0], "boundary": facts[1]}
    return xr.Dataset(data, coords, attrs | {"positions": "not in the file: j / S"})


def _burgers(path: Path, content: dict, duration: float) -> xr.Dataset:
    """Frames that begin with x."""
    x, y = content["x"], content["y"]
    if not duration > 0:
        raise ValueError(f"duration is a number > 0; got {duration}")
    if not torch.equal(y[:, 0].clone(), x.clone()):
        raise ValueError(f"{path}: y[:, 0] is not x, so that the axes of y are not (sample, time, x)")
    points = x.shape[1]
    coords = {"sample": np.arange(len(x)), "time": time_coordinate(np.linspace(0.0, duration, y.shape[1]))}
    coords["x"] = space_coordinate("x", np.arange(points) / points, 1.0)
    attrs = {"title": "neuraloperator Burgers", "equation": "u_t + u u_x = nu u_xx", "boundary": "periodic"}
    viscosity = content.get("visc")
    if isinstance(viscosity, torch.Tensor) and viscosity.numel() == 1:
        attrs["nu"] = float(viscosity)
    u = _field(path, "y", ("sample", "time", "x"), y, "velocity")
    return xr.Dataset({"u": u}, coords, attrs)


def _field(path: Path, name: str, dims: tuple[str, ...], tensor: torch.Tensor, text: str) -> xr.Variable:
    """A lazy float32 variable of a tensor in the file."""
    return on_disk(dims, path, tuple(tensor.shape), partial(_read, path, name), {"units": "1", "long_name": text})


def _read(path: Path, name: str, key: tuple) -> np.ndarray:
    """Part of a tensor, as a copy (`outer` makes one): a view would keep the whole file that it looks into."""
    return outer(load_torch(path)[name].numpy(), key)
