"""Where smoke moves: a box with solid cells, open or closed sides, exits that take smoke out, and a rim for control."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.ndimage import label
from torch import Tensor

from ..constants import Constants
from ..grid import Grid

SIDES = ("bottom", "top", "left", "right")  # first and last y, first and last x


@dataclass(frozen=True, eq=False)
class Scene:
    """A box of Y x X cells.

    Arguments:
        solid: cells that are walls, bool, with shape (Y, X); y comes first and grows with its index.
        size: lengths (L_y, L_x) of the box, in units of length.
        open_sides: those of "bottom", "top" (first and last y), "left", "right" (first and last x) through which air
            passes, with p = 0 on them; the others are walls. A side that is open in part: an open side behind solid
            cells.
        exits: regions that take out all smoke that enters them and count it, bool, with shape (E, Y, X); none shares a
            cell with another or with a wall.
        rim: cells where a control may act, bool, with shape (Y, X).

    Raises:
        ValueError: shapes that differ, lengths <= 0, unknown sides, exits that overlap, no fluid.
    """

    solid: Tensor
    size: tuple[float, float]
    open_sides: tuple[str, ...] = ()
    exits: Tensor | None = None
    rim: Tensor | None = None

    def __post_init__(self):
        shape = tuple(self.solid.shape)
        if len(shape) != 2 or min(shape) < 2 or self.solid.dtype != torch.bool or self.solid.all():
            raise ValueError(f"solid must be bool (Y >= 2, X >= 2) with some fluid; got {self.solid.dtype} {shape}")
        if self.exits is None:
            object.__setattr__(self, "exits", torch.zeros(0, *shape, dtype=torch.bool))
        if self.rim is None:
            object.__setattr__(self, "rim", torch.zeros(shape, dtype=torch.bool))
        if tuple(self.exits.shape[1:]) != shape or tuple(self.rim.shape) != shape:
            shapes = tuple(self.exits.shape), tuple(self.rim.shape)
            raise ValueError(f"exits (E, Y, X) and rim (Y, X) must lie on the cells {shape}; got {shapes}")
        if (self.exits.sum(0) > 1).any() or (self.exits & self.solid).any():
            raise ValueError("exits must share no cell with each other or with walls")
        names = set(self.open_sides)
        if not min(self.size) > 0 or names - set(SIDES) or len(names) < len(self.open_sides):
            raise ValueError(f"expected lengths > 0 and open sides among {SIDES}; got {self.size}, {self.open_sides}")

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of cells (Y, X)."""
        return tuple(self.solid.shape)

    @property
    def spacings(self) -> tuple[float, float]:
        """Lengths (h_y, h_x) of a cell."""
        return self.size[0] / self.sizes[0], self.size[1] / self.sizes[1]

    @property
    def grid(self) -> Grid:
        """Cell centres, with the dims ("y", "x")."""
        return Grid.cells(self.sizes, self.size, ("y", "x"))

    @cached_property
    def _rim(self) -> Constants:
        return Constants(self.rim)

    def rim_like(self, values: Tensor) -> Tensor:
        """The rim as 1 and 0 with shape (Y, X), in the precision and on the device of values of any shape."""
        return self._rim.like(values)[0]

    @property
    def outlets(self) -> tuple[str, ...]:
        """Names of the ways out, in the order of `count`: exit_0, exit_1, ..., then the open sides."""
        return (*(f"exit_{k}" for k in range(len(self.exits))), *self.open_sides)

    def openness(self) -> tuple[Tensor, Tensor]:
        """Faces that air can cross, bool: normal to y with shape (Y + 1, X), normal to x with shape (Y, X + 1)."""
        return self._faces(0, ("bottom", "top")), self._faces(1, ("left", "right"))

    def _faces(self, axis: int, ends: tuple[str, str]) -> Tensor:
        fluid = ~self.solid.movedim(axis, 0)
        first, last = (
            fluid[i : i + 1] & (side in self.open_sides) for i, side in zip((0, len(fluid) - 1), ends, strict=True)
        )
        return torch.cat([first, fluid[1:] & fluid[:-1], last]).movedim(0, axis)

    def regions(self) -> Tensor:
        """Indicators of the regions without a way out for air, walls included, float64, with shape (R, Y, X).

        The pressure is known up to a constant in each.
        """
        found = []
        for cells in (~self.solid, self.solid):
            labels, count = label(cells.numpy())
            regions = (torch.from_numpy(labels == k) for k in range(1, count + 1))
            found += [region for region in regions if not self._touches_open_side(region & ~self.solid)]
        empty = torch.zeros(0, *self.sizes, dtype=torch.float64)
        return torch.stack(found).to(torch.float64) if found else empty

    def _touches_open_side(self, region: Tensor) -> bool:
        edges = dict(zip(SIDES, (region[0], region[-1], region[:, 0], region[:, -1]), strict=True))
        return any(bool(edges[side].any()) for side in self.open_sides)

    def count(self, left: Tensor) -> Tensor:
        """Smoke that left through each of `outlets`: shape (..., Y, X) -> (..., K).

        Arguments:
            left: smoke that left from each cell; what leaves a corner cell through a side belongs to the first open
                side that the cell touches, what leaves an exit's cell to the exit.
        """
        masks, free = list(self.exits), ~self.exits.any(0)
        for side in self.open_sides:
            edge = torch.zeros(self.sizes, dtype=torch.bool)
            index = {"bottom": (0,), "top": (-1,), "left": (slice(None), 0), "right": (slice(None), -1)}[side]
            edge[index] = True
            masks.append(edge & free)
            free = free & ~edge
        if not masks:
            return left.new_zeros(*left.shape[:-2], 0)
        return torch.einsum("...yx,kyx->...k", left, torch.stack(masks).to(left))


