"""WDNO's smoke control (Hu et al. 2025): one folder sim_NNNNNN for each run, with four .npy files.

Density (Y, X, 1, T), Velocity and Control (Y, X, 2, T), time last, and Smoke (T, 8): the smoke that has left through
each of eight exits. The solver made 256 steps on 128 x 128 points; files hold every 8th step (T = 33) or all (T = 257),
and every second point (64) or all (128). Neither times nor positions are stored: they are given in steps and points of
the solver. Two quirks of the files: at the first frame both components of the velocity hold the first one, and which
component points along x is not stated; it is found from how the density moves.
"""

from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from ..numpy_files import open_npy
from ..on_disk import outer
from ..probe import Probe
from ..stacked import Unchanged, stacked

TITLE = "WDNO smoke: folder of sim_NNNNNN with Density, Velocity, Control, Smoke (.npy)"
PARTS = {"Density": 1, "Velocity": 2, "Control": 2}
STEPS, POINTS, TARGET = 256, 128, 1  # solver steps, solver points, the exit that counts
DIMS = ("sample", "time", "y", "x")


def recognises(probe: Probe) -> bool:
    """Whether it is a run, or a folder of runs."""
    runs = [probe.path] if "Density.npy" in probe.files else _runs(probe.path, probe.files)
    return bool(runs) and all((runs[0] / f"{part}.npy").is_file() for part in PARTS)


