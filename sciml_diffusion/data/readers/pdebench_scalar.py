"""PDEBench (Takamoto et al. 2022), scalar equations in 1-D: HDF5 with tensor (N, T, X), x-coordinate, t-coordinate.

Advection u_t + beta u_x = 0, Burgers u_t + (u^2/2)_x = (Nu/pi) u_xx, reaction-diffusion u_t - Nu u_xx = rho u (1 - u);
which one is told by the attributes of the file. Values are averages over cells whose centres are the x-coordinate; all
three are periodic. t-coordinate has one entry more than there are frames.
"""

import math
from pathlib import Path

import numpy as np
import xarray as xr

from ..probe import Probe
from .pieces import hdf5_field, of_split, space_coordinate, time_coordinate

TITLE = "PDEBench 1-D advection, Burgers, reaction-diffusion: HDF5 with tensor, x-coordinate, t-coordinate"
KEYS = {"tensor", "x-coordinate", "t-coordinate"}


def recognises(probe: Probe) -> bool:
    """Whether it has the three datasets, with a tensor of three axes."""
    return probe.hdf5.keys() >= KEYS and len(probe.hdf5["tensor"] or ()) == 3


def read(path: Path, split: str | None = None, parameters: dict | None = None) -> xr.Dataset:
    """u (sample, time, x), with the parameters of the equation.

    Arguments:
        path: of the file.
        split: "test" (the first tenth, as PDEBench has it), "train" (the others) or None (all).
        parameters: beta, or Nu, or Nu and rho, where the file does not state them; they decide the equation.

    Of Burgers the attribute `nu` is the viscosity, Nu / pi, and `Nu` the number by which PDEBench names the file.

    Raises:
        ValueError: datasets are missing, hold no real numbers, or do not fit each other; another split; unknown
            parameters.
    """
    stated, coordinates, frames = look(path, KEYS, ("x",))
    wrong = set(parameters or {}) - {"beta", "Nu", "rho"}
    if wrong:
        raise ValueError(f"the parameters are beta, or Nu, or Nu and rho; got {', '.join(sorted(wrong))}")
    u = hdf5_field(path, "tensor", ("sample", "time", "x"), {"units": "1", "long_name": "u"})
    coords = {"sample": np.arange(u.sizes["sample"]), "time": time_coordinate(frames(u.sizes["time"]))}
    x = coordinates["x"]
    coords["x"] = space_coordinate("x", x, cell_period(path, "x", x, u.sizes["x"]))
    attrs = {"title": "PDEBench trajectories", "boundary": "periodic", "grid": "cell centres; values are cell averages"}
    return of_split(xr.Dataset({"u": u}, coords, attrs | _equation(stated | (parameters or {}))), split)


def look(path: Path, keys: set[str], axes: tuple[str, ...]):
    """Attributes (as numbers), coordinates of the axes, and a function from a number of frames to their times.

    Arguments:
        path: of the file.
        keys: datasets that it must have.
        axes: names of the spatial axes.

    Raises:
        ValueError: a dataset is missing or holds no real numbers; on use of the function, fewer times than frames.
    """
    import h5py

    with h5py.File(path, "r") as file:
        missing = keys - set(file)
        if missing:
            raise ValueError(f"{path} lacks {', '.join(sorted(missing))}; it has {', '.join(file)}")
        for name in sorted(keys):
            kind = getattr(file[name], "dtype", None)
            if kind is None or kind.kind not in "iuf":
                raise ValueError(f"{path}: {name} holds {kind or 'a group'}; real numbers are needed")
        stated = {name: float(np.ravel(value)[0]) for name, value in file.attrs.items() if _is_number(value)}
        coordinates = {axis: np.asarray(file[f"{axis}-coordinate"][()], np.float64) for axis in axes}
        times = np.asarray(file["t-coordinate"][()], np.float64) if "t-coordinate" in file else np.zeros(1)

    def frames(count: int) -> np.ndarray:
        if len(times) not in (count, count + 1):
            raise ValueError(f"{path} has {count} frames and {len(times)} times; {count} or {count + 1} were expected")
        return times[:count]

    return stated, coordinates, frames


def cell_period(path: Path, axis: str, values: np.ndarray, size: int) -> float:
    """Length of a periodic axis from its cell centres.

    Raises:
        ValueError: another number of positions than cells.
    """
    if len(values) != size or size < 2:
        raise ValueError(f"{path}: {axis}-coordinate has {len(values)} positions, the fields have {size} cells there")
    return abs(values[-1] - values[0]) * size / (size - 1)


def _equation(stated: dict[str, float]) -> dict:
    """Equation and parameters from the numbers that the file states."""
    if "beta" in stated:
        return {"equation": "u_t + beta u_x = 0", "beta": stated["beta"]}
    if "Nu" in stated and "rho" in stated:
        numbers = {"nu": stated["Nu"], "Nu": stated["Nu"], "rho": stated["rho"]}
        return {"equation": "u_t - nu u_xx = rho u (1 - u)"} | numbers
    if "Nu" in stated:
        return {"equation": "u_t + (u^2/2)_x = nu u_xx", "nu": stated["Nu"] / math.pi, "Nu": stated["Nu"]}
    return {"equation": "not stated in the file; give parameters={'beta': ...}, {'Nu': ...} or {'Nu': ..., 'rho': ...}"}


def _is_number(value) -> bool:
    return np.size(value) == 1 and np.asarray(value).dtype.kind in "iuf"
