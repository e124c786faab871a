"""Verdicts. Truths: laws of Gaussian innovations by dense linear algebra; false alarms and detections by simulation."""

import math
import re

import numpy as np
import pytest
import torch
import xarray as xr
from analytic import F64, grf_prior, small_gaussian
from scipy import stats

import sciml_diffusion as sd
from sciml_diffusion.codecs.standardise import Standardise
from sciml_diffusion.denoisers.basis import FourierBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.denoisers.wrapped import Wrapped
from sciml_diffusion.evaluate.leave_one_out import dataset_leave_one_out, leave_one_out_pit, pareto
from sciml_diffusion.evaluate.verdict import Layout, examine, ranked
from sciml_diffusion.observations.innovations import Innovations
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Weighted
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.prior import Prior, Variable

INFINITY = torch.tensor(math.inf, dtype=F64)
EXACT = {"rtol": 1e-9, "atol": 1e-9}  # float64 algebra of small matrices


def _law(windows: int = 4) -> tuple[GaussianDenoiser, Observation, Innovations, torch.Tensor]:
    """A small Gaussian problem, its innovations, and P = A C A^T by dense algebra."""
    denoiser, observation = small_gaussian(windows)
    covariance = denoiser.surrogate(INFINITY)
    a = observation.operator.rows(F64).flatten(1)
    p = a @ covariance.apply(a)[..., :].T
    return denoiser, observation, Innovations(observation, denoiser.mean, covariance), p


def test_evidence_and_chi_square_are_those_of_the_dense_law():
    denoiser, observation, law, p = _law()
    z = observation.y - observation.operator(denoiser.mean[None])
    r = torch.diag(observation.std**2)
    torch.testing.assert_close(law.chi_square(law.w), (z @ torch.linalg.inv(p + r) * z).sum(1), **EXACT)
    noise, amplitude = torch.tensor([0.5, 1.0, 2.0], dtype=F64), torch.tensor([1.0, 3.0, 0.2], dtype=F64)
    found = law.log_evidence(law.w, noise, amplitude)
    for q in range(3):
        s = amplitude[q] ** 2 * p + noise[q] ** 2 * r
        exact = torch.distributions.MultivariateNormal(torch.zeros(3, dtype=F64), s).log_prob(z)
        torch.testing.assert_close(found[:, q], exact, **EXACT)


def test_leave_one_out_and_bias_are_those_of_conditioned_gaussians():
    denoiser, observation, law, p = _law()
    z, s = observation.y - observation.operator(denoiser.mean[None]), p + torch.diag(observation.std**2)
    for i in range(3):
        rest = [j for j in range(3) if j != i]
        gain = torch.linalg.solve(s[rest][:, rest], s[rest, i])
        exact = (z[:, i] - z[:, rest] @ gain) / (s[i, i] - gain @ s[rest, i]).sqrt()
        torch.testing.assert_close(law.leave_one_out(law.w)[:, i], exact, **EXACT)
    groups = torch.tensor([[1, 0], [1, 0], [0, 1]])
    score, information = law.bias(law.w, groups)
    inverse, g = torch.linalg.inv(s), groups.double()
    torch.testing.assert_close(score, z @ inverse @ g, **EXACT)
    torch.testing.assert_close(information, (g.T @ inverse @ g).diagonal(), **EXACT)


def test_draws_have_the_law_of_the_innovations():
    law = _law()[2]
    w = law.draw(20000, torch.Generator().manual_seed(0))
    # the variance of 20000 normals has a relative error of 1 %; 4 of them are allowed
    torch.testing.assert_close(w.var(0) / (1 + law.values), torch.ones(3, dtype=F64), rtol=0, atol=0.04)


def _grf_layout(y_of) -> tuple:
    """Four windows of the 1-D field, 12 stations that report twice; data as a function of (A x, std, white noise)."""
    denoiser = grf_prior(1)
    index = torch.randperm(64, generator=torch.Generator().manual_seed(0))[:24, None]
    operator = Weighted(index, torch.ones(24, 1, dtype=F64), denoiser.event)
    covariance, std = denoiser.surrogate(INFINITY), torch.full((24,), 0.1, dtype=F64)
    stations = tuple(f"s{i % 12}" for i in range(24))

    def layout(seed: int) -> Layout:
        g = torch.Generator().manual_seed(seed)
        x = covariance.sqrt(torch.randn(4, *denoiser.event, generator=g, dtype=F64))
        noise = torch.randn(4, operator.m, generator=g, dtype=F64)
        y = y_of(operator(x), std, noise)
        innovations = Innovations(Observation(operator, y, std), denoiser.mean, covariance)
        return Layout(innovations, stations, torch.arange(operator.m))

    return layout


