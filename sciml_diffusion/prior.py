"""A prior: a denoiser, the codec that leads to its space, and what its fields are; one folder, without pickles."""

import importlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .codecs.base import Codec
from .denoisers.base import Denoiser
from .physics.grid import Grid

FORMAT = 1


@dataclass(frozen=True)
class Variable:
    """One physical field: short name, units, and CF names where known."""

    name: str
    units: str = ""
    standard_name: str = ""
    long_name: str = ""


@dataclass(repr=False)
class Prior:
    """p(x) over windows of fields.

    Arguments:
        denoiser: E[x | x_t] in diffusion space.
        codec: physical windows (B, C, T, *S) <-> diffusion space.
        grid: spatial axes, in the order and orientation of the user's own fields.
        variables: one for each channel C.
        window: number of frames T.
        step: time between frames: numpy.timedelta64 for dated fields, a float for model time.
        sigma_range: smallest noise level worth visiting, and the one to start from.
        card: facts for people: data, period, command, versions, scores.
    """

    denoiser: Denoiser
    codec: Codec
    grid: Grid
    variables: tuple[Variable, ...]
    window: int
    step: np.timedelta64 | float
    sigma_range: tuple[float, float]
    card: dict = field(default_factory=dict)

    def __repr__(self) -> str:
        """One line: variables, grid and window."""
        axes = zip(self.grid.dims, self.grid.coordinates, strict=True)
        axes = ", ".join(f"{dim} {c[0]:g} ... {c[-1]:g} ({len(c)})" for dim, c in axes)
        variables = ", ".join(f"{v.name} [{v.units}]" for v in self.variables)
        return f"Prior({variables}; {axes}; windows of {self.window} frames; {type(self.denoiser).__name__})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (C, T, *S) of a physical window."""
        return (len(self.variables), self.window, *self.grid.sizes)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the denoiser."""
        return next(t for t in (*self.denoiser.parameters(), *self.denoiser.buffers()) if t.is_floating_point()).dtype

    @property
    def device(self) -> torch.device:
        """Where the denoiser lives."""
        return next(iter((*self.denoiser.parameters(), *self.denoiser.buffers()))).device

    def to(self, *args) -> "Prior":
        """Moves denoiser and codec to a device or dtype, in place; returns the prior itself."""
        self.denoiser.to(*args)
        self.codec.to(*args)
        return self

    def save(self, folder: Path) -> None:
        """Writes prior.json and prior.safetensors to a folder of their own, whole or not at all.

        Raises:
            FileExistsError: the folder holds something else than a prior.
        """
        from safetensors.torch import save_file

        tensors: dict[str, Tensor] = {}
        document = {
            "format": FORMAT,
            "denoiser": describe(self.denoiser, tensors, "denoiser"),
            "codec": describe(self.codec, tensors, "codec"),
            "dims": list(self.grid.dims),
            "periods": list(self.grid.periods),
            "variables": [vars(v) for v in self.variables],
            "window": self.window,
            "step": float(self.step / np.timedelta64(1, "s"))
            if isinstance(self.step, np.timedelta64)
            else float(self.step),
            "dated": isinstance(self.step, np.timedelta64),
            "sigma_range": list(self.sigma_range),
            "card": self.card,
        }
        for dim, values in zip(self.grid.dims, self.grid.coordinates, strict=True):
            tensors[f"grid.{dim}"] = torch.from_numpy(np.asarray(values, dtype=np.float64).copy())
        folder = Path(folder)
        if folder.exists() and (
            not folder.is_dir() or (any(folder.iterdir()) and not (folder / "prior.json").is_file())
        ):
            raise FileExistsError(f"{folder} exists and holds no prior; save to a folder of its own")
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, partial / "prior.safetensors")
        (partial / "prior.json").write_text(json.dumps(document, indent=1))
        replaced = folder.with_name(folder.name + ".replaced")
        shutil.rmtree(replaced, ignore_errors=True)
        if folder.exists():
            for other in folder.iterdir():  # a model card and its pictures stay
                if not (partial / other.name).exists():
                    shutil.copy2(other, partial)
            os.replace(folder, replaced)
        os.replace(partial, folder)
        shutil.rmtree(replaced, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path) -> "Prior":
        """Reads a folder that `save` wrote.

        Raises:
            FileNotFoundError: the folder holds no prior. ValueError: the prior is incomplete or of another format.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        folder = Path(folder)
        if not (folder / "prior.json").is_file():
            raise FileNotFoundError(
                f"{folder} holds no prior (no prior.json); `train` and `fit_prior(...).save(folder)` write one"
            )
        try:
            document = json.loads((folder / "prior.json").read_text())
            tensors = load_file(folder / "prior.safetensors")
            if document["format"] != FORMAT:
                raise ValueError(f"format {document['format']}, this version reads {FORMAT}")
            coordinates = tuple(tensors[f"grid.{dim}"].numpy() for dim in document["dims"])
            seconds = document["step"]
            return cls(
                denoiser=rebuild(document["denoiser"], tensors).eval(),
                codec=rebuild(document["codec"], tensors).eval(),
                grid=Grid(tuple(document["dims"]), coordinates, tuple(document["periods"])),
                variables=tuple(Variable(**v) for v in document["variables"]),
                window=document["window"],
                step=np.timedelta64(round(seconds * 1e9), "ns") if document["dated"] else seconds,
                sigma_range=tuple(document["sigma_range"]),
                card=document["card"],
            )
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise ValueError(
                f"the prior in {folder} cannot be read ({error}); train it again or restore the folder"
            ) from error


def describe(value, tensors: dict[str, Tensor], name: str):
    """Returns a JSON description of a module and puts its tensors, under their names, into `tensors` (any shape)."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"_tensor_": name}
    if isinstance(value, nn.Module):
        document = {"_target_": f"{type(value).__module__}.{type(value).__qualname__}"}
        document |= {k: describe(v, tensors, f"{name}.{k}") for k, v in value.arguments.items()}
        own = {k: v for k, v in value.named_parameters() if not any(k.startswith(f"{c}.") for c in _children(value))}
        for key, parameter in own.items():
            tensors[f"{name}!{key}"] = parameter
        return document | ({"_parameters_": {k: f"{name}!{k}" for k in own}} if own else {})
    return value


def rebuild(value, tensors: dict[str, Tensor]):
    """Inverse of `describe`; builds nothing but modules of this package. Tensors keep their shapes."""
    if not isinstance(value, dict):
        return value
    if "_tensor_" in value:
        return tensors[value["_tensor_"]]
    module, _, name = value["_target_"].rpartition(".")
    if module.split(".")[0] != __package__.split(".")[0]:
        raise ValueError(f"{value['_target_']} is not a class of this package")
    arguments = {k: rebuild(v, tensors) for k, v in value.items() if not k.startswith("_")}
    target = getattr(importlib.import_module(module), name)
    if not (isinstance(target, type) and issubclass(target, nn.Module)):
        raise ValueError(f"{value['_target_']} is not a module of this package")
    built = target(**arguments)
    if "_parameters_" in value:
        missing = built.load_state_dict({k: tensors[v] for k, v in value["_parameters_"].items()}, strict=False)
        if missing.unexpected_keys:
            raise ValueError(f"parameters that {name} does not have: {missing.unexpected_keys}")
    return built


def _children(module: nn.Module) -> list[str]:
    """Names of the submodules that are constructor arguments: they describe their own parameters."""
    given = {id(v) for v in module.arguments.values() if isinstance(v, nn.Module)}
    return [name for name, child in module.named_children() if id(child) in given]
