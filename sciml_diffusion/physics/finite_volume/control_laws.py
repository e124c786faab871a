"""Initial fields and controls of WDNO's Burgers set, as functions: the same seed is the same function on every grid."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def control_times(count: int) -> Tensor:
    """Times at which K controls sample the function, as shares (k + 1) / (K + 1) of the duration; shape (K,)."""
    return torch.arange(1, count + 1, dtype=torch.float64) / (count + 1)


class ControlledBurgersLaw:
    """u_0(x) = sum of 2 Gaussian bumps; f(x, s) = sum of 8 products of a bump in x and a bump in s = time / duration.

    Bumps are a exp(-(x - m)^2 / (2 w^2)). In u_0 on (0, 1): a ~ U(0, 2), m ~ U(.2, .4) and a ~ U(-2, 0),
    m ~ U(.6, .8), w ~ U(.05, .15). In f: 2 a with a ~ U(-1.5, 1.5), zero with probability 1/2 in all but the first;
    m ~ U(0, 1) and w ~ U(.1, .4) in x and in s. u_0 need not vanish at the walls: the wall layer forms at once.

    Source: L. Wei et al., WDNO (ICLR 2025), its generator of the Burgers set.
    """

    bumps = 8

    def coefficients(self, seed: int, samples: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Numbers of some samples, each from a stream of its own with the key (seed, sample), float64.

        Returns (a, m, w) of u_0 with shape (B, 2, 3) and (2 a, m_x, w_x, m_s, w_s) of f with shape (B, 8, 5).
        """
        initial, control = [], []
        for sample in samples:
            stream = np.random.default_rng([seed, sample])
            initial.append(stream.uniform([[0, 0.2, 0.05], [-2, 0.6, 0.05]], [[2, 0.4, 0.15], [0, 0.8, 0.15]]))
            numbers = stream.uniform([-3, 0, 0.1, 0, 0.1], [3, 1, 0.4, 1, 0.4], (self.bumps, 5))
            numbers[1:, 0] *= stream.integers(2, size=self.bumps - 1)
            control.append(numbers)
        return torch.from_numpy(np.stack(initial)), torch.from_numpy(np.stack(control))

    def initial(self, coefficients: Tensor, x: Tensor) -> Tensor:
        """u_0 at points x of shape (X,), from coefficients (B, 2, 3): shape (B, X), float64."""
        amplitude, place, width = coefficients[..., None].unbind(2)
        return (amplitude * _bump(x, place, width)).sum(1)

    def control(self, coefficients: Tensor, x: Tensor, shares: Tensor) -> Tensor:
        """f at points x (X,) and shares of the duration (K,), from coefficients (B, 8, 5): shape (B, K, X), float64."""
        amplitude, place, width, moment, spell = coefficients[..., None].unbind(2)
        in_time = amplitude * _bump(shares, moment, spell)
        return torch.einsum("bjk,bjx->bkx", in_time, _bump(x, place, width))


def _bump(x: Tensor, place: Tensor, width: Tensor) -> Tensor:
    return torch.exp(-0.5 * ((x.to(torch.float64) - place) / width) ** 2)
