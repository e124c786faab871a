"""The Lorenz bed. Truths: the order of RK4, the symmetry of the equations, W1 of two points, a Gaussian's evidence."""

import math
import sys
from pathlib import Path

import pytest
import torch
from analytic import F64

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="benchmarks come with the repository")


@pytest.fixture
def bed(monkeypatch):
    """The module, imported as a script imports it."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    import exactness_lorenz

    yield exactness_lorenz
    for name in ("exactness_lorenz", "common"):
        sys.modules.pop(name, None)


def test_the_integrator_is_of_fourth_order(bed):
    x = bed.prior_draws(50, 0)
    fine = bed.rk4(x, 0.4 / 640, 640, 640)
    errors = [(bed.rk4(x, 0.4 / n, n, n) - fine).norm() for n in (40, 80)]
    assert 3.8 < math.log2(float(errors[0] / errors[1])) < 4.2


def test_the_square_does_not_see_the_sign(bed):
    x = bed.prior_draws(20, 1)
    read, _ = bed.READINGS["lorenz-square"]
    mirrored = x * torch.tensor([-1.0, -1.0, 1.0], dtype=F64)
    torch.testing.assert_close(read(bed.rk4(x)), read(bed.rk4(mirrored)))
    saturating, _ = bed.READINGS["lorenz-saturating"]
    torch.testing.assert_close(saturating(bed.rk4(x)), -saturating(bed.rk4(mirrored)))


def test_a_weighted_sample_and_its_scores(bed):
    x = torch.randn(40_000, 3, generator=torch.Generator().manual_seed(0), dtype=F64)
    posterior = bed.Weighted.of(x, -0.5 * ((x - 1) ** 2).sum(1))  # N(0, 1) times N(x; 1, 1): N(1/2, 1/2)
    n = 40_000 * (3 / 4) ** 1.5 * math.exp(-0.5)  # (E w)^2 / E w^2 with w = exp(-(x - 1)^2 / 2), to the third power
    assert abs(posterior.ess / n - 1) < 0.03  # 4e4 draws
    torch.testing.assert_close(
        posterior.mean, torch.full((3,), 0.5, dtype=F64), rtol=0, atol=0.025
    )  # four standard errors
    torch.testing.assert_close(posterior.std, torch.full((3,), 0.5**0.5, dtype=F64), rtol=0, atol=0.02)
    shifted = bed.Weighted(posterior.x + torch.tensor([0.3, 0.0, 0.0], dtype=F64), posterior.weights)
    projections = bed.Projections(posterior)
    found = bed.scores(shifted, posterior, projections)
    assert (
        abs(found["mean_error"] - 0.3 / float(posterior.std[0]) / 3**0.5) < 1e-9 and abs(found["std_ratio"] - 1) < 1e-9
    )
    # W1 of a shift along u is |u_0| 0.3, whose mean over the sphere is 0.15; 50 directions, a grid of 2000
    assert abs(found["sliced_w1"] - 0.3 * sum(float(u[0].abs()) for u, _, _ in projections.parts) / 50) < 1e-3
    assert projections.sliced_w1(posterior) < 1e-12


def test_a_method_runs_on_the_bed(bed):
    read, std = bed.READINGS["lorenz-saturating"]
    observation = bed.problem(read, std, 0)
    ensemble, facts = bed.run("dps", observation, 8, 3, 0)
    assert ensemble.x.shape[1] == 3 and facts["network_calls"] == 6 and 0 <= facts["finite"] <= 1
