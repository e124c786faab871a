"""The exactness problems as their peers get them. Truth: the package's own closed forms, which the tests of denoisers
and of observations check, and the moments of a mixture written out; no peer is needed."""

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from analytic import F64, Kriging, Problem, gmm, grf, small_gaussian

from sciml_diffusion.denoisers.basis import AxisBasis, FourierBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.denoisers.mixture import MixtureDenoiser
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Weighted

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="benchmarks come with the repository")


@pytest.fixture
def peers(monkeypatch):
    """The module, imported as the script that uses it imports it."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    import exactness_peers

    yield exactness_peers
    for name in ("exactness_peers", "exactness", "common", "peer_prior"):
        sys.modules.pop(name, None)


def dense() -> Problem:
    """A Gaussian with a dense covariance."""
    denoiser, observation = small_gaussian()
    return Problem(denoiser, observation, (0.01, 10.0), Kriging(denoiser, observation))


def fields(modes: int = 3) -> Problem:
    """A mixture of fields, each with a spectrum of its own, on a periodic 4 x 6 grid, seen at two points."""
    g = torch.Generator().manual_seed(3)
    variances = torch.rand(modes, 1, 4, 6, generator=g, dtype=F64) + 0.1
    means = 3 * torch.randn(modes, 1, 4, 6, generator=g, dtype=F64)
    denoiser = MixtureDenoiser(torch.linspace(-1, 0.5, modes, dtype=F64), means, FourierBasis(2), variances)
    operator = Weighted(torch.tensor([[3], [17]]), torch.tensor([[2.0], [1.0]], dtype=F64), denoiser.event)
    observation = Observation(operator, torch.ones(1, 2, dtype=F64), torch.tensor([0.1, 0.2], dtype=F64))
    return Problem(denoiser, observation, (0.01, 10.0), None)


PROBLEMS = {"gmm": lambda: gmm(8, 2, 0), "grf": lambda: grf(1, 0, 16), "dense": dense, "fields": fields}


def read(peers, problem: Problem, folder: Path):
    """The prior as azula_peers.py makes it from the file, and the file's arrays."""
    from peer_prior import Prior

    np.savez(folder / "0000.npz", **peers.packed(problem))
    data = np.load(folder / "0000.npz")
    law = (torch.from_numpy(data[name]) for name in ("log_weights", "means", "variances"))
    return Prior(*law, data["event"].tolist(), int(data["axes"]), torch.from_numpy(data["basis"])), data


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_denoiser_survives_its_file(peers, tmp_path, name):
    """The same means of x | x_t at small, middle and large noise."""
    problem = PROBLEMS[name]()
    prior, _ = read(peers, problem, tmp_path)
    g = torch.Generator().manual_seed(1)
    for sigma in (torch.tensor(s, dtype=F64) for s in (0.05, 2.0, 50.0)):
        x_t = 8 * torch.randn(5, *problem.denoiser.event, generator=g, dtype=F64)
        found = prior.mean(x_t.flatten(1), sigma).reshape(x_t.shape)
        # both are float64; the exponents of the mixtures reach 1e5 at the smallest noise
        torch.testing.assert_close(found, problem.denoiser(x_t, sigma), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_observation_survives_its_file(peers, tmp_path, name):
    problem = PROBLEMS[name]()
    _, data = read(peers, problem, tmp_path)
    x = torch.randn(3, *problem.denoiser.event, generator=torch.Generator().manual_seed(2), dtype=F64)
    expected = problem.observation.operator(x).numpy()
    np.testing.assert_allclose(x.flatten(1).numpy() @ data["matrix"].T, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(data["y"], problem.observation.y[0].numpy())
    np.testing.assert_array_equal(data["std"], problem.observation.std.numpy())


def test_moments_of_a_mixture(peers, tmp_path):
    """Covariance within and between modes, dense, from factors and from draws."""
    problem = fields()
    prior, _ = read(peers, problem, tmp_path)
    basis, eye = problem.denoiser.basis, torch.eye(24, dtype=F64)
    b = basis(eye.reshape(24, 1, 4, 6)).flatten(1).T
    w, m = problem.denoiser.log_weights.exp(), problem.denoiser.means.flatten(1)
    v = problem.denoiser.variances.flatten(1)
    between = torch.einsum("k,ki,kj->ij", w, m - w @ m, m - w @ m)
    exact = b.T @ torch.diag(w @ v) @ b + between
    diagonal, factor = prior.factors()
    torch.testing.assert_close(b.T @ (torch.diag(diagonal) + factor @ factor.T) @ b, exact)
    assert prior.coordinate_variance() == pytest.approx(float(exact.diag().mean()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        x = prior.draw(40_000)
    # a covariance of n draws strays by about sqrt(2 / n) of the largest variance, here 0.7 %; the bound is 5 of these
    assert float((x.T.cov() - exact).abs().max() / exact.abs().max()) < 0.035
    assert float((x.mean(0) - w @ m).abs().max()) < 0.035 * float(exact.diag().max()) ** 0.5


def test_what_a_peer_cannot_take_is_said(peers):
    one = torch.ones(1, 4, 6, dtype=F64)
    walls = GaussianDenoiser(one, AxisBasis(("cosine", "cosine")), one)
    with pytest.raises(TypeError, match="AxisBasis"):
        peers.packed(Problem(walls, fields().observation, (0.01, 10.0), None))
    with pytest.raises(TypeError, match="Gaussian or mixture denoiser; got NoneType"):
        peers.packed(Problem(None, fields().observation, (0.01, 10.0), None))


def test_an_environment_without_the_peers_is_said(peers):
    """The tests' own interpreter has no azula; a missing one is named."""
    with pytest.raises(RuntimeError, match="(?s)could not run azula_peers.py; --make-peers.*No module named 'azula'"):
        peers.peer_rows({"gmm-8-2": [gmm(8, 2, 0)]}, {"gmm-8-2": 4}, 3, sys.executable)
    parser = argparse.ArgumentParser()
    peers.add_arguments(parser)
    with pytest.raises(FileNotFoundError, match="--azula /nowhere/python"):
        peers.interpreter_of(parser.parse_args(["--azula", "/nowhere/python"]))


def test_rows_of_draws_and_of_failures(peers, monkeypatch):
    """A method that draws is scored with equal weights, one that fails keeps its reason, and infinities are counted."""

    def answered(command, **_):
        folder, x = Path(command[-1]), gmm(8, 2, 0).posterior.draw(6, torch.Generator().manual_seed(0))
        bad = torch.where(torch.arange(6)[:, None] < 2, torch.inf, x)
        np.savez(folder / "0000.samples.npz", good=x.numpy(), bad=bad.numpy())
        rows = [{"problem": "0000", "method": m, "seconds": 1.0} for m in ("good", "bad")]
        rows.append({"problem": "0000", "method": "broken", "error": "ValueError: no"})
        (folder / "facts.json").write_text(peers.json.dumps({"rows": rows}))
        return peers.subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(peers.subprocess, "run", answered)
    given = {"gmm-8-2": [gmm(8, 2, 0)]}
    rows = peers.peer_rows(given, {"gmm-8-2": 6}, 5, "python", scorer=lambda p: lambda x, w: {"total": float(w.sum())})
    head = {"case": "gmm-8-2", "problem": 0, "members": 6, "steps": 5, "weighted": False}
    assert rows == [
        head | {"method": "good", "seconds": 1.0, "total": pytest.approx(1.0)},
        head | {"method": "bad", "seconds": 1.0, "error": "2 of 6 members are not finite"},
        head | {"method": "broken", "error": "ValueError: no"},
    ]
