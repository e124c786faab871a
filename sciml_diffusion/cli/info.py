"""sciml-diffusion info: what is known about a dataset, a file, a prior or a run folder."""

import json
from collections.abc import Sequence
from pathlib import Path

from ..resources import resource_folder
from .compose import compose
from .show import facts, table


def run(words: Sequence[str]) -> int:
    """Prints a description; returns the exit code."""
    config = compose("info", [word if "=" in word else f"name={word}" for word in words])
    print(describe(str(config.name)))
    return 0


def describe(name: str) -> str:
    """A description of the thing that a name or path stands for.

    Raises:
        FileNotFoundError: there is no such thing. ValueError: it cannot be read.
    """
    from .. import api

    folder = Path(name)
    if (folder / "config.yaml").is_file():
        parts = [run_folder(folder)]
        return "\n\n".join(parts + ([prior(api.load_prior(folder))] if (folder / "prior").is_dir() else []))
    if (folder / "prior.json").is_file():
        return prior(api.load_prior(folder))
    shipped = (api.ZOO / name / "prior.json").is_file()
    parts = [prior(api.load_prior(name))] if shipped else []
    if not shipped or (resource_folder("datasets") / name / f"{name}.nc").is_file():
        parts.append(dataset(name, api.open_dataset(name)))
    return "\n\n".join(parts)


def prior(prior) -> str:
    """Variables, grid, window and card of a prior."""
    axes = zip(prior.grid.dims, prior.grid.coordinates, strict=True)
    axes = {dim: f"{values[0]:g} ... {values[-1]:g} ({len(values)})" for dim, values in axes}
    variables = ", ".join(f"{v.name} [{v.units}]" for v in prior.variables)
    parameters = sum(p.numel() for p in prior.denoiser.parameters())
    known = {"variables": variables, "grid": axes, "window": f"{prior.window} frames, {_duration(prior.step)} apart"}
    known |= {"denoiser": type(prior.denoiser).__name__, "parameters": parameters, "card": prior.card}
    return "prior\n" + facts(known, "  ")


def _duration(step) -> str:
    """A time between frames in words."""
    import numpy as np

    return f"{step / np.timedelta64(1, 'h'):g} h" if isinstance(step, np.timedelta64) else f"{step:g}"


def dataset(name: str, fields) -> str:
    """Variables, axes and card of fields."""
    lines = [f"dataset\n{fields}"]
    card = resource_folder("datasets") / name / "README.md"
    if card.is_file():
        lines.append(card.read_text(encoding="utf-8").strip())
    return "\n\n".join(lines)


def run_folder(folder: Path) -> str:
    """Files, versions and metrics of a run folder."""
    settings = (folder / "config.yaml").read_text(encoding="utf-8").strip()
    if not (folder / "metrics.json").is_file():
        return f"unfinished run in {folder}\n\n{settings}"
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    versions = json.loads((folder / "versions.json").read_text(encoding="utf-8"))
    files = ", ".join(sorted(p.name for p in folder.iterdir()))
    lines = [f"run in {folder}\n" + facts({"files": files} | versions, "  "), settings]
    nested = all(isinstance(m, dict) and all(isinstance(v, dict) for v in m.values()) for m in metrics.values())
    if metrics:
        lines.append(table(metrics) if nested else facts(metrics))
    return "\n\n".join(lines)
