"""Trajectories from our own solvers, in memory: initial law x equation x solver, as xarray."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import xarray as xr

from .generators.base import Generator, require
from .generators.blocks import assemble, solved_for
from .generators.burgers import BurgersGenerator


def generate(
    generator: Generator, samples: int, seed: int, start: int = 0, workers: int = 1, progress: bool = False
) -> xr.Dataset:
    """The samples start, ..., start + samples - 1 of a generator. Sample i depends on (seed, i) alone.

    Arguments:
        generator: one of `data.generators`, for example `BurgersGenerator(nu=0.02)`.
        samples: number of samples >= 1; solved in blocks (`generator.block`), so that a few cost as much as a block.
        seed: >= 0; different seeds have no sample in common.
        start: index of the first sample.
        workers: processes that solve; they change nothing but the time.
        progress: shows a bar.

    Returns a Dataset with the dim sample first, float32.

    Raises:
        ValueError: a number is out of range, or a sample that is not finite (it is named).
    """
    check_request(samples, seed, start, workers)
    wanted = [range(start, start + samples)]
    with bar(solved_for(generator, wanted), progress, generator.name) as tick:
        arrays = next(assemble(generator, seed, wanted, workers, tick))
    return generator.dataset(arrays, seed, start)


def generate_burgers(
    samples: int,
    seed: int,
    points: int = 64,
    frames: int = 64,
    nu: float = 0.01,
    duration: float = 1.0,
    solver_points: int | None = None,
    start: int = 0,
    progress: bool = False,
) -> xr.Dataset:
    """`generate` for the viscous Burgers equation: u (sample, time, x); see `BurgersGenerator` for the arguments."""
    generator = BurgersGenerator(points, frames, nu, duration, solver_points)
    return generate(generator, samples, seed, start, progress=progress)


def check_request(samples: int, seed: int, start: int, workers: int) -> None:
    """Raises ValueError where a number is out of range."""
    require(
        {
            "samples >= 1": (samples, samples >= 1),
            "seed >= 0": (seed, seed >= 0),
            "start >= 0": (start, start >= 0),
            "workers >= 1": (workers, workers >= 1),
        }
    )


@contextmanager
def bar(samples: int, progress: bool, name: str) -> Iterator[Callable[[int], object]]:
    """A function to be told how many more samples are solved; it moves a bar where there is to be one."""
    from tqdm import tqdm

    with tqdm(total=samples, desc=name, unit="sample", disable=not progress) as shown:
        yield shown.update
