"""Forward models as observations: sensors on what a solver makes of a window, and residuals of equations."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..physics.elliptic.steady import Steady
from ..physics.residuals.base import Residual
from ..physics.solver import Solver
from .observation import Observation
from .operators import Operator


class Forward(Operator):
    """A(x) = sensors(solve(x)): an initial field or a coefficient seen by later or indirect sensors.

    Arguments:
        solve: from windows of shape (N, *event) to fields of shape (N, *sensors.event), row by row.
        sensors: operator on the solved fields (C', T', *S).
        event: shape of what is inferred.
        differentiable: whether torch can differentiate `solve`.
    """

    def __init__(
        self, solve: Callable[[Tensor], Tensor], sensors: Operator, event: tuple[int, ...], differentiable: bool = True
    ):
        self.solve, self.sensors, self.event, self.m = solve, sensors, tuple(event), sensors.m
        self.differentiable = differentiable and sensors.differentiable

    def __call__(self, x: Tensor) -> Tensor:
        try:
            fields = self.solve(x)
        except ValueError as error:
            raise ValueError(f"the forward model cannot be run on a member of the ensemble: {error}") from error
        if tuple(fields.shape) != (len(x), *self.sensors.event):
            raise ValueError(
                f"the solver returned fields of shape {tuple(fields.shape)}; the sensors observe "
                f"{(len(x), *self.sensors.event)}"
            )
        return self.sensors(fields)


def from_initial(
    solver: Solver, sensors: Operator, event: tuple[int, ...], duration: float, substeps: int, frame: int = 0
) -> Forward:
    """A frame of a window, solved forward, seen by sensors: y = sensors(u(0 ... duration)), u(0) = x[:, frame].

    Gradients recompute states, so that memory grows as the root of the number of steps. The number of steps is fixed,
    so that a member's result does not depend on the others.

    Arguments:
        solver: of the C fields of the window.
        sensors: on windows (C, T', *S), whose T' frames lie at equal times from 0 to `duration`.
        event: shape (C, T, *S) of the prior's windows.
        duration: in the equation's unit of time.
        substeps: steps between two of the T' frames.
        frame: which frame of the window is the initial one.

    Raises:
        ValueError: where shapes do not fit; when called, where a step would be above the stability limit of a member.
    """
    fields, frames, *sizes = event
    if fields != len(solver.fields) or tuple(sizes) != tuple(solver.grid.sizes) or not -frames <= frame < frames:
        raise ValueError(
            f"{type(solver).__name__} solves {', '.join(solver.fields)} on {solver.grid.sizes} points; windows of "
            f"shape {tuple(event)} have no such frame {frame}"
        )
    return Forward(lambda x: solver.solve(x[:, :, frame], duration, sensors.event[1], substeps), sensors, event)


def from_coefficient(
    problem: Steady, sensors: Operator, event: tuple[int, ...], transform: Callable[[Tensor], Tensor] | None = None
) -> Forward:
    """The coefficient or source of a steady problem, seen by sensors on its solution: y = sensors(u(x)).

    Arguments:
        problem: steady equation.
        sensors: on windows (C_out, 1, *S) of the solution.
        event: shape (C_in, 1, *S) of the prior's windows.
        transform: of x before it enters, for example torch.exp for the logarithm of a permeability.

    Raises:
        ValueError: where shapes do not fit; when called, where the problem has no solution for a member.
    """
    expected = (len(problem.fields_in), 1, *problem.grid.sizes)
    if tuple(event) != expected:
        raise ValueError(
            f"{type(problem).__name__} takes {', '.join(problem.fields_in)}, windows of shape {expected}; got "
            f"{tuple(event)}"
        )

    def solve(x: Tensor) -> Tensor:
        return problem.solve((x if transform is None else transform(x))[:, :, 0])[:, :, None]

    return Forward(solve, sensors, event)


class ResidualOperator(Operator):
    """A(x) = r(x) / scale, all components of a residual in a row.

    Arguments:
        residual: of windows (C, T, *S) in physical units.
        reference: a window, with shape (C, T, *S), that tells how many numbers there are.
        components: those that count; all by default.

    Raises:
        ValueError: a component that does not exist, or a window that does not fit.
    """

    def __init__(self, residual: Residual, reference: Tensor, components: tuple[str, ...] | None = None):
        self.residual, self.event = residual, tuple(reference.shape)
        with torch.no_grad():
            found = residual(reference[None])
        unknown = sorted(set(components or ()) - set(found))
        if unknown:
            raise ValueError(f"the components are {sorted(found)}; got {unknown}")
        self.sizes = {name: found[name][0].numel() for name in components or found}
        self.m = sum(self.sizes.values())

    def __call__(self, x: Tensor) -> Tensor:
        found = self.residual.scaled(self.residual(x))
        return torch.cat([found[name].flatten(1) for name in self.sizes], 1).to(x)


def residual_observation(
    residual: Residual, reference: Tensor, std: float | Mapping[str, float], windows: int = 1
) -> Observation:
    """An equation as data: residual / scale = 0 with noise of a tolerated size, log N(0; r / scale, std^2).

    Arguments:
        residual: of windows (C, T, *S) in physical units.
        reference: a window, with shape (C, T, *S).
        std: tolerated size of r / scale, > 0; one number, or {component: std} for those that count.
        windows: B.

    Raises:
        ValueError: a component that does not exist, or a std that is not > 0 and finite.
    """
    operator = ResidualOperator(residual, reference, tuple(std) if isinstance(std, Mapping) else None)
    sizes = [
        torch.full((n,), float(std[name] if isinstance(std, Mapping) else std), dtype=reference.dtype)
        for name, n in operator.sizes.items()
    ]
    return Observation(operator, torch.zeros(windows, operator.m, dtype=reference.dtype), torch.cat(sizes))
