"""A MAC grid: velocities on faces, v normal to y (B, Y + 1, X) and u normal to x (B, Y, X + 1), all else at centres."""

from torch import Tensor
from torch.nn.functional import pad

Velocity = tuple[Tensor, Tensor]  # (v, u): components in the order of the axes, y then x


def divergence(velocity: Velocity, spacings: tuple[float, float]) -> Tensor:
    """(v_{j+1} - v_j) / h_y + (u_{i+1} - u_i) / h_x: faces (B, Y + 1, X), (B, Y, X + 1) -> cells of shape (B, Y, X)."""
    v, u = velocity
    return v.diff(dim=-2) / spacings[0] + u.diff(dim=-1) / spacings[1]


def gradient(p: Tensor, spacings: tuple[float, float]) -> Velocity:
    """Differences of p on all faces, with p = 0 on the sides, half a cell away: shape (B, Y, X) -> faces (v, u)."""
    v = pad(p, (0, 0, 1, 1)).diff(dim=-2) / spacings[0]
    u = pad(p, (1, 1)).diff(dim=-1) / spacings[1]
    weight_v, weight_u = side_weights(v, -2), side_weights(u, -1)
    return v * weight_v, u * weight_u


def side_weights(like: Tensor, axis: int) -> Tensor:
    """1 on inner faces, 2 on the two sides (the distance to the side is half a cell), broadcast with shape (n, 1)."""
    weights = like.new_ones(like.shape[axis])
    weights[[0, -1]] = 2.0
    return weights[:, None] if axis == -2 else weights


def to_faces(cells_y: Tensor, cells_x: Tensor) -> Velocity:
    """Faces from values at centres, each (B, Y, X): the mean of the two cells, on the sides the value of the cell."""
    v = pad(cells_y[:, None], (0, 0, 1, 1), mode="replicate")[:, 0]
    u = pad(cells_x[:, None], (1, 1, 0, 0), mode="replicate")[:, 0]
    return (v[:, 1:] + v[:, :-1]) / 2, (u[..., 1:] + u[..., :-1]) / 2


def to_centres(velocity: Velocity) -> tuple[Tensor, Tensor]:
    """Means of opposite faces: (v, u) -> components along y and x, each with shape (B, Y, X)."""
    v, u = velocity
    return (v[:, 1:] + v[:, :-1]) / 2, (u[..., 1:] + u[..., :-1]) / 2