def test_false_alarms_come_in_five_per_cent_of_the_cases():
    layout = _grf_layout(lambda h, std, noise: h + std * noise)
    p = np.array([examine([layout(seed)], 99, seed).p for seed in range(200)])
    # the number of alarms in 200 cases lies in [3, 19] for 99.8 % of seeds if each has a chance of 5 %
    assert 3 <= (p < 0.05).sum() <= 19
    assert stats.kstest(p, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("y_of", "words"),
    [
        (lambda h, std, noise: h + std * (noise + 4 * (torch.arange(24) % 12 == 3)), "station s3 reads \\+0"),
        (lambda h, std, noise: h + 3 * std * noise, "their std were (2|3)"),
        (lambda h, std, noise: 3 * h + std * noise, "fields vary as if (2|3)"),
    ],
)
def test_what_is_wrong_is_named(y_of, words):
    layout = _grf_layout(y_of)
    found = [examine([layout(seed)], 499, seed) for seed in range(10)]
    assert sum(v.contradicts for v in found) >= 9
    assert sum(bool(re.search(words, v.words)) for v in found) >= 8


def test_contradictory_sensors_are_found():
    """Two sensors in one place that differ by twelve times their noise."""
    denoiser, observation = small_gaussian()
    operator = observation.operator
    twice = type(operator)(operator.rows(F64)[[0, 0, 1]].flatten(1), (6,))
    y = observation.y[:, [0, 0, 1]] + torch.tensor([[0.0, 2.4, 0.0]], dtype=F64)
    law = Innovations(
        Observation(twice, y, torch.full((3,), 0.2, dtype=F64)), denoiser.mean, denoiser.surrogate(INFINITY)
    )
    found = examine([Layout(law, ("a", "b", "c"), torch.zeros(3))])
    assert found.contradicts and found.p == 1 / 1000 and "contradict the model" in repr(found)


def test_ranks_of_one_test_are_its_p_value():
    tests, p, _ = ranked({"a": torch.cat([torch.tensor([18.5]), torch.arange(1.0, 20.0)])})
    assert tests["a"]["p"] == p == 2 / 20


def test_pareto_shape_is_found():
    for k in (0.0, 0.3, 0.8):
        x = torch.from_numpy(stats.genpareto.rvs(k, scale=2.0, size=(4000, 3), random_state=0)).sort(0).values
        shape, scale = pareto(x)
        # the standard error of k with 4000 excesses is (1 + k) / sqrt(4000) = .03 at most
        np.testing.assert_allclose(shape, k, atol=0.09)
        np.testing.assert_allclose(scale, 2.0, atol=0.2)


def test_leave_one_out_from_an_ensemble_is_that_of_the_closed_form():
    denoiser, observation = small_gaussian()
    observation = Observation(observation.operator, observation.y, 6 * observation.std)
    law = Innovations(observation, denoiser.mean, denoiser.surrogate(INFINITY))
    p = _law()[3]
    s = p + torch.diag(observation.std**2)
    gain = torch.linalg.solve(s, p)
    centre = observation.operator(denoiser.mean[None])
    mean, covariance = centre + (observation.y - centre) @ gain, p - p @ gain
    g = torch.Generator().manual_seed(0)
    root = torch.linalg.cholesky(covariance + 1e-12 * torch.eye(3, dtype=F64))
    seen = mean + torch.randn(20000, 3, generator=g, dtype=F64) @ root.T
    pit, k = leave_one_out_pit(seen, observation.y[0], observation.std)
    exact = torch.special.ndtr(law.leave_one_out(law.w)[0])
    assert (k < 0.7).all()
    torch.testing.assert_close(pit, exact, rtol=0, atol=0.02)  # 20000 members whose weights have a finite variance
    assert torch.isinf(leave_one_out_pit(seen[:8], observation.y[0], observation.std)[1]).all()


def test_the_facade_speaks_of_stations():
    fields = sd.open_dataset("era5-uk-t2m").isel(time=slice(-24, None))
    obs = sd.observe(fields, stations=16, std=0.1, seed=0)
    fine = sd.verdict("era5-uk-t2m", obs, replicates=199)
    assert set(fine.stations) == set(np.unique(obs["station"].values)) and len(fine.leave_one_out) == obs["value"].size
    obs["value"] = obs["value"] + 3.0 * (obs["station"] == obs["station"].values[0])
    wrong = sd.verdict("era5-uk-t2m", obs, replicates=199)
    assert wrong.contradicts and wrong.p <= fine.p
    assert abs(wrong.stations[str(obs["station"].values[0])]["z"]) > 5


