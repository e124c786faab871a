"""Nonlinear instruments: pointwise functions of what linear sensors see, and extremes over times.

Derivatives are those of the sensors, scaled or picked row by row: no pass through a graph.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .operators import LinearOperator, Operator

Pointwise = Callable[..., Tensor]


class Composed(Operator):
    """A(x) = f(h_1, h_2, ...) with h_p = A_p(x): a pointwise function of what one or several operators see.

    Arguments:
        function: f, from P tensors of shape (N, m) to one, element by element; see `clip`, `saturate`, `magnitude`,
            `logarithm`, `power`, or any torch function.
        operators: A_1 ... A_P, of one event and one m.

    Raises:
        ValueError: no operator, or some that do not fit.
    """

    def __init__(self, function: Pointwise, *operators: Operator):
        shapes = {(tuple(operator.event), operator.m) for operator in operators}
        if len(shapes) != 1:
            raise ValueError(f"expected operators with one event and one number of outputs; got {sorted(shapes)}")
        (self.event, self.m) = shapes.pop()
        self.function, self.operators = function, operators
        self.differentiable = all(operator.differentiable for operator in operators)

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(*(operator(x) for operator in self.operators))

    def at(self, x: Tensor) -> tuple[Tensor, LinearOperator]:
        values, slopes = zip(*(operator.at(x) for operator in self.operators), strict=True)
        with torch.enable_grad():
            values = [value.detach().requires_grad_() for value in values]
            seen = self.function(*values)
            gains = torch.autograd.grad(seen.sum(), values)
        return seen.detach(), RowSum(slopes, gains)


class RowSum(LinearOperator):
    """sum_p g_p * (H_p x) on N rows: the derivative of a pointwise function of several operators.

    Arguments:
        slopes: H_p.
        gains: g_p, each with shape (N, m).
    """

    def __init__(self, slopes: tuple[LinearOperator, ...], gains: tuple[Tensor, ...]):
        self.slopes, self.gains, self.event, self.m = slopes, gains, slopes[0].event, slopes[0].m

    def __call__(self, x: Tensor) -> Tensor:
        return sum(gain.to(x) * slope(x) for slope, gain in zip(self.slopes, self.gains, strict=True))

    def adjoint(self, y: Tensor) -> Tensor:
        return sum(slope.adjoint(gain.to(y) * y) for slope, gain in zip(self.slopes, self.gains, strict=True))


class Extreme(Operator):
    """The largest (or smallest) of `over` consecutive values that an operator sees: a day's maximum.

    Differentiable where one value is the largest, which is almost everywhere: the derivative is that value's.

    Arguments:
        operator: with m * over outputs, the values of one extreme beside each other.
        over: number of values, for example 24 hours.
        largest: False for minima.

    Raises:
        ValueError: where `over` does not divide the number of outputs.
    """

    def __init__(self, operator: Operator, over: int, largest: bool = True):
        if over < 1 or operator.m % over:
            raise ValueError(f"over must divide the {operator.m} values that the operator sees; got {over}")
        self.operator, self.over, self.largest = operator, over, largest
        self.event, self.m, self.differentiable = tuple(operator.event), operator.m // over, operator.differentiable

    def _extreme(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Values and where they were, both with shape (N, m)."""
        found = (torch.max if self.largest else torch.min)(h.unflatten(1, (self.m, self.over)), 2)
        return found.values, found.indices

    def __call__(self, x: Tensor) -> Tensor:
        return self._extreme(self.operator(x))[0]

    def at(self, x: Tensor) -> tuple[Tensor, LinearOperator]:
        h, slope = self.operator.at(x)
        value, index = self._extreme(h)
        return value, Picked(slope, index, self.over)


class Picked(LinearOperator):
    """One of `over` consecutive outputs of H, another one in each of N rows.

    Arguments:
        slope: H.
        index: which one, with shape (N, m).
        over: outputs to choose from.
    """

    def __init__(self, slope: LinearOperator, index: Tensor, over: int):
        self.slope, self.index, self.over, self.event, self.m = (
            slope,
            index[..., None],
            over,
            slope.event,
            index.shape[1],
        )

    def __call__(self, x: Tensor) -> Tensor:
        return self.slope(x).unflatten(1, (self.m, self.over)).gather(2, self.index)[..., 0]

    def adjoint(self, y: Tensor) -> Tensor:
        spread = y.new_zeros(*y.shape, self.over).scatter(2, self.index, y[..., None])
        return self.slope.adjoint(spread.flatten(1))


def clip(low: float, high: float) -> Pointwise:
    """h -> min(max(h, low), high). Beyond the limits the slope is 0; `Censored` noise says as much, smoothly.

    Raises:
        ValueError: where low is not below high.
    """
    if not low < high:
        raise ValueError(f"expected low < high; got {low} and {high}")
    return lambda h: h.clamp(low, high)


def saturate(limit: float, centre: float = 0.0) -> Pointwise:
    """h -> centre + limit tanh((h - centre) / limit): a gauge that flattens towards its ends.

    Raises:
        ValueError: where the limit is not > 0.
    """
    if not limit > 0:
        raise ValueError(f"limit must be > 0; got {limit}")
    return lambda h: centre + limit * torch.tanh((h - centre) / limit)


def magnitude(*components: Tensor) -> Tensor:
    """sqrt(sum_p h_p^2), for example wind speed from u and v: shapes (N, m) -> (N, m); the slope at 0 is 0."""
    return torch.stack(components).norm(dim=0)


def logarithm(offset: float = 0.0, floor: float = 1e-3) -> Pointwise:
    """h -> log(h + offset); below h + offset = floor along the tangent, so that members are led back.

    Raises:
        ValueError: where the floor is not > 0.
    """
    return _from(lambda h: (h + offset).log(), floor, offset)


def power(exponent: float, floor: float = 1e-3) -> Pointwise:
    """h -> h^exponent for h > 0; below h = floor along the tangent, so that members are led back.

    Raises:
        ValueError: where the floor is not > 0.
    """
    return _from(lambda h: h**exponent, floor, 0.0)


def _from(function: Pointwise, floor: float, offset: float) -> Pointwise:
    """A function of h + offset >= floor, continued below along its tangent."""
    if not floor > 0:
        raise ValueError(f"floor must be > 0; got {floor}")
    edge = torch.tensor(floor - offset, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(function(edge), edge)
    edge, slope = float(edge.detach()), float(slope)
    return lambda h: function(h.clamp_min(edge)) + slope * (h - edge).clamp_max(0.0)
