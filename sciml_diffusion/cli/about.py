"""Priors, checksums and run folders in words, and pictures of fields."""

import json
from pathlib import Path

from .show import facts, table


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


def checksums(path: Path) -> str:
    """A line on the files of a folder of generated trajectories, all of which are read; empty for other data.

    Raises:
        ValueError: a file is missing or damaged.
    """
    from ..data.manifest import verify_files
    from ..data.probe import Probe
    from ..data.readers.shards import recognises

    if not path.is_dir() or not recognises(Probe(path)):
        return ""
    manifest = verify_files(path)
    wanted = manifest.request["samples"]
    missing = "" if manifest.complete else f" of {wanted} samples; resume=true makes the others"
    files = "1 file" if len(manifest.shards) == 1 else f"{len(manifest.shards)} files"
    return f"checksums: {files} of {path} as generated, {manifest.samples}{missing or ' samples'}\n"


def picture(fields, path: Path) -> str:
    """Draws a first look at fields; says where it is."""
    from ..evaluate.quicklook import plot_fields

    path = path.expanduser()
    figure = plot_fields(fields)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    figure.savefig(partial, format=path.suffix[1:] or "png", dpi=110)
    partial.replace(path)
    return f"picture: {path}"


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
