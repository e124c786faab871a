"""Finite-difference weights on the points of one axis: even or uneven, increasing or decreasing, closed or not."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

EDGES = ("one-sided", "even", "odd")


@dataclass(frozen=True, eq=False)
class Stencil:
    """u^(m)(x_i) = sum_j w_ij (s_ij u[index_ij] - u_i), summed as differences: constants have derivative 0 exactly.

    Arguments:
        index: points of each row, with shape (n, p).
        weight: w, in units of 1 / length^m, with shape (n, p).
        sign: s, -1 where a value is reflected with its sign turned, else 1, with shape (n, p).
    """

    index: Tensor
    weight: Tensor
    sign: Tensor

    def __call__(self, u: Tensor, axis: int) -> Tensor:
        """The derivative along an axis of u, with the shape of u."""
        view = [1] * u.ndim
        view[axis] = -1
        total = torch.zeros_like(u)
        for index, weight, sign in zip(self.index.T, self.weight.T, self.sign.T, strict=True):
            values = u.index_select(axis, index)
            total = total + weight.view(view) * (sign.view(view) * values - u)
        return total

    def to(self, u: Tensor) -> "Stencil":
        """The same stencil on the device and in the dtype of u (any shape)."""
        return Stencil(self.index.to(u.device), self.weight.to(u), self.sign.to(u))


def stencil(points: np.ndarray, period: float | None, order: int, accuracy: int, edge: str = "one-sided") -> Stencil:
    """Weights of the first or second derivative that are exact on polynomials of degree < order + accuracy.

    Inside, order 1 takes accuracy + 1 points around x_i, order 2 as many on even points; on uneven points it takes one
    more for the accuracy 2. Beside an end the accuracy falls to 2, by the widest central window that fits and at last
    by order + 2 points of one side; reflections ("even", "odd") keep the accuracy of the inside.

    Arguments:
        points: coordinates of the n points, increasing or decreasing.
        period: of the coordinate, or None where the axis does not close.
        order: 1 or 2.
        accuracy: 2 or 4.
        edge: at ends that do not close: "one-sided", or values mirrored at a wall half a spacing outside, "even" (zero
            slope at the wall) or "odd" (zero value at the wall).

    Raises:
        ValueError: where an argument is out of range or the axis has too few points.
    """
    if order not in (1, 2) or accuracy not in (2, 4) or edge not in EDGES:
        raise ValueError(f"expected order 1 or 2, accuracy 2 or 4 and an edge of {EDGES}; got {order, accuracy, edge}")
    n, half = len(points), accuracy // 2
    if n < max(order + 2, accuracy + 1):
        raise ValueError(f"a derivative of order {order} and accuracy {accuracy} needs more than {n} points")
    x = straightened(points, period)
    step = even_step(x, period)
    even = step is not None
    extra = 0 if even or order == 1 or accuracy == 4 else 1
    rows = [_window(i, n, half, extra, order, free=period is not None or edge != "one-sided") for i in range(n)]
    width = max(map(len, rows))
    index, weight, sign = np.zeros((n, width), int), np.zeros((n, width)), np.ones((n, width))
    known: dict[tuple[int, ...], np.ndarray] = {}  # on even points rows have the same weights, bit for bit
    for i, window in enumerate(rows):
        where = [_place(x, j, period, edge) for j in window]
        index[i] = i
        index[i, : len(window)] = [w[0] for w in where]
        sign[i, : len(window)] = [w[2] for w in where]
        near = tuple(j - i for j in window)
        if not even:
            found = _weights(np.array([w[1] for w in where]) - x[i], order)
        else:
            found = known[near] = known[near] if near in known else _weights(step * np.array(near), order)
        weight[i, : len(window)] = found
    return Stencil(*(torch.from_numpy(a) for a in (index, weight, sign)))


def straightened(points: np.ndarray, period: float | None) -> np.ndarray:
    """Coordinates in float64; those that are even to the rounding of float32 are made even."""
    x = np.asarray(points, dtype=np.float64)
    n = len(x)
    step = math.copysign(period / n, x[-1] - x[0]) if period is not None else (x[-1] - x[0]) / (n - 1)
    line = x[0] + step * np.arange(n)
    return line if np.abs(x - line).max() <= 4e-7 * np.abs(x).max() else x


def even_step(x: np.ndarray, period: float | None) -> float | None:
    """The signed spacing of straightened points, or None where they are uneven or do not meet their period evenly."""
    steps = np.diff(x)
    step = float(steps.mean()) if period is None else math.copysign(period / len(x), steps[0])
    return step if np.allclose(steps, step, rtol=1e-9, atol=0) else None


def _window(i: int, n: int, half: int, extra: int, order: int, free: bool) -> list[int]:
    """Positions of the stencil of point i; positions outside 0 .. n - 1 are wrapped or mirrored where it is free."""
    for h in range(half, 0, -1):
        if free or (i - h >= 0 and i + h + extra < n):
            return list(range(i - h, i + h + 1 + extra))
        if extra and i - h - extra >= 0 and i + h < n:
            return list(range(i - h - extra, i + h + 1))
    return list(range(order + 2)) if i < n // 2 else list(range(n - order - 2, n))


def _place(x: np.ndarray, j: int, period: float | None, edge: str) -> tuple[int, float, float]:
    """Index, coordinate and sign of the position j, which may lie outside."""
    n = len(x)
    if 0 <= j < n:
        return j, x[j], 1.0
    if period is not None:
        return j % n, x[j % n] + math.copysign(period, x[-1] - x[0]) * (j // n), 1.0
    inner, wall = (-1 - j, 1.5 * x[0] - 0.5 * x[1]) if j < 0 else (2 * n - 1 - j, 1.5 * x[-1] - 0.5 * x[-2])
    return inner, 2 * wall - x[inner], 1.0 if edge == "even" else -1.0


def _weights(offsets: np.ndarray, order: int) -> np.ndarray:
    """w with sum_j w_j offset_j^p = p! [p = order], solved in units of the nearest neighbour."""
    unit = np.abs(offsets[offsets != 0]).min()
    moments = np.zeros(len(offsets))
    moments[order] = math.factorial(order)
    return np.linalg.solve(np.vander(offsets / unit, increasing=True).T, moments) / unit**order
