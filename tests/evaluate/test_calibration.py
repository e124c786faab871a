"""Bands of uniform ranks. Truths: the binomial law of one count; 95 % of uniform ranks stay inside; exact posteriors
of a Gaussian pair rank uniformly, narrow and shifted ones do not, and right weights repair a wrong proposal."""

import math

import pytest
import torch
from scipy.stats import binom

from sciml_diffusion.evaluate.calibration import Band, draw_rank_ecdf, verdict
from sciml_diffusion.evaluate.figures import new_figure
from sciml_diffusion.evaluate.scores import pit

F64 = torch.float64
PAIRS, MEMBERS = 200, 9


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def ranks_of(scale=1.0, shift=0.0, members=MEMBERS, seed=0):
    """x ~ N(0, 1), y = x + z: the posterior is N(y / 2, 1 / 2); members of another spread or centre."""
    x, y = normal(PAIRS, seed=seed), normal(PAIRS, seed=seed) + normal(PAIRS, seed=seed + 1)
    drawn = y[:, None] / 2 + math.sqrt(0.5) * (shift + scale * normal(PAIRS, members, seed=seed + 2))
    return pit(drawn, x, torch.Generator().manual_seed(seed))


def test_one_edge_is_a_binomial_interval():
    """With two bins there is one count, of the law B(100, 1/2): the band is the least that holds 95 % or more."""
    band = Band(100, bins=2, repeats=20_000)
    low, high = round(float(band.low[0]) * 100), round(float(band.high[0]) * 100)
    assert low == 100 - high
    assert binom.cdf(high, 100, 0.5) - binom.cdf(low - 1, 100, 0.5) >= 0.945  # 0.95 less 3 errors of 20,000 draws
    assert binom.cdf(high - 1, 100, 0.5) - binom.cdf(low, 100, 0.5) < 0.95


@pytest.mark.parametrize("cumulative", [True, False])
def test_uniform_ranks_stay_inside(cumulative):
    """2000 independent repeats: the share inside has the standard error 0.005, and counts are discrete (+ 0.01)."""
    band = Band(PAIRS, cumulative=cumulative)
    u = torch.rand(2000, PAIRS, generator=torch.Generator().manual_seed(1), dtype=F64)
    share = sum(band.inside(row) for row in u) / len(u)
    assert 0.935 < share < 0.975
    p = torch.tensor([band.p_value(row) for row in u[:500]])
    assert (p < 0.05).double().mean() < 0.08 and 0.4 < p.mean() < 0.65  # p-values of a true hypothesis; errors 0.013


@pytest.mark.parametrize("cumulative", [True, False])
def test_members_of_the_exact_posterior_are_calibrated(cumulative):
    band = Band(PAIRS, bins=MEMBERS + 1, cumulative=cumulative)
    inside = sum(band.inside(ranks_of(seed=10 * s)) for s in range(100))
    assert inside >= 88  # 95 expected, standard deviation 2.2
    even = (torch.arange(PAIRS, dtype=F64) + 0.5) / PAIRS
    assert verdict(even, band) == "calibrated" and band.p_value(even) > 0.99


@pytest.mark.parametrize(
    ("scale", "shift", "words"),
    [(0.5, 0.0, "too narrow"), (2.0, 0.0, "too wide"), (1.0, 0.8, "biased high"), (1.0, -0.8, "biased low")],
)
def test_wrong_members_leave(scale, shift, words):
    band = Band(PAIRS)
    for seed in range(0, 50, 10):
        u = ranks_of(scale, shift, seed=seed)
        assert not band.inside(u) and band.p_value(u) < 0.01
        assert verdict(u, band) == words


def test_right_weights_repair_a_wide_proposal():
    """Members of twice the spread, weighted by the ratio of the densities: uniform, where equal weights are not."""
    x, y = normal(PAIRS), normal(PAIRS) + normal(PAIRS, seed=1)
    z = 2 * normal(PAIRS, 64, seed=2)
    drawn, weights = y[:, None] / 2 + math.sqrt(0.5) * z, torch.exp(-0.5 * z**2 * (1 - 1 / 4))
    band, generator = Band(PAIRS), torch.Generator().manual_seed(3)
    assert band.inside(pit(drawn, x, generator, weights))
    assert verdict(pit(drawn, x, generator), band) == "too wide"


def test_the_picture_holds_band_and_curves():
    figure, axes = new_figure(1, 1, (4, 3))
    draw_rank_ecdf(axes[0, 0], {"exact": ranks_of(), "narrow": ranks_of(0.5)}, Band(PAIRS), "x")
    lines = {line.get_label(): line.get_ydata() for line in axes[0, 0].lines}
    assert max(abs(lines["narrow"])) > 2 * max(abs(lines["exact"]))
    assert lines["narrow"][0] == lines["narrow"][-1] == 0


@pytest.mark.parametrize("wrong", [{"n": 0}, {"bins": 1}, {"level": 1.0}])
def test_bad_bands(wrong):
    with pytest.raises(ValueError, match="a band needs"):
        Band(**({"n": 10} | wrong))


@pytest.mark.parametrize("u", [torch.rand(9), torch.full((10,), 1.5), torch.full((10,), torch.nan)])
def test_bad_ranks(u):
    with pytest.raises(ValueError, match="10 ranks in"):
        Band(10).inside(u)
