"""What solvers with a Courant limit share: three-stage steps, and steps that each sample chooses for itself."""

import math
from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recompute

from ..solver import Solver, _bar, _check_finite

MOST_STEPS = 10**7  # of one sample in one frame: more means that the state has run away


def ssprk3(rate: Callable[[Tensor], Tensor], u: Tensor, dt: Tensor) -> Tensor:
    """One step of the strong-stability-preserving Runge-Kutta scheme of order 3: shape (B, ...) -> (B, ...).

    u1 = u + dt k1, u2 = u + dt (k1 + k2) / 4, u' = u + dt (k1 + k2 + 4 k3) / 6: convex combinations of Euler steps of
    length dt. Source: Shu & Osher, J. Comput. Phys. 77 (1988) 439.

    Arguments:
        rate: du/dt of a state.
        u: state, with shape (B, ...).
        dt: step, broadcast against u.
    """
    first = rate(u)
    both = first + rate(u + dt * first)
    return u + dt / 6 * (both + 4 * rate(u + dt / 4 * both))


def per_sample(value: float | Tensor, like: Tensor) -> Tensor:
    """A parameter with shape () or (B,), laid along the first axis of `like`, with shape (B, ...)."""
    shape = (-1, *(1,) * (like.ndim - 1))
    return value.to(like).reshape(shape) if isinstance(value, Tensor) else like.new_full((1,) * like.ndim, value)


class FiniteVolume(Solver):
    """A solver whose steps obey a Courant limit.

    Where `substeps` is not given, every sample takes steps of its own: `courant` times its limit, shortened so that
    the frame is met. A trajectory then depends on nothing but its own data, whatever batch it is solved in. Samples
    that have met the frame wait unchanged. Gradients see the lengths of steps as constants.
    """

    courant = 0.8  # share of the limit that steps take

    @abstractmethod
    def advance(self, state: Tensor, dt: Tensor, time: Tensor) -> Tensor:
        """One step from `time` to `time + dt`, both with shape (B, 1, 1), of a state (B, C, X)."""

    @abstractmethod
    def limits(self, state: Tensor) -> Tensor:
        """Largest stable step of each sample of a state (B, C, X), with shape (B,)."""

    def pieces(self, duration: float, interval: float) -> int:
        """Equal parts of a frame's interval that no step may cross; 1 unless the equation changes within it."""
        return 1

    def check_fields(self, u: Tensor, time: float) -> None:
        """Raises ValueError where fields (B, C, X) are not what the equation allows, with the sample and the time."""
        _check_finite(u, time)

    def stepper(self, dt: float) -> Callable[[Tensor, int], Tensor]:
        """One step of length dt for all samples."""

        def step(state: Tensor, n: int) -> Tensor:
            ones = torch.ones((len(state), *(1,) * (state.ndim - 1)), dtype=state.dtype, device=state.device)
            return self.advance(state, dt * ones, n * dt * ones)

        return step

    def step_limit(self, u: Tensor) -> float:
        """Largest stable step at the fields u (B, C, X): the least of the samples'."""
        with torch.no_grad():
            return float(self.limits(self.start(u)).min())

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
        """Fields at `frames` equal times, (B, C, X) -> (B, C, T, X), as `Solver.solve` does it.

        With substeps=None the steps are each sample's own (see the class).
        """
        self._check_arguments(u0, duration, frames, substeps, check)
        interval = duration / (frames - 1)
        pieces = self.pieces(duration, interval)
        if check:
            self.check_fields(u0, 0.0)
        if substeps is None:
            return self._solve_freely(u0, interval, frames, pieces, checkpoint, progress)
        if substeps % pieces:
            raise ValueError(f"substeps must be a multiple of {pieces}, the parts of an interval; got {substeps}")
        options = {"checkpoint": checkpoint, "check": check, "progress": progress}
        u = super().solve(u0, duration, frames, substeps, **options)
        for frame in range(1, frames if check else 1):
            self.check_fields(u[:, :, frame], frame * interval)
        return u

    def _solve_freely(
        self, u0: Tensor, interval: float, frames: int, pieces: int, checkpoint: bool, progress: bool
    ) -> Tensor:
        """Frames with steps that each sample chooses."""
        state, kept, part = self.start(u0), [u0], interval / pieces
        for frame in _bar(range(1, frames), progress, type(self).__name__):
            for piece in range(pieces):
                begin = (frame - 1) * interval + piece * part
                state = self._span(state, begin, part, (frames - 1) * pieces if checkpoint else 0)
            kept.append(self.read(state))
            self.check_fields(kept[-1], frame * interval)
        return torch.stack(kept, 2)

    def _span(self, state: Tensor, begin: float, length: float, spans: int) -> Tensor:
        """The state after a span of time that starts at `begin`; `spans` of them share the memory for gradients.

        Whether the span is over is read from the device only after half of the steps that seem to be missing, for
        samples that have met its end wait unchanged.
        """

        def run(state: Tensor, left: Tensor, most: float) -> tuple[Tensor, Tensor]:
            parts = self._parts(state, left)
            while most > 0 and (missing := self._missing(parts, left, begin + length)):
                steps = min(max(missing // 2, 1), most)
                for _ in range(steps):
                    dt = torch.where((parts > 0) & (parts <= MOST_STEPS), left / parts, 0)
                    after = self.advance(state, dt.to(state.dtype), (begin + length - left).to(state.dtype))
                    state, left = torch.where(dt > 0, after, state), left - dt
                    parts = self._parts(state, left)
                most -= steps
            return state, left

        left = torch.full((len(state), *(1,) * (state.ndim - 1)), length, dtype=torch.float64, device=state.device)
        if not spans or not torch.is_grad_enabled():
            return run(state, left, math.inf)[0]
        segment = max(1, math.isqrt(spans * self._missing(self._parts(state, left), left, begin + length)))
        while (left > 0).any():
            state, left = recompute(run, state, left, segment, use_reentrant=False)
        return state

    @torch.no_grad()
    def _parts(self, state: Tensor, left: Tensor) -> Tensor:
        """Equal parts of what is left, (B, 1, ...) in float64, that each sample's limit allows; 0 where nothing is."""
        limit = self.courant * self.limits(state).to(torch.float64).reshape(left.shape)
        return (left / limit).ceil()

    def _missing(self, parts: Tensor, left: Tensor, end: float) -> int:
        """The largest number of parts; ValueError where a sample has too many, or a limit that is not a number."""
        most = float(parts.max())
        if most <= MOST_STEPS:
            return int(most)
        sample = int((~(parts <= MOST_STEPS)).flatten().nonzero()[0])
        before = float(left.flatten()[sample])
        raise ValueError(
            f"sample {sample} has no stable step at time {end - before:.6g} (limit "
            f"{before / float(parts.flatten()[sample]):.3g}); check the initial fields and the parameters"
        )
