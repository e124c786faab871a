"""An order of particles in which neighbours are alike: systematic resampling then takes its share of every region."""

import torch
from torch import Tensor

COMPONENTS, LEAF = 4, 4


def tree_order(x: Tensor) -> Tensor:
    """Order of P particles along the leaves of a k-d tree: a permutation with shape (P,).

    The tree splits each group at the median of the direction in which it is widest, among the leading principal
    components of all particles. Systematic resampling in this order keeps the share of every leaf to within one
    particle, and with it the error of means far below that of independent choices.

    Source: ordered resampling, Gerber, Chopin and Whiteley, Negative association, ordering and convergence of
    resampling methods, Annals of Statistics 47 (2019), with a tree in the place of a space-filling curve.

    Arguments:
        x: particles, with shape (P, *event).
    """
    points = _components(x.flatten(1).double())
    count = len(points)
    order, group = torch.arange(count, device=x.device), torch.zeros(count, dtype=torch.int64, device=x.device)
    for depth in range(max(0, (count // LEAF).bit_length() - 1)):
        moved = points[order]
        ones = torch.ones(count, dtype=moved.dtype, device=x.device)
        size = torch.zeros(2**depth, dtype=moved.dtype, device=x.device).index_add(0, group, ones)
        zeros = torch.zeros(2**depth, moved.shape[1], dtype=moved.dtype, device=x.device)
        mean = zeros.index_add(0, group, moved) / size[:, None]
        widest = zeros.index_add(0, group, (moved - mean[group]) ** 2).argmax(1)
        place = moved.gather(1, widest[group][:, None])[:, 0].argsort(stable=True)
        place = place[group[place].argsort(stable=True)]
        order, group = order[place], group[place]
        rank = torch.arange(count, device=x.device) - (size.cumsum(0) - size)[group]
        group = 2 * group + (rank >= size[group] / 2).long()
    return order


def _components(x: Tensor) -> Tensor:
    """Leading principal components, with shape (P, r); in many dimensions by subspace iteration."""
    x = x - x.mean(0)
    size = x.shape[1]
    if size <= COMPONENTS:
        return x
    start = torch.randn(size, 2 * COMPONENTS, generator=torch.Generator().manual_seed(0), dtype=x.dtype).to(x.device)
    for _ in range(3):
        start = torch.linalg.qr(x.T @ (x @ start)).Q
    seen = x @ start
    values, vectors = torch.linalg.eigh(seen.T @ seen)
    return seen @ vectors[:, -COMPONENTS:]
