"""What a recipe trains on: windows of samples on one axis or two, or of one long series."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..codecs.standardise import Standardise
from ..data.container import grid_of, to_tensor, variables_of
from ..data.statistics import mean_std
from ..data.windows import contiguous_segments, window_index, window_length
from ..denoisers.base import Denoiser
from .fit import FitConfig
from .spectral import fit_separable, fit_spectral

if TYPE_CHECKING:
    import xarray as xr

SHARE = 0.2  # of the fields, for validation
GAP = 3  # windows between training and validation
RANGE = (0.01, 50.0)  # of sigma, for samples in units of their standard deviation

TRAJECTORIES = FitConfig(
    steps=13000,
    batch=16,
    learning_rate=1.5e-3,
    warmup=200,
    half_life=300,
    validate_every=500,
    check=96,
    precision="auto",
)
SERIES = FitConfig(
    steps=300, batch=16, learning_rate=5e-4, warmup=100, half_life=50, validate_every=50, patience=6, precision="auto"
)


class _Samples(ABC):
    """Whole samples, or windows side by side in them; standardised by two numbers, validated on other samples.

    Arguments:
        fields, window, held: as for `train_prior`.
    """

    pool, config, width, sigma_range = "mode", TRAJECTORIES, 48, RANGE
    frames_as_channels: bool

    def __init__(self, fields: "xr.Dataset", window, held: "xr.Dataset | None"):
        self.grid, self.variables = grid_of(fields), variables_of(fields)
        self._check_grid()
        if held is None:
            split = max(1, round(fields.sizes["sample"] * (1 - SHARE)))
            fields, held = fields.isel(sample=slice(None, split)), fields.isel(sample=slice(split, None))
        time = fields["time"].values
        self.step = 1.0 if len(time) == 1 else time[1] - time[0] if time.dtype.kind == "M" else float(time[1] - time[0])
        self.window = len(time) if window is None else window_length(window, self.step)
        self._train, self._check = (self._windows(part) for part in (fields, held))
        self.independent = float(len(self._check))
        mean, std = mean_std(self._train.movedim(2, 1).flatten(0, 1))
        self.codec = Standardise(mean, std, tuple(self._train.shape[1:]), self.frames_as_channels)
        self.channels = self.codec.event[0]

    @abstractmethod
    def _check_grid(self) -> None:
        """Raises ValueError where this kind of samples has another grid."""

    @abstractmethod
    def _fit(self, z: Tensor) -> Denoiser:
        """The anchor of windows z in diffusion space, with shape (N, *event)."""

    def _windows(self, fields: "xr.Dataset") -> Tensor:
        """Windows side by side, with shape (N, C, T, *S)."""
        x = to_tensor(fields).movedim(1, 2)
        count = x.shape[2] // self.window
        if count == 0 or len(x) == 0:
            raise ValueError(f"a window has {self.window} frames; the {len(x)} trajectories have {x.shape[2]}")
        return torch.cat([x[:, :, i * self.window : (i + 1) * self.window] for i in range(count)])

    def encoded(self) -> tuple[Tensor, Tensor]:
        """Windows for training and validation, each with shape (N, *event)."""
        train = self.codec.encode(self._train)
        self.anchor = self._fit(train)
        return train, self.codec.encode(self._check)

    def final_anchor(self) -> Denoiser:
        return self.anchor


class Trajectories(_Samples):
    """Samples of one periodic axis in time: an event is the image (C, T, X).

    Arguments:
        fields, window, held: as for `train_prior`.

    Raises:
        ValueError: another grid.
    """

    boundary, symmetries, frames_as_channels = ("reflect", "periodic"), ("shift",), False

    def _check_grid(self) -> None:
        if len(self.grid.dims) != 1 or self.grid.periods[0] is None:
            raise ValueError(
                f"trajectories need one periodic axis, or two axes; got {self.grid.dims} with periods "
                f"{self.grid.periods}"
            )

    def _fit(self, z: Tensor) -> Denoiser:
        return fit_spectral(z)


class Planes(_Samples):
    """Samples on two axes, steady or in time: frames and variables are the channels of an event (C T, H, W).

    Arguments:
        fields, window, held: as for `train_prior`.
    """

    symmetries, frames_as_channels = (), True

    def _check_grid(self) -> None:
        self.periodic = tuple(period is not None for period in self.grid.periods)
        self.boundary = tuple("periodic" if closes else "reflect" for closes in self.periodic)

    def _fit(self, z: Tensor) -> Denoiser:
        return fit_separable(z, self.periodic)


class Series:
    """One long series on two spatial axes: frames as channels, validated on its two ends.

    Arguments:
        fields, window, held: as for `train_prior`.
    """

    pool, config, width, symmetries = "relative", SERIES, 32, ()

    def __init__(self, fields: "xr.Dataset", window, held: "xr.Dataset | None"):
        from .fit_prior import fit_prior

        self._all, self._fit = fields, fit_prior
        time = fields["time"].values
        step = np.diff(time).min()
        self.window = window_length("8h" if window is None else window, step if time.dtype.kind == "M" else float(step))
        if held is None:
            train, check = validation_blocks(len(time), self.window)
            self._train, self._check = fields.isel(time=train), fields.isel(time=check)
        else:
            self._train, self._check = fields, held
        self.anchor, self.codec, self.grid, self.step, self.variables, self.sigma_range, card = fit_prior(
            self._train, self.window
        )
        memory = card["law"].get("decorrelation") or 0.0  # frames after which weather has forgotten itself
        self.independent = self._check.sizes["time"] / max(memory, self.window)
        self._refit = held is None
        if len(self.grid.dims) != 2:
            raise ValueError(f"a series needs two spatial axes; got {self.grid.dims}")
        self.channels = self.anchor.event[0]
        self.boundary = tuple("reflect" if period is None else "periodic" for period in self.grid.periods)

    def encoded(self) -> tuple[Tensor, Tensor]:
        """Windows for training (one for each frame) and validation, each with shape (N, C T, H, W)."""
        return self._encode(self._train, 1), self._encode(self._check, max(1, self.window // 4))

    def _encode(self, fields: "xr.Dataset", stride: int) -> Tensor:
        x, time = to_tensor(fields).movedim(0, 1)[None], fields["time"].values
        index = window_index(contiguous_segments(time, self.step), self.window, stride)
        return torch.cat([self.codec.at(time[i]).encode(x[:, :, i]) for i in index])

    def final_anchor(self) -> Denoiser:
        """The anchor of all fields, once the training has used that of a part; the codec becomes theirs as well."""
        if self._refit:
            self.anchor, self.codec, *_ = self._fit(self._all, self.window)
        return self.anchor


def validation_blocks(frames: int, window: int, share: float = SHARE) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the frames for training and validation: the two ends of the series, each a gap of 3 windows away.

    Ends have training on one side only, as a test period has: blocks within the series look better than they are.

    Raises:
        ValueError: where an end, or what is left, holds less than two windows.
    """
    end, gap = round(frames * share / 2), GAP * window
    if end < 2 * window or frames - 2 * (end + gap) < 2 * window:
        raise ValueError(
            f"{frames} frames are too few to hold out windows of {window} at both ends; use a shorter window, or give "
            "fields of their own for validation"
        )
    index = np.arange(frames)
    return index[end + gap : frames - end - gap], np.concatenate([index[:end], index[frames - end :]])


Source = Trajectories | Planes | Series  # windows for training and validation, and all that a prior has to know of them
