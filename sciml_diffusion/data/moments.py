"""Mean, spread and range of each variable in one pass over any amount of data, in float64."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import xarray as xr

ROWS = 64  # samples looked at together


@dataclass(frozen=True)
class Moments:
    """Count n, mean m, sum of squares about it M = sum (x - m)^2, smallest and largest value of some numbers.

    Two sets merge exactly: with d = m_b - m_a, m = m_a + d n_b / n, M = M_a + M_b + d^2 n_a n_b / n.
    Source: Chan, Golub & LeVeque, The American Statistician 37 (1983).
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    @classmethod
    def of(cls, values: np.ndarray) -> "Moments":
        """Moments of all numbers of an array, of any shape; missing values (NaN) are left out."""
        values = np.asarray(values, dtype=np.float64)
        values = values[~np.isnan(values)]
        if not values.size:
            return cls()
        mean = float(values.mean())
        return cls(values.size, mean, float(np.square(values - mean).sum()), float(values.min()), float(values.max()))

    def merge(self, other: "Moments") -> "Moments":
        """Moments of both sets together."""
        count = self.count + other.count
        if not count:
            return self
        difference = other.mean - self.mean
        mean = self.mean + difference * other.count / count
        squares = self.squares + other.squares + difference**2 * self.count * other.count / count
        return Moments(count, mean, squares, min(self.low, other.low), max(self.high, other.high))

    @property
    def std(self) -> float:
        """Standard deviation, with the divisor n."""
        return math.sqrt(self.squares / self.count) if self.count else math.nan

    def summary(self) -> dict[str, float]:
        """mean, std, min, max and count."""
        return {"mean": self.mean, "std": self.std, "min": self.low, "max": self.high, "count": self.count}

    def as_dict(self) -> dict[str, float]:
        """The numbers themselves, to be stored and merged later: Moments(**dictionary)."""
        return asdict(self)


def moments_of(ds: xr.Dataset, samples: Sequence[int] | None = None) -> dict[str, dict[str, Moments]]:
    """Moments of every array that has the dim sample, read some samples at a time.

    Arguments:
        ds: with the dim sample.
        samples: positions along it, increasing; all by default.

    Returns {name: {"values": ..., "increments": ...}}; increments are those from one frame to the next of the same
    sample, where there are several.
    """
    chosen = np.arange(ds.sizes["sample"]) if samples is None else np.asarray(samples)
    return merge_moments([_part(ds.isel(sample=chosen[i : i + ROWS])) for i in range(0, len(chosen), ROWS)])


def merge_moments(parts: Sequence[dict[str, dict[str, Moments]]]) -> dict[str, dict[str, Moments]]:
    """Moments of all parts together, merged in their order."""
    total: dict[str, dict[str, Moments]] = {}
    for part in parts:
        for name, kinds in part.items():
            for kind, moments in kinds.items():
                known = total.setdefault(name, {})
                known[kind] = known.get(kind, Moments()).merge(moments)
    return total


def trajectory_statistics(ds: xr.Dataset, samples: Sequence[int] | None = None) -> dict[str, dict[str, dict]]:
    """Statistics of the chosen samples, read some at a time: {variable: {"values": summary, "increments": summary}}.

    Give the samples of the training split, so that scales know nothing of the others.

    Arguments:
        ds: with the dim sample.
        samples: positions along it; all by default.

    Raises:
        ValueError: no dim sample, or no sample chosen.
    """
    if "sample" not in ds.dims:
        raise ValueError(f"the fields have no dim 'sample'; they have {', '.join(map(str, ds.dims))}")
    if samples is not None and not len(samples):
        raise ValueError("no sample is chosen; statistics need at least one")
    return summaries(moments_of(ds, None if samples is None else np.sort(samples)))


def summaries(moments: dict[str, dict[str, Moments]]) -> dict[str, dict[str, dict]]:
    """What a reader wants to see of the moments."""
    return {name: {kind: m.summary() for kind, m in kinds.items()} for name, kinds in moments.items()}


def _part(ds: xr.Dataset) -> dict[str, dict[str, Moments]]:
    """Moments of a few samples."""
    found = {}
    for name, variable in ds.data_vars.items():
        if "sample" not in variable.dims:
            continue
        values = np.asarray(variable.values, dtype=np.float64)
        found[str(name)] = {"values": Moments.of(values)}
        if variable.sizes.get("time", 1) > 1:
            found[str(name)]["increments"] = Moments.of(np.diff(values, axis=variable.dims.index("time")))
    return found
