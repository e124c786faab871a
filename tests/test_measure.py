"""Any operator on a prior's windows. Truths: kriging by hand on a small Gaussian prior, quadrature for a switch."""

import numpy as np
import pandas as pd
import pytest
import torch
from analytic import F64
from scipy import stats

import sciml_diffusion as sd
from sciml_diffusion.codecs.standardise import Standardise
from sciml_diffusion.denoisers.basis import MatrixBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.observations.noise_laws import Poisson, StudentT
from sciml_diffusion.observations.operators import Matrix
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.prior import Prior, Variable

T, X = 3, 8
EVENT, MEAN, STD = (1, T, X), 5.0, 2.0
HOUR, START = np.timedelta64(1, "h"), np.datetime64("2020-01-01T00", "ns")


def covariance() -> np.ndarray:
    """C of a physical window, with shape (24, 24)."""
    t, x = (a.ravel() for a in np.meshgrid(np.arange(T), np.arange(X), indexing="ij"))
    return STD**2 * np.exp(-np.abs(t[:, None] - t) / 4 - (x[:, None] - x) ** 2 / 8)


def make(step) -> Prior:
    values, vectors = (torch.from_numpy(m) for m in np.linalg.eigh(covariance() / STD**2))
    denoiser = GaussianDenoiser(torch.zeros(EVENT, dtype=F64), MatrixBasis(vectors, EVENT), values.clamp_min(1e-9))
    codec = Standardise(torch.tensor(MEAN).double(), torch.tensor(STD).double(), EVENT, frames_as_channels=False)
    grid = Grid(("x",), (np.arange(X, dtype=np.float64),), (None,))
    return Prior(denoiser, codec, grid, (Variable("u", "K"),), T, step, (0.01, 10.0), {"start": "2020-01-01"})


DATED, MODEL = make(HOUR), make(0.5)
MATRIX = np.random.default_rng(0).normal(size=(4, T * X)) / 4


def kriging(matrix, y, noise) -> tuple[np.ndarray, np.ndarray]:
    """Exact mean and standard deviation given y = A x + e, e ~ N(0, noise); each with shape (24,)."""
    c = covariance()
    gain = np.linalg.solve(matrix @ c @ matrix.T + noise, matrix @ c).T
    return MEAN + gain @ (y - matrix.sum(1) * MEAN), np.sqrt(np.diag(c - gain @ matrix @ c))


def sample(prior, obs, members=400, **options):
    return sd.posterior(
        prior, obs, members=members, seed=1, progress=False, **({"method": "mmps", "steps": 6} | options)
    )


def assert_is(post, mean, std, members=400):
    """Within 4.5 standard errors: 24 correlated normals pass it but for one seed in five thousand."""
    assert np.abs((post["u"].mean("realization").values.ravel() - mean) / (std / members**0.5)).max() < 4.5
    np.testing.assert_allclose(post["u"].std("realization").values.ravel(), std, rtol=4.5 / (2 * members) ** 0.5)


@pytest.mark.parametrize("prior", [DATED, MODEL])
def test_any_linear_operator_is_kriging(prior):
    y, start = np.array([1.0, -2.0, 3.0, 0.5]), START if prior is DATED else None
    truth = kriging(MATRIX, y, 0.25 * np.eye(4))
    operator = Matrix(torch.from_numpy(MATRIX), EVENT)
    post = sample(prior, sd.measure(prior, operator, y, std=0.5, start=start))
    assert_is(post, *truth)
    assert post["u"].dims == ("realization", "time", "x") and post["u"].attrs["units"] == "K"
    assert post["time"].values[0] == (START if prior is DATED else 0.0) and post.sizes["time"] == T
    mine = sd.measure(prior, lambda x: x.flatten(1) @ torch.from_numpy(MATRIX).T.to(x), y, std=[0.5] * 4, start=start)
    assert_is(sample(prior, mine), *truth)  # a function, linearised where it is linear


def table(x, hour, value, **columns):
    time = START + np.asarray(hour) * HOUR
    frame = pd.DataFrame({"time": time, "x": x, "value": value, "variable": "u", "std": 0.3, "units": "K"} | columns)
    return sd.observe(frame)