def _small_prior(nearly_linear: bool = True):
    """Periodic fields of 16 points in 4 frames of model time, known in closed form."""
    k = torch.fft.fftfreq(16, d=1 / 16, dtype=F64)
    spectrum = (1 + k**2) ** -1.5
    denoiser = GaussianDenoiser(torch.zeros(1, 4, 16, dtype=F64), FourierBasis(1), spectrum.expand(1, 4, 16))
    codec = Standardise(torch.zeros(1, 1, 1).double(), torch.ones(1, 1, 1).double(), (1, 4, 16), False)
    grid = Grid(("x",), (np.arange(16) / 16,), (1.0,))
    if not nearly_linear:
        denoiser = _Bent(denoiser)
    return Prior(denoiser, codec, grid, (Variable("u", "1"),), 4, 1.0, (0.01, 5.0))


class _Bent(Wrapped):
    """A Gaussian that says of itself that it is far from linear."""

    nearly_linear = False


def _fields(samples: int, amplitude: float = 1.0) -> xr.Dataset:
    """Draws of the law of `_small_prior`, as samples in model time."""
    denoiser = _small_prior().denoiser
    z = torch.randn(samples, 1, 4, 16, generator=torch.Generator().manual_seed(0), dtype=F64)
    u = amplitude * denoiser.surrogate(INFINITY).sqrt(z)[:, 0]
    coords = {"sample": np.arange(samples), "time": np.arange(4.0), "x": np.arange(16) / 16}
    fields = xr.Dataset({"u": (("sample", "time", "x"), u.numpy(), {"units": "1"})}, coords)
    fields["x"].attrs["period"] = 1.0
    return fields


@pytest.mark.filterwarnings("ignore:the table states no units")
def test_what_is_usual_may_come_from_other_fields_or_from_fits():
    obs = sd.observe(_fields(1).isel(sample=0, drop=True), stations=5, std=0.05, seed=0)
    strong = _fields(60, amplitude=3.0)
    plain = sd.verdict(_small_prior(), obs)
    assert not plain.contradicts and "residual" not in plain.tests
    replayed = sd.verdict(_small_prior(), obs, reference=strong)
    assert replayed.tests["misfit"]["p"] == 1.0  # the least of all: the others vary three times as much
    fitted = sd.verdict(_small_prior(nearly_linear=False), obs, refits=24)
    assert fitted.tests["residual"]["p"] > 0.05 and not fitted.contradicts
    assert 0.7 < fitted.tests["residual"]["statistic"] < 1.4  # chi^2 of 20 readings over 20, mean of two members
    wrong = obs.assign(value=obs["value"] + np.where(np.arange(obs["value"].size) % 2, 3.0, -3.0))
    verdict = sd.verdict(_small_prior(nearly_linear=False), wrong, refits=24)
    assert verdict.contradicts and verdict.p == 1 / 25
    with pytest.raises(ValueError, match="grid"):
        sd.verdict(_small_prior(), obs, reference=strong.isel(x=slice(0, 8)))


@pytest.mark.filterwarnings("ignore:the table states no units")
def test_leave_one_out_of_a_posterior_dataset():
    obs = sd.observe(_fields(1).isel(sample=0, drop=True), stations=5, std=0.5, seed=0)
    post = sd.posterior(_small_prior(), obs, members=2000, steps=3, progress=False)
    found = dataset_leave_one_out(post, obs)["u"]
    exact = np.sort(sd.verdict(_small_prior(), obs, replicates=9).leave_one_out)
    assert (found["k"] < 0.7).all() and len(found["row"]) == 20
    # 2000 members, some of whose weights have heavy tails: to a few hundredths
    np.testing.assert_allclose(np.sort(found["pit"]), exact, atol=0.08)


@pytest.mark.filterwarnings("ignore:the table states no units")
def test_a_posterior_warns_of_data_that_contradict_each_other():
    obs = sd.observe(_fields(1).isel(sample=0, drop=True), stations=5, std=0.05, seed=0)
    twice = xr.concat([obs, obs.assign(value=obs["value"] + 2.0)], obs["value"].dims[0], data_vars="minimal")
    with pytest.warns(UserWarning, match="contradict"):
        sd.posterior(_small_prior(), twice, members=2, steps=2, progress=False)
