"""Random symmetries of a law: windows of the same law from those that there are."""

from collections.abc import Callable

import torch
from torch import Tensor


def random_shift(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shifts each window by a random number of points along its last, periodic axis; shape (N, C, T, X)."""
    points = x.shape[-1]
    shift = torch.randint(points, (len(x), 1), generator=generator)
    place = ((torch.arange(points) + shift) % points)[:, None, None].expand(x.shape)
    return x.gather(-1, place)


def random_mirror(x: Tensor, generator: torch.Generator) -> Tensor:
    """u(x) -> -u(-x) for each window with probability 1/2, for a grid that begins at 0; shape (N, C, T, X)."""
    chosen = torch.rand(len(x), generator=generator) < 0.5
    mirrored = -x.flip(-1).roll(1, -1)
    return torch.where(chosen[:, None, None, None], mirrored, x)


def compose_augment(mirror: bool) -> Callable[[Tensor, torch.Generator], Tensor]:
    """The shift, after the mirror where the law has that symmetry; windows of shape (N, C, T, X)."""
    if not mirror:
        return random_shift
    return lambda x, generator: random_shift(random_mirror(x, generator), generator)
