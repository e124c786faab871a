"""Blocks of samples, solved here or in worker processes: the same numbers in the same order."""

import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from functools import lru_cache
from multiprocessing import active_children, get_context

import numpy as np
import torch

from .base import Generator

AHEAD = 2  # blocks in work or waiting, for each worker


def solve_blocks(
    generator: Generator, seed: int, blocks: Sequence[int], workers: int = 1
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """(index, arrays) of each block, in the order asked for.

    Arguments:
        generator: of the samples.
        seed: >= 0.
        blocks: indices of blocks (`Generator.block`).
        workers: processes; each block is solved on one thread, so that their number changes nothing.

    Raises:
        ValueError: what a generator finds wrong. RuntimeError: a worker process was ended from outside.
    """
    if workers == 1 or len(blocks) < 2:
        for index in blocks:
            with one_thread():
                arrays = generator.solve_block(seed, index)
            yield index, arrays
        return
    others = set(active_children())
    pool = ProcessPoolExecutor(min(workers, len(blocks)), get_context("spawn"), _begin_worker)
    try:
        waiting, rest = deque(), deque(blocks)
        while waiting or rest:
            while rest and len(waiting) < AHEAD * workers:
                waiting.append((rest[0], pool.submit(_solve, generator, seed, rest.popleft())))
            index, future = waiting.popleft()
            yield index, future.result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process ended before its time (out of memory?); use fewer workers, and in a script of your own "
            "call this below `if __name__ == '__main__':`"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(active_children()) - others:
            worker.terminate()  # nobody waits for what it still solves


def assemble(
    generator: Generator, seed: int, wanted: Sequence[range], workers: int = 1, tick: Callable[[int], object] = int
) -> Iterator[dict[str, np.ndarray]]:
    """For each range of samples its arrays, each with shape (samples, *dims), or (*dims) where it is shared.

    Arguments:
        wanted: increasing ranges of indices, without overlap; no block is solved twice.
        tick: is told how many samples have been solved (`solved_for` is their sum).
        generator, seed, workers: see `solve_blocks`.
    """
    size = generator.block
    blocks = sorted({block for samples in wanted for block in _covering(samples, size)})
    index, arrays, shared = -1, {}, {v.name for v in generator.variables if v.shared}
    with closing(solve_blocks(generator, seed, blocks, workers)) as solved:
        for samples in wanted:
            whole: dict[str, np.ndarray] = {}
            for block in _covering(samples, size):
                if block != index:
                    index, arrays = next(solved)
                    tick(size)
                first, last = max(samples.start, block * size), min(samples.stop, (block + 1) * size)
                for name, values in arrays.items():
                    if name in shared:
                        whole[name] = values
                        continue
                    if name not in whole:
                        whole[name] = np.empty((len(samples), *values.shape[1:]), np.float32)
                    part = values[first - block * size : last - block * size]
                    whole[name][first - samples.start : last - samples.start] = part
            yield whole


def solved_for(generator: Generator, wanted: Sequence[range]) -> int:
    """How many samples are solved, in whole blocks, to have some increasing ranges of them."""
    count, last = 0, -1
    for blocks in (_covering(samples, generator.block) for samples in wanted if samples):
        count += len(blocks) - (blocks[0] == last)
        last = blocks[-1]
    return generator.block * count


def _covering(samples: range, size: int) -> range:
    """The blocks that hold some samples."""
    return range(samples.start // size, (samples.stop - 1) // size + 1)


@contextmanager
def one_thread():
    """Tensors on one thread: sums then have one order on every machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _begin_worker() -> None:
    """A worker ends in silence when the user interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@lru_cache(maxsize=1)
def _kept(generator: Generator) -> Generator:
    """The first of equal generators, with the solver that it has made already."""
    return generator


def _solve(generator: Generator, seed: int, index: int) -> dict[str, np.ndarray]:
    with one_thread():
        return _kept(generator).solve_block(seed, index)
