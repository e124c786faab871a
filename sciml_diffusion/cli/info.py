"""sciml-diffusion info: what is known about a dataset, a file, a prior or a run folder."""

from collections.abc import Sequence
from pathlib import Path

from ..resources import resource_folder
from .about import checksums, picture, prior, run_folder
from .compose import compose
from .describe import describe_fields


def run(words: Sequence[str]) -> int:
    """Prints a description; returns the exit code."""
    names = [word for word in words if "=" not in word or word.startswith("name=")]
    if len(names) > 1:
        raise ValueError(f"info describes one thing at a time; got {', '.join(names)}")
    config = compose("info", [word if "=" in word else f"name={word}" for word in words])
    from omegaconf import OmegaConf

    settings = OmegaConf.to_container(config, resolve=True)
    if settings["plot"] == "":
        raise ValueError("plot= needs the path of a picture, for example plot=fields.png")
    name = str(settings.pop("name"))
    if not isinstance(settings["options"], dict | None):
        raise ValueError(f"options are written 'options={{dt: 0.1}}', got {settings['options']!r}")
    print(describe(name, **settings))
    return 0


def describe(name: str, format: str | None = None, options=None, plot: str | None = None) -> str:
    """A description of the thing that a name or path stands for.

    Arguments:
        name: shipped name, or path.
        format, options: of a file of fields, see `open_dataset`.
        plot: path of a picture of the fields, which is written.

    Raises:
        FileNotFoundError: there is no such thing. ValueError: it cannot be read.
    """
    from .. import api

    folder = Path(name)
    run, fields_there = (folder / "config.yaml").is_file(), (folder / "manifest.json").is_file()
    if run and not fields_there:
        parts = [run_folder(folder)]
        return "\n\n".join(parts + ([prior(api.load_prior(folder))] if (folder / "prior").is_dir() else []))
    if (folder / "prior.json").is_file():
        return prior(api.load_prior(folder))
    shipped = (api.ZOO / name / "prior.json").is_file()
    parts = [run_folder(folder)] if run else [prior(api.load_prior(name))] if shipped else []
    card = resource_folder("datasets") / name / "README.md"
    stored = card.with_name(f"{card.parent.name}.nc").is_file()
    if card.is_file() and not stored and not folder.exists() and plot is None:
        parts.append(card.read_text(encoding="utf-8").strip())  # of data that are generated
    elif not shipped or stored:
        verified = checksums(folder).strip()
        fields = api.open_dataset(name, format, **(options or {}))
        parts += [dataset(name, fields, format), verified]
        if plot is not None:
            parts.append(picture(fields, Path(plot)))
    elif plot is not None:
        raise ValueError(f"plot= draws fields, but {name} is a prior without any; give a dataset or a file")
    return "\n\n".join(filter(None, parts))


def dataset(name: str, fields, format: str | None = None) -> str:
    """Variables, axes and card of fields."""
    lines = [describe_fields(name, fields, format)]
    card = resource_folder("datasets") / name / "README.md"
    if card.is_file():
        lines.append(card.read_text(encoding="utf-8").strip())
    return "\n\n".join(lines)
