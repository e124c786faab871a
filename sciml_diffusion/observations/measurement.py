"""Any operator and noise law on the windows of a prior, beside sensor tables: what `sd.measure` returns, bound."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from .noise import Noise
from .observation import Observation
from .operators import Function, Operator
from .stacked import stack
from .table import check_table
from .windows import WindowGroup, bind, checked_starts, starts_of


@dataclass(frozen=True, eq=False)
class Measurement:
    """Data of B windows through any operator, in the prior's units.

    Arguments:
        observation: operator on physical windows (C, T, *S), y with shape (B, m), noise.
        starts: first frame of each window, with shape (B,): datetime64, or model time.
    """

    observation: Observation
    starts: np.ndarray

    def __repr__(self) -> str:
        """One line: what was measured, when, with which noise."""
        observation = self.observation
        what = f"{observation.operator.m} numbers of {type(observation.operator).__name__}"
        return (
            f"Measurement({what}, {type(observation.noise).__name__} noise, windows from {list(map(str, self.starts))})"
        )


def measurement(
    prior, operator: Operator | Callable[[Tensor], Tensor], y, std=None, noise: Noise | None = None, start=None,
    differentiable: bool = True,
) -> Measurement:  # fmt: skip
    """Checks what a user measured, y of shape (B, m), against a prior; arguments as for `sciml_diffusion.measure`."""
    y = torch.as_tensor(np.asarray(y, np.float64))
    y = y.reshape(1, -1) if y.ndim < 2 else y
    starts = _first_frames(prior, start, len(y))
    if not y.numel():
        raise ValueError(f"nothing was measured: y has the shape {tuple(y.shape)}")
    if not isinstance(operator, Operator):
        if not callable(operator):
            raise TypeError(f"the operator is an Operator or a function of windows; got {type(operator).__name__}")
        operator = Function(operator, prior.shape, y.shape[-1], differentiable)
    if tuple(operator.event) != tuple(prior.shape):
        raise ValueError(
            f"the operator observes windows of shape {tuple(operator.event)}; those of this prior have the shape "
            f"{describe_window(prior)}"
        )
    if y.ndim != 2 or y.shape[1] != operator.m:
        raise ValueError(
            f"the operator gives {operator.m} numbers for a window; y needs the shape ({operator.m},), or (B, "
            f"{operator.m}) for B windows; got {tuple(y.shape)}"
        )
    if (std is None) == (noise is None):
        raise ValueError("give std=, the standard deviation of Gaussian noise, or noise=, a law; one of the two")
    if noise is not None and not isinstance(noise, Noise):
        raise TypeError(f"noise= is a law of observations/, such as StudentT; got {type(noise).__name__}. Or give std=")
    if noise is None:
        std = torch.as_tensor(np.asarray(std, np.float64))
        if std.ndim > 1 or std.numel() not in (1, operator.m):
            raise ValueError(f"std is one number or {operator.m} of them; got the shape {tuple(std.shape)}")
        noise = std.expand(operator.m).contiguous()
    made = Observation(operator, y, noise if isinstance(noise, Tensor) else noise.to(torch.float64, "cpu"))
    _try(operator, prior, starts[0])
    return Measurement(made, starts)


def bind_all(obs, prior, starts: np.ndarray | None = None) -> list[WindowGroup]:
    """Windows of a prior with all that is known of them: one sensor table, one `Measurement`, or a list of both.

    Measurements say which windows there are; tables in the same list must lie in them, and without measurements they
    say so themselves (see `windows.bind`). What was seen of one window is stacked.

    Arguments:
        obs: as for `sciml_diffusion.posterior`.
        prior: anything with grid, variables, window and step.
        starts: first frame of each window; by default as above.

    Raises:
        TypeError: something that is neither a table nor a Measurement. ValueError: as `bind`, or a measurement whose
            window is none of the starts.
    """
    measured, tables = parts_of(obs)
    if not measured and len(tables) == 1:
        return bind(tables[0], prior, starts)
    moments = [table["time"].values for table in tables] or [measured[0].starts]
    if starts is None and measured:
        starts = np.unique(np.concatenate([one.starts for one in measured]))
    elif starts is None:
        starts = starts_of(np.concatenate(moments), prior)
    starts = checked_starts(np.asarray(starts), moments[0], prior)
    pieces: list[list[tuple]] = [[] for _ in starts]  # of each window: (number of the source, observation, row)
    for table in tables:
        for group in bind(table, prior, starts):
            for row, window in enumerate(group.index):
                if group.observation is not None:
                    pieces[window].append((id(group.observation), group.observation, row))
    for one in measured:
        for row, first in enumerate(one.starts):
            window = int(np.argmin(np.abs(starts - first)))
            if starts[window] != first:
                raise ValueError(f"a measurement's window starts at {first}; the starts are {list(map(str, starts))}")
            pieces[window].append((id(one), one.observation, row))
    return _grouped(pieces, starts, prior)


def parts_of(obs) -> tuple[list[Measurement], list[xr.Dataset]]:
    """Measurements and sensor tables of what `posterior` was given.

    Raises:
        TypeError: something else. ValueError: an empty list.
    """
    parts = list(obs) if isinstance(obs, list | tuple) else [obs]
    if not parts:
        raise ValueError("nothing was observed: the list is empty. Use sample(...) to draw from the prior")
    measured = [part for part in parts if isinstance(part, Measurement)]
    tables = [part for part in parts if not isinstance(part, Measurement)]
    for table in tables:
        check_table(table)
    return measured, tables


def describe_window(prior) -> str:
    """The shape of a prior's windows in words: "(C, T, *S) = (1, 8, 33, 49): t2m; 8 frames; latitude 33, ..."."""
    axes = ", ".join(f"{dim} {size}" for dim, size in zip(prior.grid.dims, prior.grid.sizes, strict=True))
    names = ", ".join(variable.name for variable in prior.variables)
    return f"(C, T, *S) = {tuple(prior.shape)}: {names}; {prior.window} frames; {axes}"


