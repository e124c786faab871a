"""Keyed random streams: the numbers of a member depend on (seed, observation, member) alone.

So an ensemble is the same for every batch split, device count and order. Numbers are drawn on the CPU, where a seed
gives the same stream on every machine, and moved to the device.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

RESAMPLING = 2**32 - 1  # the key, in the place of a member, of the stream that an ensemble shares
PILOT = 2**32 - 2  # the key, in the place of an observation, of draws that serve all of them
POOLED = 2**20  # between the keys of a member and of its companions in a pool
BLOCK = 1024  # numbers that a row draws at once when it is asked for few


class MemberStreams:
    """One generator for each row of a batch of (observation, member) pairs, in that order.

    Arguments:
        seed: seed of the whole run.
        observations: keys of the observations (or windows), with shape (B,).
        members: keys of the members, with shape (K,).
        dtype, device: of the tensors that are returned; the same dtype gives the same numbers.
    """

    def __init__(
        self, seed: int, observations: Sequence[int], members: Sequence[int], dtype=torch.float32, device="cpu"
    ):
        self.seed, self.observations, self.members = seed, list(observations), list(members)
        self.dtype, self.device = dtype, device
        self._rows = [_generator(seed, b, k) for b in self.observations for k in self.members]
        self._block, self._used = None, 0
        self._shared = [_generator(seed, b, RESAMPLING) for b in self.observations]

    def pooled(self, pool: int) -> "MemberStreams":
        """Streams with `pool` rows for each member, the first of them the members' own."""
        if pool == 1:
            return self
        keys = [member + copy * POOLED for copy in range(pool) for member in self.members]
        return MemberStreams(self.seed, self.observations, keys, self.dtype, self.device)

    def pilot(self, rows: int) -> "MemberStreams":
        """Streams for a look at the prior before the sampling; they depend on the seed alone."""
        return MemberStreams(self.seed, [PILOT], range(rows), self.dtype, self.device)

    @property
    def rows(self) -> int:
        """Number of rows: B K."""
        return len(self._rows)

    def normal(self, shape: Sequence[int]) -> Tensor:
        """White noise with shape (B K, *shape); few numbers at a time come from blocks drawn ahead, row by row."""
        count = math.prod(shape)
        if count > BLOCK // 2:
            return self._white(shape)
        if self._block is None or self._used + count > BLOCK:
            self._block, self._used = self._white((BLOCK,)), 0
        out = self._block[:, self._used : self._used + count].reshape(self.rows, *shape)
        self._used += count
        return out

    def _white(self, shape: Sequence[int]) -> Tensor:
        out = torch.empty(self.rows, *shape, dtype=self.dtype)
        for row, generator in zip(out, self._rows, strict=True):
            row.normal_(generator=generator)
        return out.to(self.device)

    def uniform(self, shape: Sequence[int]) -> Tensor:
        """Uniform numbers in [0, 1) with shape (B K, *shape)."""
        out = torch.empty(self.rows, *shape, dtype=self.dtype)
        for row, generator in zip(out, self._rows, strict=True):
            row.uniform_(generator=generator)
        return out.to(self.device)

    def shared_uniform(self) -> Tensor:
        """One float64 number in [0, 1) for each observation, with shape (B,): for systematic resampling."""
        return torch.stack([torch.rand((), generator=g, dtype=torch.float64) for g in self._shared]).to(self.device)


def _generator(seed: int, observation: int, member: int) -> torch.Generator:
    key = np.random.SeedSequence([seed, observation, member]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(key) & (2**63 - 1))
