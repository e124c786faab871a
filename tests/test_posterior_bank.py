"""The posterior bank. Truths: closed forms of scores for Gaussians, derivatives by autograd, what files must hold."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

from sciml_diffusion.observations.operators import Operator

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("benchmarks come with the repository, not with the package", allow_module_level=True)
sys.path.append(str(BENCHMARKS))

import bank  # noqa: E402
import bank_cases  # noqa: E402
import bank_scores  # noqa: E402
import xarray as xr  # noqa: E402

F64 = torch.float64
STORED = sorted(file.stem for file in bank.FOLDER.glob("*.nc"))


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_scores_of_exact_draws_and_of_shifted_ones():
    """N(0, 1) in 6 dimensions; members moved by 1 have E|X - Y| - 1 / sqrt(pi) in closed form."""
    y, x, w = normal(2000, 6, seed=0), normal(400, 6, seed=1), torch.full((400,), 1 / 400, dtype=F64)
    exact, moved = bank_scores.scores(x, w, y), bank_scores.scores(x + 1, w, y)
    assert abs(exact["crps_ratio"] - 1) < 0.02 and abs(exact["coverage90"] - 0.9) < 0.02
    assert abs(exact["c2st"] - 0.5) < 0.05  # 400 members: a standard error of 0.025 or so
    z = 1 / math.sqrt(2)
    apart = math.sqrt(2) * (2 * math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) + z * math.erf(z / math.sqrt(2)))
    wanted = (apart - 1 / math.sqrt(math.pi)) * math.sqrt(math.pi)
    assert abs(moved["crps_ratio"] / wanted - 1) < 0.05  # standard error of the mean 1 / 20 in each dimension
    assert abs(moved["bias"] - 1) < 0.1 and abs(moved["std_ratio"] - 1) < 0.05
    assert moved["c2st"] > 0.8
    # along a unit vector u the law moves by |sum(u)|, whose mean over the sphere is 0.83; 100 vectors are drawn
    assert abs(moved["sliced_w1"] - 0.83) < 0.15 and exact["sliced_w1"] < 0.12


def test_weights_count_as_copies():
    y, x = normal(300, 3, seed=2), normal(5, 3, seed=3)
    copies = x[[0, 0, 0, 1, 2, 2, 3, 4]]
    flat, weights = torch.full((8,), 1 / 8, dtype=F64), torch.tensor([3, 1, 2, 1, 1], dtype=F64) / 8
    assert abs(bank_scores.sliced_w1(x, weights, y) - bank_scores.sliced_w1(copies, flat, y)) < 1e-12
    one, other = (bank_scores._mean_distance(a, w, y) for a, w in ((x, weights), (copies, flat)))
    assert abs(one - other) < 1e-12


@pytest.mark.parametrize("name", ["burgers-final", "darcy-49", "darcy-wells"])
def test_operators_and_their_dense_derivatives(name):
    """The derivative in closed form against the one by autograd through the solver, to rounding; values as well."""
    case = bank_cases.CASES[name]()
    operator = case.observation.operator
    x = case.prior.start(torch.zeros((), dtype=F64), _Streams(2))
    (value, dense), (other, slope) = operator.at(x), Operator.at(operator, x)
    torch.testing.assert_close(value, operator(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(other, value, rtol=0, atol=1e-12)
    y, v = normal(2, operator.m, seed=4), normal(2, *operator.event, seed=5)
    torch.testing.assert_close(dense.adjoint(y), slope.adjoint(y), rtol=0, atol=1e-10)
    torch.testing.assert_close(dense(v), slope(v), rtol=0, atol=1e-10)


def test_what_cannot_be_solved_is_not_a_number_and_harms_no_other_row():
    operator = bank_cases.CASES["darcy-49"]().observation.operator
    x = torch.zeros(3, *operator.event, dtype=F64)
    x[1], x[2, 0, 0, 3, 3] = 200.0, torch.nan
    value, dense = operator.at(x)
    for seen in (operator(x), value):
        assert seen[0].isfinite().all() and seen[1:].isnan().all()
    assert dense.matrices[0].isfinite().all()


class _Streams:
    def __init__(self, rows):
        self.rows = rows

    def normal(self, shape):
        return normal(self.rows, *shape, seed=6)


@pytest.mark.parametrize("name", bank_cases.CASES)
def test_priors_have_the_spread_that_they_state(name):
    """The mean variance over points is that of the coefficients; a stationary field has it everywhere."""
    prior = bank_cases.CASES[name]().prior
    d = prior.mean.numel()
    covariance = prior.surrogate(torch.tensor(torch.inf, dtype=F64)).apply(
        torch.eye(d, dtype=F64).reshape(d, *prior.event)
    )
    variance = covariance.flatten(1).diagonal()
    assert abs(float(variance.mean() / prior.variance.mean()) - 1) < 1e-9
    if name.startswith("burgers"):
        assert (variance / 0.49 - 1).abs().max() < 1e-9


@pytest.mark.parametrize("name", STORED)
def test_stored_references_are_whole_and_converged(name):
    """Hash, data of the case, R-hat and ESS; draws agree with the moments of all chains to five standard errors."""
    found = bank.load(name)
    assert found.log["rhat"] <= 1.01 and found.log["bulk_ess"] >= 1000
    assert {"command", "seed", "versions", "chains", "steps", "acceptance"} <= set(found.log)
    z = (found.draws.mean(0) - found.mean) / found.std * math.sqrt(len(found.draws))
    assert float((z**2).mean()) < 4 and float(z.abs().max()) < 8  # neighbouring points are nearly one number
    assert ((found.draws.std(0) / found.std - 1).abs() < 0.35).all()


def test_bank_is_small():
    assert sum(file.stat().st_size for file in bank.FOLDER.glob("*")) < 3e6


def test_changed_files_and_other_data_are_refused(tmp_path):
    case = bank_cases.CASES["burgers-sparse"]()
    x = case.prior.mean + 0.1 * normal(50, *case.prior.event, seed=7)
    bank.write(case, x, {"seed": 0}, 20, tmp_path)
    found = bank.load(case.name, tmp_path)
    # packed in 16 bits over a range of about 1
    torch.testing.assert_close(found.draws, x[torch.linspace(0, 49, 20).round().long()], rtol=0, atol=2e-5)
    file = bank.path(case.name, tmp_path)
    with xr.open_dataset(file, engine="h5netcdf") as data:
        other = data.load().copy()
    other["y_obs"] = other["y_obs"] + 0.01
    other.to_netcdf(file, engine="h5netcdf")
    with pytest.raises(ValueError, match="has changed"):
        bank.load(case.name, tmp_path)
    hashes = {file.name: bank._digest(file)}
    (tmp_path / "manifest.json").write_text(json.dumps(hashes))
    with pytest.raises(ValueError, match="other data"):
        bank.load(case.name, tmp_path)
    with pytest.raises(FileNotFoundError, match="make_posterior_bank.py --cases darcy-16"):
        bank.load("darcy-16", tmp_path)


@pytest.mark.skipif("burgers-sparse" not in STORED, reason="the bank has no such case yet")
def test_the_benchmark_scores_what_fits_and_skips_in_words_what_does_not(monkeypatch):
    import common
    import posterior_bank

    monkeypatch.setattr(posterior_bank, "MEMBERS", 8)
    report = common.Report("posterior_bank", True, 0)
    posterior_bank.run(report, "burgers-sparse", ["ensemble-kalman", "smc", "dps"], (2,), 60.0)
    rows = {row["method"]: row for row in report.rows}
    assert set(rows) == {"reference", "ensemble-kalman", "smc", "dps"}
    assert 0.97 < rows["reference"]["crps_ratio"] < 1.03  # twenty subsets of eight draws, each within about 0.05
    assert rows["ensemble-kalman"]["operator_calls"] == 4 and rows["dps"]["network_calls"] == 4
    assert "needs a linear operator" in rows["smc"]["skipped"] and "crps_ratio" not in rows["smc"]
    assert rows["dps"]["crps_ratio"] > 1 and rows["dps"]["seconds"] > 0
