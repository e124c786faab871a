"""pdearena (Gupta and Brandstetter 2022) and its forerunner: HDF5 with one group, train, valid or test.

Navier-Stokes: u (here smoke) in the centres of cells, vx and vy (velocity_x, velocity_y) on their lower faces
(staggered), all (N, T, X, Y); t, dt, dx, dy, buo_y, x, y for each sample. The stored x ends at L although cells have
the width L / n, so it is made anew as (i + 1/2) L / n. Kuramoto-Sivashinsky: pde_T-X (N, T, X) with dt, dx, x, t for
each sample.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from ..per_sample import cells, shared_times
from ..probe import Probe
from .pieces import DIMENSIONLESS, hdf5_field

TITLE = "pdearena: HDF5 with a group of u, vx, vy (Navier-Stokes) or of pde_... (Kuramoto-Sivashinsky)"
GROUPS = ("train", "valid", "test")
FLOW = {"u": "smoke", "vx": "velocity_x", "vy": "velocity_y"}  # names in the file, and here
TEXTS = {
    "u": {"long_name": "density of smoke", "location": "centres of cells"},
    "vx": {"long_name": "velocity along x", "location": "lower faces: half a cell below the centre along x"},
    "vy": {"long_name": "velocity along y", "location": "lower faces: half a cell below the centre along y"},
}


def recognises(probe: Probe) -> bool:
    """Whether its one group holds u, vx and vy, or an array whose name begins with pde_."""
    if len(probe.hdf5) != 1 or next(iter(probe.hdf5)) not in GROUPS or next(iter(probe.hdf5.values())) is not None:
        return False
    import h5py

    with h5py.File(probe.path, "r") as file:
        names = set(file[next(iter(probe.hdf5))])
    return set(FLOW) <= names or any(name.startswith("pde_") for name in names)


def read(path: Path, group: str | None = None, array: str | None = None) -> xr.Dataset:
    """The trajectories of a file.

    Arguments:
        path: of the file.
        group: train, valid or test, where there are several.
        array: name of the array pde_..., where there are several.

    Raises:
        ValueError: groups, arrays or sizes that are missing, ambiguous or do not fit each other.
    """
    import h5py

    with h5py.File(path, "r") as file:
        group = _one(path, "group", [name for name in file if name in GROUPS], group)
        content = file[group]
        flow = set(FLOW) <= set(content)
        if not flow:
            names = [name for name in content if name.startswith("pde_")]
            missing = [name for name in FLOW if name not in content]
            if not names:
                raise ValueError(f"{path}: the group {group} lacks {', '.join(missing)} and holds no array pde_...")
            array = _one(path, "array", names, array)
        small = {name: np.asarray(item[()]) for name, item in content.items() if item.ndim < 3}
        shapes = {name: content[name].shape for name in (FLOW if flow else (array,))}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"{path}: u, vx and vy differ in shape: {shapes}")
    shape = next(iter(shapes.values()))
    if len(shape) != (4 if flow else 3):
        raise ValueError(f"{path}: shapes are {shapes}, expected {'(N, T, X, Y)' if flow else '(N, T, X)'}")
    return _flow(path, group, shape, small) if flow else _chaos(path, group, array, shape, small)


def _one(path: Path, kind: str, found: list[str], wanted: str | None) -> str:
    """The one name that is there, or the one that is wanted."""
    if wanted is None and len(found) == 1:
        return found[0]
    if wanted not in found:
        listed = ", ".join(found) or "none"
        raise ValueError(
            f"{path}: choose the {kind} with {kind}=; there are {listed}" + (f", no {wanted}" if wanted else "")
        )
    return wanted


def _flow(path: Path, group: str, shape: tuple[int, ...], small: dict) -> xr.Dataset:
    """Smoke and velocity."""
    _sized(path, small, {"t": shape[:2], "x": (shape[0], shape[2]), "y": (shape[0], shape[3]), "buo_y": shape[:1]})
    layout = ("sample", "time", "x", "y")
    data = {name: hdf5_field(path, f"{group}/{key}", layout, DIMENSIONLESS | TEXTS[key]) for key, name in FLOW.items()}
    data |= shared_times(small["t"])
    for axis, dim in enumerate("xy"):
        data |= cells(shape[2 + axis], small[dim][:, -1] - small[dim][:, 0], dim, 0.5)
        data[dim].attrs.pop("period")
    data["buo_y"] = ("sample", small["buo_y"].astype(np.float64), {"long_name": "buoyancy along y"})
    attrs = {
        "title": "pdearena: Navier-Stokes with smoke",
        "source": "pdearena",
        "split": group,
        "equation": "v_t + v . grad v = nu lap v - grad p + (0, buo_y smoke); smoke_t + v . grad smoke = 0; div v = 0",
        "nu": 0.01,
        "boundary": "velocity: Dirichlet, 0 at the walls; smoke: Neumann, 0",
        "staggered": "velocity_x, velocity_y",
    }
    return _with_coordinates(data, shape[0], attrs)


def _chaos(path: Path, group: str, array: str, shape: tuple[int, ...], small: dict) -> xr.Dataset:
    """Kuramoto-Sivashinsky."""
    _sized(path, small, {"dx": shape[:1], "dt": shape[:1]})
    times = small.get("t", small["dt"][:, None] * np.arange(shape[1]))
    _sized(path, {"t": times}, {"t": shape[:2]})
    data = {"u": hdf5_field(path, f"{group}/{array}", ("sample", "time", "x"), DIMENSIONLESS)}
    data |= shared_times(times) | cells(shape[2], small["dx"] * shape[2], "x")
    if "v" in small and small["v"].shape == shape[:1]:
        data["v"] = ("sample", small["v"].astype(np.float64), {"long_name": "viscosity"})
    attrs = {"title": "Kuramoto-Sivashinsky (Brandstetter et al. 2022)", "source": "pdearena", "split": group}
    equation = "u_t + u u_x + u_xx + v u_xxxx = 0" if "v" in data else "u_t + u u_x + u_xx + u_xxxx = 0"
    return _with_coordinates(data, shape[0], attrs | {"equation": equation, "boundary": "x: periodic"})


def _sized(path: Path, small: dict, expected: dict[str, tuple]) -> None:
    """Raises ValueError where an array is missing or has another shape."""
    for name, shape in expected.items():
        if name not in small:
            raise ValueError(
                f"{path} has no {name}, which its trajectories need; it has {', '.join(small) or 'nothing'}"
            )
        if small[name].shape != shape:
            raise ValueError(f"{path}: {name} has the shape {small[name].shape}, expected {shape}")


def _with_coordinates(data: dict, samples: int, attrs: dict) -> xr.Dataset:
    """A dataset whose axes are coordinates."""
    coords = {"sample": np.arange(samples)} | {dim: data.pop(dim) for dim in ("time", "x", "y") if dim in data}
    return xr.Dataset(data, coords, attrs)
