"""APEBench (Koehler et al. 2024): NAME_train.npy or NAME_test.npy, (S, T + 1, C, X, ...), and NAME.json beside it.

The JSON holds every setting of the scenario. Scenarios in physical terms have a length L and a step dt; normalised ones
(gammas, alphas) have neither, and mean L = 1 and dt = 1. Axes are periodic, x_i = i L / n, the first axis is x. The
first frame is the initial state, after `num_warmup_steps`.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from ..numpy_files import open_npy
from ..on_disk import on_disk, outer
from ..per_sample import cells
from ..probe import Probe

TITLE = "APEBench: NAME_train.npy or NAME_test.npy with NAME.json beside it"
SPLITS = ("train", "test")
SPACE = ("x", "y", "z")


def recognises(probe: Probe) -> bool:
    """Whether a NumPy file has the JSON of its scenario beside it."""
    card = _card(probe.path)
    if len(probe.npy) < 4 or card is None or not card.is_file():
        return False
    return b'"info"' in card.read_bytes()


def read(path: Path) -> xr.Dataset:
    """The trajectories: u for one channel, u0, u1, ... for several; for Poisson's equation f and u.

    Raises:
        ValueError: no JSON, or one that is not a scenario's or does not fit the array.
    """
    card = _card(path)
    if card is None or not card.is_file():
        wanted = card.name if card else "NAME.json, and the file be called NAME_train.npy or NAME_test.npy"
        raise ValueError(f"{path} needs the JSON of its scenario beside it: {wanted}")
    try:
        content = json.loads(card.read_text(encoding="utf-8"))
        name, info = str(content["name"]), dict(content["info"])
        dims = SPACE[: int(info["num_spatial_dims"])]
        points, channels = int(info["num_points"]), int(info["num_channels"])
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: {card.name} is not the JSON of a scenario ({type(error).__name__}: {error})"
        ) from error
    shape = open_npy(path).shape
    if shape[2:] != (channels, *(points,) * len(dims)) or len(shape) != 3 + len(dims):
        raise ValueError(
            f"{path} has the shape {shape}, but {card.name} means (S, T + 1, {channels}"
            + f", {points}" * len(dims)
            + ")"
        )
    physical = "domain_extent" in info
    coords = {"sample": np.arange(shape[0])}
    for dim in dims:
        coords |= cells(points, float(info["domain_extent"]) if physical else 1.0, dim)
    attrs = {"title": f"APEBench: {name}", "source": "APEBench", "scenario": name, "boundary": "periodic"}
    attrs |= {key: value if isinstance(value, (int, float, str)) else json.dumps(value) for key, value in info.items()}
    attrs = {key: int(value) if isinstance(value, bool) else value for key, value in attrs.items()}
    if physical and "dt" not in info:
        return _steady(path, shape, dims, coords, attrs)
    attrs |= {} if physical else {"comment": "normalised: lengths in units of the domain, times in units of a frame"}
    coords["time"] = np.arange(shape[1]) * (float(info["dt"]) if physical else 1.0)
    names = ["u"] if channels == 1 else [f"u{i}" for i in range(channels)]
    axes = ("sample", "time", *dims)
    sizes = (*shape[:2], *shape[3:])
    data = {n: on_disk(axes, path, sizes, partial(_read, path, i)) for i, n in enumerate(names)}
    return xr.Dataset(data, coords, attrs)


def _card(path: Path) -> Path | None:
    """The JSON of a file's scenario."""
    stem, _, split = path.stem.rpartition("_")
    return path.with_name(f"{stem}.json") if split in SPLITS and stem else None


def _steady(path: Path, shape: tuple[int, ...], dims: tuple[str, ...], coords: dict, attrs: dict) -> xr.Dataset:
    """Poisson's equation: frame 0 is the right-hand side, frame 1 the solution."""
    if shape[1:3] != (2, 1):
        raise ValueError(
            f"{path} has {shape[1]} frames, but its JSON gives no dt; only steady problems of 2 frames have none"
        )
    axes, sizes = ("sample", "time", *dims), (shape[0], 1, *shape[3:])
    data = {n: on_disk(axes, path, sizes, partial(_read_frame, path, i)) for i, n in enumerate(("f", "u"))}
    return xr.Dataset(data, coords | {"time": [0.0]}, attrs | {"equation": "-lap u = f"})


def _read(path: Path, channel: int, key: tuple) -> np.ndarray:
    """Part of one channel."""
    return outer(open_npy(path)[:, :, channel], key)


def _read_frame(path: Path, frame: int, key: tuple) -> np.ndarray:
    """Part of one of the two frames."""
    return outer(open_npy(path)[:, frame : frame + 1, 0], key)
