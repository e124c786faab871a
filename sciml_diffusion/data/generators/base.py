"""What every generator of trajectories shares: blocks of samples, a second try, the container, the record."""

import copy
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ... import __version__
from ...physics.finite_volume.base import FiniteVolume
from ...physics.grid import Grid
from ...physics.solver import Solver

Axes = dict[str, tuple[np.ndarray, dict]]  # name of a dim -> values, attributes
RETRY = ("not finite", "above the stability limit", "no stable step", "has the density", "has the pressure")  # errors

LARGEST = {1: 1 << 16, 2: 1 << 12}  # points of an axis of a solver's grid, by the number of axes
LONGEST = 1e6  # time before the first frame


@dataclass(frozen=True)
class Variable:
    """One array of a data set.

    Arguments:
        name: short name.
        dims: after `sample`; () for a number that differs from sample to sample.
        long_name, units: of CF.
        shared: the same array for all samples, without the dim `sample`.
    """

    name: str
    dims: tuple[str, ...]
    long_name: str
    units: str = "1"
    shared: bool = False


class Generator(ABC):
    """Initial law x equation x solver x what is kept. Subclasses are frozen dataclasses of numbers and words.

    Sample i depends on (seed, i) alone: samples are solved in blocks of `block` indices that always begin at multiples
    of it, so neither the number of samples, nor how they are cut into files, nor the number of processes changes a bit
    on one machine.
    """

    name: ClassVar[str]  # of its leaf in configs/data
    title: ClassVar[str]  # one line
    equation: ClassVar[str]
    law: ClassVar[str]  # of what is drawn
    boundary: ClassVar[str]
    solver: ClassVar[str]  # scheme and its order
    block: ClassVar[int] = 16  # samples solved together
    largest: ClassVar[int] = LARGEST[2]  # points of an axis of the solver's grid
    least: ClassVar[dict[str, float]] = {}  # arguments and the smallest values that they may have
    above_zero: ClassVar[tuple[str, ...]] = ()  # arguments that must be > 0
    choices: ClassVar[dict[str, tuple]] = {}  # arguments that are one of these words

    def __post_init__(self):
        """Raises ValueError where an argument is out of range or no word that is known.

        Every number is finite; the solver's grid has no fewer points than are kept, a multiple of them, not too many.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
        require({f"a finite {name}": (value, math.isfinite(value)) for name, value in numbers.items()})
        points, finer_points = numbers.get("points", 1), numbers.get("solver_points")
        require({"points >= 1": (points, points >= 1)})
        enough = finer_points is None or finer_points >= points
        require({f"solver_points >= points = {points}": (finer_points, enough)})
        most = {name: value for name in ("points", "solver_points") if (value := numbers.get(name)) is not None}
        require({f"{name} <= {self.largest}": (value, value <= self.largest) for name, value in most.items()})
        checks = {f"{name} >= {least}": (values[name], values[name] >= least) for name, least in self.least.items()}
        checks |= {f"{name} > 0": (values[name], values[name] > 0) for name in self.above_zero}
        for name, known in self.choices.items():
            checks[f"{name}, one of {', '.join(filter(None, known))}"] = (values[name], values[name] in known)
        require(checks)
        if "solver_points" in values:
            fine = getattr(self, "fine", finer_points)
            near = points * math.ceil(fine / points)
            require({f"solver_points, a multiple of {points}, choose {near}": (fine, fine % points == 0)})

    @property
    @abstractmethod
    def variables(self) -> tuple[Variable, ...]:
        """The arrays that are kept."""

    @property
    @abstractmethod
    def axes(self) -> Axes:
        """Values and attributes of every dim but `sample`."""

    @abstractmethod
    def solve(self, seed: int, samples: range, refine: int) -> dict[str, Tensor | np.ndarray]:
        """The arrays of some samples, each with shape (B, *dims), or (*dims) where it is shared.

        Arguments:
            seed: >= 0.
            samples: one block of indices.
            refine: the step is divided by it.
        """

    def doubled(self, enough: float, parameter: str) -> int:
        """The first of points, 2 points, 4 points, ... that is at least `enough`.

        Arguments:
            enough: points of an axis that the solver needs.
            parameter: name of the argument that asks for them.

        Raises:
            ValueError: more than `largest`.
        """
        points = self.points
        while points < enough and points <= self.largest:
            points *= 2
        if points > self.largest:
            raise ValueError(
                f"{parameter} = {getattr(self, parameter):g} needs {max(enough, points):.3g} points along an axis of "
                f"the solver's grid; at most {self.largest} are possible"
            )
        return points

    def __getstate__(self) -> dict:
        """What travels to other processes: the arguments, not the solver that was made of them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def facts(self) -> dict:
        """Further attributes: the solver's resolution and step, for example."""
        return {}

    @property
    def settings(self) -> dict:
        """The arguments of this generator, as JSON knows them, with its name; equal settings give equal data."""
        return {"generator": self.name, **_plain(asdict(self))}

    @property
    def attributes(self) -> dict:
        """Attributes of the data set, but for the seed."""
        numbers = {key: value for key, value in asdict(self).items() if isinstance(value, (int, float, str))}
        numbers = {key: int(value) if isinstance(value, bool) else value for key, value in numbers.items()}
        words = {"title": self.title, "equation": self.equation, "boundary": self.boundary, "initial_law": self.law}
        record = {"solver": self.solver, "source": f"sciml_diffusion {__version__}", "license": "Apache-2.0"}
        return {"Conventions": "CF-1.10", **words, **record, **numbers, **self.facts}

    @property
    def bytes_per_sample(self) -> int:
        """Size of one sample on disk, in bytes."""
        axes = {name: len(values) for name, (values, _) in self.axes.items()}
        return 4 * sum(math.prod(axes[d] for d in v.dims) for v in self.variables if not v.shared)

    def solve_block(self, seed: int, index: int) -> dict[str, np.ndarray]:
        """All samples of block `index`, float32; tried again with half the step where a shorter one may help (`RETRY`).

        Raises:
            ValueError: no solution with half the step either, with sample and time; settings that cannot be solved.
        """
        samples = range(index * self.block, (index + 1) * self.block)
        for refine in (1, 2):
            try:
                with torch.no_grad():
                    arrays = self.solve(seed, samples, refine)
                return self._checked(arrays, samples)
            except ValueError as error:
                said = re.sub(r"^sample (\d+)", lambda m: f"sample {samples[int(m[1])]}", str(error))
                if not any(words in said for words in RETRY):
                    raise
        raise ValueError(f"{said} (seed {seed}; tried with the usual step and with half of it)")

    def dataset(self, arrays: dict[str, np.ndarray], seed: int, first: int) -> xr.Dataset:
        """The container of some samples.

        Arguments:
            arrays: of consecutive samples, as `solve_block` returns them.
            seed: with which they were made.
            first: index of the first.
        """
        count = max((len(arrays[v.name]) for v in self.variables if not v.shared), default=0)
        coordinates = {name: (name, values, attrs) for name, (values, attrs) in self.axes.items()}
        coordinates["sample"] = ("sample", np.arange(first, first + count), {"long_name": "index of the sample"})
        data = {}
        for v in self.variables:
            dims = v.dims if v.shared else ("sample", *v.dims)
            data[v.name] = (dims, arrays[v.name], {"units": v.units, "long_name": v.long_name})
        return xr.Dataset(data, coordinates, {**self.attributes, "seed": seed})

    def _checked(self, arrays: dict, samples: range) -> dict[str, np.ndarray]:
        """Float32 arrays of the shapes that `variables` and `axes` promise, all finite."""
        result = {}
        for v in self.variables:
            values = np.asarray(arrays[v.name], dtype=np.float32)
            shape = tuple(len(self.axes[d][0]) for d in v.dims)
            shape = shape if v.shared else (len(samples), *shape)
            if values.shape != shape:
                raise RuntimeError(f"{type(self).__name__} gave {v.name} of shape {values.shape}, not {shape}")
            bad = np.argwhere(~np.isfinite(values))
            if len(bad):
                at = f" at time {self.axes['time'][0][bad[0][1]]:.6g}" if v.dims[:1] == ("time",) else ""
                raise ValueError(f"sample {0 if v.shared else int(bad[0][0])} is not finite in {v.name}{at}")
            result[v.name] = values
        return result


