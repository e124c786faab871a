"""The public formats of trajectories, one reader each, told apart by what is in the file."""

from collections.abc import Callable
from importlib import import_module
from inspect import signature
from types import ModuleType, NoneType
from typing import get_args

import numpy as np
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
        ValueError: two formats claim the file, an unknown format or option, an option of the wrong kind,
            or what the reader finds wrong.
    """
    names = [name] if name else claimed(probe)
    if len(names) > 1:
        raise ValueError(f"{probe.path} could be {' or '.join(names)}; say which with format=")
    if not names:
        return None
    read = reader(names[0]).read
    _check_options(probe, names[0], read, options)
    try:
        return read(probe.path, **options)
    except (OSError, KeyError, EOFError) as error:
        what = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        title = reader(names[0]).TITLE
        raise ValueError(f"{probe.path} looks like {title} but cannot be read ({what}); fetch it again") from error
    except (TypeError, ValueError, AttributeError) as error:
        given = ", ".join(f"{key}={value!r}" for key, value in options.items())
        if not given or (isinstance(error, ValueError) and str(probe.path) in str(error)):
            raise
        raise ValueError(f"{probe.path}, read as {names[0]} with {given}: {error}") from error


def _check_options(probe: Probe, name: str, read: Callable, options: dict) -> None:
    """Raises ValueError for an option that a reader does not have, and for text in place of a number or vice versa."""
    parameters = dict(list(signature(read).parameters.items())[1:])  # without the path
    for key, value in options.items():
        if key not in parameters:
            known = f"the options are {', '.join(parameters)}" if parameters else "the format has no options"
            raise ValueError(f"{probe.path}: {name} files: there is no option {key}; {known}")
        kinds = set(get_args(parameters[key].annotation) or (parameters[key].annotation,)) - {NoneType}
        number = np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf"
        wanted = "a number" if kinds <= {int, float} and not number else ""
        wanted = "a text" if kinds == {str} and not isinstance(value, str) else wanted
        if wanted and not (value is None and NoneType in get_args(parameters[key].annotation)):
            raise ValueError(f"{probe.path}: the option {key} of the format {name} is {wanted}; got {value!r}")
