"""The factor s by which the stated noise is wrong, std = s std_stated: its prior, and draws given data."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..denoisers.covariance import Covariance
from ..samplers.streams import MemberStreams
from .gaussian_step import Factor

POINTS = 1024  # of ln s; from 0.1 to 10 they resolve the doubt 1 / sqrt(2 m) of m = 1e4 sensors


@dataclass(frozen=True)
class ScalePrior:
    """p(s^2) ∝ (s^2)^{-a - 1} exp(-b / s^2) for s in [low, high]: log-uniform at a = b = 0, else inverse-gamma, cut.

    Draws of s given data are made by inverting the distribution function on a fixed grid of ln s.

    Arguments:
        low, high: range of s.
        shape: a >= 0; a stands for 2 a sensors' worth of knowledge.
        rate: b >= 0; b / a is about the s^2 expected.

    Raises:
        ValueError: where the range is empty or a number is negative.
    """

    low: float = 0.1
    high: float = 10.0
    shape: float = 0.0
    rate: float = 0.0

    def __post_init__(self):
        if not 0 < self.low < self.high < math.inf or self.shape < 0 or self.rate < 0:
            raise ValueError(
                f"the noise scale needs 0 < low < high < infinity, shape >= 0 and rate >= 0; got low = {self.low}, "
                f"high = {self.high}, shape = {self.shape}, rate = {self.rate}"
            )

    def nodes(self, points: int = POINTS, device: torch.device | str = "cpu") -> Tensor:
        """ln s, evenly spaced, float64, with shape (points,)."""
        low, high = math.log(self.low), math.log(self.high)
        return torch.linspace(low, high, points, dtype=torch.float64, device=device)

    def log_mass(self, log_s: Tensor) -> Tensor:
        """ln of the prior probability of the cell around each node (trapezoidal rule), shape (Q,) -> (Q,)."""
        density = -2 * self.shape * log_s - self.rate * torch.exp(-2 * log_s)
        ends = torch.zeros_like(density)
        ends[[0, -1]] = -math.log(2)
        return (density + ends).log_softmax(0)

    def draw(self, log_likelihood: Tensor, streams: MemberStreams) -> Tensor:
        """Draws s, one for each row, float64, shape (N, Q) -> (N,); log p(y | s) at the Q nodes of ln s."""
        log_s = self.nodes(log_likelihood.shape[1], log_likelihood.device)
        density = -2 * self.shape * log_s - self.rate * torch.exp(-2 * log_s) + log_likelihood
        p = (density - density.amax(1, keepdim=True)).exp()
        cells = (p[:, 1:] + p[:, :-1]) / 2
        cumulative = cells.cumsum(1)
        aim = streams.uniform(()).double()[:, None] * cumulative[:, -1:]
        cell = torch.searchsorted(cumulative, aim, right=True).clamp_max(cells.shape[1] - 1)
        share = (cumulative.gather(1, cell) - aim) / cells.gather(1, cell)
        place = torch.where(torch.isfinite(share), 1 - share.clamp(0, 1), 0.5)  # uniform within the cell
        return torch.exp(log_s[0] + (cell + place)[:, 0] * (log_s[1] - log_s[0]))

    def draw_given(self, chi2: Tensor, m: float, streams: MemberStreams) -> Tensor:
        """Draws s | x, y for Gaussian noise: s^2 is inverse-gamma (a + m/2, b + chi2/2), cut to the range.

        Arguments:
            chi2: sum over sensors of ((y - A(x)) / std_stated)^2, float64, with shape (N,).
            m: number of sensors.
        Returns shape (N,).
        """
        log_s = self.nodes(device=chi2.device)
        return self.draw(-m * log_s - 0.5 * chi2[:, None] * torch.exp(-2 * log_s), streams)


@dataclass(frozen=True)
class Spectrum:
    """R^{-1/2} A E A^T R^{-1/2} = U diag(l) U^T: one factorisation solves S_k = s_k^2 R + A E A^T for every s_k.

    Arguments:
        factor: of R + A E A^T.
        std: the stated standard deviations, float64, with shape (m,).
        values, vectors: l (m,) and U (m, m), float64.
    """

    factor: Factor
    std: Tensor
    values: Tensor
    vectors: Tensor

    @classmethod
    def of(cls, factor: Factor, std: Tensor) -> "Spectrum":
        """The spectrum for the factor of R + A E A^T at the stated noise, std of shape (m,)."""
        root = factor.cholesky / std[:, None]
        values, vectors = torch.linalg.eigh(root @ root.T)
        return cls(factor, std, (values - 1).clamp_min(0), vectors)

    def log_prob(self, residual: Tensor, log_s: Tensor) -> Tensor:
        """log N(r; 0, s_q^2 R + A E A^T) but for a constant, shapes r (N, m) and ln s (Q,) -> (N, Q)."""
        total = torch.exp(2 * log_s)[:, None] + self.values
        white = (residual / self.std) @ self.vectors
        return -0.5 * (white**2 @ (1 / total).T + total.log().sum(1))

    def at(self, scale: Tensor) -> "ScaledFactor":
        """S_k = s_k^2 R + A E A^T for a scale s_k of each row, shape (N,)."""
        return ScaledFactor(self.factor.covariance, self, scale)

    def in_units_of(self, scale: Tensor) -> "ScaledFactor":
        """R + A (E / s_k^2) A^T: the same law in units in which the noise of row k is as stated; s_k (N,)."""
        covariance, over = self.factor.covariance, scale.reshape(-1, *(1,) * self.factor.covariance.variance.ndim)
        return ScaledFactor(Covariance(covariance.basis, covariance.variance / over**2), self, scale, 2)


@dataclass(frozen=True)
class ScaledFactor:
    """Stands for a `Factor` whose noise differs from row to row; see `Spectrum`.

    Arguments:
        covariance: E, or E / s_k^2 with a leading axis of N rows.
        spectrum: of R + A E A^T.
        scale: s_k, with shape (N,).
        power: `solve` returns s_k^power S_k^{-1} r.
    """

    covariance: Covariance
    spectrum: Spectrum
    scale: Tensor
    power: int = 0

    def solve(self, residual: Tensor) -> Tensor:
        """s^power (s^2 R + A E A^T)^{-1} r, shape (N, m) -> (N, m)."""
        s, spectrum = self.scale[:, None], self.spectrum
        white = (residual / spectrum.std) @ spectrum.vectors * s**self.power / (s**2 + spectrum.values)
        return white @ spectrum.vectors.T / spectrum.std


def scale_diagnostics(scale: Tensor, windows: int) -> dict[str, Tensor]:
    """`noise_scale` (B, K), its mean (B,) and quantiles at 5, 50 and 95 % (B, 3) over unweighted members: s (B K,)."""
    scale = scale.reshape(windows, -1)
    levels = torch.tensor([0.05, 0.5, 0.95], dtype=scale.dtype, device=scale.device)
    return {
        "noise_scale": scale,
        "noise_scale_mean": scale.mean(1),
        "noise_scale_quantiles": torch.quantile(scale, levels, dim=1).T,
    }
