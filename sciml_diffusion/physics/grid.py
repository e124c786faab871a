"""Where fields live: named axes with coordinates, and periods where an axis closes on itself."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Grid:
    """A rectilinear grid.

    Arguments:
        dims: axis names, for example ("latitude", "longitude") or ("x",).
        coordinates: one increasing or decreasing array for each axis, in the user's own order and units.
        periods: for each axis its period (in the units of its coordinate), or None where it does not close.
    """

    dims: tuple[str, ...]
    coordinates: tuple[np.ndarray, ...]
    periods: tuple[float | None, ...]

    def __post_init__(self):
        if not len(self.dims) == len(self.coordinates) == len(self.periods):
            raise ValueError(
                f"got {len(self.dims)} dims, {len(self.coordinates)} coordinates and {len(self.periods)} periods"
            )
        for dim, values in zip(self.dims, self.coordinates, strict=True):
            steps = np.diff(values)
            if not ((steps > 0).all() or (steps < 0).all()):
                raise ValueError(
                    f"the coordinate {dim!r} must increase or decrease strictly; sort it and drop what repeats"
                )

    @classmethod
    def periodic(
        cls, sizes: tuple[int, ...], lengths: tuple[float, ...], dims: tuple[str, ...] = ("x", "y", "z")
    ) -> "Grid":
        """A periodic grid of x_j = j L / n, the end point left out."""
        coordinates = tuple(np.arange(n) * (length / n) for n, length in zip(sizes, lengths, strict=True))
        return cls(dims[: len(sizes)], coordinates, tuple(lengths))

    @classmethod
    def cells(
        cls,
        sizes: tuple[int, ...],
        lengths: tuple[float, ...],
        dims: tuple[str, ...] = ("x", "y", "z"),
        origin: tuple[float, ...] | None = None,
    ) -> "Grid":
        """Cell centres x_j = x_0 + (j + 1/2) L / n between walls or open ends."""
        origin = origin or (0.0,) * len(sizes)
        axes = tuple(
            o + (np.arange(n) + 0.5) * (length / n) for n, length, o in zip(sizes, lengths, origin, strict=True)
        )
        return cls(dims[: len(sizes)], axes, (None,) * len(sizes))

    @classmethod
    def nodes(
        cls, sizes: tuple[int, ...], lengths: tuple[float, ...], dims: tuple[str, ...] = ("x", "y", "z")
    ) -> "Grid":
        """Nodes x_j = j L / (n - 1), both ends included, on axes that do not close."""
        axes = tuple(np.linspace(0.0, length, n) for n, length in zip(sizes, lengths, strict=True))
        return cls(dims[: len(sizes)], axes, (None,) * len(sizes))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of points of each axis."""
        return tuple(len(c) for c in self.coordinates)

    @property
    def spacings(self) -> tuple[float, ...]:
        """Mean spacing of each axis (>= 0)."""
        return tuple(abs(float(c[-1] - c[0])) / max(len(c) - 1, 1) for c in self.coordinates)

    def wavenumbers(self, axis: int) -> Tensor:
        """Angular wavenumbers k = 2 pi m / L of `torch.fft.rfft` on a periodic axis; shape (n // 2 + 1,), float64."""
        period = self.periods[axis]
        if period is None:
            raise ValueError(f"the axis {self.dims[axis]!r} is not periodic and has no Fourier modes")
        return 2 * math.pi / period * torch.arange(self.sizes[axis] // 2 + 1, dtype=torch.float64)
