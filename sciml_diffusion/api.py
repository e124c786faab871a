"""The facade: a few functions from files and xarray to posteriors and back; beside cli/, the only place for names."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .leaves import check_known, leaf
from .prior import Prior, Variable
from .results import leave_stations_out, plot, score  # noqa: F401 - the facade's other half

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

    from .inverse.base import PosteriorMethod
    from .observations.measurement import Measurement
    from .observations.noise import Noise
    from .observations.operators import Operator
    from .samplers.base import Sampler

ZOO = Path(__file__).parent / "zoo"


def open_dataset(source: "str | Path", format: str | None = None, **options) -> "xr.Dataset":
    """Opens a shipped sample by name, or any file, folder or URL of a supported format, as canonical fields.

    Arguments:
        source: name of a shipped sample; path of a file, or of a folder that is one data set or holds files of one
            kind; URL of a Zarr store. Formats are told apart by content.
        format: name of the format, where the content leaves it open.
        options: what that format needs beside the file, for example dt=0.1 where it holds no times.
    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown name (near names are suggested); a file of no known format, truncated, or without time.
    """
    from .data.locate import open_source

    return open_source(source, format, **options)


def load_prior(source: "str | Path") -> Prior:
    """Loads a shipped prior by name, or the folder that `train` or `Prior.save` wrote.

    Raises:
        FileNotFoundError: no such prior (near names are suggested). ValueError: the prior is incomplete.
    """
    path = Path(source)
    if path.is_dir():
        return Prior.load(path / "prior" if (path / "prior").is_dir() else path)
    shipped = sorted(folder.parent.name for folder in ZOO.glob("*/prior.json"))
    check_known(str(source), shipped, "prior", "a folder that `train` wrote")
    return Prior.load(ZOO / str(source))


def observe(
    source,
    stations=None,
    std=None,
    seed: int = 0,
    variable: str | None = None,
    units: str | None = None,
    every: int = 1,
    limit: "float | dict[str, float] | None" = None,
    dof: float | None = None,
) -> "xr.Dataset":
    """A table of sensors: simulated in gridded fields, or read from a CSV file, a DataFrame or an xarray table.

    Arguments:
        source: fields (xarray.Dataset with a grid), or a table with the columns time, the coordinates, value, and
            optionally variable, std, station, units, limit, sense, dof.
        stations: number of random stations in gridded fields, or their coordinates.
        std: standard deviation of the sensors' noise, in the units of the values; a table may hold its own.
        seed: of positions and noise.
        variable: name of the observed variable, where the source leaves it open.
        units: of the values of a table that states none, for example "degC".
        every: take every n-th frame of gridded fields.
        limit: sensors only report whether their value lies above or below it; a table may say so for single rows, by a
            column sense ("above", "below", ">", "<"; of the value, or of a column limit).
        dof: the errors follow Student's t with so many degrees of freedom and the scale std: outliers are forgiven.
    """
    import xarray as xr

    from .data.container import canonical
    from .observations.simulate import simulate
    from .observations.table import read_table

    if isinstance(source, xr.Dataset) and len(source.dims) > 1:
        if stations is None or std is None:
            raise ValueError(
                "to observe gridded fields give stations=<number> and std=<noise>; "
                "to read sensors give a table or a CSV path"
            )
        return simulate(canonical(source), stations, std, seed, variable, every, limit=limit, dof=dof)
    if stations is not None:
        raise ValueError("stations= is for gridded fields; a table of sensors brings its own stations")
    return read_table(source, std=std, variable=variable, units=units, limit=limit, dof=dof)


def measure(
    prior: "Prior | str | Path",
    operator: "Operator | Callable[[Tensor], Tensor]",
    y,
    std=None,
    noise: "Noise | None" = None,
    start=None,
    differentiable: bool = True,
) -> "Measurement":
    """Any measurement of a prior's windows, for `posterior`: y ~ p(y | A(x)).

    Arguments:
        operator: A, an Operator (`observations/`) or any torch function of windows in the prior's units, with shape
            (N, C, T, *S) -> (N, m), row by row.
        y: what was measured, with shape (m,), or (B, m) for B windows.
        std: standard deviation of Gaussian noise, one number or m; or else
        noise: a law: Correlated, Poisson, StudentT, Censored, ... of `observations/`.
        start: time of the first frame of each window; 0 in model time.
        differentiable: False for a function that torch cannot differentiate: a solver in another language.
    Raises:
        ValueError: an operator that does not fit the prior's windows (the error names their shape), noise that is not
            finite and > 0, y that is impossible under the law.
    """
    from .observations.measurement import measurement

    prior = prior if isinstance(prior, Prior) else load_prior(prior)
    return measurement(prior, operator, y, std, noise, start, differentiable)


def posterior(
    prior: "Prior | str | Path",
    obs: "xr.Dataset | Measurement | list[xr.Dataset | Measurement]",
    method: "str | PosteriorMethod" = "auto",
    members: int = 64,
    steps: int = 32,
    seed: int = 0,
    starts: "np.ndarray | None" = None,
    progress: bool = True,
    batch_rows: int | None = None,
    **options,
) -> "xr.Dataset":
    """Samples p(fields | sensors) as a weighted ensemble.

    Under `accelerate launch` (with an Accelerator made before) processes share the network's work and return the same.

    Arguments:
        prior: a Prior, the name of a shipped one, or its folder.
        obs: table of sensors, from `observe`; a measurement, from `measure`; or a list of both, of the same windows.
        method: auto (picks by the problem and says which and why in attrs["choice"]; the default), mmps (moment
            matching), smc (twisted, weighted), any other leaf of configs/posterior, or a PosteriorMethod of your own.
        members: ensemble size K.
        steps: noise levels: one network call each with a nearly Gaussian prior; some six for mmps elsewhere.
        seed: of the member streams; the same seed gives the same ensemble.
        starts: first frame of each window; by default windows follow one another from the first observation's hour.
        progress: show a progress bar.
        batch_rows: at most so many members pass through the network at once: the same in less memory and more time.
        options: arguments of the method, for example budget=200 of auto, or covariance="jacobian" of mmps.
    Returns:
        The fields with dims (realization, time, *space), log_weight and weight (realization, time), ess (time), and the
        diagnostics of each window; in the coordinates of the prior's fields and the units of the sensors.
    Raises:
        ValueError: sensors outside the domain, of an unknown variable, or with std <= 0.
    """
    from tqdm import tqdm

    from .inverse.reconstruct import reconstruct
    from .observations.measurement import bind_all
    from .to_xarray import posterior_dataset

    prior = prior if isinstance(prior, Prior) else load_prior(prior)
    if members < 2:
        raise ValueError(f"an ensemble needs at least 2 members; got members = {members}")
    groups = bind_all(obs, prior, starts)
    method = posterior_method(method, prior, steps, **options)
    total = sum(len(group.index) for group in groups) * (len(method.sigmas) - 1)
    with tqdm(total=total, desc="posterior", disable=not progress, unit="step") as bar:
        result = reconstruct(prior, groups, method, members, seed, callback=bar.update, batch_rows=batch_rows)
    facts = {"method": type(method).__name__, "members": members, "steps": len(method.sigmas) - 1, "seed": seed}
    return posterior_dataset(result, prior, obs, facts)


def posterior_method(method: "str | PosteriorMethod", prior: Prior, steps: int, **options) -> "PosteriorMethod":
    """Builds a posterior method from its leaf in configs/posterior, with a noise grid over the prior's range."""
    from .inverse.base import PosteriorMethod
    from .samplers.grids import karras_sigmas

    if isinstance(method, PosteriorMethod):
        return method
    target, arguments = leaf("posterior", method, "posterior method", "a PosteriorMethod", options, ("sigmas",))
    return target(karras_sigmas(steps, *prior.sigma_range), **arguments)


