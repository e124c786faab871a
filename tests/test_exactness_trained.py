"""Beds with trained denoisers. Truths: the exact denoiser of a Gaussian, rescaled or behind a wrong anchor; a sum."""

import math
from pathlib import Path

import pytest
import torch
from analytic import F64, grf, grf_prior

from sciml_diffusion.denoisers.basis import IdentityBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="benchmarks come with the repository, not with the package"
)


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


class _Rows:
    def __init__(self):
        self.rows = []

    def add(self, **row):
        self.rows.append(row)


def test_exact_network_makes_a_wrong_anchor_exact():
    from trained_parts import anchored_exact

    exact, g = grf_prior(1), torch.Generator().manual_seed(0)
    wrong = GaussianDenoiser(exact.mean + 0.3, exact.basis, 2 * exact.variance + 0.1)
    nodes = torch.tensor([math.log(0.1), 0.0, math.log(10)], dtype=F64)
    x = exact.basis.inverse(exact.variance.sqrt() * torch.randn(40, *exact.event, generator=g, dtype=F64))
    found = anchored_exact(exact, wrong, nodes, x, 0)
    for sigma in torch.tensor([0.01, 1.0, 30.0], dtype=F64):
        x_t = x + sigma * torch.randn(x.shape, generator=g, dtype=F64)
        # float64: the anchor's terms cancel, and sigma returns from its logarithm
        torch.testing.assert_close(found(x_t, sigma), exact(x_t, sigma), rtol=0, atol=1e-10)
    # 40 windows of 64 points, two draws each: the mean ratio is known to some per cent; the anchor's own would be 1
    stated = found.surrogate(torch.tensor(1.0, dtype=F64)).variance.sum()
    assert abs(stated / exact.surrogate(torch.tensor(1.0, dtype=F64)).variance.sum() - 1) < 0.1


def test_rescaled_gaussian():
    from trained_gmm import Rescaled

    inner = GaussianDenoiser(torch.tensor([0.1, 0.2], dtype=F64), IdentityBasis(), torch.tensor([1.0, 0.5]).double())
    outer = GaussianDenoiser(torch.tensor([0.3, 0.6], dtype=F64), IdentityBasis(), torch.tensor([9.0, 4.5]).double())
    x_t, sigma = torch.tensor([[1.0, -4.0]], dtype=F64), torch.tensor(2.0, dtype=F64)
    # closed form on both sides: rounding alone
    torch.testing.assert_close(Rescaled(inner, 3.0)(x_t, sigma), outer(x_t, sigma), rtol=1e-13, atol=0)


def test_parts_add_up_to_the_error():
    """And the score's part is 0 where the trained denoiser is the exact one, not 0 where it is another."""
    from trained_grf import _bed
    from trained_parts import Bed, Hidden, floor, split

    bed = _bed(1)
    small = Bed("grf", [grf(1, 0)], 8, 3, bed.key, bed.score, ensembles=2)
    exact, report = grf_prior(1).float(), _Rows()
    other = GaussianDenoiser(exact.mean + 1, exact.basis, exact.variance)
    limit = floor(report, small)
    for trained in (exact, other):
        split(report, small, limit, "mmps", (Hidden(trained), Hidden(exact)), 0)
        row = report.rows[-1]
        parts = sum(float(row[k]) for k in ("monte_carlo", "rest", "discretisation", "score"))
        assert abs(parts - float(row["error_ratio"])) < 1e-12  # a sum of float64
        assert (abs(float(row["score"])) > 0.1) == (trained is other)