def _grouped(pieces: list[list[tuple]], starts: np.ndarray, prior) -> list[WindowGroup]:
    """Windows that were seen by the same sources, as one group with everything stacked."""
    alike: dict[tuple, list[int]] = {}
    for window, seen in enumerate(pieces):
        alike.setdefault(tuple(key for key, _, _ in seen), []).append(window)
    groups = []
    for windows in alike.values():
        stacked = []
        for source in range(len(pieces[windows[0]])):
            rows = [pieces[window][source][2] for window in windows]
            observation = pieces[windows[0]][source][1]
            stacked.append(replace(observation, y=observation.y[rows]))
        times = tuple(starts[window] + np.arange(prior.window) * prior.step for window in windows)
        groups.append(WindowGroup(tuple(windows), times, stack(stacked) if stacked else None))
    return groups


def _first_frames(prior, start, count: int) -> np.ndarray:
    """First frames of the windows of a measurement, shape (B,), in the type of the prior's times."""
    dated = isinstance(prior.step, np.timedelta64)
    if start is None and dated:
        raise ValueError(
            "this prior speaks of dated fields: give start=, the time of the first frame of the measured window"
        )
    try:
        starts = np.atleast_1d(np.asarray(0.0 if start is None else start, "datetime64[ns]" if dated else np.float64))
    except (TypeError, ValueError) as error:
        wanted = "a time such as 2019-03-26T12:00" if dated else "a number, in model time"
        raise ValueError(f"start must be {wanted}, or one for each window; got {start!r}") from error
    if starts.shape != (count,):
        raise ValueError(f"y holds {count} windows; start must name as many first frames; got {len(starts)}")
    return starts


def _try(operator: Operator, prior, start) -> None:
    """Applies the operator to two windows like those of the prior, together and alone.

    Raises:
        ValueError: where it fails, returns another shape or what is not finite, or mixes the rows of a batch.
    """
    times = start + np.arange(prior.window) * prior.step
    with torch.no_grad():
        windows = prior.codec.at(times).decode(_examples(prior)).to(torch.float64).cpu()
        try:
            both, alone = operator(windows), operator(windows[:1])
        except Exception as error:
            raise ValueError(
                f"the operator failed on windows of shape (N, *event), event = {describe_window(prior)}: {error}"
            ) from error
        if operator.differentiable:
            _try_derivative(operator, windows[:1])
    if not torch.isfinite(both).all():
        raise ValueError("the operator gives numbers that are not finite for windows as the prior draws them")
    if not torch.allclose(both[:1].double(), alone.double(), rtol=1e-6, atol=1e-6 * float(both.abs().max()) + 1e-30):
        raise ValueError(
            "the operator gives other numbers for a window alone than beside another one: row n of its result must "
            "depend on row n of its input alone, and on nothing random"
        )


def _try_derivative(operator: Operator, window: Tensor) -> None:
    """Raises ValueError where an operator that says so cannot be differentiated at a window, shape (1, *event)."""
    try:
        value, slope = operator.at(window)
        slope.adjoint(torch.ones_like(value))
    except RuntimeError as error:
        raise ValueError(
            f"torch cannot differentiate this operator ({error}). Keep to torch functions of its input, or give "
            "differentiable=False: then methods such as enkg take it, which only evaluate it"
        ) from error


def _examples(prior) -> Tensor:
    """Two draws of the prior where it is known in closed form, else its mean twice: shape (2, *event)."""
    event = tuple(prior.denoiser.event)
    infinity = torch.full((), torch.inf, dtype=prior.dtype, device=prior.device)
    mean, covariance = prior.denoiser.prior_mean(), prior.denoiser.surrogate(infinity)
    if mean is None or covariance is None:
        return torch.zeros(2, *event, dtype=prior.dtype, device=prior.device)
    z = torch.randn(2, *event, generator=torch.Generator().manual_seed(0)).to(mean)
    return mean + covariance.sqrt(z)