def read(path: Path, components: str | None = None, dt: float = 1.0, dx: float = 1.0) -> xr.Dataset:
    """density, velocity, control and the share of smoke in the target exit, of every run; each is read when it is used.

    Arguments:
        path: of one run, or of the folder that holds them.
        components: "xy" or "yx", the order of the components of velocity and control; found from the density if None.
        dt, dx: time of a step and distance of two points of the solver.

    Raises:
        ValueError: files that are missing or of another shape, or an order of components that the density leaves open.
    """
    runs = [path] if (path / "Density.npy").is_file() else _runs(path, {entry.name for entry in path.iterdir()})
    files = [run / f"{part}.npy" for run in runs for part in (*PARTS, "Smoke")]
    missing = [file for file in files if not file.is_file()]
    if missing or not runs:
        raise ValueError(f"{path} lacks {', '.join(map(str, missing[:3])) or 'runs sim_NNNNNN'}; fetch it again")
    guard = Unchanged(files)
    height, width, _, frames = _shape(runs[0], "Density", None)
    if (frames < 2 or STEPS % (frames - 1)) or POINTS % height or POINTS % width:
        raise ValueError(f"{runs[0]}: {frames} frames of {height} x {width} are no even stride of 257 x 128 x 128")
    for part, count in PARTS.items():
        _shape(runs[0], part, (height, width, count, frames))
    order = components or _order(runs[0])
    if sorted(order) != ["x", "y"]:
        raise ValueError(f'{path}: components is "xy" or "yx", got {components!r}')
    field = partial(_field, runs, guard, (height, width, frames))
    quirk = {"comment": "at the first frame both components hold the first one, which is a quirk of the files"}
    names = {"density": ("Density", 0, {}), f"velocity_{order[0]}": ("Velocity", 0, quirk)}
    names |= {f"velocity_{order[1]}": ("Velocity", 1, quirk)}
    names |= {
        f"control_{axis}": ("Control", i, {"long_name": f"control force, {axis}"}) for i, axis in enumerate(order)
    }
    data = {name: field(part, index, attrs) for name, (part, index, attrs) in names.items()}
    share = {"long_name": f"share of the smoke that has left in exit {TARGET}", "units": "1"}
    data["smoke"] = stacked(DIMS, len(runs), (frames, height, width), partial(_smoke, runs, guard), share)
    axes = {"time": (frames - 1, STEPS, dt), "y": (height, POINTS, dx), "x": (width, POINTS, dx)}
    coords = {"sample": np.arange(len(runs))} | {
        dim: np.arange(frames if dim == "time" else count) * (whole // count) * unit
        for dim, (count, whole, unit) in axes.items()
    }
    attrs = {"title": "WDNO: smoke with obstacles and exits", "source": "WDNO", "runs": f"{runs[0].name} ... "}
    attrs["runs"] += runs[-1].name
    attrs["boundary"] = "walls with exits; obstacles inside"
    attrs["comment"] = "times in steps and positions in points of the solver" if dt == dx == 1 else ""
    return xr.Dataset(data, coords, attrs)


def _runs(path: Path, names: set[str]) -> list[Path]:
    """Folders of the runs, by number."""
    return [path / name for name in sorted(names) if name.startswith("sim_") and name[4:].isdigit()]


def _shape(run: Path, part: str, expected: tuple | None) -> tuple[int, ...]:
    """The shape of one array of a run."""
    shape = open_npy(run / f"{part}.npy").shape
    if len(shape) != 4 or shape[2] != PARTS[part] or expected not in (None, shape):
        want = expected or ("Y", "X", PARTS[part], "T")
        raise ValueError(f"{run / part}.npy has the shape {shape}, expected {want}")
    return shape


def _field(runs: list[Path], guard: Unchanged, sizes: tuple[int, int, int], part: str, index: int, attrs: dict):
    """One component of one part of every run."""
    height, width, frames = sizes
    expected = (height, width, PARTS[part], frames)
    read = partial(_read, runs, guard, part, index, expected)
    return stacked(DIMS, len(runs), (frames, height, width), read, attrs)


def _read(runs: list[Path], guard: Unchanged, part: str, index: int, expected: tuple, number: int, key: tuple):
    """Part of one component of one run, with time first."""
    file = guard.check(runs[number] / f"{part}.npy")
    _shape(runs[number], part, expected)
    return outer(open_npy(file)[:, :, index].transpose(2, 0, 1), key)


def _smoke(runs: list[Path], guard: Unchanged, number: int, key: tuple) -> np.ndarray:
    """The share of the target exit, the same at every point."""
    values = np.asarray(open_npy(guard.check(runs[number] / "Smoke.npy")), dtype=np.float64)
    if values.ndim != 2 or values.shape[1] <= TARGET:
        raise ValueError(f"{runs[number]}/Smoke.npy has the shape {values.shape}, expected (T, 8)")
    total = values.sum(axis=1)
    share = np.divide(values[:, TARGET], total, out=np.zeros(len(total)), where=total > 0)
    height, width = (open_npy(runs[number] / "Density.npy").shape[i] for i in (0, 1))
    return outer(np.broadcast_to(share[:, None, None], (len(share), height, width)), key)


def _order(run: Path) -> str:
    """Which component is which: that for which d_t + c (u d_x + v d_y) = 0 explains the motion better, c free."""
    density = np.asarray(open_npy(run / "Density.npy"), dtype=np.float64)[:, :, 0]
    velocity = np.asarray(open_npy(run / "Velocity.npy"), dtype=np.float64)[..., 1:-1]
    change = density[..., 2:] - density[..., :-2]
    along_y, along_x = np.gradient(density[..., 1:-1], axis=(0, 1))
    explained = {}
    for order, (u, v) in {"xy": (0, 1), "yx": (1, 0)}.items():
        carried = -(velocity[:, :, u] * along_x + velocity[:, :, v] * along_y)
        size = np.sqrt((carried**2).sum() * (change**2).sum())
        explained[order] = float((carried * change).sum() / size) if size > 0 else 0.0
    best = max(explained, key=explained.get)
    if not explained[best] > 0.3 or explained[best] - min(explained.values()) < 0.1:
        found = ", ".join(f"{order}: correlation {value:.2f}" for order, value in explained.items())
        raise ValueError(
            f'{run}: the density does not tell which component is x ({found}); give components="xy" or "yx"'
        )
    return best
