"""sciml-diffusion train: a prior from a shipped dataset or your own files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .about import checksums
from .build import instantiate
from .compose import compose
from .fields import open_fields, select_period
from .run_folder import RunFolder
from .show import facts

PLACE = ("out", "overwrite", "resume")  # settings that say where a run goes, not what it is


def run(words: Sequence[str]) -> int:
    """Writes prior/, train.jsonl and the checkpoint; returns the exit code."""
    config = compose("train", words)
    leaf = config.preset
    if config.data is None and leaf.fields is None:
        raise ValueError(
            "train needs data=<fields to train on>, or preset=<name>; `sciml-diffusion train --help` explains"
        )
    with RunFolder("train", config, resumable=True) as folder:
        if config.data is not None:
            print(checksums(Path(str(config.data)).expanduser()), end="")
            fields = open_fields(config.data, config.period, format=config.format, options=config.options)
            origin = str(config.data)
        else:
            fields = select_period(instantiate(leaf.fields), config.period)
            origin = leaf.fields.get("source") or str(fields.attrs.get("title", config.name))
        given = {"seed": config.seed, "folder": folder.partial, "resume": folder.resuming}
        prior = prior_of(instantiate(arguments(config, fields), fields=fields, **given))
        time = fields["time"].values
        prior.card = {
            "name": config.name or folder.out.name,
            "data": origin,
            "start": str(time[0]),
            "end": str(time[-1]),
            "command": " ".join(["sciml-diffusion", "train", *(w for w in words if w.partition("=")[0] not in PLACE)]),
        } | prior.card
        prior.save(folder.path("prior"))
        report = {k: v for k, v in prior.card.items() if isinstance(v, (int, float))}
        folder.metrics = {prior.card["name"]: {"training": report}}
    print(facts(report))
    print(f"prior written to {folder.out / 'prior'}; use it with prior={folder.out}")
    return 0


def arguments(config, fields) -> dict:
    """The leaf of the recipe without its fields; what it leaves open (null) keeps the default of the recipe."""
    from ..training.recipe import SERIES, TRAJECTORIES

    leaf = {k: v for k, v in config.preset.items() if k != "fields"}
    if config.window is not None:
        leaf["window"] = config.window
    numbers = dict(leaf["config"]) | ({"steps": config.steps} if config.steps is not None else {})
    default = TRAJECTORIES if "sample" in fields.dims else SERIES
    for key, value in numbers.items():
        if isinstance(value, str) and isinstance(getattr(default, key), int | float):
            raise ValueError(f"{key} must be a number, for example {key}={getattr(default, key)}; got {value!r}")
    for key, value in leaf["network"].items():
        if isinstance(value, str):
            example = "[1, 2, 2]" if key == "multipliers" else "true" if key == "attention" else "48"
            raise ValueError(f"preset.network.{key} must be like {example}; got {value!r}")
    leaf["config"] = replace(default, **{k: v for k, v in numbers.items() if v is not None})
    leaf["network"] = {k: v for k, v in leaf["network"].items() if v is not None}
    return leaf


def prior_of(parts):
    """The prior of what a training recipe returns: the arguments of `Prior`, with variables as dictionaries."""
    from ..prior import Prior, Variable

    variables = tuple(Variable(**variable) for variable in parts.variables)
    return Prior(**parts._asdict() | {"variables": variables})
