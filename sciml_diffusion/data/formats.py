"""The public formats of trajectories, one reader each, told apart by what is in the file."""

from importlib import import_module
from types import ModuleType

import xarray as xr

from .probe import Probe

READERS: tuple[str, ...] = (  # modules in readers/
    "shards",
    "pdebench_scalar",
    "pdebench_cfd",
    "pdebench_darcy",
    "pdebench_groups",
    "pdebench_incompressible",
    "fno_mat",
    "burgers_mat",
    "diffusion_pde_mat",
    "diffusion_pde_folder",
    "diffusion_pde_bounded",
    "pino_npy",
    "neuralop_pt",
    "the_well",
    "wdno_burgers",
    "wdno_smoke",
    "dyffusion",
    "oisst",
    "pdearena",
    "pdearena_swe",
    "apebench",
    "inversebench",
    "weatherbench2",
)


def reader(name: str) -> ModuleType:
    """The module of a format: it has TITLE, recognises(probe) and read(path, **options).

    Raises:
        ValueError: no such format.
    """
    if name not in READERS:
        raise ValueError(f"there is no format {name!r}; known are {', '.join(READERS)}")
    return import_module(f".readers.{name}", __package__)


def claimed(probe: Probe) -> list[str]:
    """Names of the formats that recognise a file as their own."""
    return [name for name in READERS if reader(name).recognises(probe)]


def read_as(probe: Probe, name: str | None, options: dict) -> xr.Dataset | None:
    """The fields of a file of one of these formats, or None where none of them knows it.

    Arguments:
        probe: the file.
        name: its format, where the content leaves it open.
        options: of the reader, for example dt=0.1.

    Raises:
        ValueError: two formats claim the file, an unknown format or option, or what the reader finds wrong.
    """
    names = [name] if name else claimed(probe)
    if len(names) > 1:
        raise ValueError(f"{probe.path} could be {' or '.join(names)}; say which with format=")
    if not names:
        return None
    try:
        return reader(names[0]).read(probe.path, **options)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise ValueError(f"{names[0]} files: {str(error).partition('() ')[2] or error}") from error
    except (OSError, KeyError, EOFError) as error:
        what = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        title = reader(names[0]).TITLE
        raise ValueError(f"{probe.path} looks like {title} but cannot be read ({what}); fetch it again") from error
