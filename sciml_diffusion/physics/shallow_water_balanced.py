"""Random initial fields of shallow water: a Gaussian height whose pressure balances the rotation of its flow."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .random_fields_separable import SeparableRandomField
from .shallow_water import ShallowWater


class BalancedFields:
    """h = depth + eta - b with a random eta, u = -(g / f) eta_y, v = (g / f) eta_x, on the places of the C-grid.

    eta = sum s_jk xi_jk phi_j(y) psi_k(x), s ~ (q^2 + 1 / scale^2)^(-alpha / 2), has the mean standard deviation
    `height`; on walls it is 0, so that nothing flows through them. Differences are taken of eta at the corners: where
    f is constant, u and v have no discrete divergence. Motion that is fast against the rotation (Rossby number
    g height / (f scale)^2 not small) is only roughly balanced and sends out gravity waves.
    Source: Vallis, Atmospheric and Oceanic Fluid Dynamics (2017), section 3.

    Arguments:
        equation: the shallow water that starts from these fields; its f0 and beta must be numbers, f != 0 everywhere.
        depth: mean height of the surface over the bottom's zero, > 0.
        height: standard deviation of eta, > 0.
        scale: correlation length of eta, > 0.
        alpha: decay of the spectrum, > 2: 4 gives smooth velocities.
        modes: wavenumbers along each axis.

    Raises:
        ValueError: where an argument is out of range, or f vanishes on the grid.
    """

    def __init__(
        self,
        equation: ShallowWater,
        depth: float,
        height: float,
        scale: float,
        alpha: float = 4.0,
        modes: int = 32,
    ):
        if not (depth > 0 and height > 0 and scale > 0 and alpha > 2):
            raise ValueError(
                "balanced fields need depth > 0, height > 0, scale > 0 and alpha > 2; "
                f"got depth={depth}, height={height}, scale={scale}, alpha={alpha}"
            )
        self.equation, self.depth, self.height = equation, depth, height
        grid, y_axis, x_axis = equation.grid, equation.y, equation.x
        self._y, self._x = (torch.as_tensor(grid.coordinates[axis], dtype=torch.float64) for axis in (y_axis, x_axis))
        lengths = (len(self._y) * equation.dy, len(self._x) * equation.dx)
        bases = ("sine" if equation.channel else "fourier", "fourier")
        unit = SeparableRandomField(bases, alpha, 1 / scale, 1.0, modes, lengths)
        self.law = SeparableRandomField(bases, alpha, 1 / scale, height / unit.variance**0.5, modes, lengths)
        f0, beta = (float(equation.parameters[name]) for name in ("f0", "beta"))
        self._f, self._f_corner = f0 + beta * self._y, f0 + beta * (self._y - equation.dy / 2)
        if not (self._f * self._f_corner[0] > 0).all() or not (self._f_corner * self._f_corner[0] > 0).all():
            raise ValueError("balanced fields need a Coriolis parameter that vanishes nowhere on the grid")

    def draw(self, seed: int, samples: Sequence[int]) -> Tensor:
        """Fields (h, u, v) of some samples, with shape (B, 3, *S), float64; the stream of a sample is (seed, sample).

        Arguments:
            seed: >= 0.
            samples: indices >= 0 of the samples, with length B.

        Raises:
            ValueError: a layer that is not thicker than 0, with its sample.
        """
        coefficients, (dy, dx) = self.law.coefficients(seed, samples), (self.equation.dy, self.equation.dx)
        y = self._y - (self._y[0] - dy / 2 if self.equation.channel else 0.0)  # distance from the wall
        corner = self.law.evaluate(coefficients, _corners(y, dy), _corners(self._x, dx))
        ratio, ratio_corner = self.equation.gravity / self._f[:, None], self.equation.gravity / self._f_corner[:, None]
        u = -ratio * corner[:, :, :-1].diff(dim=1) / dy
        v = ratio_corner * corner[:, :-1].diff(dim=2) / dx
        if self.equation.channel:
            v[:, 0] = 0  # on the wall; sin(q y) rounds
        eta = self.law.evaluate(coefficients, y, self._x)
        if self.equation.y == -1:
            eta, u, v = eta.mT, u.mT, v.mT
        h = self.depth + eta - self.equation.topography.to(eta)
        thinnest = h.flatten(1).amin(1)
        if not (thinnest > 0).all():
            sample = samples[int((thinnest <= 0).nonzero()[0])]
            raise ValueError(f"the layer of sample {sample} is not thicker than 0; use a larger depth or less height")
        return torch.stack([h, u, v], 1)


def _corners(centres: Tensor, step: float) -> Tensor:
    """The points half a step around the centres, shape (n,) -> (n + 1,)."""
    first = centres[0] - step / 2
    return first + step * torch.arange(len(centres) + 1, dtype=torch.float64)
