"""Data that the same sensors would have reported of other fields: what is usual, where the model itself is in doubt."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..observations.units import convert_units

if TYPE_CHECKING:
    import xarray as xr

DAY = np.timedelta64(1, "D")


def replayed(fields: "xr.Dataset", groups: list, prior, replicates: int, seed: int) -> list[Tensor]:
    """y = A x + noise for windows x of other fields, for each group of windows: shapes (N, B, m), float64.

    Dated fields are shifted by whole days, so that hours of the day stay what they are, as often as all windows fit in;
    every shift is used again with other noise until there are `replicates` sets. Fields in model time give one set for
    each sample.

    Arguments:
        fields: with the prior's variables, grid and time step; samples, or one long period.
        groups: windows by what observed them, `observations.windows.WindowGroup`.
        prior: anything with variables and grid. replicates: N, at least one for each shift or sample.
        seed: of the noise.

    Raises:
        ValueError: fields without the prior's variables, on another grid, or too short.
    """
    x = _values(fields, prior)
    places = _places(fields, [times for group in groups for times in group.times])
    if not len(places):
        raise ValueError("the reference holds no period as long as the data, at the same hours of the day")
    copies, generator = max(1, replicates // len(places)), torch.Generator().manual_seed(seed)
    found, first = [], 0
    for group in groups:
        count = len(group.index)
        index = torch.from_numpy(places[:, first : first + count])
        windows = x[index[:, :, 0], :, index[:, :, 1]].transpose(2, 3)  # (N, B, T, C, *S) -> (N, B, C, T, *S)
        first += count
        h = group.observation.operator(windows.flatten(0, 1)).double()
        h = h.repeat(copies, 1)
        y = group.observation.noise.draw(h, generator)
        found.append(y.unflatten(0, (copies * len(places), count)))
    return found


def _values(fields: "xr.Dataset", prior) -> Tensor:
    """Reference fields in the prior's units, with shape (samples, C, times, *S)."""
    names, dims = [variable.name for variable in prior.variables], prior.grid.dims
    if missing := set(names) - set(fields.data_vars):
        raise ValueError(f"the reference lacks {', '.join(sorted(missing))}; the prior speaks of {', '.join(names)}")
    parts = []
    for variable in prior.variables:
        field = fields[variable.name]
        field = field if "sample" in field.dims else field.expand_dims("sample")
        array = field.transpose("sample", "time", *dims).values.astype(np.float64)
        if array.shape[2:] != tuple(prior.grid.sizes):
            raise ValueError(f"the reference lies on a grid of {array.shape[2:]}; the prior's is {prior.grid.sizes}")
        units = field.attrs.get("units", "")
        convert = units and variable.units and units != variable.units
        parts.append(convert_units(array, units, variable.units) if convert else array)
    return torch.from_numpy(np.stack(parts, 1))


def _places(fields: "xr.Dataset", windows: list[np.ndarray]) -> np.ndarray:
    """Sample and frames of every window in each set, with shape (N, windows, 2, T)."""
    time, wanted = fields["time"].values, np.stack(windows)
    if time.dtype.kind != "M":
        frames = np.abs(time - wanted[..., None]).argmin(-1)
        samples = np.arange(fields.sizes.get("sample", 1))
        own = np.broadcast_to(samples[:, None, None], (len(samples), *frames.shape))
        return np.stack([own, np.broadcast_to(frames, own.shape)], 2)
    low, high = (time[0] - wanted.min()) // DAY, (time[-1] - wanted.max()) // DAY
    where = {moment: i for i, moment in enumerate(time.astype("datetime64[ns]").tolist())}
    found = []
    for shift in range(int(low), int(high) + 1):
        frames = [where.get(moment) for moment in (wanted + shift * DAY).astype("datetime64[ns]").ravel().tolist()]
        if None not in frames:
            part = np.array(frames).reshape(wanted.shape)
            found.append(np.stack([np.zeros_like(part), part], 1))
    return np.array(found)