def finer(solver: Solver, refine: int) -> Solver:
    """The same solver with its automatic steps divided by `refine`."""
    if refine == 1:
        return solver
    shorter, limit = copy.copy(solver), solver.step_limit
    if isinstance(solver, FiniteVolume):
        shorter.courant = solver.courant / refine
    else:
        shorter.step_limit = lambda u: limit(u) / refine
    return shorter


def to_final(solver: Solver, u: Tensor, duration: float) -> Tensor:
    """The fields after a time that is not kept, shape (B, C, *S) -> (B, C, *S); 0 leaves them as they are.

    The step is looked up anew after each unit of time.

    Raises:
        ValueError: a time that would not end.
    """
    if duration > LONGEST:
        raise ValueError(f"expected a spin_up of at most {LONGEST:g} units of time; got {duration:g}")
    return solver.solve(u, duration, 2 + int(duration))[:, :, -1] if duration > 0 else u


def coarse(u: Tensor, ratio: int, axes: int = 1) -> Tensor:
    """Means over blocks of `ratio` cells of each of the last axes: shape (..., *S) -> (..., *(S / ratio))."""
    for axis in range(-axes, 0):
        u = u.unflatten(axis, (-1, ratio)).mean(axis)
    return u


def periodic_cells(points: int, length: float, start: float = 0.0, dim: str = "x") -> Grid:
    """Cell centres start + (j + 1/2) L / n of one axis that closes on itself."""
    return Grid((dim,), (start + (np.arange(points) + 0.5) * (length / points),), (length,))


def times(duration: float, frames: int, units: str = "1") -> Axes:
    """Equal times of a trajectory, both ends included."""
    return {"time": (np.linspace(0.0, duration, frames), {"units": units, "long_name": "model time"})}


STEADY: Axes = {"time": (np.zeros(1), {"units": "1", "long_name": "model time of a steady state"})}


def space(grid: Grid, units: str = "1") -> Axes:
    """The axes of a grid with their periods."""
    found = {}
    for dim, values, period in zip(grid.dims, grid.coordinates, grid.periods, strict=True):
        attrs = {"units": units, "long_name": f"position along {dim}"}
        found[dim] = (values, attrs | ({} if period is None else {"period": float(period)}))
    return found


def require(checks: dict[str, tuple[object, Callable | bool]]) -> None:
    """Raises ValueError with all that is out of range: {what is expected: (value, whether it holds)}."""
    wrong = [f"{text} (got {value})" for text, (value, holds) in checks.items() if not holds]
    if wrong:
        raise ValueError(f"expected {', '.join(wrong)}")


def _plain(value):
    """Nested settings as JSON knows them."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
