"""DiffusionPDE (Huang et al. 2024), steady problems on the unit square: MATLAB files of Darcy, Poisson, Helmholtz.

Darcy: thresh_a_data, thresh_p_data (coefficients 3 and 12) or lognorm_a_data, lognorm_p_data. Poisson: f_data and
phi_data, lap u = f. Helmholtz: f_data and psi_data, lap u + k^2 u = f with k = 1. Each array is (N, S, S); Poisson and
Helmholtz are on nodes, both ends included, with u = 0 on the rim.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from ..matlab import matlab_field
from ..probe import Probe
from .fno_mat import darcy
from .pieces import space_coordinate, steady, time_coordinate

TITLE = "DiffusionPDE: MATLAB files with thresh_a_data or lognorm_a_data, or f_data with phi_data or psi_data"
DARCY = {"thresh": ("thresh_a_data", "thresh_p_data"), "lognormal": ("lognorm_a_data", "lognorm_p_data")}
SOURCES = {"phi_data": "lap u = f", "psi_data": "lap u + k^2 u = f"}


def recognises(probe: Probe) -> bool:
    """Whether it has a coefficient or a source and its solution."""
    names = probe.matlab.keys()
    return any(names >= set(pair) for pair in DARCY.values()) or any({"f_data", name} <= names for name in SOURCES)


def read(path: Path, coefficient: str = "thresh", k: float = 1.0) -> xr.Dataset:
    """Darcy: a and u; else f and u: (sample, time, x, y) with the one time 0.

    Arguments:
        path: of the file.
        coefficient: of Darcy, "thresh" or "lognormal", where the file has both.
        k: wavenumber of Helmholtz, which the file does not hold.

    Raises:
        ValueError: arrays are missing or do not fit each other.
    """
    shapes = Probe(path).matlab
    if coefficient not in DARCY:
        raise ValueError(f'coefficient is "thresh" or "lognormal"; got {coefficient!r}')
    present = [kind for kind, pair in DARCY.items() if set(pair) <= shapes.keys()]
    if present:
        kind = coefficient if coefficient in present else present[0]
        return darcy(path, *DARCY[kind], f"DiffusionPDE Darcy flow, {kind} coefficients")
    solutions = [name for name in SOURCES if {"f_data", name} <= shapes.keys()]
    if len(solutions) != 1:
        raise ValueError(f"{path}: f_data with phi_data or psi_data was expected; it has {', '.join(shapes)}")
    solution = solutions[0]
    if len(shapes[solution]) != 3 or shapes["f_data"] != shapes[solution]:
        got = f"{shapes['f_data']} and {shapes[solution]}"
        raise ValueError(f"{path}: f_data and {solution} of one shape (N, S, S) were expected; got {got}")
    layout = ("sample", "x", "y")
    f = matlab_field(path, "f_data", layout, {"units": "1", "long_name": "source"})
    u = matlab_field(path, solution, layout, {"units": "1", "long_name": "solution"})
    coords = {"sample": np.arange(u.sizes["sample"]), "time": time_coordinate(np.zeros(1))}
    coords |= {axis: space_coordinate(axis, np.linspace(0.0, 1.0, u.sizes[axis])) for axis in ("x", "y")}
    attrs = {
        "title": f"DiffusionPDE {'Poisson' if solution == 'phi_data' else 'Helmholtz'}",
        "equation": SOURCES[solution],
        "boundary": "u = 0 on the rim of the unit square",
        "grid": "nodes, both ends included",
        "points": "nodes",
    } | ({"k": float(k)} if solution == "psi_data" else {})
    return xr.Dataset({"f": steady(path, f), "u": steady(path, u)}, coords, attrs)
