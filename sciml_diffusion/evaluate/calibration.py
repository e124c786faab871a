"""Calibration by simulation: are the ranks of truths among posterior members uniform? Bands that hold for all at once.

Draw (truth, data) pairs, sample the posterior of each, and rank test quantities of the truth among those of the
members: `scores.pit` gives the randomised weighted ranks. If the posterior is right for the law of the pairs they are
uniform, whatever the quantity; what they are instead tells how it is wrong.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Band:
    """Where the rank ECDF, or histogram, of n independent uniform ranks lies as a whole with probability `level`.

    At each edge (or bin) the count is binomial with a known share p. A curve of counts k has
    gamma = min over edges of min(1, 2 P(count <= k), 2 P(count >= k)); the band holds the counts whose own value is at
    least the (1 - level) quantile of gamma, which is found by simulation: pointwise intervals of one level, adjusted so
    that the whole curve stays inside with the level that is asked for.
    Source: T. Saeilynoja, P.-C. Buerkner and A. Vehtari, Statistics and Computing 32 (2022), section 2; the ranks are
    those of S. Talts et al., arXiv:1804.06788.

    Attributes: `edges` (c,), right edges of what is counted; `expected`, `low`, `high` (c,), shares.

    Arguments:
        n: number of ranks.
        bins: equal bins of [0, 1].
        cumulative: counts up to each inner edge (the ECDF), or in each bin (the histogram).
        level: probability that all counts are inside.
        repeats: simulated curves. seed: of them.

    Raises:
        ValueError: n < 1, fewer than two bins, or a level outside (0, 1).
    """

    def __init__(
        self, n: int, bins: int = 20, cumulative: bool = True, level: float = 0.95, repeats: int = 4000, seed: int = 0
    ):
        if n < 1 or bins < 2 or not 0 < level < 1:
            raise ValueError(f"a band needs n >= 1, bins >= 2 and 0 < level < 1; got {n}, {bins} and {level}")
        self.n, self.bins, self.cumulative, self.level = n, bins, cumulative, level
        inner = torch.arange(1, bins + (not cumulative), dtype=torch.float64) / bins
        self.edges, self.expected = inner, inner if cumulative else torch.full_like(inner, 1 / bins)
        self._table = _two_sided(n, self.expected)
        uniform = torch.rand(repeats, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self._simulated = self._gamma(self._counts(uniform)).sort().values
        allowed = self._table >= self._simulated[int((1 - level) * repeats)] * (1 - 1e-9)
        k = torch.arange(n + 1, dtype=torch.float64).expand_as(allowed)
        self.low = k.where(allowed, torch.full_like(k, n)).amin(1) / n
        self.high = k.where(allowed, torch.zeros_like(k)).amax(1) / n

    def shares(self, u: Tensor) -> Tensor:
        """Shares of ranks u, of shape (n,) in [0, 1], up to each edge or in each bin: shape (c,).

        Raises:
            ValueError: another number of ranks, or ranks outside [0, 1].
        """
        u = torch.as_tensor(u, dtype=torch.float64)
        if u.shape != (self.n,) or not ((u >= 0) & (u <= 1)).all():
            raise ValueError(f"the band is for {self.n} ranks in [0, 1]; got shape {tuple(u.shape)}, see `scores.pit`")
        return self._counts(u[None])[0].double() / self.n

    def inside(self, u: Tensor) -> bool:
        """Whether all shares of the ranks u, of shape (n,), lie in the band."""
        shares = self.shares(u)
        return bool(((shares >= self.low - 1e-12) & (shares <= self.high + 1e-12)).all())

    def p_value(self, u: Tensor) -> float:
        """Probability that uniform ranks depart as far as u, of shape (n,), does at its worst edge: small is bad.

        Never below 1 / (repeats + 1).
        """
        gamma = self._gamma((self.shares(u) * self.n).round().long()[None])
        return float(((self._simulated <= gamma * (1 + 1e-9)).sum() + 1) / (len(self._simulated) + 1))

    def _counts(self, u: Tensor) -> Tensor:
        """Counts of each row, with shape (R, n) -> (R, c)."""
        index = (u * self.bins).floor().long().clamp(0, self.bins - 1)
        counts = torch.zeros(len(u), self.bins, dtype=torch.long).scatter_add_(1, index, torch.ones_like(index))
        return counts.cumsum(1)[:, :-1] if self.cumulative else counts

    def _gamma(self, counts: Tensor) -> Tensor:
        """The least two-sided probability of each row of counts, with shape (R, c) -> (R,)."""
        return self._table.gather(1, counts.T).amin(0)


def _two_sided(n: int, p: Tensor) -> Tensor:
    """min(1, 2 P(count <= k), 2 P(count >= k)) of binomial counts for k = 0 .. n: shape (c,) -> (c, n + 1)."""
    from scipy.stats import binom

    k = torch.arange(n + 1).numpy()[None]
    share = p.numpy()[:, None]
    below, above = binom.cdf(k, n, share), binom.sf(k - 1, n, share)
    return torch.from_numpy(2 * below).minimum(torch.from_numpy(2 * above)).clamp_max(1.0)


def verdict(u: Tensor, band: Band) -> str:
    """What the ranks u, of shape (n,), say in words, by the share of ranks in the outer tenths and their mean.

    "calibrated" inside the band; else "too narrow" (more than a fifth outside), "too wide" (less), or "biased" where
    the mean is further from 1/2, in units of its standard deviation under uniform ranks, than that share from 1/5.
    """
    if band.inside(u):
        return "calibrated"
    u = torch.as_tensor(u, dtype=torch.float64)
    tails = (float(((u - 0.5).abs() > 0.4).double().mean()) - 0.2) / (0.16 / band.n) ** 0.5
    shift = (float(u.mean()) - 0.5) / (1 / 12 / band.n) ** 0.5
    if abs(shift) > abs(tails):
        return "biased low" if shift > 0 else "biased high"
    return "too narrow" if tails > 0 else "too wide"


def draw_rank_ecdf(axis: "Axes", ranks: dict[str, Tensor], band: Band, title: str = "") -> None:
    """Draws ECDF minus its expectation over the band: above 0 left of the middle and below right of it is too narrow.

    Arguments:
        axis: to draw on.
        ranks: by name, each with shape (n,).
        band: cumulative.
        title: of the panel.
    """
    from .figures import COLOURS, GREY

    x = torch.cat([torch.zeros(1, dtype=torch.float64), band.edges, torch.ones(1, dtype=torch.float64)])

    def curve(values: Tensor) -> Tensor:
        return torch.cat(
            [torch.zeros(1, dtype=torch.float64), values - band.expected, torch.zeros(1, dtype=torch.float64)]
        )

    axis.fill_between(x, curve(band.low), curve(band.high), color=GREY, alpha=0.25, linewidth=0)
    axis.axhline(0, color=GREY, linewidth=0.8)
    for n, (name, u) in enumerate(ranks.items()):
        style = {"color": COLOURS[n % len(COLOURS)], "linestyle": ("-", "--", ":")[n // len(COLOURS) % 3]}
        axis.plot(x, curve(band.shares(u)), label=name, linewidth=1.5, **style)
    axis.set(xlim=(0, 1), title=title)
