"""Shipped datasets by name: beside the package in a source checkout, inside it in an installed wheel."""

from difflib import get_close_matches
from pathlib import Path

from ..resources import resource_folder


def names() -> list[str]:
    """Names of the shipped datasets: folders that hold NAME/NAME.nc."""
    return sorted(entry.name for entry in resource_folder("datasets").iterdir() if _file(entry).is_file())


def dataset_path(name: str) -> Path:
    """The file of a shipped dataset.

    Raises:
        ValueError: an unknown name; near names are suggested.
    """
    if name in names():
        return _file(resource_folder("datasets") / name)
    if (resource_folder("datasets") / name / "README.md").is_file():
        raise ValueError(
            f"{name!r} is not stored but generated: `sciml-diffusion generate data={name}` makes a folder to open, "
            f'sciml_diffusion.generate("{name}") makes it in memory'
        )
    near = get_close_matches(name, names(), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"shipped are {', '.join(names()) or 'none'}."
    raise ValueError(f"there is no shipped dataset and no file {name!r}; {hint} A path opens a file of your own")


def resolve(name_or_path: str | Path) -> Path:
    """A shipped dataset's file by name, or the path of an own file.

    What exists as a path, or looks like one (a folder or a suffix in it), is a path; `open_path` reports what is wrong
    with it.

    Raises:
        ValueError: neither a path nor a shipped name.
    """
    path = Path(name_or_path).expanduser()
    if isinstance(name_or_path, Path) or name_or_path in names():
        return path if isinstance(name_or_path, Path) else dataset_path(name_or_path)
    return path if path.exists() or path.suffix or len(path.parts) > 1 else dataset_path(name_or_path)


def _file(folder: Path) -> Path:
    """The data file of a dataset's folder."""
    return folder / f"{folder.name}.nc"
