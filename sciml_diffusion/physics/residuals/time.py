"""Residuals of du/dt = rhs(u) between frames, for any solver with a right-hand side and for the stencil equations."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from ..grid import Grid
from ..solver import Solver
from .base import Parameters, Residual, Terms


class Rated(Protocol):
    """Anything that gives du/dt: a solver that is a method of lines, or an `Equation`."""

    grid: Grid
    fields: tuple[str, ...]
    rhs: Callable[..., Tensor]


class FrameResidual(Residual):
    """Component "pde" of du/dt = rhs(u, time) on frames at the times start + n dt.

    Where the equation has `prognostic` fields, these alone have a residual and the others are given.

    Arguments:
        equation: gives rhs(u (B, C, *S), time) in physical units; parameters of a call are handed to it by name.
        dt: time between frames, > 0.
        start: time of the first frame.

    Raises:
        ValueError: where dt is not > 0, or the equation has no right-hand side.
    """

    frames = 2

    def __init__(self, equation: Rated, dt: float, start: float = 0.0):
        if not dt > 0:
            raise ValueError(f"the time between frames dt must be > 0; got {dt}")
        if not callable(getattr(equation, "rhs", None)):
            raise ValueError(f"{type(equation).__name__} has no rhs(u, time); use StepResidual with a solver")
        self.equation, self.dt, self.begin = equation, dt, start
        self.grid, self.fields = equation.grid, tuple(equation.fields)
        self.prognostic = tuple(getattr(equation, "prognostic", self.fields))

    def evolving(self, x: Tensor) -> Tensor:
        """The channels that have an equation: shape (B, C, T, *S) -> (B, C', T, *S)."""
        if self.prognostic == self.fields:
            return x
        return torch.cat([self.channel(x, name) for name in self.prognostic], 1)

    def rates(self, x: Tensor, first: float, parameters: Parameters) -> Tensor:
        """rhs at every frame of x (B, C, T, *S), the first of which lies at the time first + start."""
        rhs = self.equation.rhs
        times = [self.begin + first + n * self.dt for n in range(x.shape[2])]
        return torch.stack([rhs(x[:, :, n], time, **parameters) for n, time in enumerate(times)], 2)

    def _enough(self, x: Tensor) -> None:
        if x.shape[2] < self.frames:
            raise ValueError(f"{type(self).__name__} needs at least {self.frames} frames; got {x.shape[2]}")


class MidpointResidual(FrameResidual):
    """(u^{n+1} - u^n) / dt - rhs((u^n + u^{n+1}) / 2, t_{n+1/2}), with T - 1 frames.

    It vanishes with dt^2 on exact solutions and sees no more than two frames, so guidance needs no longer window.
    """

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """Rate of change and minus the right-hand side, each of shape (B, C', T - 1, *S)."""
        self._enough(x)
        rate = self.evolving(x).diff(dim=2) / self.dt
        return {"pde": (rate, -self.rates((x[:, :, 1:] + x[:, :, :-1]) / 2, self.dt / 2, parameters))}


class CentralResidual(FrameResidual):
    """(u^{n+1} - u^{n-1}) / (2 dt) - rhs(u^n, t_n), with T - 2 frames; vanishes with dt^2 on exact solutions."""

    frames = 3

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """Rate of change and minus the right-hand side, each of shape (B, C', T - 2, *S)."""
        self._enough(x)
        u = self.evolving(x)
        rate = (u[:, :, 2:] - u[:, :, :-2]) / (2 * self.dt)
        return {"pde": (rate, -self.rates(x[:, :, 1:-1], self.dt, parameters))}


class IntegratedResidual(FrameResidual):
    """(u^{n+1} - u^{n-1}) / (2 dt) - (r^{n-1} + 4 r^n + r^{n+1}) / 6, r = rhs(u): Simpson's rule, T - 2 frames.

    The equation integrated over two intervals; vanishes with dt^4, for frames that are stored far apart.
    """

    frames = 3

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """Rate of change and minus the averaged right-hand side, each of shape (B, C', T - 2, *S)."""
        self._enough(x)
        u, r = self.evolving(x), self.rates(x, 0.0, parameters)
        rate = (u[:, :, 2:] - u[:, :, :-2]) / (2 * self.dt)
        return {"pde": (rate, -(r[:, :, :-2] + 4 * r[:, :, 1:-1] + r[:, :, 2:]) / 6)}


class StepResidual(Residual):
    """(u^{n+1} - Step(u^n)) / dt with a solver's own step, with T - 1 frames: component "pde".

    Frames that the same solver made with the same `substeps`, given as a number, have the residual of rounding, however
    far apart they are. It takes read(start(u)) = u: a solver whose state holds more than its fields (the faces of
    `Smoke`) is refused. Frames with automatic steps (of finite volumes: each sample's own) leave the error in time of
    both. Terms are the changes (u^{n+1} - u^n) / dt and -(Step(u^n) - u^n) / dt.

    Arguments:
        solver: made for the samples of the batch.
        dt: time between frames, > 0.
        substeps: steps between two frames, >= 1.

    Raises:
        ValueError: where dt or substeps are out of range, or frames do not hold the solver's state.
    """

    def __init__(self, solver: Solver, dt: float, substeps: int = 1):
        if not dt > 0 or substeps < 1:
            raise ValueError(f"expected dt > 0 and substeps >= 1; got {dt} and {substeps}")
        if not solver.restarts:
            raise ValueError(
                f"frames of {type(solver).__name__} do not hold its whole state; use a residual of its rates"
            )
        self.solver, self.dt, self.substeps = solver, dt, substeps
        self.grid, self.fields = solver.grid, tuple(solver.fields)

    def terms(self, x: Tensor, parameters: Parameters) -> Terms:
        """Changes between frames and minus those of the solver, each of shape (B, C, T - 1, *S)."""
        if parameters:
            raise ValueError(f"a step takes no parameters; make the solver anew with {sorted(parameters)}")
        if x.shape[2] < 2:
            raise ValueError(f"StepResidual needs at least 2 frames; got {x.shape[2]}")
        step = self.solver.stepper(self.dt / self.substeps)
        steps = []
        for frame in range(x.shape[2] - 1):
            state = self.solver.start(x[:, :, frame])
            for n in range(frame * self.substeps, (frame + 1) * self.substeps):
                state = step(state, n)
            steps.append(self.solver.read(state) - x[:, :, frame])
        return {"pde": (x.diff(dim=2) / self.dt, -torch.stack(steps, 2) / self.dt)}
