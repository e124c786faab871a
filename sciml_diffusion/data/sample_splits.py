"""Splits of trajectories into training, validation and test: whole samples, or blocks of consecutive ones."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from .manifest import write_text

USUAL = {"train": 0.8, "validation": 0.1, "test": 0.1}


@dataclass(frozen=True, eq=False)
class Splits:
    """Positions along the dim sample, by part; no sample is in two parts.

    Arguments:
        parts: for example {"train": indices, "test": indices}; they are sorted here.
        count: number of samples of the data set.

    Raises:
        ValueError: no part, an empty one, indices outside 0 ... count - 1, repeated, or in two parts.
    """

    parts: Mapping[str, np.ndarray]
    count: int

    def __post_init__(self):
        parts = {name: np.sort(np.asarray(index, dtype=np.int64)) for name, index in self.parts.items()}
        object.__setattr__(self, "parts", parts)
        if not parts:
            raise ValueError("a split needs at least one part")
        for name, index in parts.items():
            if not len(index) or index[0] < 0 or index[-1] >= self.count or len(np.unique(index)) < len(index):
                raise ValueError(
                    f"the part {name!r} must hold at least one sample, each once, of 0 ... {self.count - 1}; got "
                    f"{len(index)} indices{f' from {index[0]} to {index[-1]}' if len(index) else ''}"
                )
        for one, other in combinations(parts, 2):
            both = np.intersect1d(parts[one], parts[other])
            if len(both):
                raise ValueError(
                    f"the parts {one!r} and {other!r} overlap in {len(both)} samples, the first is {both[0]}"
                )

    def __getitem__(self, name: str) -> np.ndarray:
        """Indices of a part."""
        if name not in self.parts:
            raise KeyError(f"there is no part {name!r}; there are {', '.join(self.parts)}")
        return self.parts[name]

    @property
    def digest(self) -> str:
        """SHA-256 of the index lists: equal splits have equal digests."""
        return hashlib.sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()

    def save(self, path: str | Path) -> None:
        """Writes the index lists and their digest as JSON."""
        write_text(Path(path), json.dumps({**self._content(), "sha256": self.digest}) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "Splits":
        """Reads what `save` wrote.

        Raises:
            ValueError: no such content, or indices that do not fit their digest.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            splits = cls(content["parts"], content["count"])
            digest = content["sha256"]
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} holds no split that this package wrote") from error
        if digest != splits.digest:
            raise ValueError(f"{path} has been changed: its indices do not fit their checksum")
        return splits

    def _content(self) -> dict:
        return {"count": self.count, "parts": {name: index.tolist() for name, index in self.parts.items()}}


def by_sample(count: int, fractions: Mapping[str, float] = USUAL, seed: int = 0) -> Splits:
    """Whole trajectories dealt at random, each by a number that depends on (seed, its index) alone.

    Arguments:
        count: number of samples.
        fractions: share of each part; together at most 1.
        seed: >= 0.

    Raises:
        ValueError: shares out of range, or too few samples for one of each part.
    """
    return by_block(count, 1, fractions, seed)


def by_block(count: int, block: int, fractions: Mapping[str, float] = USUAL, seed: int = 0, gap: int = 0) -> Splits:
    """Blocks of consecutive samples dealt at random, for samples that follow one another in a longer run.

    PINO's samples are consecutive windows of long runs, for example: the end of one is the start of the next, so
    neighbours must not be in different parts.

    Arguments:
        count: number of samples.
        block: consecutive samples that stay together, the length of a run, for example; the last block may be shorter.
        fractions: share of each part, in blocks; together at most 1.
        seed: >= 0.
        gap: samples that are left out on either side of a border between two parts.

    Raises:
        ValueError: numbers out of range, too few blocks for one of each part, or a gap that leaves a part empty.
    """
    if count < 1 or block < 1 or gap < 0 or seed < 0:
        raise ValueError(f"expected count, block >= 1 and gap, seed >= 0; got {count}, {block}, {gap} and {seed}")
    blocks = -(-count // block)
    owner = np.repeat(_dealt(blocks, fractions, seed), block)[:count]
    names = list(fractions)
    border = np.flatnonzero(np.diff(owner)) + 1
    near = np.zeros(count, bool)
    for shift in range(-gap, gap):
        near[np.clip(border + shift, 0, count - 1)] = True
    return Splits({name: np.flatnonzero((owner == i) & ~near) for i, name in enumerate(names)}, count)


def first_tenth_for_test(count: int) -> Splits:
    """PDEBench's split: the first 10 % (rounded down) are the test, the others are the training.

    Raises:
        ValueError: fewer than 10 samples.
    """
    if count < 10:
        raise ValueError(f"a test of the first tenth needs at least 10 samples; got {count}")
    return Splits({"train": np.arange(count // 10, count), "test": np.arange(count // 10)}, count)


def _dealt(count: int, fractions: Mapping[str, float], seed: int) -> np.ndarray:
    """Number of the part of each of `count` things, -1 for none: those of smallest keyed number come first."""
    shares = np.array(list(fractions.values()), dtype=np.float64)
    if not len(shares) or not (shares > 0).all() or shares.sum() > 1 + 1e-9:
        raise ValueError(f"shares must be > 0 and together at most 1; got {dict(fractions)}")
    ends = np.round(np.cumsum(shares) * count).astype(int)
    if (np.diff(ends, prepend=0) < 1).any():
        raise ValueError(f"{count} samples or blocks are too few for {dict(fractions)}: a part would be empty")
    order = np.argsort([np.random.default_rng([seed, index]).random() for index in range(count)], kind="stable")
    owner = np.full(count, -1)
    for part, (first, last) in enumerate(zip([0, *ends], ends, strict=False)):
        owner[order[first:last]] = part
    return owner
