"""The files of the posterior bank: one NetCDF for each case, checked by hash and against the case that it is for."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from bank_cases import CASES, Case
from common import ROOT
from torch import Tensor

FOLDER = ROOT / "datasets" / "posterior-bank"
LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Reference:
    """A case and what its chains found.

    Arguments:
        case: the problem.
        draws: of the posterior, nearly independent, with shape (S, *event); stored to 1 / 65000 of their range.
        mean, std: of all draws of the chains, with shape (*event).
        log: how it was made: command, seed, R-hat, bulk ESS, seconds.
    """

    case: Case
    draws: Tensor
    mean: Tensor
    std: Tensor
    log: dict


def path(name: str, folder: Path = FOLDER) -> Path:
    """The file of a case."""
    return folder / f"{name}.nc"


def write(case: Case, x: Tensor, log: dict, draws: int, folder: Path = FOLDER) -> None:
    """Stores a reference, whole or not at all, and its hash in manifest.json.

    Arguments:
        case: the problem.
        x: all draws, in the order of the chains' steps, with shape (S, *event).
        log: what to keep beside them.
        draws: how many to store, evenly from first to last.
        folder: where to.
    """
    values = x.reshape(len(x), *case.prior.event).squeeze((1, 2)).numpy()
    dims = ("y", "x") if values.ndim == 3 else ("x",)
    kept = values[np.linspace(0, len(values) - 1, draws).round().astype(int)]
    quantiles = np.quantile(values, LEVELS, axis=0)
    data = xr.Dataset(
        {
            "draws": (("draw", *dims), kept),
            "mean": (dims, values.mean(0)),
            "std": (dims, values.std(0, ddof=1)),
            "quantiles": (("level", *dims), quantiles),
            "truth": (dims, case.truth.squeeze().numpy()),
            "y_obs": (("sensor",), case.observation.y[0].numpy()),
            "std_obs": (("sensor",), case.observation.std.numpy()),
        },
        coords={"level": list(LEVELS)},
        attrs={"title": case.words, **log},
    )
    low, high = float(kept.min()), float(kept.max())
    packed = {
        "dtype": "int16",
        "_FillValue": -32768,
        "scale_factor": (high - low) / 65000,
        "add_offset": (high + low) / 2,
    }
    squeezed = {"zlib": True, "complevel": 9, "shuffle": True}
    encoding = {name: {"dtype": "float32", **squeezed} for name in ("mean", "std", "quantiles")}
    folder.mkdir(parents=True, exist_ok=True)
    partial = path(case.name, folder).with_suffix(".partial")
    data.to_netcdf(partial, engine="h5netcdf", encoding={"draws": packed | squeezed, **encoding})
    os.replace(partial, path(case.name, folder))
    _list(folder)


def load(name: str, folder: Path = FOLDER) -> Reference:
    """The reference of a case.

    Raises:
        FileNotFoundError: no such file. ValueError: a file that has changed, or was made for other data.
    """
    file = path(name, folder)
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing; python benchmarks/make_posterior_bank.py --cases {name}")
    if json.loads((folder / "manifest.json").read_text()).get(file.name) != _digest(file):
        raise ValueError(f"{file} has changed since manifest.json was written; make it again or restore it")
    case = CASES[name]()
    with xr.open_dataset(file, engine="h5netcdf") as data:
        y = torch.from_numpy(data["y_obs"].values.astype(float))
        if y.shape != case.observation.y[0].shape or not torch.allclose(y, case.observation.y[0], atol=1e-6):
            raise ValueError(f"{file} was made for other data than benchmarks/bank_cases.py now gives; make it again")
        draws, mean, std = (torch.from_numpy(data[key].values.astype(float)) for key in ("draws", "mean", "std"))
        log = dict(data.attrs)
    event = case.prior.event
    return Reference(case, draws.reshape(-1, *event), mean.reshape(event), std.reshape(event), log)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _list(folder: Path) -> None:
    """Writes manifest.json: the sha256 of each file."""
    hashes = {file.name: _digest(file) for file in sorted(folder.glob("*.nc"))}
    partial = folder / "manifest.partial"
    partial.write_text(json.dumps(hashes, indent=1) + "\n")
    os.replace(partial, folder / "manifest.json")
