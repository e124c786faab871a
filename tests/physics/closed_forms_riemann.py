"""Exact solutions of the Riemann problem of an ideal gas (E. Toro, Riemann Solvers, 2009, chapter 4), in NumPy."""

import numpy as np
from scipy.optimize import brentq

SOD = ((1.0, 0.0, 1.0), (0.125, 0.0, 0.1))  # (rho, u, p) left and right; gamma = 1.4


def _speed(p: float, state: tuple[float, float, float], gamma: float) -> float:
    """Change of velocity across the wave that joins `state` to the pressure p: a shock above its own, else a fan."""
    rho, _, own = state
    if p > own:
        return (p - own) * np.sqrt(2 / ((gamma + 1) * rho) / (p + (gamma - 1) / (gamma + 1) * own))
    return 2 * np.sqrt(gamma * own / rho) / (gamma - 1) * ((p / own) ** ((gamma - 1) / (2 * gamma)) - 1)


def star(left: tuple, right: tuple, gamma: float) -> tuple[float, float]:
    """Pressure and velocity between the waves; the states must not leave a vacuum."""

    def gap(p: float) -> float:
        return _speed(p, left, gamma) + _speed(p, right, gamma) + right[1] - left[1]

    p = brentq(gap, 1e-14, 10 * max(left[2], right[2]) + 100 * max(left[0], right[0]) * (left[1] - right[1]) ** 2 + 1)
    return p, 0.5 * (left[1] + right[1] + _speed(p, right, gamma) - _speed(p, left, gamma))


def _one_side(xi: np.ndarray, state: tuple, p: float, u: float, gamma: float) -> np.ndarray:
    """(rho, u, p) to the left of the contact, at the speeds xi = x / t."""
    rho, own_u, own_p = state
    sound = np.sqrt(gamma * own_p / rho)
    if p > own_p:
        ratio, g = p / own_p, (gamma - 1) / (gamma + 1)
        behind = (rho * (ratio + g) / (g * ratio + 1), u, p)
        shock = own_u - sound * np.sqrt((gamma + 1) / (2 * gamma) * ratio + (gamma - 1) / (2 * gamma))
        return np.where(xi < shock, np.array(state)[:, None], np.array(behind)[:, None])
    behind = (rho * (p / own_p) ** (1 / gamma), u, p)
    tail = u - sound * (p / own_p) ** ((gamma - 1) / (2 * gamma))
    fan_u = 2 / (gamma + 1) * (sound + 0.5 * (gamma - 1) * own_u + xi)
    fan_a = np.maximum(2 / (gamma + 1) * (sound + 0.5 * (gamma - 1) * (own_u - xi)), 1e-300)
    fan = np.stack(
        [rho * (fan_a / sound) ** (2 / (gamma - 1)), fan_u, own_p * (fan_a / sound) ** (2 * gamma / (gamma - 1))]
    )
    inside = np.where(xi < tail, fan, np.array(behind)[:, None])
    return np.where(xi < own_u - sound, np.array(state)[:, None], inside)


def exact_riemann(xi: np.ndarray, left: tuple, right: tuple, gamma: float = 1.4) -> np.ndarray:
    """(rho, u, p) at the speeds xi = (x - x_0) / t, with shape (3, X)."""
    p, u = star(left, right, gamma)
    mirrored = _one_side(-xi, (right[0], -right[1], right[2]), p, -u, gamma) * np.array([[1.0], [-1.0], [1.0]])
    return np.where(xi < u, _one_side(xi, left, p, u, gamma), mirrored)


def riemann_means(
    edges: np.ndarray, time: float, centre: float, left: tuple, right: tuple, gamma: float = 1.4
) -> np.ndarray:
    """Means of (rho, u, p) over cells with the given edges, by 64 midpoints in each; shape (3, X)."""
    width = np.diff(edges)
    x = edges[:-1, None] + width[:, None] * (np.arange(64) + 0.5) / 64
    return exact_riemann((x.ravel() - centre) / time, left, right, gamma).reshape(3, *x.shape).mean(-1)
