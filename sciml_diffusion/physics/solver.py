"""What every time-dependent solver shares: frames at equal times, steps between them, checks, bounded memory."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recompute

from .grid import Grid

State = Tensor | tuple[Tensor, ...]
SAFETY = 0.5  # share of the stability limit that automatic steps use
MOST_SUBSTEPS = 1 << 22  # of one frame; more would not end


class Solver(ABC):
    """A time-dependent equation with its discretisation, batched over samples and differentiable.

    A subclass sets `grid` and `fields` (names of the C channels) and says how one step is made. It computes in the
    dtype and on the device of the states it is given; float64 is meant for reference data.

    Attributes:
        restarts: whether a run that starts again from one of its frames goes on as it did, read(start(u)) = u.
    """

    grid: Grid
    fields: tuple[str, ...]
    restarts: bool = True

    @abstractmethod
    def stepper(self, dt: float) -> Callable[[State, int], State]:
        """One step of length dt: a function of the state and of the number n of the step, which begins at time n dt."""

    @abstractmethod
    def step_limit(self, u: Tensor) -> float:
        """Largest stable step at the states u, with shape (B, C, *S); infinite where there is none."""

    def start(self, u: Tensor) -> State:
        """The solver's own state from fields of shape (B, C, *S)."""
        return u

    def read(self, state: State) -> Tensor:
        """Fields of shape (B, C, *S) from the solver's own state."""
        return state

    def parameters_by_sample(self) -> tuple:
        """Parameters that may be tensors with a first axis of samples, of length B or 1, before any other axis."""
        return ()

    def solve(
        self,
        u0: Tensor,
        duration: float,
        frames: int,
        substeps: int | None = None,
        *,
        checkpoint: bool = True,
        check: bool = True,
        progress: bool = False,
    ) -> Tensor:
        """Fields at `frames` equal times from 0 to `duration`, both included: (B, C, *S) -> (B, C, T, *S).

        Arguments:
            u0: initial fields, with shape (B, C, *S); frame 0.
            duration: > 0, in the equation's unit of time.
            frames: T >= 2.
            substeps: steps between two frames, at most 2^22. By default each frame takes the power of two that keeps
                them below half of the stability limit of the whole batch, looked up anew at every frame, and is done
                again with twice as many where they are above the limit at its end.
            checkpoint: where gradients are recorded, keep about the square root of all states and compute the others
                again; gradients are the same, time grows by about a third.
            check: test steps and states; off only inside `torch.func` transforms, where values cannot be read.
            progress: show a bar.

        Raises:
            ValueError: shapes or numbers out of range; parameters for another number of samples; a step above the
                stability limit, which is named; a state that is not finite, with its sample and time.
        """
        self._check_arguments(u0, duration, frames, substeps, check)
        interval = duration / (frames - 1)
        stepper = cache(lambda count: self.stepper(interval / count))
        limit = self._limit(u0, 0.0) if check else math.inf
        self._check_step(limit, interval, substeps or math.inf)
        state, kept = self.start(u0), [u0]
        for frame in _bar(range(1, frames), progress, type(self).__name__):
            count = substeps or self._enough(limit, interval)
            while True:
                segment = self._segment(checkpoint, frames, count)
                after = _advance(stepper(count), state, (frame - 1) * count, count, segment)
                fields = self.read(after)
                limit = self._limit(fields, frame * interval) if check else math.inf
                if substeps or not interval / count > limit:
                    break
                count = min(2 * count, self._enough(limit, interval))
            self._check_step(limit, interval, count)
            state = after
            kept.append(fields)
        return torch.stack(kept, 2)

    def _limit(self, u: Tensor, time: float) -> float:
        """`step_limit` of states that are finite."""
        _check_finite(u, time)
        return self.step_limit(u)

    def _enough(self, limit: float, interval: float) -> int:
        """The smallest power of two of steps in an interval that stays below SAFETY of the limit.

        Raises:
            ValueError: no stable step, or one so short that the interval would not end.
        """
        if not limit > 0:
            raise ValueError(f"{type(self).__name__} has no stable step at these states; check them and the parameters")
        if interval > MOST_SUBSTEPS * SAFETY * limit:
            raise ValueError(
                f"{type(self).__name__} has the stability limit {limit:.3g}, so that a frame of length {interval:.3g} "
                f"would need more than {MOST_SUBSTEPS} substeps; check the parameters, or take more frames"
            )
        return 2 ** max(0, math.ceil(math.log2(interval / (SAFETY * limit)))) if math.isfinite(limit) else 1

    @staticmethod
    def _segment(checkpoint: bool, frames: int, count: int) -> int:
        """Steps that are recomputed together: about the root of all; 0 keeps every state."""
        return max(1, math.isqrt((frames - 1) * count)) if checkpoint else 0

    def _check_arguments(self, u0: Tensor, duration: float, frames: int, substeps: int | None, check: bool) -> None:
        expected = (len(self.fields), *self.grid.sizes)
        if u0.ndim != len(expected) + 1 or tuple(u0.shape[1:]) != expected:
            raise ValueError(
                f"{type(self).__name__} needs initial fields of shape (B, {str(expected)[1:]}; got {tuple(u0.shape)}"
            )
        for value in self.parameters_by_sample():
            if isinstance(value, Tensor) and value.ndim and len(value) not in (1, len(u0)):
                name = type(self).__name__
                raise ValueError(f"{name} has parameters for {len(value)} samples; got {len(u0)} initial fields")
        if frames < 2 or not 0 < duration < math.inf or (substeps is not None and substeps < 1):
            raise ValueError(
                f"expected frames >= 2, duration > 0 and substeps >= 1; got {frames}, {duration} and {substeps}"
            )
        if substeps is not None and substeps > MOST_SUBSTEPS:
            raise ValueError(
                f"{type(self).__name__} makes at most {MOST_SUBSTEPS} substeps between two frames; got {substeps:.3g}; "
                "check the parameters, or take more frames"
            )
        if substeps is None and not check:
            raise ValueError("substeps must be given where values are not checked")

    def _check_step(self, limit: float, interval: float, count: float) -> None:
        if interval / count > limit:
            raise ValueError(
                f"the time step {interval / count:.3g} of {type(self).__name__} is above the stability limit "
                f"{limit:.3g}; use substeps >= {math.ceil(interval / limit)} (got {count})"
            )


def _advance(step: Callable, state: State, first: int, count: int, segment: int) -> State:
    """`count` steps, the first of which has the number `first`; recorded in segments where gradients are."""

    def run(state: State, start: int, stop: int) -> State:
        for n in range(start, stop):
            state = step(state, n)
        return state

    if not segment or not torch.is_grad_enabled():
        return run(state, first, first + count)
    for start in range(first, first + count, segment):
        state = recompute(run, state, start, min(start + segment, first + count), use_reentrant=False)
    return state


def _check_finite(u: Tensor, time: float) -> None:
    """Raises ValueError with the first sample that is not finite."""
    bad = ~torch.isfinite(u.detach()).flatten(1).all(1)
    if bad.any():
        raise ValueError(
            f"sample {int(bad.nonzero()[0])} is not finite at time {time:.6g}; check the initial fields and the "
            "parameters, or use more substeps"
        )


def _bar(steps, progress: bool, name: str):
    if not progress:
        return steps
    from tqdm import tqdm

    return tqdm(steps, desc=name, unit="frame")
