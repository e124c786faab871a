"""Instruments with limits: gauges that stop at the end of their scale, detection limits, above-or-below switches."""

import math

import torch
from torch import Tensor

from .noise import Noise, white
from .noise_laws import refuse_not_finite

LEAST = 1e-8  # information over 1 / std^2 where a reading says nothing more
FAR = 15.0  # standard deviations; beyond, r + u loses its digits


class Censored(Noise):
    """y = clip(h + std z, low, high): a reading at a limit means "at or beyond".

    log p = log Phi((low - h) / std) at the lower limit, log Phi((h - high) / std) at the upper one, and the normal
    density between. Where low = high = c the sensor only says on which side it is (probit): any y < c reads "below",
    any y > c "above". Source: Tobin, Estimation of relationships for limited dependent variables (1958).

    Arguments:
        std: standard deviation before the limits, > 0, with shape (m,), in the units of y.
        low: lower limits, with shape (m,); -inf where there is none.
        high: upper limits >= low, with shape (m,); inf where there is none.

    Raises:
        ValueError: where std is not finite and > 0, or the limits do not fit.
    """

    def __init__(self, std: Tensor, low: Tensor, high: Tensor):
        if not (torch.isfinite(std).all() and (std > 0).all()):
            raise ValueError(f"std must be finite and > 0 for every sensor; the smallest is {float(std.min())}")
        if low.shape != std.shape or high.shape != std.shape or not (low <= high).all():
            raise ValueError(
                f"limits must be numbers low <= high with shape {tuple(std.shape)}; got shapes {tuple(low.shape)} and "
                f"{tuple(high.shape)}"
            )
        if ((low == high) & torch.isinf(low)).any():
            raise ValueError("a sensor whose limits are both the same infinity says nothing; leave it out")
        self.std, self.low, self.high, self.m = std, low, high, len(std)

    def sides(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Which readings say "at or below" and which "at or above", booleans with the shape (N, m) of y."""
        low, high = self.low.to(y), self.high.to(y)
        return (y <= low) & (y < high), (y >= high) & (y > low)

    def _beyond(self, y: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """u, how far h lies on the side that a reading at a limit says, in std; its sign; and which are no limits."""
        below, above = self.sides(y)
        sign = above.to(h) - below.to(h)
        limit = torch.where(above, self.high.to(h), torch.where(below, self.low.to(h), torch.zeros_like(h)))
        return sign * (h - limit) / self.std.to(h), sign, ~(below | above)

    def log_prob(self, y: Tensor, h: Tensor) -> Tensor:
        y, std = y.to(h), self.std.to(h)
        u, _, inside = self._beyond(y, h)
        density = -0.5 * ((y - h) / std) ** 2 - std.log() - 0.5 * math.log(2 * math.pi)
        return torch.where(inside, density, torch.special.log_ndtr(u))

    def draw(self, h: Tensor, generator: torch.Generator) -> Tensor:
        """Readings; a switch (low = high) gives its limit plus or minus a little: shape (N, m) -> (N, m)."""
        std, low, high = self.std.to(h), self.low.to(h), self.high.to(h)
        free = h + std * white(h, generator)
        little = torch.maximum(std, 1e-3 * low.abs())  # not lost in float32
        return torch.where(low == high, low + torch.where(free > low, little, -little), free.clamp(low, high))

    def information(self, y: Tensor, h: Tensor) -> Tensor:
        """The curvature itself: r (r + u) / std^2 at a limit, r = phi(u) / Phi(u); 1 / std^2 between.

        Not its expectation, which vanishes where h contradicts the reading, and would send guidance far beyond.
        """
        y = y.to(h)
        u, _, inside = self._beyond(y, h)
        return torch.where(inside, torch.ones_like(u), curvature(u)).clamp(LEAST, 1.0) / self.std.to(h) ** 2

    def score(self, y: Tensor, h: Tensor) -> Tensor:
        y, std = y.to(h), self.std.to(h)
        u, sign, inside = self._beyond(y, h)
        return torch.where(inside, (y - h) / std**2, sign * hazard(u) / std)

    def check(self, y: Tensor) -> None:
        refuse_not_finite(y)
        low, high = self.low.to(y), self.high.to(y)
        switch = low == high
        beyond, undecided = ~switch & ((y < low) | (y > high)), switch & (y == low)
        if beyond.any():
            raise ValueError(
                f"{int(beyond.sum())} readings lie beyond the limits of their sensors, the first is "
                f"{float(y[beyond][0]):g}; correct the limits, or give the limit itself as the reading"
            )
        if undecided.any():
            raise ValueError(
                f"{int(undecided.sum())} readings equal the one limit of their sensor, {float(y[undecided][0]):g}, and "
                "say neither above nor below; give a number on the side that was reported"
            )

    def to(self, dtype: torch.dtype, device: torch.device | str) -> "Censored":
        return Censored(*(part.to(device, dtype) for part in (self.std, self.low, self.high)))


def hazard(u: Tensor) -> Tensor:
    """phi(u) / Phi(u), the score of log Phi, by the scaled erfc: exact far into both tails; any shape -> the same."""
    return math.sqrt(2 / math.pi) / torch.special.erfcx(-u / math.sqrt(2))


def curvature(u: Tensor) -> Tensor:
    """-d^2 log Phi / du^2 = r (r + u), r = phi / Phi, in (0, 1): 1 - 1/u^2 + 6/u^4 far below; any shape -> the same."""
    near, far = u.clamp_min(-FAR), u.clamp_max(-FAR)
    r = hazard(near)
    return torch.where(u > -FAR, r * (r + near), 1 - far**-2 + 6 * far**-4)
