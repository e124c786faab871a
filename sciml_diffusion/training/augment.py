"""Random symmetries of a law: windows of the same law from those that there are."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Augment = Callable[[Tensor, torch.Generator], Tensor]


def random_shift(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shifts each window by a random number of points along its last, periodic axis; shape (N, C, T, X)."""
    return _shifted(x, _random(x, 3, generator), 0)


def random_torus_shift(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shifts each window by random numbers of points along its last two, periodic axes; shape (N, C, H, W)."""
    return _shifted(x, _random(x, 3, generator), _random(x, 2, generator))


def random_diagonal_shift(x: Tensor, generator: torch.Generator) -> Tensor:
    """f(x, y) -> f(x + s, y - s), which leaves a forcing of x + y alone; shape (N, C, n, n), periodic."""
    shift = _random(x, 3, generator)
    return _shifted(x, shift, -shift)


def random_mirror(x: Tensor, generator: torch.Generator) -> Tensor:
    """u(x) -> -u(-x) for each window with probability 1/2, for a grid that begins at 0; shape (N, C, T, X)."""
    return _half(x, -x.flip(-1).roll(1, -1), generator)


def random_turn(x: Tensor, generator: torch.Generator) -> Tensor:
    """w(x, y) -> -w(y, x + 1/2) with probability 1/2: vorticity forced by 0.1 (sin + cos)(2 pi (x + y)) keeps its law.

    Exchanging x and y turns vorticity and forcing around; half a period turns the forcing back. Events have the
    shape (N, C, n, n) with an even n.

    Raises:
        ValueError: where n is odd, so that half a period is no number of points, or the grid is not square.
    """
    if x.shape[-1] % 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"the symmetry turn needs a square grid with an even number of points; got {tuple(x.shape)}")
    return _half(x, -x.transpose(-1, -2).roll(x.shape[-1] // 2, -1), generator)


def random_square(x: Tensor, generator: torch.Generator) -> Tensor:
    """One of the eight symmetries of the square for each window of scalars; shape (N, C, n, n)."""
    x = _half(x, x.flip(-1), generator)
    x = _half(x, x.flip(-2), generator)
    return _half(x, x.transpose(-1, -2), generator)


SYMMETRIES: dict[str, Augment] = {
    "shift": random_shift,
    "torus-shift": random_torus_shift,
    "diagonal-shift": random_diagonal_shift,
    "mirror": random_mirror,
    "turn": random_turn,
    "square": random_square,
}


def compose_augment(names: Sequence[str]) -> Augment | None:
    """The symmetries of these names, one after the other; None where there is none. Windows have shape (N, *event).

    Raises:
        ValueError: an unknown name.
    """
    unknown = [name for name in names if name not in SYMMETRIES]
    if unknown:
        raise ValueError(f"unknown symmetry {', '.join(map(repr, unknown))}; known are {', '.join(SYMMETRIES)}")
    if not names:
        return None

    def augment(x: Tensor, generator: torch.Generator) -> Tensor:
        for name in names:
            x = SYMMETRIES[name](x, generator)
        return x

    return augment


def _random(x: Tensor, axis: int, generator: torch.Generator) -> Tensor:
    """A number of points of an axis for each window, with shape (N, 1)."""
    return torch.randint(x.shape[axis], (len(x), 1), generator=generator)


def _shifted(x: Tensor, right: Tensor, down: Tensor | int) -> Tensor:
    """x[n, :, (i + down_n) mod H, (j + right_n) mod W]."""
    rows = (torch.arange(x.shape[2]) + down) % x.shape[2]
    columns = (torch.arange(x.shape[3]) + right) % x.shape[3]
    x = x.gather(3, columns[:, None, None].expand(x.shape))
    return x if isinstance(down, int) else x.gather(2, rows[:, None, :, None].expand(x.shape))


def _half(x: Tensor, other: Tensor, generator: torch.Generator) -> Tensor:
    """Each window from `other` with probability 1/2."""
    chosen = torch.rand(len(x), generator=generator) < 0.5
    return torch.where(chosen[:, None, None, None], other, x)
