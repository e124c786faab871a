"""Semi-Lagrangian transport on a MAC grid: trace back, interpolate, and, for second order, correct as MacCormack."""

import torch
from torch import Tensor

from ..constants import Constants
from .faces import Velocity
from .interpolate import interpolate, nodes, stencil
from .scene import Scene

OFFSETS = {"v": (0.0, 0.5), "u": (0.5, 0.0), "c": (0.5, 0.5)}  # of the first node, in cells
SCHEMES = ("maccormack", "semi-lagrangian")


class Advection:
    """q(x, t + dt) = q(X, t), X the point from which the flow reaches x, by the midpoint rule of Runge and Kutta.

    "semi-lagrangian" interpolates q linearly at X: first order, smooths, makes no new extrema. "maccormack" adds half
    of the error that shows where the result is traced forward again, and holds it between the four values around X:
    second order in smooth fields; where X lies at an obstacle or outside it stays with the first. Values inside walls
    never count, so that air slips along walls. What flows in through an open side is clean air that moves as the air
    at the side does. Sources: Stam (SIGGRAPH 1999); Selle, Fedkiw, Kim, Liu & Rossignac, J. Sci. Comput. 35 (2008).

    Arguments:
        scene: cells and walls.
        scheme: "maccormack" or "semi-lagrangian".

    Raises:
        ValueError: where the scheme is unknown.
    """

    def __init__(self, scene: Scene, scheme: str = "maccormack"):
        if scheme not in SCHEMES:
            raise ValueError(f"advection must be one of {SCHEMES}; got {scheme!r}")
        self.scene, self.scheme = scene, scheme
        self.open_ends = [side in scene.open_sides for side in ("bottom", "top", "left", "right")]
        self.valid = Constants(*_valid(scene)) if scene.solid.any() else None

    def velocity(self, carried: Velocity, by: Velocity, dt: float) -> Velocity:
        """Both components of a velocity carried by another: faces (v, u), shapes (B, Y + 1, X), (B, Y, X + 1) kept."""
        return self._move("v", carried[0], by, dt), self._move("u", carried[1], by, dt)

    def density(self, c: Tensor, by: Velocity, dt: float) -> Tensor:
        """A density at centres, clean air from outside: shape (B, Y, X), kept; 0 in walls."""
        moved = self._move("c", c, by, dt)
        return moved if self.valid is None else moved * self._masks(c)["c"]

    def _move(self, kind: str, q: Tensor, by: Velocity, dt: float) -> Tensor:
        behind = self._trace(kind, q, by, dt)
        moved, around, valid = self._read(kind, q, behind)
        if self.scheme == "semi-lagrangian":
            return moved
        ahead = self._trace(kind, q, by, -dt)
        again, _, valid_again = self._read(kind, moved, ahead)
        low, high = around.amin(0).view_as(q), around.amax(0).view_as(q)
        corrected = (moved + (q - again) / 2).maximum(low).minimum(high)
        return torch.where(self._sure(behind, valid) & self._sure(ahead, valid_again), corrected, moved)

    def _sure(self, at: tuple[Tensor, Tensor], valid: Tensor | None) -> Tensor:
        """Points inside the box with no wall among their nodes."""
        (y, x), (n_y, n_x) = at, self.scene.sizes
        inside = (y >= 0) & (y <= n_y) & (x >= 0) & (x <= n_x)
        return inside if valid is None else inside & (valid.amin(0) > 0).view_as(inside)

    def _trace(self, kind: str, q: Tensor, by: Velocity, dt: float) -> tuple[Tensor, Tensor]:
        """Where the nodes were a time dt ago, in cells from the corner, each (B, M_y, M_x)."""
        (o_y, o_x), (m_y, m_x) = OFFSETS[kind], q.shape[-2:]
        y = (torch.arange(m_y, dtype=q.dtype, device=q.device) + o_y)[:, None].expand(m_y, m_x)
        x = (torch.arange(m_x, dtype=q.dtype, device=q.device) + o_x).expand(m_y, m_x)
        base, (h_y, h_x) = (y[None], x[None]), self.scene.spacings
        at = base
        for share in (0.5, 1.0):
            v, u = (self._read(name, part, at)[0] for name, part in zip("vu", by, strict=True))
            at = base[0] - share * dt / h_y * v, base[1] - share * dt / h_x * u
        return at

    def _read(self, kind: str, q: Tensor, at: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Values at points (B | 1, M_y, M_x); the four nodes around, (4, B, N), and which of them are valid."""
        offset = OFFSETS[kind]
        y, x = at[0] - offset[0], at[1] - offset[1]
        here = stencil(tuple(q.shape[-2:]), y, x)
        around = nodes(q, here)
        valid = self._masks(q)[kind].take(here.index) if self.valid is not None else None
        value = interpolate(around, here, valid).view(len(q), *y.shape[1:])
        if kind == "c" and any(self.open_ends):
            value = value * self._from_inside(y, x)
        return value, around, valid

    def _from_inside(self, y: Tensor, x: Tensor) -> Tensor:
        """1 inside, falling to 0 over one cell beyond the last centre of an open side: interpolation to clean air."""
        share, (n_y, n_x) = 1.0, self.scene.sizes
        for open_, depth in zip(self.open_ends, (y, n_y - 1 - y, x, n_x - 1 - x), strict=True):
            share = share * (depth + 1).clamp(0, 1) if open_ else share
        return share

    def _masks(self, like: Tensor) -> dict[str, Tensor]:
        return dict(zip(OFFSETS, self.valid.like(like), strict=True))


def _valid(scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes v, u, c that carry a value: faces with fluid on at least one side, and fluid cells."""
    fluid = ~scene.solid
    v, u = fluid.new_zeros(fluid.shape[0] + 1, fluid.shape[1]), fluid.new_zeros(fluid.shape[0], fluid.shape[1] + 1)
    v[1:], u[:, 1:] = fluid, fluid
    v[:-1] |= fluid
    u[:, :-1] |= fluid
    return v, u, fluid
