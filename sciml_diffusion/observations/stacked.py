"""Several observations of one window as one: operators, data and noise laws side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .noise import Correlated, Gaussian, Noise
from .noise_laws import Mixed
from .observation import Observation
from .operators import LinearOperator, Operator, scaled


class Stacked(Operator):
    """A(x) = (A_1(x), A_2(x), ...). Make it with `stack_operators`, which keeps what is linear linear.

    Arguments:
        operators: of events of one shape.

    Raises:
        ValueError: no operator, or events of different shapes.
    """

    def __init__(self, operators: Sequence[Operator]):
        events = {tuple(operator.event) for operator in operators}
        if len(events) != 1:
            raise ValueError(f"expected operators that observe events of one shape; got {sorted(events)}")
        self.operators, self.event = tuple(operators), events.pop()
        self.sizes = [operator.m for operator in operators]
        self.m, self.differentiable = sum(self.sizes), all(operator.differentiable for operator in operators)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.cat([operator(x) for operator in self.operators], 1)

    def at(self, x: Tensor) -> tuple[Tensor, LinearOperator]:
        values, slopes = zip(*(operator.at(x) for operator in self.operators), strict=True)
        return torch.cat(values, 1), StackedLinear(slopes)


class StackedLinear(Stacked, LinearOperator):
    """`Stacked` of linear operators: A^T y = sum_i A_i^T y_i."""

    def adjoint(self, y: Tensor) -> Tensor:
        parts = zip(self.operators, y.split(self.sizes, 1), strict=True)
        return sum(operator.adjoint(part) for operator, part in parts)

    def at(self, x: Tensor) -> tuple[Tensor, LinearOperator]:
        return self(x), self


def stack_operators(operators: Sequence[Operator]) -> Operator:
    """One operator that observes what all of them do, linear where they are."""
    if len(operators) == 1:
        return operators[0]
    return (StackedLinear if all(operator.linear for operator in operators) else Stacked)(operators)


def stack(observations: Sequence[Observation]) -> Observation:
    """One observation of what several saw, independently of each other: the likelihood is their product.

    Gaussian laws join to a Gaussian one, of full covariance where one of them is; others stand side by side in `Mixed`.
    There, noise of full covariance R is replaced by s R^{-1/2} of the data with independent noise of one std s =
    |R|^{1/2m}, which leaves the log-density as it is.

    Arguments:
        observations: of the same B windows.

    Raises:
        ValueError: none given, or windows that differ in number or shape.
    """
    if len({len(observation.y) for observation in observations}) != 1:
        counts = [len(observation.y) for observation in observations]
        raise ValueError(f"expected observations of the same windows; got {counts} of them")
    if len(observations) == 1:
        return observations[0]
    laws = [observation.noise for observation in observations]
    if not all(isinstance(law, Gaussian) for law in laws):
        observations = [_independent(observation) for observation in observations]
        laws = [observation.noise for observation in observations]
    operator = stack_operators([observation.operator for observation in observations])
    return Observation(operator, torch.cat([observation.y for observation in observations], 1), join(laws))


def join(laws: Sequence[Noise]) -> Noise:
    """The law of several groups of sensors, each independent of the others."""
    if any(isinstance(law, Correlated) for law in laws):
        return Correlated(torch.block_diag(*(_covariance(law) for law in laws)))
    if all(isinstance(law, Gaussian) for law in laws):
        return Gaussian(torch.cat([law.std for law in laws]))
    return Mixed(laws)


def _covariance(law: Gaussian) -> Tensor:
    return law.covariance if isinstance(law, Correlated) else law.std.square().diag()


def _independent(observation: Observation) -> Observation:
    """The same data with independent noise, and the same density."""
    if not isinstance(observation.noise, Correlated):
        return observation
    root = observation.noise.root
    std = root.diagonal().log().mean().exp()
    white = (std * torch.linalg.inv(root)).to(observation.y)
    return Observation(
        scaled(observation.operator, white), observation.y @ white.T, std.to(observation.y).expand(len(white))
    )
