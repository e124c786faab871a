"""Initial laws of PDEBench's one-dimensional sets, as functions: the same seed is the same function on every grid."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

REFERENCE = 1024  # cells on which a function's least and largest values are looked up
WIDTH = 0.01  # of the edges of a window


class SineSum:
    """u(x) = +-[|.|] w(x) sum_{k=1}^{K} A_k sin(2 pi c_k k x / L + phi_k), A_k ~ U(0, 1), phi_k ~ U(0, 2 pi).

    c_k counts how often k is among `chosen` draws with replacement from 1 .. K. As in PDEBench's generator, a mode
    drawn twice has twice its wavenumber, and one not drawn leaves the constant A_k sin phi_k. With probability `fold`
    the sum is replaced by its modulus; the sign is random; with probability `window` w is a smooth window whose edges
    are drawn from U(.1, .45) and U(.55, .9) in the units of x, else 1. (There the period is one cell short of L.)
    The law of the initial fields for advection and Burgers (K = 4); those of gases have K = 3 and window = 1/2.

    Source: Takamoto et al., PDEBench (NeurIPS 2022), appendix D.

    Arguments:
        highest: K >= 1.
        chosen: modes drawn, >= 1.
        length: period L > 0, in the units of x.
        fold, window: probabilities.

    Raises:
        ValueError: where an argument is outside its range.
    """

    def __init__(self, highest: int = 4, chosen: int = 2, length: float = 1.0, fold: float = 0.1, window: float = 0.1):
        if highest < 1 or chosen < 1 or not length > 0 or not (0 <= fold <= 1 and 0 <= window <= 1):
            raise ValueError(
                "a sum of sines needs highest >= 1, chosen >= 1, length > 0 and probabilities in [0, 1]; "
                f"got {highest}, {chosen}, {length}, {fold} and {window}"
            )
        self.highest, self.chosen, self.length, self.fold, self.window = highest, chosen, length, fold, window

    def draw(self, stream: np.random.Generator) -> np.ndarray:
        """The numbers of one function: c_k, A_k, phi_k, then fold, sign, window and its two edges; shape (3 K + 5,)."""
        counts = np.bincount(stream.integers(0, self.highest, self.chosen), minlength=self.highest)
        amplitudes, phases = stream.uniform(size=self.highest), stream.uniform(0, 2 * math.pi, self.highest)
        flags = [stream.uniform() < self.fold, 1 - 2 * stream.integers(2), stream.uniform() < self.window]
        return np.concatenate(
            [counts, amplitudes, phases, flags, [stream.uniform(0.1, 0.45), stream.uniform(0.55, 0.9)]]
        )

    def coefficients(self, seed: int, samples: Sequence[int]) -> Tensor:
        """Numbers of some samples, each from a stream of its own with the key (seed, sample); shape (B, 3 K + 5)."""
        return torch.from_numpy(np.stack([self.draw(np.random.default_rng([seed, sample])) for sample in samples]))

    def evaluate(self, coefficients: Tensor, x: Tensor) -> Tensor:
        """Values at points x of shape (X,), from coefficients of shape (B, 3 K + 5): shape (B, X), float64."""
        counts, amplitudes, phases = (part[..., None] for part in coefficients[:, :-5].chunk(3, dim=1))
        fold, sign, window, lower, upper = coefficients[:, -5:, None].unbind(1)
        x, modes = x.to(torch.float64), torch.arange(1, self.highest + 1, dtype=torch.float64)[:, None]
        u = (amplitudes * (2 * math.pi / self.length * counts * modes * x + phases).sin()).sum(1)
        u = sign * torch.where(fold > 0, u.abs(), u)
        inside = 0.5 * (((x - lower) / WIDTH).tanh() - ((x - upper) / WIDTH).tanh())
        return torch.where(window > 0, inside * u, u)


class RandomGas:
    """PDEBench's random gas: density, velocity and pressure are independent sums of sines (K = 3, window = 1/2).

    Density and pressure are b + m (s - min s) / (max s - min s), with b and m log-uniform on [1, 10] and [10, 100];
    velocity is the sum itself.

    Source: Takamoto et al., PDEBench (NeurIPS 2022), appendix D, the sets 1D_CFD_Rand.

    Arguments:
        start: left end of the interval.
        length: L > 0, in the units of x.
    """

    def __init__(self, start: float = -1.0, length: float = 2.0):
        self.sines = SineSum(highest=3, length=length, window=0.5)
        self.reference = start + (torch.arange(REFERENCE, dtype=torch.float64) + 0.5) * (length / REFERENCE)

    def coefficients(self, seed: int, samples: Sequence[int]) -> Tensor:
        """Numbers of some samples, from streams (seed, sample): log b, log m and those of the sines, (B, 3, 2 + 14)."""
        ranges = {"density": (0, math.log(10)), "velocity": (0, 0), "pressure": (math.log(10), math.log(100))}
        rows = []
        for sample in samples:
            stream = np.random.default_rng([seed, sample])
            rows.append([np.concatenate([stream.uniform(*r, 2), self.sines.draw(stream)]) for r in ranges.values()])
        return torch.from_numpy(np.array(rows))

    def evaluate(self, coefficients: Tensor, x: Tensor) -> Tensor:
        """(density, velocity, pressure) at points x (X,), from coefficients (B, 3, 16): shape (B, 3, X), float64."""
        fields = []
        for channel in range(3):
            numbers = coefficients[:, channel]
            field = self.sines.evaluate(numbers[:, 2:], x)
            if channel != 1:
                reference = self.sines.evaluate(numbers[:, 2:], self.reference)
                low, high = reference.amin(1, keepdim=True), reference.amax(1, keepdim=True)
                share = ((field - low) / (high - low)).clamp(0, 1)
                field = numbers[:, :1].exp() + numbers[:, 1:2].exp() * share
            fields.append(field)
        return torch.stack(fields, 1)


class ShockTubes:
    """PDEBench's random shock tubes: density, velocity and pressure jump once each, at places of their own.

    Density is log-uniform on [1, 10], pressure on [10, 100], velocity on [e^{-1/2}, e^{1/2}], on either side; places
    are uniform on the middle half of the interval.

    Source: Takamoto et al., PDEBench (NeurIPS 2022), appendix D, the sets 1D_CFD_Shock, and their generator.

    Arguments:
        start: left end of the interval.
        length: > 0, in the units of x.
    """

    logarithms = ((0.0, math.log(10)), (-0.5, 0.5), (math.log(10), math.log(100)))

    def __init__(self, start: float = -1.0, length: float = 2.0):
        self.start, self.length = start, length

    def coefficients(self, seed: int, samples: Sequence[int]) -> Tensor:
        """Left value, right value and place of each field, from streams (seed, sample); shape (B, 3, 3), float64."""
        rows = []
        for sample in samples:
            stream = np.random.default_rng([seed, sample])
            rows.append([[*np.exp(stream.uniform(*r, 2)), stream.uniform(0.25, 0.75)] for r in self.logarithms])
        return torch.tensor(rows, dtype=torch.float64)

    def evaluate(self, coefficients: Tensor, x: Tensor) -> Tensor:
        """(density, velocity, pressure) at points x (X,), from coefficients (B, 3, 3): shape (B, 3, X), float64."""
        left, right, place = coefficients[..., None].unbind(2)
        return torch.where((x.to(torch.float64) - self.start) / self.length < place, left, right)
