"""Members spread over processes: each passes its share through the network, and all know all results."""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

from ..denoisers.base import Denoiser
from ..denoisers.wrapped import Wrapped


class SpreadDenoiser(Wrapped):
    """Process r of P evaluates rows r N/P to (r + 1) N/P of x_t; all processes gather the whole.

    Every process runs the same method with the same streams, so all draw the same numbers, decide alike, and hold the
    same ensemble in the end; only the network's work, and the memory of its graph, is shared out. The numbers are those
    of one process up to the rounding of other batch sizes.

    Arguments:
        denoiser: the one that does the work, on this process's device.

    Raises:
        RuntimeError: where no process group has been set up.
    """

    def __init__(self, denoiser: Denoiser):
        super().__init__(denoiser)
        if not processes():
            raise RuntimeError("no process group: run under `accelerate launch` or torchrun, and call `join` first")
        self.rank, self.world = dist.get_rank(), dist.get_world_size()

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """D(x_t, sigma), with shape (N, *event); sigma () or (N,)."""
        share, level = self._mine(x_t, sigma)
        return self._gather(self.inner(share, level) if len(share) else share, len(x_t))

    def vjp(self, x_t: Tensor, sigma: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """As `Denoiser.vjp`, shapes (N, *event)."""
        share, level = self._mine(x_t, sigma)
        mean, own = self.inner.vjp(share, level) if len(share) else (share, lambda u: u)

        def pull(u: Tensor) -> Tensor:
            rows = own(u[self._slice(len(x_t))])
            return self._gather(rows, len(x_t))

        return self._gather(mean, len(x_t)), pull

    def _slice(self, rows: int) -> slice:
        """The rows of this process."""
        each = -(-rows // self.world)
        return slice(min(self.rank * each, rows), min((self.rank + 1) * each, rows))

    def _mine(self, x_t: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        part = self._slice(len(x_t))
        return x_t[part], sigma if sigma.ndim == 0 else sigma[part]

    def _gather(self, rows: Tensor, total: int) -> Tensor:
        """The rows of all processes, padded to one length on the way: (n_r, *event) -> (total, *event)."""
        each = -(-total // self.world)
        padded = rows.new_zeros(each, *rows.shape[1:])
        padded[: len(rows)] = rows
        pieces = [torch.empty_like(padded) for _ in range(self.world)]
        dist.all_gather(pieces, padded)
        return torch.cat(pieces)[:total]


def processes() -> int:
    """Number of processes of the group, 0 where there is none."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 0


def spread(denoiser: Denoiser) -> Denoiser:
    """The denoiser with its rows shared out, where there is more than one process."""
    return SpreadDenoiser(denoiser) if processes() > 1 else denoiser


def join() -> tuple[int, torch.device | None]:
    """Joins the processes that `accelerate launch` or torchrun started: number and device of this one.

    (0, None) where there is one process only: nothing is set up then. Without a GPU the processes speak by gloo.
    """
    import os

    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return 0, None
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    return state.process_index, state.device
