"""The planar beds. Truths: a Gaussian posterior by dense algebra, that quadrature must give back; W1 of a shift."""

import math
import sys
from pathlib import Path

import pytest
import torch
from analytic import F64
from quadrature import GridPosterior, nonlinear2

from sciml_diffusion.denoisers.basis import IdentityBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Matrix

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def _linear():
    """A Gaussian posterior: mean, covariance and log-evidence, and its quadrature."""
    mean, c = torch.tensor([0.5, -0.2], dtype=F64), torch.diag(torch.tensor([1.0, 0.4], dtype=F64))
    a, std, y = torch.tensor([[0.8, 0.6]], dtype=F64), torch.tensor([0.3], dtype=F64), torch.tensor([[1.1]]).double()
    s = a @ c @ a.T + std**2
    gain = c @ a.T / s
    evidence = torch.distributions.Normal((a @ mean)[0], s[0, 0].sqrt()).log_prob(y[0, 0])
    denoiser = GaussianDenoiser(mean, IdentityBasis(), c.diagonal())
    grid = GridPosterior(
        lambda x: denoiser.log_prob(x, torch.zeros((), dtype=F64)),
        Observation(Matrix(a, (2,)), y, std),
        ((-6, 6), (-6, 6)),
    )
    return mean + gain[:, 0] * (y[0, 0] - a[0] @ mean), c - gain @ a @ c, float(evidence), grid


def test_quadrature_of_a_gaussian():
    mean, covariance, evidence, grid = _linear()
    # the trapezoidal rule converges geometrically for smooth densities; the cut-off leaves 1e-9
    torch.testing.assert_close(grid.mean, mean, rtol=0, atol=1e-7)
    torch.testing.assert_close(grid.std, covariance.diagonal().sqrt(), rtol=0, atol=1e-7)
    assert abs(grid.log_evidence - evidence) < 1e-7
    at = torch.linspace(-1, 2, 7, dtype=F64)
    truth = torch.special.ndtr((at - mean[0]) / covariance[0, 0].sqrt())
    torch.testing.assert_close(grid.cdf(0, at), truth, rtol=0, atol=0.02)  # half a cell of 0.02 times the density
    x = grid.draw(20_000, torch.Generator().manual_seed(0))
    assert ((x.mean(0) - mean) / (covariance.diagonal() / 20_000).sqrt()).abs().max() < 4


def test_sliced_distance_is_that_of_a_shift():
    _, _, _, grid = _linear()
    flat = torch.full((20_000,), 1 / 20_000, dtype=F64)
    x = grid.draw(20_000, torch.Generator().manual_seed(1))
    floor, shifted = grid.sliced_w1(x, flat), grid.sliced_w1(x + torch.tensor([1.0, 0.0], dtype=F64), flat)
    assert floor < 0.01
    assert abs(shifted - 2 / math.pi) < 0.02  # mean of |cos| over directions


@pytest.mark.parametrize("kind", ["bend", "ring", "mixture"])
def test_problems_hold_their_mass(kind):
    problem = nonlinear2(kind)
    edge = problem.posterior.points.abs().max(0).values
    low = torch.tensor([21.0, 21.0] if kind == "mixture" else [6.0, 6.0], dtype=F64)
    at_edge = (problem.posterior.points.abs() > low - 0.1).any(1)
    assert (edge <= low).all() and float(problem.posterior.weights[at_edge].sum()) < 1e-3
    assert math.isfinite(problem.posterior.log_evidence)


@pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="benchmarks come with the repository")
def test_rows_name_methods_and_say_what_refuses(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    import exactness_nonlinear as bed

    kept = []
    monkeypatch.setattr(bed, "METHODS", {"mmps": "gradient", "smc": "linear", "latent-readings": "gradient"})
    monkeypatch.setattr(bed, "MEMBERS", 100)
    monkeypatch.setattr(bed, "beds", lambda: {"plane-ring": nonlinear2("ring")})
    report = type("Rows", (), {"add": lambda self, **row: kept.append(row)})()
    bed.rows(report, True, 0)
    assert [row["method"] for row in kept] == ["exact", "mmps", "latent-readings"]
    assert 0.5 < kept[1]["error_ratio"] < 5 and kept[1]["finite"] == 1
    assert "linear" in kept[2]["failed"]
    for name in ("exactness_nonlinear", "exactness_run", "common"):
        sys.modules.pop(name, None)
