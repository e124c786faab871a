"""The random coefficients of PDEBench's Darcy set: a few Gaussian bumps, cut into two phases."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class BumpField:
    """g(y, x) = sum_{i=1}^{n} exp(-((y - y_i)^2 + (x - x_i)^2) / w_i), y_i, x_i ~ U(0, L), w_i ~ U(0, L / 2).

    PDEBench's coefficient is 1 where g exceeds its mean, else 0.1, and its n is 5 (w_i, an area, is drawn as it is).
    There the mean is that of all samples generated together; here it is the `mean` of the law, to which that tends, so
    that a sample depends on its key alone. Source: M. Takamoto et al., PDEBench (NeurIPS 2022), section D.

    Arguments:
        bumps: n >= 1.
        length: L > 0 of the square.

    Raises:
        ValueError: where an argument is outside its range.
    """

    def __init__(self, bumps: int = 5, length: float = 1.0):
        if bumps < 1 or not length > 0:
            raise ValueError(f"expected bumps >= 1 and length > 0; got {bumps} and {length}")
        self.bumps, self.length = bumps, length

    @property
    def mean(self) -> float:
        """E g over the law and the square: n E_w [J(w) / L^2]^2,

        J = int int exp(-(x - y)^2 / w) = L sqrt(pi w) erf(L / sqrt w) - w (1 - exp(-L^2 / w)). The mean over w is by
        the midpoint rule on 20000 intervals: better than 1e-8.
        """
        unit = (torch.arange(20000, dtype=torch.float64) + 0.5) / 20000
        w, length = self.length / 2 * unit, self.length
        pair = length * (math.pi * w).sqrt() * torch.erf(length / w.sqrt()) - w * -torch.expm1(-(length**2) / w)
        return self.bumps * float(((pair / length**2) ** 2).mean())

    def draw(self, seed: int, samples: Sequence[int]) -> Tensor:
        """(y_i, x_i, w_i) of some samples, with shape (B, n, 3), float64; each has a stream of its own.

        Arguments:
            seed: >= 0.
            samples: indices >= 0 of the samples, with length B.
        """
        scale = self.length * np.array([1.0, 1.0, 0.5])
        return torch.from_numpy(
            np.stack([np.random.default_rng([seed, index]).random((self.bumps, 3)) * scale for index in samples])
        )

    def evaluate(self, drawn: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """g at the points of a grid, with shape (B, Y, X).

        Arguments:
            drawn: from `draw`, with shape (B, n, 3).
            y: distances from the first end of the first axis, with shape (Y,).
            x: distances from the first end of the second axis, with shape (X,).
        """
        center_y, center_x, width = drawn.unbind(-1)
        along_y = (-((y.to(drawn) - center_y[..., None]) ** 2) / width[..., None]).exp()
        along_x = (-((x.to(drawn) - center_x[..., None]) ** 2) / width[..., None]).exp()
        return along_y.mT @ along_x
