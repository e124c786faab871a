"""Scores of weighted ensembles. Truths: the closed-form CRPS of a Gaussian, 1 / sqrt(pi) for a calibrated one; pairwise
sums written out; the exact law of the rank; and the public package `scores`, which has the unweighted forms."""

import itertools
import math

import numpy as np
import pytest
import torch
import xarray as xr

from sciml_diffusion.evaluate import scores as ours
from sciml_diffusion.evaluate.scores import (
    average,
    coverage,
    crps,
    energy_score,
    interval,
    pit,
    points,
    rank_histogram,
    rmse,
    spread_skill,
    summarise,
    summary,
    uniform,
)

F64 = torch.float64


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=F64)


def crps_by_pairs(x, y, w, fair):
    """The definition for one point, with all K^2 pairs written out."""
    factor = 0.5 / (1 - (w**2).sum()) if fair else 0.5
    return (w * (x - y).abs()).sum() - factor * (w[:, None] * w * (x[:, None] - x).abs()).sum()


@pytest.mark.parametrize("fair", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_crps_equals_the_sum_over_all_pairs(fair, weighted):
    x, y = normal(3, 7, 2, 4), normal(3, 2, 4, seed=1)
    w = torch.rand(3, 7, generator=generator(2), dtype=F64) if weighted else torch.ones(3, 7, dtype=F64)
    got = crps(x, y, w if weighted else None, fair=fair)
    for b, i, j in itertools.product(range(3), range(2), range(4)):
        # rounding of 49 additions of numbers of order one
        exact = crps_by_pairs(x[b, :, i, j], y[b, i, j], w[b] / w[b].sum(), fair)
        assert math.isclose(got[b, i, j], exact, abs_tol=1e-13)


def test_one_member_and_one_that_carries_all_the_weight_give_the_absolute_error():
    x, y = normal(2, 5, 3), normal(2, 3, seed=1)
    assert torch.equal(crps(x[:, :1], y), (x[:, 0] - y).abs())
    w = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0])
    assert torch.allclose(crps(x, y, w), (x[:, 2] - y).abs(), rtol=0, atol=1e-15)


@pytest.mark.parametrize("members", [2, 5, 20])
def test_fair_crps_of_a_calibrated_gaussian_is_one_over_root_pi(members):
    n = 40000
    values = crps(normal(n, members), normal(n, seed=1))
    error = 4 * values.std() / math.sqrt(n)  # four standard errors
    assert abs(values.mean() - 1 / math.sqrt(math.pi)) < error
    biased = crps(normal(n, members), normal(n, seed=1), fair=False).mean()
    assert abs(biased - (1 + 1 / members) / math.sqrt(math.pi)) < error


def test_crps_of_many_members_is_that_of_the_gaussian():
    """CRPS(N(0, 1), y) = y (2 Phi(y) - 1) + 2 phi(y) - 1 / sqrt(pi), Gneiting and Raftery 2007."""
    k = 20001
    x = torch.special.ndtri((torch.arange(k, dtype=F64) + 0.5) / k)[:, None]  # quantiles, so no noise of sampling
    y = torch.tensor([-2.0, -0.3, 0.0, 1.1, 3.0], dtype=F64)
    density = torch.exp(-0.5 * y**2) / math.sqrt(2 * math.pi)
    exact = y * (2 * torch.special.ndtr(y) - 1) + 2 * density - 1 / math.sqrt(math.pi)
    # error of the midpoint quantiles, O(1 / K) with a small constant
    assert torch.allclose(crps(x.expand(k, 5), y, dim=0), exact, atol=2e-4)


def test_agrees_with_the_scores_package():
    from scores.probability import crps_for_ensemble

    x, y = normal(50, 9), normal(50, seed=1)
    forecast, truth = xr.DataArray(x.numpy(), dims=("point", "member")), xr.DataArray(y.numpy(), dims="point")
    for method, fair in (("fair", True), ("ecdf", False)):
        theirs = crps_for_ensemble(forecast, truth, "member", method=method, preserve_dims="all").values
        assert np.allclose(crps(x, y, fair=fair).numpy(), theirs, atol=1e-13)  # rounding


def test_rank_histogram_is_that_of_the_scores_package():
    from scores.probability import rank_histogram as theirs

    x, y = normal(500, 9), normal(500, seed=1)
    forecast, truth = xr.DataArray(x.numpy(), dims=("point", "member")), xr.DataArray(y.numpy(), dims="point")
    counts = theirs(forecast, truth, "member", reduce_dims="all").values.ravel()
    got = rank_histogram(pit(x, y, generator()), bins=10)
    assert np.allclose(got.numpy(), counts / counts.sum(), atol=1e-12)


