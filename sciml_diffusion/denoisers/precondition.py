"""What can be trained: a protocol, and the network of Karras et al. without an anchor."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from .base import Denoiser, expand


class TrainableDenoiser(Denoiser):
    """A denoiser around a network `backbone`, which states the squared error that it starts from."""

    backbone: nn.Module

    @abstractmethod
    def error_scale(self, sigma: Tensor) -> Tensor:
        """Expected ||D - x||^2 of the untrained denoiser at each noise level; sigma of shape (N,) -> (N,)."""


class PreconditionedDenoiser(TrainableDenoiser):
    """D = c_skip x_t + c_out F(c_in x_t, c_noise), for x of mean 0 and variance 1 (sigma_data = 1).

    c_skip = c_in^2, c_out = sigma c_in, c_in = 1 / sqrt(1 + sigma^2), c_noise = ln(sigma) / 4.
    Source: Karras et al., Elucidating the design space of diffusion-based generative models, 2022, table 1.

    Arguments:
        backbone: F, (N, *event), (N,) -> (N, *event).
        event: shape of one x.
    """

    def __init__(self, backbone: nn.Module, event: tuple[int, ...]):
        super().__init__()
        self.backbone, self.event = backbone, tuple(event)

    @property
    def arguments(self) -> dict:
        """Constructor arguments, from which the denoiser can be rebuilt."""
        return {"backbone": self.backbone, "event": list(self.event)}

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Returns D(x_t, sigma), with shape (N, *event); x_t (N, *event), sigma finite, () or (N,)."""
        s = expand(sigma, x_t)
        c_in = (1 + s**2).rsqrt()
        f = self.backbone(c_in * x_t, (sigma.log() / 4).expand(len(x_t))).to(x_t)
        return c_in**2 * x_t + s * c_in * f

    def error_scale(self, sigma: Tensor) -> Tensor:
        """d sigma^2 / (1 + sigma^2): the error of c_skip x_t where x is white; sigma of shape (N,) -> (N,)."""
        return torch.Size(self.event).numel() * sigma**2 / (1 + sigma**2)
