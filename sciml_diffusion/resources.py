"""Files that travel with the package but live beside it in the source tree: configs/ and datasets/."""

from pathlib import Path


def resource_folder(name: str) -> Path:
    """Returns the folder of the installed package that holds `name`, or the one of the source tree.

    Arguments:
        name: "configs" or "datasets". A wheel carries them as sciml_diffusion/_configs and sciml_diffusion/_datasets.
    Raises:
        FileNotFoundError: neither folder exists: the installation is incomplete.
    """
    from importlib.resources import files

    packaged = Path(str(files(__package__).joinpath(f"_{name}")))
    source = Path(__file__).resolve().parent.parent / name
    for folder in (packaged, source):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"neither {packaged} nor {source} exists; install the package again from a complete copy")
