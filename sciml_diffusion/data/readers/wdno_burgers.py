"""WDNO's forced Burgers' equation (Hu et al. 2025): a dictionary of torch tensors u (N, 81, 120) and f (N, 80, 120).

u_t + u u_x = nu u_xx + f on (0, 1), u = 0 at both ends, nu = 0.01, t from 0 to 8; f is constant between two frames.
Space was strided by 16 out of 1920 interior points, so x_j = (16 j + 1) / 1921.
"""

from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from ..on_disk import on_disk, outer
from ..probe import Probe
from ..torch_files import load_torch

TITLE = "WDNO Burgers: torch dictionary u (N, 81, 120), f (N, 80, 120)"
POINTS, STRIDE, DURATION, NU = 1920, 16, 8.0, 0.01


def recognises(probe: Probe) -> bool:
    """Whether it holds u and f, with one frame more of u than of f."""
    u, f = probe.torch.get("u", ()), probe.torch.get("f", ())
    return len(u) == 3 and len(f) == 3 and u[0] == f[0] and u[1] == f[1] + 1 and u[2] == f[2]


def read(path: Path) -> xr.Dataset:
    """u(sample, time, x) and the force f(sample, time, x) that acts from each time to the next.

    The frames of f are one fewer; a last one of zeros, which never acts, brings them to the same times.

    Raises:
        ValueError: u or f is missing, or their shapes do not fit each other.
    """
    tensors = load_torch(path)
    missing = [name for name in ("u", "f") if name not in tensors]
    if missing:
        raise ValueError(f"{path} has no {' and no '.join(missing)}; it holds {', '.join(map(str, tensors))}")
    u, f = (tuple(tensors[name].shape) for name in ("u", "f"))
    if len(u) != 3 or f != (u[0], u[1] - 1, u[2]):
        raise ValueError(f"{path}: u of shape (N, T + 1, X) and f of shape (N, T, X) are needed, got {u} and {f}")
    frames = u[1] - 1
    coords = {
        "sample": np.arange(u[0]),
        "time": np.arange(u[1]) * (DURATION / frames),
        "x": (np.arange(u[2]) * (POINTS // u[2]) + 1.0) / (POINTS + 1),
    }
    if POINTS % u[2]:
        raise ValueError(f"{path}: {u[2]} points are no even stride of {POINTS}; give the fields as xarray instead")
    dims = ("sample", "time", "x")
    force = {"comment": "acts from its time to the next; the last frame, after the end, is zero"}
    data = {
        "u": on_disk(dims, path, u, partial(_read, path, "u")),
        "f": on_disk(dims, path, u, partial(_with_zeros, path, frames), force),
    }
    attrs = {
        "title": "WDNO: forced Burgers' equation",
        "source": "WDNO",
        "equation": "u_t + u u_x = nu u_xx + f",
        "nu": NU,
        "boundary": "x: Dirichlet, u = 0 at x = 0 and x = 1",
    }
    return xr.Dataset(data, coords, attrs)


def _read(path: Path, name: str, key: tuple) -> np.ndarray:
    """Part of a tensor."""
    return outer(load_torch(path)[name], key)


def _with_zeros(path: Path, frames: int, key: tuple) -> np.ndarray:
    """Part of f, with zeros for the frame after its last."""
    wanted = np.arange(frames + 1)[key[1]]
    values = _read(path, "f", (key[0], np.minimum(wanted, frames - 1), key[2]))
    axis = 0 if isinstance(key[0], (int, np.integer)) else 1
    acts = (wanted < frames).reshape([-1 if i == axis else 1 for i in range(values.ndim)] if wanted.ndim else [])
    return np.where(acts, values, 0)
