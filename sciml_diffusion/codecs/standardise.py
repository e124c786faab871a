"""Standardisation: z = (x - mean) / std, with a constant mean or an hourly climatology."""

import numpy as np
import torch
from torch import Tensor

from .base import Codec

HOURS = 24


class _Scaled(Codec):
    """What a standardisation knows: mean, std, the window and how it is laid out; see `Standardise`."""

    affine = True

    def __init__(self, mean: Tensor, std: Tensor, window: tuple[int, ...], frames_as_channels: bool):
        super().__init__()
        self.window, self.frames_as_channels = tuple(window), frames_as_channels
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    @property
    def arguments(self) -> dict:
        return {
            "mean": self.mean,
            "std": self.std,
            "window": list(self.window),
            "frames_as_channels": self.frames_as_channels,
        }


class Standardise(_Scaled):
    """z = (x - mean) / std, laid out as one image: frames as channels, or time as the first image axis.

    Arguments:
        mean: physical units, with a shape that broadcasts to (C, T, *S).
        std: physical units, > 0, with a shape that broadcasts to (C, T, *S).
        window: (C, T, *S).
        frames_as_channels: the event is (C*T, *S) if true, (C, T, *S) if false. Memory order is the same.
    """

    def __init__(self, mean: Tensor, std: Tensor, window: tuple[int, ...], frames_as_channels: bool):
        if not (std > 0).all():
            raise ValueError("std must be > 0 for every variable: a variable that does not vary cannot be standardised")
        super().__init__(mean, std, window, frames_as_channels)

    @property
    def event(self) -> tuple[int, ...]:
        """Shape of one window in diffusion space."""
        c, t, *space = self.window
        return (c * t, *space) if self.frames_as_channels else self.window

    def encode(self, x: Tensor) -> Tensor:
        """Physical (B, C, T, *S) -> shape (B, *event)."""
        return ((x - self.mean) / self.std).reshape(len(x), *self.event)

    def decode(self, z: Tensor) -> Tensor:
        """Shape (B, *event) -> physical (B, C, T, *S)."""
        return self.decode_linear(z) + self.mean

    def decode_linear(self, z: Tensor) -> Tensor:
        """std z, shape (B, *event) -> (B, C, T, *S)."""
        return z.reshape(len(z), *self.window) * self.std

    def decode_adjoint(self, x: Tensor) -> Tensor:
        """std x, shape (B, C, T, *S) -> (B, *event)."""
        return (x * self.std).reshape(len(x), *self.event)


class Climatology(_Scaled):
    """Standardised anomalies from the mean of each hour of the day: z = (x - mean[hour]) / std.

    It must be bound to a window's times with `at` before use; that gives a `Standardise`.

    Arguments:
        mean: mean by hour of day (UTC), with shape (C, 24, *S); NaN in hours that the data do not have.
        std: with a shape that broadcasts to (C, 1, *S).
        window: (C, T, *S).
        frames_as_channels: see `Standardise`.
    """

    def at(self, time: np.ndarray) -> Standardise:
        """The codec of the window with these times (datetime64, shape (T,)).

        Raises:
            ValueError: where the climatology lacks an hour of the window.
        """
        hours = hour_of_day(time)
        mean = self.mean[:, torch.as_tensor(hours, device=self.mean.device)]
        if torch.isnan(mean).any():
            known = [h for h in range(HOURS) if not torch.isnan(self.mean[:, h]).any()]
            raise ValueError(
                f"the climatology knows the hours {known} UTC; the window asks for {sorted(set(hours.tolist()))}"
            )
        return Standardise(mean, self.std, self.window, self.frames_as_channels)

    def encode(self, x: Tensor) -> Tensor:
        """Refused: bind the codec to a window's times first. Shape (B, C, T, *S)."""
        raise TypeError("a Climatology depends on the time of day: use codec.at(time).encode(x)")

    def decode(self, z: Tensor) -> Tensor:
        """Refused: bind the codec to a window's times first. Shape (B, *event)."""
        raise TypeError("a Climatology depends on the time of day: use codec.at(time).decode(z)")


def hour_of_day(time: np.ndarray) -> np.ndarray:
    """Hour of the day (UTC), 0 to 23, of datetime64 times; shape (T,) -> (T,)."""
    return time.astype("datetime64[h]").astype(int) % HOURS