def test_pit_is_that_of_the_scores_package_squeezed_for_the_size_of_the_ensemble():
    """Theirs is the share of members below y; ours (K theirs + v) / (K + 1), with known v."""
    from scores.probability import Pit

    x, y = normal(200, 9), normal(200, seed=1)
    forecast, truth = xr.DataArray(x.numpy(), dims=("point", "member")), xr.DataArray(y.numpy(), dims="point")
    theirs = float(Pit(forecast, truth, ensemble_member_dim="member").expected_value())
    v = uniform((200,), generator()).mean()
    assert math.isclose(pit(x, y, generator()).mean(), (9 * theirs + v) / 10, rel_tol=1e-12)


def test_integer_weights_are_repeated_members():
    """Parts that do not know the number of members: CRPS without the fair factor, mean, energy score."""
    x, y, times = normal(4, 3, 5), normal(4, 5, seed=1), torch.tensor([1, 3, 2])
    repeated = x.repeat_interleave(times, 1)
    assert torch.allclose(crps(x, y, times.to(F64), fair=False), crps(repeated, y, fair=False), atol=1e-14)
    assert torch.allclose(rmse(x, y, times.to(F64)), rmse(repeated, y), atol=1e-14)
    weighted, plain = energy_score(x, y, times.to(F64), fair=False), energy_score(repeated, y, fair=False)
    assert torch.allclose(weighted, plain, atol=1e-13)


def test_order_blocks_scale_and_layout_do_not_matter(monkeypatch):
    x, y = normal(3, 6, 2, 50), normal(3, 2, 50, seed=1)
    w = torch.rand(3, 6, generator=generator(2), dtype=F64)
    order = torch.randperm(6, generator=generator(3))
    whole = points(x, y, generator(), w)
    for other in (
        points(x[:, order], y, generator(), 7 * w[:, order]),
        points(x.movedim(1, -1), y, generator(), w[:, None, None].expand(3, 2, 50, 6), dim=-1),
    ):
        assert all(torch.allclose(whole[k], other[k], atol=1e-13) for k in whole)
    shifted = crps(10 * x + 3, 10 * y + 3, w)
    assert torch.allclose(shifted, 10 * whole["crps"], atol=1e-12)
    monkeypatch.setattr(ours, "BLOCK", 64)
    blocked = points(x, y, generator(), w)
    assert all(torch.allclose(whole[k], blocked[k], atol=1e-14) for k in whole)


@pytest.mark.parametrize("members", [1, 2, 3, 8])
def test_pit_of_a_calibrated_ensemble_is_uniform_for_any_size(members):
    """The truth's rank is uniform on 0..K; over each rank's v, u then fills [0, 1] evenly: counted exactly."""
    x = torch.arange(members, dtype=F64).expand(members + 1, members)
    y = torch.arange(members + 1, dtype=F64) - 0.5
    n = 4000
    v = (np.arange(n) + 0.5) / n

    class Fixed(np.random.Generator):
        def random(self, shape):
            return np.broadcast_to(v[:, None], shape).copy()

    u = pit(x.expand(n, -1, -1), y.expand(n, -1), Fixed(np.random.PCG64(0)), dim=2)
    # v is on a grid of n points
    assert abs(coverage(u, 0.9) - 0.9) <= 2 / n
    assert abs(u.mean() - 0.5) < 1e-12


@pytest.mark.parametrize("w", [(0.7, 0.3), (0.5, 0.3, 0.2), (0.4, 0.3, 0.1, 0.1, 0.05, 0.05)])
def test_coverage_with_unequal_weights_is_the_exact_one_and_near_the_level(w):
    """Exact share: the members below the truth are a random subset of uniformly random size."""
    s, k = sum(v**2 for v in w), len(w)

    def below(a):
        """P(u <= a)."""
        total = 0.0
        for size in range(k + 1):
            subsets = list(itertools.combinations(w, size))
            total += sum(min(max(((1 + s) * a - sum(c)) / s, 0), 1) for c in subsets) / len(subsets) / (k + 1)
        return total

    exact, n = below(0.95) - below(0.05), 200000
    u = pit(normal(n, k), normal(n, seed=1), generator(2), torch.tensor(w, dtype=F64))
    assert abs(coverage(u) - exact) < 4 * math.sqrt(0.09 / n)  # four standard errors
    assert -0.01 < exact - 0.9 < 0.03  # the rule errs on the wide side, and little


def test_coverage_with_the_weights_of_a_real_ensemble_is_the_level():
    """64 members with log-normal weights."""
    n, w = 40000, torch.exp(normal(64, seed=5))
    assert 20 < w.sum() ** 2 / (w**2).sum() < 45
    u = pit(normal(n, 64), normal(n, seed=1), generator(2), w)
    assert abs(coverage(u) - 0.9) < 0.008  # 5 standard errors of the share


