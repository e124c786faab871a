"""Noise laws that are not Gaussian: counts, errors with heavy tails, and several laws side by side."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .noise import Correlated, Noise, white


class Poisson(Noise):
    """Counts: y ~ Poisson(gain h + background).

    log p = y log(r) - r - log y!, r = gain h + background. Below r = FLOOR, where h is not physical or no count is
    expected, the term y log(r) goes on along its tangent, so that members which stray there are led back.

    Arguments:
        gain: counts for one unit of h, > 0, with shape (m,).
        background: counts that do not come from the field, >= 0, with shape (m,); none by default.

    Raises:
        ValueError: where the numbers are not finite, the gain is not > 0 or the background is negative.
    """

    FLOOR = 1e-3  # counts

    def __init__(self, gain: Tensor, background: Tensor | None = None):
        background = torch.zeros_like(gain) if background is None else background
        if not (torch.isfinite(gain).all() and (gain > 0).all()):
            raise ValueError(f"the gain of counts must be finite and > 0; the smallest is {float(gain.min())}")
        if background.shape != gain.shape or not (torch.isfinite(background).all() and (background >= 0).all()):
            raise ValueError(
                f"the background must be finite and >= 0, with shape {tuple(gain.shape)}; got shape "
                f"{tuple(background.shape)} and the smallest {float(background.min())}"
            )
        self.gain, self.background, self.m = gain, background, len(gain)

    def rate(self, h: Tensor) -> Tensor:
        """Expected counts gain h + background, shape (N, m) -> (N, m); negative where h is not physical."""
        return self.gain.to(h) * h + self.background.to(h)

    def log_prob(self, y: Tensor, h: Tensor) -> Tensor:
        y, rate = y.to(h), self.rate(h)
        above, below = rate.clamp_min(self.FLOOR), (rate - self.FLOOR).clamp_max(0.0)
        return y * (above.log() + below / self.FLOOR) - rate.clamp_min(0.0) - torch.lgamma(y + 1)

    def draw(self, h: Tensor, generator: torch.Generator) -> Tensor:
        rate = self.rate(h).clamp_min(0.0).to(generator.device)
        return torch.poisson(rate, generator=generator).to(h)

    def information(self, y: Tensor, h: Tensor) -> Tensor:
        """Fisher information gain^2 / rate: shapes (N, m), (N, m) -> (N, m)."""
        return self.gain.to(h) ** 2 / self.rate(h).clamp_min(self.FLOOR)

    def check(self, y: Tensor) -> None:
        bad = ~(torch.isfinite(y) & (y >= 0) & (y == y.round()))
        if bad.any():
            raise ValueError(
                f"counts are whole numbers >= 0; {int(bad.sum())} observed values are not, the first is "
                f"{float(y[bad][0]):g}. Give counts, not rates, or take Gaussian noise"
            )

    def to(self, dtype: torch.dtype, device: torch.device | str) -> "Poisson":
        return Poisson(self.gain.to(device, dtype), self.background.to(device, dtype))


class StudentT(Noise):
    """y = h + std t, t of Student's law: outliers are forgiven, since their pull fades as 1 / |y - h|.

    log p = log G((nu + 1) / 2) - log G(nu / 2) - log(nu pi std^2) / 2 - (nu + 1) / 2 log(1 + (y - h)^2 / (nu std^2)).
    Source: Lange, Little & Taylor, Robust statistical modeling using the t distribution (1989).

    Arguments:
        std: scale, > 0, with shape (m,), in the units of y: the standard deviation is std sqrt(dof / (dof - 2)).
        dof: nu > 0, degrees of freedom, with shape (m,): 4 is robust, above 30 nearly Gaussian.

    Raises:
        ValueError: where std or dof is not finite and > 0.
    """

    def __init__(self, std: Tensor, dof: Tensor):
        for name, value in (("std", std), ("dof", dof)):
            if value.shape != std.shape or not (torch.isfinite(value).all() and (value > 0).all()):
                raise ValueError(
                    f"{name} must be finite and > 0 for every sensor, with shape {tuple(std.shape)}; got shape "
                    f"{tuple(value.shape)} and the smallest {float(value.min())}"
                )
        self.std, self.dof, self.m = std, dof, len(std)

    def log_prob(self, y: Tensor, h: Tensor) -> Tensor:
        std, dof = self.std.to(h), self.dof.to(h)
        constant = torch.lgamma((dof + 1) / 2) - torch.lgamma(dof / 2) - 0.5 * (dof * math.pi).log() - std.log()
        return constant - (dof + 1) / 2 * torch.log1p(((y.to(h) - h) / std) ** 2 / dof)

    def draw(self, h: Tensor, generator: torch.Generator) -> Tensor:
        dof = self.dof.to(h).expand(h.shape).to(generator.device)
        chi_square = 2 * torch._standard_gamma(dof / 2, generator=generator)
        return h + self.std.to(h) * white(h, generator) * (dof / chi_square).sqrt().to(h)

    def information(self, y: Tensor, h: Tensor) -> Tensor:
        """The weight (nu + 1) / (nu std^2 + (y - h)^2) of iterated least squares: shapes (N, m), (N, m) -> (N, m).

        The curvature where h = y, and with it the residual is y - h itself; the curvature elsewhere is negative in the
        tails, and its expectation would make steps from there far too short.
        """
        std, dof = self.std.to(h), self.dof.to(h)
        return (dof + 1) / (dof * std**2 + (y.to(h) - h) ** 2)

    def check(self, y: Tensor) -> None:
        refuse_not_finite(y)

    def to(self, dtype: torch.dtype, device: torch.device | str) -> "StudentT":
        return StudentT(self.std.to(device, dtype), self.dof.to(device, dtype))


class Mixed(Noise):
    """Laws side by side, each for its own sensors.

    Arguments:
        laws: in the order of the sensors; independent from sensor to sensor (see `stacked.stack` for others).

    Raises:
        ValueError: no law, or one of full covariance.
    """

    def __init__(self, laws: Sequence[Noise]):
        if not laws or any(isinstance(law, Correlated) for law in laws):
            raise ValueError("expected laws that are independent from sensor to sensor; join others with stack(...)")
        self.laws, self.sizes = tuple(laws), [law.m for law in laws]
        self.m = sum(self.sizes)

    def _parts(self, y: Tensor, h: Tensor):
        return zip(self.laws, y.split(self.sizes, 1), h.split(self.sizes, 1), strict=True)

    def log_prob(self, y: Tensor, h: Tensor) -> Tensor:
        return torch.cat([law.log_prob(a, b) for law, a, b in self._parts(y, h)], 1)

    def draw(self, h: Tensor, generator: torch.Generator) -> Tensor:
        return torch.cat([law.draw(b, generator) for law, _, b in self._parts(h, h)], 1)

    def information(self, y: Tensor, h: Tensor) -> Tensor:
        return torch.cat([law.information(a, b) for law, a, b in self._parts(y, h)], 1)

    def score(self, y: Tensor, h: Tensor) -> Tensor:
        return torch.cat([law.score(a, b) for law, a, b in self._parts(y, h)], 1)

    def local(self, y: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        residual, std = zip(*(law.local(a, b) for law, a, b in self._parts(y, h)), strict=True)
        return torch.cat(residual, 1), torch.cat(std, 1)

    def check(self, y: Tensor) -> None:
        for law, part in zip(self.laws, y.split(self.sizes, 1), strict=True):
            law.check(part)

    def to(self, dtype: torch.dtype, device: torch.device | str) -> "Mixed":
        return Mixed([law.to(dtype, device) for law in self.laws])


def refuse_not_finite(y: Tensor) -> None:
    """Raises ValueError where y, of any shape, is not finite."""
    if not torch.isfinite(y).all():
        raise ValueError(f"{int((~torch.isfinite(y)).sum())} observed values are not finite; leave those sensors out")