def test_tables_and_measurements_are_stacked_in_their_windows():
    matrix = np.concatenate([MATRIX, np.eye(T * X)[[2, X + 5]]])
    y = np.array([[1.0, -2.0, 3.0, 0.5], [0.0, 1.0, 2.0, 3.0]])
    starts = START + np.array([0, 5]) * HOUR
    measured = sd.measure(DATED, Matrix(torch.from_numpy(MATRIX), EVENT), y, std=0.5, start=starts)
    sensors = table([2.0, 5.0, 2.0, 5.0], [0, 1, 5, 6], [6.0, 4.0, 7.0, 1.0])
    post = sample(DATED, [sensors, measured])
    assert post["time"].values.tolist() == (starts[:, None] + np.arange(T) * HOUR).ravel().tolist()
    noise = np.diag([0.25] * 4 + [0.09] * 2)
    for window, seen in enumerate([[6.0, 4.0], [7.0, 1.0]]):
        part = post.isel(time=slice(window * T, (window + 1) * T))
        assert_is(part, *kriging(matrix, np.concatenate([y[window], seen]), noise))


def test_two_tables_are_one():
    both = table([2.0, 5.0], [0, 1], [6.0, 4.0])
    parts = [both.isel(observation=[0]), both.isel(observation=[1])]
    np.testing.assert_allclose(sample(DATED, parts)["u"].values, sample(DATED, both)["u"].values, atol=1e-5)


def test_windows_that_only_some_saw():
    measured = sd.measure(DATED, Matrix(torch.from_numpy(MATRIX), EVENT), np.zeros(4), std=0.5, start=START)
    sensors = table([2.0], [4], [6.0])
    post = sample(DATED, [sensors, measured], members=8, starts=START + np.array([0, 3]) * HOUR)
    assert post.sizes["time"] == 6 and np.isfinite(post["u"]).all()
    with pytest.raises(ValueError, match="lie in no window"):
        sample(DATED, [sensors, measured], members=8)
    with pytest.raises(ValueError, match="starts are"):
        sample(DATED, [measured], members=8, starts=START + np.array([3]) * HOUR)


def test_a_switch_in_a_table_moves_the_field_to_its_side():
    sensors = table([3.0], [0], [7.0], sense=">")
    post = sample(DATED, sensors, members=800)
    h = np.linspace(MEAN - 8 * STD, MEAN + 8 * STD, 4001)
    weight = stats.norm.pdf(h, MEAN, STD) * stats.norm.sf(7.0, h, 0.3)
    mean = (weight * h).sum() / weight.sum()  # 8.0, with a spread of 0.93
    drawn = post["u"].sel(x=3.0).isel(time=0).values
    # mmps is not exact here, and stays somewhat close to the limit: within half of the posterior's spread
    assert abs(drawn.mean() - mean) < 0.47 and (drawn > 6.0).mean() > 0.95


@pytest.mark.parametrize("law", ["student", "counts"])
def test_other_laws_run_end_to_end(law):
    operator = Matrix(torch.eye(T * X, dtype=F64)[[3, 12]], EVENT)
    if law == "student":
        noise, y = StudentT(torch.full((2,), 0.3, dtype=F64), torch.full((2,), 3.0, dtype=F64)), [7.0, 40.0]
    else:
        noise, y = Poisson(torch.full((2,), 10.0, dtype=F64)), [70.0, 45.0]
    post = sample(MODEL, sd.measure(MODEL, operator, y, noise=noise), members=256, steps=16)
    seen = post["u"].values.reshape(256, -1)[:, [3, 12]]
    h = np.stack(np.meshgrid(*[np.linspace(-5, 15, 401)] * 2, indexing="ij"), -1).reshape(-1, 2)
    log_prior = stats.multivariate_normal([MEAN] * 2, covariance()[np.ix_([3, 12], [3, 12])]).logpdf(h)
    log_joint = log_prior + noise.log_prob(torch.tensor([y], dtype=F64), torch.from_numpy(h)).sum(1).numpy()
    weight = np.exp(log_joint - log_joint.max())[:, None] / np.exp(log_joint - log_joint.max()).sum()
    mean = (weight * h).sum(0)
    std = np.sqrt((weight * (h - mean) ** 2).sum(0))
    # mmps is not exact for these laws: a third of the posterior's spread, beside the errors of 256 draws
    assert (np.abs(seen.mean(0) - mean) < (1 / 3 + 4 / 16) * std).all()
    np.testing.assert_allclose(seen.std(0), std, rtol=0.25)