def test_ties_are_broken_at_random():
    x, y = torch.zeros(20000, 4, dtype=F64), torch.zeros(20000, dtype=F64)
    shares = rank_histogram(pit(x, y, generator()), bins=5)
    assert torch.allclose(shares, torch.full((5,), 0.2, dtype=F64), atol=4 * math.sqrt(0.16 / 20000))


@pytest.mark.parametrize("weighted", [True, False])
def test_spread_skill_of_a_calibrated_ensemble_is_one(weighted):
    n, k = 40000, 6
    w = torch.tensor([3.0, 2.0, 1.0, 1.0, 0.5, 0.5], dtype=F64) if weighted else None
    value = spread_skill(normal(n, k), normal(n, seed=1), w)
    assert abs(value - 1) < 4 / math.sqrt(n)  # relative error of the mean square sqrt(2 / n), halved by the root
    assert abs(spread_skill(0.5 * normal(n, k), normal(n, seed=1), w) - 0.5) < 0.06


def test_intervals_are_order_statistics_with_their_exact_level():
    x = normal(2, 19, 3)
    low, high = interval(x, level=0.9)  # K = 19: the level of [x_(1), x_(19)] is 18 / 20
    assert torch.allclose(low, x.amin(1), atol=1e-15) and torch.allclose(high, x.amax(1), atol=1e-15)
    low, high = interval(x, level=0.8)
    assert torch.allclose(low, x.sort(1).values[:, 1], atol=1e-12)
    n = 20000
    draws, y = normal(n, 25), normal(n, seed=1)
    low, high = interval(draws, torch.ones(25), level=0.9)
    assert abs(((y >= low) & (y <= high)).to(F64).mean() - 0.9) < 0.01
    numpy = np.quantile(draws[0].numpy(), 0.05, method="weibull")
    assert math.isclose(low[0], numpy, abs_tol=1e-12)


def test_weighted_interval_of_an_importance_ensemble_is_that_of_the_target():
    x = 3 * normal(1, 20000, 1)
    w = torch.exp(-0.5 * x**2 + 0.5 * (x / 3) ** 2)[0, :, 0]
    low, high = interval(x, w, level=0.9)
    assert abs(low + 1.645) < 0.06 and abs(high - 1.645) < 0.06  # sampling error with about 9000 effective members


def test_energy_score_of_one_number_is_the_crps_and_is_fair():
    x, y, w = normal(5, 4, 1), normal(5, 1, seed=1), torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=F64)
    assert torch.allclose(energy_score(x, y, w), crps(x, y, w)[:, 0], atol=1e-13)
    fair = torch.stack([energy_score(normal(3000, k, 5), normal(3000, 5, seed=1)).mean() for k in (3, 12)])
    assert abs(fair[0] - fair[1]) < 0.08  # both estimate the score of infinitely many members


def test_area_and_mask_weigh_the_points():
    values = torch.tensor([[1.0, 2.0], [3.0, torch.nan]], dtype=F64)
    mask = torch.tensor([[True, True], [True, False]])
    assert average(values, torch.tensor([[1.0], [3.0]]), mask) == (1 + 2 + 9) / 5
    x, y = normal(1, 5, 2, 2), normal(1, 2, 2, seed=1)
    result = summary(x, y, generator(), mask=mask)
    kept = summarise({k: v[:, mask] for k, v in points(x, y, generator()).items()})
    assert result == kept and result["points"] == 3


def test_errors_say_what_is_wrong():
    x, y = normal(2, 5, 3), normal(2, 3)
    with pytest.raises(ValueError, match=r"need a truth of shape \(2, 3\); got \(3, 2\)"):
        crps(x, y.T)
    with pytest.raises(ValueError, match=r"need \(5,\) or \(2, 5\)"):
        crps(x, y, torch.ones(4))
    for bad in (torch.tensor([1.0, -1.0, 1.0, 1.0, 1.0]), torch.zeros(5), torch.full((5,), torch.nan)):
        with pytest.raises(ValueError, match="finite, >= 0 and not all zero"):
            crps(x, y, bad)
    with pytest.raises(ValueError, match="no point is left"):
        average(y, mask=torch.zeros(2, 3, dtype=torch.bool))
    with pytest.raises(TypeError, match="generator must be"):
        pit(x, y, 0)
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        interval(x, level=90)


def test_numpy_generators_serve_too():
    x, y = normal(2, 5, 3), normal(2, 3, seed=1)
    assert torch.equal(pit(x, y, np.random.default_rng(3)), pit(x, y, np.random.default_rng(3)))
