"""Climatologies and scales of the training fields, accumulated in float64."""

import math

import numpy as np
import torch
from torch import Tensor

HOURS = 24


def hours_of(time: np.ndarray) -> Tensor:
    """Hour of the day (UTC), 0 to 23, of datetime64 times: shape (T,) -> (T,)."""
    time = np.asarray(time)
    if time.dtype.kind != "M":
        raise ValueError(
            f"an hourly climatology needs dated fields (datetime64), got times of type {time.dtype}; use mean_std"
        )
    return torch.from_numpy(time.astype("datetime64[h]").astype(np.int64) % HOURS)


def hourly_mean(fields: Tensor, time: np.ndarray, harmonics: int | None = None) -> Tensor:
    """Mean of each hour of the day, at every point.

    With `harmonics` = K it is the least-squares fit of a_0 + sum_k^K a_k cos(2 pi k h / 24) + b_k sin(2 pi k h / 24),
    which has 2 K + 1 numbers rather than 24 and so less noise from a short training period.

    Arguments:
        fields: with shape (T, C, *S).
        time: T times, datetime64.
        harmonics: None for the plain mean, 2 for the diurnal and the semi-diurnal cycle.

    Returns:
        with shape (C, 24, *S) and the dtype of the fields; NaN in hours that the data do not have.

    Raises:
        ValueError: undated fields, or fewer hours of the day than the harmonics need.
    """
    hours = hours_of(time)
    if len(hours) != len(fields):
        raise ValueError(f"got {len(fields)} fields and {len(hours)} times")
    total = torch.zeros(HOURS, *fields.shape[1:], dtype=torch.float64, device=fields.device)
    total.index_add_(0, hours.to(fields.device), fields.double())
    count = torch.bincount(hours, minlength=HOURS).to(total)
    column = (-1,) + (1,) * (fields.ndim - 1)
    mean = total / count.reshape(column)
    if harmonics is not None:
        present = count > 0
        if int(present.sum()) < 2 * harmonics + 1:
            raise ValueError(
                f"{harmonics} harmonics need {2 * harmonics + 1} hours of the day; the data have {int(present.sum())}"
            )
        basis = _harmonic_basis(harmonics).to(total)[present]
        weight = count[present].sqrt()
        fit = torch.linalg.lstsq(basis * weight[:, None], mean[present].flatten(1) * weight[:, None]).solution
        mean[present] = (basis @ fit).reshape(mean[present].shape)
    return mean.movedim(0, 1).to(fields.dtype)


def anomalies(fields: Tensor, mean: Tensor, time: np.ndarray) -> Tensor:
    """x - mean[hour]: fields of shape (T, C, *S) less a climatology (C, 24, *S), with shape (T, C, *S)."""
    return fields - mean[:, hours_of(time).to(mean.device)].movedim(1, 0)


def anomaly_std(fields: Tensor, mean: Tensor, time: np.ndarray) -> Tensor:
    """Root mean square of the anomalies of each variable, over times and points, as shape (C, 1, *ones).

    Arguments:
        fields: with shape (T, C, *S).
        mean: hourly climatology, with shape (C, 24, *S).
        time: T times, datetime64.
    """
    rms = anomalies(fields, mean, time).double().square().mean(_all_but(fields, 1), keepdim=True).sqrt()
    return rms.movedim(0, 1).to(fields.dtype)


def mean_std(fields: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each variable over all else, each as shape (C, 1, *ones).

    Arguments:
        fields: with shape (T, C, *S); samples and times as one axis, (sample T, C, *S), where there are both.
    """
    x, axes = fields.double(), _all_but(fields, 1)
    mean = x.mean(axes, keepdim=True)
    std = (x - mean).square().mean(axes, keepdim=True).sqrt()
    return mean.movedim(0, 1).to(fields.dtype), std.movedim(0, 1).to(fields.dtype)


def _all_but(x: Tensor, axis: int) -> list[int]:
    """All axes of a tensor of any shape but one."""
    return [a for a in range(x.ndim) if a != axis]


def _harmonic_basis(harmonics: int) -> Tensor:
    """1, cos(2 pi k h / 24), sin(2 pi k h / 24) at every hour, with shape (24, 1 + 2 K), float64."""
    angle = 2 * math.pi / HOURS * torch.arange(HOURS, dtype=torch.float64)
    waves = [f(k * angle) for k in range(1, harmonics + 1) for f in (torch.cos, torch.sin)]
    return torch.stack([torch.ones_like(angle), *waves], 1)
