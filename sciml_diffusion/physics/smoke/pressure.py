"""Pressure: -div(c grad p) = f on cells, c = 1 on faces that air can cross and 0 on walls, p = 0 on open sides."""

import math

import torch
from scipy.linalg import orth
from torch import Tensor

from ..constants import Constants
from .faces import divergence, gradient
from .scene import SIDES, Scene


class BoxPoisson:
    """Exact inverse of -div grad on an empty box by its eigenvectors: p = V_y ((V_y' f V_x) / (l_y + l_x)) V_x'.

    Along an axis the eigenvectors are cosines between walls, sines between open sides (p = 0 on the side) and quarter
    waves between one of each; l = (2 / h sin(theta / 2))^2. The mean is set to zero where no side is open. Matrix
    products: fast up to several hundred cells on an axis. Source: Strang, SIAM Review 41 (1999).

    Arguments:
        sizes: cells (Y, X).
        spacings: lengths (h_y, h_x) of a cell.
        open_sides: see `Scene`.
    """

    def __init__(self, sizes: tuple[int, int], spacings: tuple[float, float], open_sides: tuple[str, ...]):
        ends = [side in open_sides for side in SIDES]
        (self.v_y, l_y), (self.v_x, l_x) = (
            _modes(n, h, *pair) for n, h, pair in zip(sizes, spacings, (ends[:2], ends[2:]), strict=True)
        )
        total = l_y[:, None] + l_x
        self.inverse = torch.where(total > 1e-14 * total.max(), 1 / total, 0.0)
        self._modes = Constants(self.v_y, self.v_x, self.inverse)

    def __call__(self, f: Tensor) -> Tensor:
        """p with -div grad p = f (less its mean where no side is open): shape (..., Y, X), kept."""
        v_y, v_x, inverse = self._modes.like(f)
        return v_y @ ((v_y.T @ f @ v_x) * inverse) @ v_x.T


def _modes(n: int, h: float, open_before: bool, open_after: bool) -> tuple[Tensor, Tensor]:
    """Orthonormal eigenvectors, as columns, and eigenvalues of minus the second difference on n cells."""
    j, k = torch.arange(n, dtype=torch.float64)[:, None] + 0.5, torch.arange(n, dtype=torch.float64)
    shift = {(False, False): 0.0, (True, True): 1.0}.get((open_before, open_after), 0.5)
    theta = math.pi * (k + shift) / n
    waves = (j * theta).sin() if open_before else (j * theta).cos()
    return waves / waves.norm(dim=0), (2 / h * (theta / 2).sin()) ** 2


class CapacitancePoisson:
    """Exact inverse of -div(c grad) with obstacles: the empty box, and a dense matrix for the m faces that walls close.

    A = A_0 - B W B', column b of B the difference across a closed face, W its weight: with q = S^+ B' A_0^+ f and
    S = W^-1 - B' A_0^+ B, p = A_0^+ (f + B q). S^+ is found once in float64; its null vectors W B' 1_R belong to the
    regions R without a way out. f must have no sum over such a region, as every divergence. Faces between two solid
    cells stay open, where nothing flows. Source: Buzbee, Dorr, George & Golub, SIAM J. Numer. Anal. 8 (1971).

    Arguments:
        scene: its cells and walls.
        chunk: faces that are solved for together while S is made.
    """

    def __init__(self, scene: Scene, chunk: int = 64):
        self.scene, self.box = scene, BoxPoisson(scene.sizes, scene.spacings, scene.open_sides)
        self.first, self.second, self.scale, weight = closed_faces(scene)
        self._faces = Constants(self.first, self.second, self.scale)
        m, cells = len(self.first), scene.solid.numel()
        s = torch.diag(1 / weight)
        for start in range(0, m, chunk):
            part = slice(start, min(start + chunk, m))
            unit = torch.zeros(part.stop - start, m, dtype=torch.float64)
            unit[torch.arange(part.stop - start), torch.arange(start, part.stop)] = 1.0
            s[part] -= self._jumps(self.box(self._spread(unit, cells)))
        null = torch.from_numpy(orth((self._jumps(scene.regions()) * weight).T.numpy(), rcond=1e-10))
        plane = null @ null.T
        self.capacitance = torch.linalg.inv((s + s.T) / 2 + plane) - plane
        self._inverse = Constants(self.capacitance)

    def __call__(self, f: Tensor) -> Tensor:
        """p with -div(c grad p) = f: shape (B, Y, X), kept; known up to a constant in regions without a way out."""
        q = self._jumps(self.box(f)) @ self._inverse.like(f)[0]
        return self.box(f + self._spread(q, f[0].numel()))

    def _jumps(self, p: Tensor) -> Tensor:
        """B' p: (B, Y, X) -> (B, m)."""
        flat = torch.nn.functional.pad(p.flatten(1), (0, 1))  # one cell more, p = 0, behind the sides
        first, second, scale = self._faces.like(p)
        return (flat[:, first] - flat[:, second]) * scale

    def _spread(self, q: Tensor, cells: int) -> Tensor:
        """B q: (B, m) -> (B, Y, X)."""
        first, second, scale = self._faces.like(q)
        q = q * scale
        flat = q.new_zeros(len(q), cells + 1).index_add(1, first, q).index_add(1, second, -q)
        return flat[:, :cells].unflatten(1, self.scene.sizes)


def closed_faces(scene: Scene) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Faces that are open in the empty box and closed by walls: two cells, 1 / h and weight, each with shape (m,).

    The cell Y X stands for what lies behind an open side; the weight is 2 there (half a cell away), else 1.
    """
    cells = scene.solid.numel()
    index = torch.arange(cells).reshape(scene.sizes)
    found = []
    for axis, ends in ((0, SIDES[:2]), (1, SIDES[2:])):
        solid, number = scene.solid.movedim(axis, 0), index.movedim(axis, 0)
        wall = solid[1:] != solid[:-1]
        found.append((number[:-1][wall], number[1:][wall], scene.spacings[axis], 1.0))
        for i, side in zip((0, -1), ends, strict=True):
            if side in scene.open_sides:
                behind = number[i][solid[i]]
                found.append((behind, torch.full_like(behind, cells), scene.spacings[axis], 2.0))
    first, second = (torch.cat([part[i] for part in found]) for i in (0, 1))
    scale, weight = (
        torch.cat([torch.full((len(part[0]),), value(part), dtype=torch.float64) for part in found])
        for value in (lambda part: 1 / part[2], lambda part: part[3])
    )
    return first, second, scale, weight


def apply_poisson(p: Tensor, scene: Scene) -> Tensor:
    """-div(c grad p): shape (B, Y, X), kept."""
    slopes = gradient(p, scene.spacings)
    masked = tuple(g * open_.to(g) for g, open_ in zip(slopes, scene.openness(), strict=True))
    return -divergence(masked, scene.spacings)