GOOD = Matrix(torch.from_numpy(MATRIX), EVENT)


@pytest.mark.parametrize(
    ("operator", "y", "options", "text"),
    [
        (
            Matrix(torch.ones(1, 16, dtype=F64), (1, 2, 8)),
            [0.0],
            {"std": 1.0},
            r"\(C, T, \*S\) = \(1, 3, 8\): u; 3 frames",
        ),
        (GOOD, [0.0], {"std": 1.0}, r"gives 4 numbers.*got \(1, 1\)"),
        (GOOD, np.zeros(4), {}, "give std="),
        (GOOD, np.zeros(4), {"std": 1.0, "noise": Poisson(torch.ones(4))}, "one of the two"),
        (GOOD, np.zeros(4), {"std": 0.0}, "std must be finite and > 0"),
        (GOOD, np.zeros(4), {"std": np.inf}, "std must be finite and > 0"),
        (GOOD, np.zeros(4), {"std": [1.0, 1.0]}, "std is one number or 4"),
        (GOOD, [np.nan, 0, 0, 0], {"std": 1.0}, "not finite"),
        (GOOD, [-1.0, 0, 0, 0], {"noise": Poisson(torch.ones(4))}, "counts are whole numbers"),
        (GOOD, np.zeros(4), {"std": 1.0, "start": "soon"}, "start must be a number"),
        (GOOD, np.zeros((2, 4)), {"std": 1.0}, "y holds 2 windows"),
        (lambda x: x.flatten(1)[:, :3], [0.0], {"std": 1.0}, "must return shape"),
        (lambda x: x.flatten(2) @ x, [0.0], {"std": 1.0}, "the operator failed on windows of shape"),
        (lambda x: (x - x.mean(0)).flatten(1)[:, :1], [0.0], {"std": 1.0}, "row n of its result"),
        (lambda x: x.flatten(1)[:, :1].numpy(), [0.0], {"std": 1.0}, "a tensor, .* it returned a ndarray"),
        (lambda x: x.detach().flatten(1)[:, :1], [0.0], {"std": 1.0}, "cannot differentiate .* differentiable=False"),
        (GOOD, [], {"std": 1.0}, "nothing was measured"),
        (lambda x: (x - 1e9).log().flatten(1)[:, :1], [0.0], {"std": 1.0}, "not finite for windows"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(operator, y, options, text):
    with pytest.raises(ValueError, match=text):
        sd.measure(MODEL, operator, y, **options)


def test_times_kinds_and_black_boxes_are_refused_in_words():
    with pytest.raises(ValueError, match="give start="):
        sd.measure(DATED, GOOD, np.zeros(4), std=1.0)
    with pytest.raises(ValueError, match="start must be a time such as"):
        sd.measure(DATED, GOOD, np.zeros(4), std=1.0, start="noon")
    with pytest.raises(TypeError, match="Operator or a function"):
        sd.measure(MODEL, "mean", [0.0], std=1.0)
    with pytest.raises(TypeError, match="noise= is a law of observations/.*got float"):
        sd.measure(MODEL, GOOD, np.zeros(4), noise=1.0)
    with pytest.raises(TypeError, match="must be a table of sensors; got float"):
        sd.posterior(MODEL, [1.0])
    with pytest.raises(ValueError, match="nothing was observed"):
        sd.posterior(MODEL, [])
    box = sd.measure(MODEL, lambda x: x.flatten(1)[:, :1], [0.0], std=1.0, differentiable=False)
    with pytest.raises(ValueError, match="black box"):
        sample(MODEL, box, method="mmps", members=8)
    assert "1 numbers of Function, Gaussian noise" in repr(box)


def test_rows_without_a_value_are_no_truth():
    sensors = table([2.0, 5.0, 6.0], [0, 0, 0], [6.0, 4.0, 5.0], sense=["", "", "<"])
    post = sample(DATED, sensors, members=16)
    with pytest.raises(ValueError, match="cannot serve as truth"):
        sd.score(post, sensors)
    scores = sd.leave_stations_out(DATED, sensors, folds=2, members=16, steps=4, progress=False)
    assert scores["crps"] > 0
    with pytest.raises(ValueError, match="stations that report values, 2"):
        sd.leave_stations_out(DATED, sensors, folds=3)
