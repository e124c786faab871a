"""The sampling loop: from the marginal law at sigma_0 down a noise grid to x."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from .streams import MemberStreams


class Sampler(ABC):
    """Draws x from the law that a denoiser stands for; subclasses state one step.

    Arguments:
        sigmas: noise grid, strictly decreasing and ending in 0, with shape (n + 1,).
    """

    def __init__(self, sigmas: Tensor):
        if sigmas.ndim != 1 or len(sigmas) < 2 or (sigmas.diff() >= 0).any() or sigmas[-1] != 0:
            raise ValueError(f"sigmas must decrease strictly and end in 0; got {sigmas.tolist()}")
        self.sigmas = sigmas

    @abstractmethod
    def step(self, denoiser: Denoiser, x_t: Tensor, sigma_t: Tensor, sigma_s: Tensor, streams: MemberStreams) -> Tensor:
        """One step from the level sigma_t to sigma_s < sigma_t, both > 0: x_t -> x_s, with shape (N, *event)."""

    def last(self, denoiser: Denoiser, x_t: Tensor, sigma_t: Tensor, streams: MemberStreams) -> Tensor:
        """The step from sigma_t to 0, with shape (N, *event): D(x_t), where every step along the flow ends."""
        return denoiser(x_t, sigma_t)

    @torch.no_grad()
    def __call__(
        self, denoiser: Denoiser, streams: MemberStreams, callback: Callable[[int], None] | None = None
    ) -> Tensor:
        """Returns one draw for each row of the streams, with shape (rows, *event).

        Arguments:
            denoiser: E[x | x_t].
            streams: random numbers, one row for each draw.
            callback: called after each step with the number of steps done.
        """
        sigmas = self.sigmas.to(streams.device, streams.dtype)
        x_t = denoiser.start(sigmas[0], streams)
        for n in range(len(sigmas) - 1):
            if n < len(sigmas) - 2:
                x_t = self.step(denoiser, x_t, sigmas[n], sigmas[n + 1], streams)
            else:
                x_t = self.last(denoiser, x_t, sigmas[n], streams)
            if callback is not None:
                callback(n + 1)
        return x_t