def empty_box(
    sizes: tuple[int, int], size: tuple[float, float] = (1.0, 1.0), open_sides: tuple[str, ...] = ()
) -> Scene:
    """A box without obstacles.

    Arguments:
        sizes: cells (Y, X).
        size: lengths (L_y, L_x).
        open_sides: see `Scene`.
    """
    return Scene(torch.zeros(sizes, dtype=torch.bool), size, open_sides)


WDNO_LENGTH = 128  # cells of the reference resolution; its unit of length
WDNO_WALLS = (  # (y, x, height, width)
    (16, 16, 1, 96), (16, 16, 8, 1), (40, 16, 16, 1), (72, 16, 40, 1), (16, 112, 8, 1), (40, 112, 16, 1),
    (72, 112, 40, 1), (112, 16, 1, 8), (112, 40, 1, 16), (112, 72, 1, 16), (112, 104, 1, 8), (64, 48, 16, 1),
    (96, 48, 16, 1), (64, 80, 16, 1), (96, 80, 16, 1), (40, 40, 1, 48),
)  # fmt: skip
WDNO_EXITS = (
    (112, 22, 15, 20), (112, 54, 15, 20), (112, 86, 15, 20), (22, 0, 20, 16), (54, 0, 20, 16), (22, 112, 20, 15),
    (54, 112, 20, 15),
)  # fmt: skip
WDNO_TARGET = 1  # the exit that the control aims at


def wdno_scene(n: int = 64) -> Scene:
    """The smoke scene of WDNO: a box with open sides, inner walls with seven gaps, an exit behind each, a control rim.

    Walls, exits (the second is the target) and the rim outside [16, 112)^2 are those of the public generator, in units
    of length of a 128 x 128 box; its sides are open, so that air which the rim drives upwards can leave and draws the
    air inside after it. One unit of time is one of its steps: a run lasts 256, stored every 8. Source: Hu et al.,
    Wavelet Diffusion Neural Operator, ICLR 2025. Ours: 128 cells on an axis, where the generator has 127 and 128 faces;
    on coarser grids a cell is solid where a wall touches it (walls are one cell thick at every n), and belongs to an
    exit where its centre lies in it and no wall does.

    Arguments:
        n: cells on an axis, >= 32.

    Raises:
        ValueError: where n < 32, too coarse for the gaps.
    """
    if n < 32:
        raise ValueError(f"the WDNO scene needs n >= 32 cells on an axis to resolve its gaps; got {n}")
    unit = WDNO_LENGTH / n
    edges, centres = np.arange(n + 1) * unit, (np.arange(n) + 0.5) * unit
    solid = torch.zeros(n, n, dtype=torch.bool)
    for y, x, height, width in WDNO_WALLS:
        rows, columns = (torch.from_numpy((edges[1:] > a) & (edges[:-1] < a + b)) for a, b in ((y, height), (x, width)))
        solid |= rows[:, None] & columns
    exits = []
    for y, x, height, width in WDNO_EXITS:
        rows, columns = (torch.from_numpy((centres > a) & (centres < a + b)) for a, b in ((y, height), (x, width)))
        exits.append(rows[:, None] & columns & ~solid)
    inside = torch.from_numpy((centres > 16) & (centres < 112))
    rim = ~(inside[:, None] & inside) & ~solid
    return Scene(solid, (float(WDNO_LENGTH),) * 2, SIDES, torch.stack(exits), rim)