def sample(
    prior: "Prior | str | Path",
    members: int = 16,
    steps: int = 32,
    seed: int = 0,
    start=None,
    sampler: "Sampler | None" = None,
) -> "xr.Dataset":
    """Draws windows from a prior: fields with dims (realization, time, *space).

    Arguments:
        start: first time of the window, for priors of dated fields; by default the first time of their training data.
        sampler: a Sampler with its own noise grid; by default the stochastic one with `steps` levels.
    """
    from .samplers.grids import karras_sigmas
    from .samplers.sde import Ancestral
    from .samplers.streams import MemberStreams
    from .to_xarray import fields_dataset, window_times

    prior = prior if isinstance(prior, Prior) else load_prior(prior)
    if members < 1:
        raise ValueError(f"members must be at least 1; got {members}")
    time = window_times(prior, start)
    streams = MemberStreams(seed, [0], range(members), prior.dtype, prior.device)
    sampler = sampler or Ancestral(karras_sigmas(steps, *prior.sigma_range))
    z = sampler(prior.denoiser, streams)
    return fields_dataset(prior.codec.at(time).decode(z).cpu().numpy(), time, prior)


def fit_prior(fields: "xr.Dataset", window: "str | int" = "8h", **options) -> Prior:
    """A closed-form Gaussian prior from any gridded fields, in seconds; `train` adds the learned part.

    Arguments:
        fields: gridded fields with a time axis; one variable or several.
        window: length of the windows that the prior speaks of: frames, or a time such as "8h".
        options: see `training.fit_prior.fit_prior`.
    Raises:
        ValueError: too few frames, or a grid too large (the error says how to coarsen it).
    """
    from .data.container import canonical
    from .data.windows import window_length
    from .training.fit_prior import fit_prior as fit

    fields = canonical(fields)
    frames = window_length(window, np.diff(fields["time"].values).min())
    denoiser, codec, grid, step, variables, sigma_range, card = fit(fields, frames, **options)
    return Prior(denoiser, codec, grid, tuple(Variable(**v) for v in variables), frames, step, sigma_range, card)


def generate(
    equation: str = "burgers",
    samples: int = 16,
    seed: int = 0,
    start: int = 0,
    workers: int = 1,
    progress: bool = False,
    **options,
) -> "xr.Dataset":
    """Simulates an equation with our own solvers: fields with dims (sample, time, *space), in memory.

    Sample i depends on (equation, options, seed, i) alone. For more than memory holds use `sciml-diffusion generate`.

    Arguments:
        equation: a leaf of configs/data, for example burgers, navier-stokes, darcy.
        samples: number of samples.
        seed: different seeds have no sample in common.
        start: index of the first sample.
        workers: processes; they change nothing but the time.
        progress: show a bar.
        options: of the equation, for example points=64, nu=0.02; see datasets/<equation>/README.md.
    Raises:
        FileNotFoundError: no such equation. TypeError: no such option. ValueError: a number out of range.
    """
    from .data.generate import generate as simulate

    target, arguments = leaf("data", equation, "equation", "", options)
    return simulate(target(**arguments), samples, seed, start, workers, progress)
