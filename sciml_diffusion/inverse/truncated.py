"""Normal laws cut off by limits, drawn exactly by Hamiltonian paths that bounce off the limits; batched."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

QUARTER = math.pi / 2  # of the period of a path: without limits the next draw is then independent
LOOK = 16  # bounces between two looks at whether all paths have ended, on the host only


class TruncatedNormal:
    """w ~ N(mu, S), known in some components, and in the others on one side of a limit: side (w - limit) >= 0.

    With the known components first, w = mu + L u, S = L L^T, u white: the known ones fix their part of u, and the rest
    moves along u(t) = u cos t + v sin t with v ~ N(0, I) for a quarter of a period, v being reflected where a limit is
    met. Every path leaves the law as it is, exactly and without steps; a path with more than `bounces` reflections goes
    back to where it began, which does too. Paths among many limits amplify rounding, as billiards do: a draw depends on
    its own numbers alone, but in the last digits on the order of sums, and after many bounces visibly.

    Source: A. Pakman and L. Paninski, Exact Hamiltonian Monte Carlo for truncated multivariate Gaussians, J. Comput.
    Graph. Stat. 23 (2014), 518-542.

    Arguments:
        covariance: S, with shape (m, m), float64.
        known: which components are known, with shape (B, m); B layouts, each for K consecutive rows of w.
        side: 1 for above, -1 for below, with shape (B, m).
        limit: with shape (B, m).
        bounces: most reflections of one path.
    """

    def __init__(self, covariance: Tensor, known: Tensor, side: Tensor, limit: Tensor, bounces: int = 2000):
        self.order = known.logical_not().long().argsort(dim=1, stable=True)  # known components first
        self.known, self.side, self.limit = (part.gather(1, self.order) for part in (known, side, limit))
        self.root = torch.linalg.cholesky(covariance[self.order[:, :, None], self.order[:, None, :]])
        free = (~self.known).double()
        self.walls = self.side[..., None] * self.root * free[:, None, :]  # F: side w = F u + ...
        self.gram = self.walls @ self.walls.mT
        self.free, self.bounces = free, bounces

    def draw(self, mean: Tensor, w: Tensor, sweeps: int, normal: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
        """Draws w, a path for each sweep, from a first w that keeps the limits; all of shape (N, m).

        Arguments:
            mean: mu. w: where the paths begin. sweeps: number of paths. normal: white noise, shape (m,) -> (N, m).
        """
        layouts, m = self.known.shape
        order = self.order.repeat_interleave(len(mean) // layouts, 0)
        mean, w = (part.double().gather(1, order).reshape(layouts, -1, m) for part in (mean, w))
        u = torch.linalg.solve_triangular(self.root, (w - mean).mT, upper=False).mT
        fixed = mean + (u * self.known[:, None].double()) @ self.root.mT
        gap = self.side[:, None] * (fixed - self.limit[:, None])
        gap = gap.masked_fill(self.known[:, None], math.inf)
        u = u * self.free[:, None]
        for _ in range(sweeps):
            v = normal((m,)).double().reshape(u.shape) * self.free[:, None]
            u = self._path(u, v, gap)
        w = fixed + u @ self.root.mT
        back = order.argsort(1)
        return w.reshape(-1, m).gather(1, back)

    def _path(self, u: Tensor, v: Tensor, gap: Tensor) -> Tensor:
        """The end of a path from u with velocity v, shapes (B, K, m)."""
        first, layout = u, torch.arange(len(u), device=u.device)[:, None]
        a, b = u @ self.walls.mT, v @ self.walls.mT
        left = torch.full(u.shape[:2], QUARTER, dtype=u.dtype, device=u.device)
        for n in range(self.bounces):
            after, wall = _next_wall(a, b, gap)
            t = torch.minimum(after, left)[..., None]
            cos, sin = t.cos(), t.sin()
            u, v = u * cos + v * sin, v * cos - u * sin
            a, b = a * cos + b * sin, b * cos - a * sin
            met = after < left
            row = self.gram[layout, wall]
            push = 2 * b.gather(2, wall[..., None]) / row.gather(2, wall[..., None])
            push = torch.where(met[..., None], push, 0)
            v, b = v - push * self.walls[layout, wall], b - push * row
            left = left - t[..., 0]
            if n % LOOK == LOOK - 1 and u.device.type == "cpu" and not (left > 0).any():
                break
        good = (left <= 0) & (u @ self.walls.mT + gap > -1e-9).all(2)
        return torch.where(good[..., None], u, first)


def _next_wall(a: Tensor, b: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
    """When a cos t + b sin t + gap first falls through 0, and for which component: shapes (B, K, m) -> (B, K)."""
    size = torch.hypot(a, b)
    angle = torch.arccos((-gap / size).clamp(-1, 1)) + torch.atan2(b, a)
    after = angle.remainder(2 * math.pi)
    after = torch.where((gap.abs() < size) & (after > 1e-10), after, math.inf)
    return after.min(2)
