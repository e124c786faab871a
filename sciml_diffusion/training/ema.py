"""Exponential moving average of weights."""

import torch
from torch import Tensor, nn


class EMA:
    """m_n = d_n m_{n-1} + (1 - d_n) w_n, d_n = min(decay, n / (n + 9)): a warm-up, so the start is forgotten early.

    With decay = 2^(-1/half_life) a weight counts half after `half_life` steps.

    Arguments:
        module: its parameters, of any shape, are averaged; the average starts from their present values.
        half_life: in steps, > 0.

    Raises:
        ValueError: where half_life is not positive.
    """

    def __init__(self, module: nn.Module, half_life: float):
        if not half_life > 0:
            raise ValueError(f"half_life must be > 0 steps; got {half_life}")
        self.decay, self.updates = 2 ** (-1 / half_life), 0
        self.weights = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Takes in the present parameters of the module, of the same shape as at the start."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 9))
        parameters = dict(module.named_parameters())
        torch._foreach_lerp_(list(self.weights.values()), [parameters[k].detach() for k in self.weights], 1 - decay)

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Writes the average, of the same shape, into the module's parameters."""
        load(module, self.weights)


@torch.no_grad()
def load(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Writes named weights, each with the shape of its parameter, into a module."""
    for name, parameter in module.named_parameters():
        parameter.copy_(weights[name])
