"""Noise laws. Truths: the densities, scores by differences and Fisher informations (quadrature) of scipy.stats."""

import numpy as np
import pytest
import torch
from analytic import F64
from scipy import stats

from sciml_diffusion.observations.censored import Censored, hazard
from sciml_diffusion.observations.noise import Correlated, Gaussian
from sciml_diffusion.observations.noise_laws import Mixed, Poisson, StudentT


def numbers(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=F64)


def poisson() -> Poisson:
    return Poisson(numbers(2.0, 0.5, 10.0), numbers(0.0, 3.0, 1.0))


def student() -> StudentT:
    return StudentT(numbers(0.3, 1.0, 2.0), numbers(1.0, 4.0, 30.0))


def censored() -> Censored:
    return Censored(numbers(0.5, 1.0, 2.0), numbers(-1.0, -torch.inf, 0.5), numbers(1.0, 2.0, 0.5))


H = numbers(0.3, 1.7, 0.9)[None]
READINGS = {  # law, and readings of its sensors of every kind
    "gaussian": (lambda: Gaussian(numbers(0.5, 1.0, 2.0)), [numbers(0.0, 3.0, -1.0)]),
    "poisson": (poisson, [numbers(0.0, 4.0, 13.0), numbers(2.0, 0.0, 0.0)]),
    "student": (student, [numbers(0.0, 30.0, 1.0)]),
    "censored": (censored, [numbers(-1.0, 2.0, 3.0), numbers(1.0, 0.3, -2.0), numbers(0.2, -5.0, 0.6)]),
}


@pytest.mark.parametrize("name", READINGS)
def test_densities_are_scipy_s(name):
    make, readings = READINGS[name]
    law, h = make(), H.numpy()[0]
    for y in readings:
        found = law.log_prob(y[None], H)[0].numpy()
        z = y.numpy()
        if name == "gaussian":
            truth = stats.norm.logpdf(z, h, law.std.numpy())
        elif name == "poisson":
            truth = stats.poisson.logpmf(z, law.rate(H).numpy()[0])
        elif name == "student":
            truth = stats.t.logpdf(z, law.dof.numpy(), h, law.std.numpy())
        else:
            std, low, high = law.std.numpy(), law.low.numpy(), law.high.numpy()
            below, above = (s.numpy()[0] for s in law.sides(y[None]))
            truth = np.where(below, stats.norm.logcdf(low, h, std), stats.norm.logpdf(z, h, std))
            truth = np.where(above, stats.norm.logsf(high, h, std), truth)
        np.testing.assert_allclose(found, truth, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", READINGS)
def test_score_and_local_are_the_derivative(name):
    make, readings = READINGS[name]
    law, d = make(), 1e-5
    for y in readings:
        difference = (law.log_prob(y[None], H + d) - law.log_prob(y[None], H - d)) / (2 * d)
        # central differences of functions of size ten: 1e-10 of truncation, 1e-10 of rounding
        torch.testing.assert_close(law.score(y[None], H), difference, rtol=1e-7, atol=1e-7)
        residual, std = law.local(y[None], H)
        torch.testing.assert_close(residual / std**2, difference, rtol=1e-7, atol=1e-7)


def test_information_is_fisher_s():
    law = poisson()
    counts = torch.arange(400, dtype=F64)[:, None].expand(-1, 3)
    weight = law.log_prob(counts, H).exp()
    fisher = (weight * law.score(counts, H.expand(400, 3)) ** 2).sum(0)
    torch.testing.assert_close(law.information(counts[:1], H)[0], fisher, rtol=1e-10, atol=0)


def test_heavy_tails_are_iterated_least_squares():
    law, y = student(), numbers(0.0, 30.0, 1.0)[None]
    residual, std = law.local(y, H)
    torch.testing.assert_close(residual, y - H, rtol=1e-12, atol=0)
    d = 1e-4
    curvature = -(law.score(H, H + d) - law.score(H, H - d)) / (2 * d)  # where h = y
    torch.testing.assert_close(law.information(H, H), curvature, rtol=1e-6, atol=0)


def test_information_of_a_limit_is_the_curvature():
    law, d = censored(), 1e-4
    for y in READINGS["censored"][1]:
        second = (law.score(y[None], H + d) - law.score(y[None], H - d)) / (2 * d)
        torch.testing.assert_close(law.information(y[None], H), -second, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", READINGS)
def test_draws_have_the_law(name):
    law = READINGS[name][0]()
    y = law.draw(H.expand(20000, 3), torch.Generator().manual_seed(0))
    law.check(y)
    for i in range(3):
        h, z = float(H[0, i]), y[:, i].numpy()
        if name == "poisson":
            values, counts = np.unique(z, return_counts=True)
            keep = counts > 20
            share = stats.poisson.pmf(values[keep], float(law.rate(H)[0, i]))
            # binomial errors: 4.5 standard deviations are passed once in ten thousand bins
            assert (np.abs(counts[keep] / 20000 - share) < 4.5 * np.sqrt(share / 20000)).all()
            continue
        std = float(law.std[i])
        if name == "censored":
            below, above = (s[:, i].double().mean() for s in law.sides(y))
            for share, truth in (
                (below, stats.norm.cdf(float(law.low[i]), h, std)),
                (above, stats.norm.sf(float(law.high[i]), h, std)),
            ):
                assert abs(float(share) - truth) < 4.5 * np.sqrt(0.25 / 20000)
            continue
        cdf = stats.norm(h, std).cdf if name == "gaussian" else stats.t(float(law.dof[i]), h, std).cdf
        assert stats.kstest(z, cdf).pvalue > 1e-3  # fixed seed: holds or not for good


@pytest.mark.parametrize("dtype", [F64, torch.float32])
@pytest.mark.parametrize("name", READINGS)
def test_far_in_the_tails_all_is_finite(name, dtype):
    make, readings = READINGS[name]
    law = make().to(dtype, "cpu")
    for shift in (-1e6, -1e3, -40.0, 40.0, 1e3, 1e6):
        for y in readings:
            h = (H + shift).to(dtype)
            parts = (law.log_prob(y[None], h), law.score(y[None], h), *law.local(y[None], h))
            assert all(part.isfinite().all() and part.dtype == dtype for part in parts)
            assert (law.information(y[None], h) > 0).all()


def test_members_without_counts_are_led_back():
    law = poisson()
    score = law.score(numbers(3.0, 2.0, 1.0)[None], numbers(-5.0, -50.0, -1.0)[None])
    assert (score > 0).all()


def test_mixed_is_its_parts():
    laws = [make() for make, _ in READINGS.values()]
    y = torch.cat([readings[0] for _, readings in READINGS.values()])[None]
    mixed, h = Mixed(laws), H.repeat(1, 4)
    assert mixed.m == 12
    for method in ("log_prob", "score", "information"):
        parts = [getattr(law, method)(a, H) for law, a in zip(laws, y.split(3, 1), strict=True)]
        torch.testing.assert_close(getattr(mixed, method)(y, h), torch.cat(parts, 1), rtol=1e-13, atol=0)  # rounding
    mixed.to(torch.float32, "cpu").check(y.float())
    drawn = mixed.draw(h.expand(5, -1), torch.Generator().manual_seed(0))
    assert drawn.shape == (5, 12) and drawn.isfinite().all()
    with pytest.raises(ValueError, match="stack"):
        Mixed([Correlated(torch.eye(2, dtype=F64))])


def test_hazard_of_both_tails():
    u = numbers(-30.0, -5.0, 0.0, 5.0)
    truth = np.exp(stats.norm.logpdf(u.numpy()) - stats.norm.logcdf(u.numpy()))
    np.testing.assert_allclose(hazard(u).numpy(), truth, rtol=1e-10)


@pytest.mark.parametrize(
    ("law", "y", "text"),
    [
        (poisson, (-1.0, 1.0, 1.0), "whole numbers >= 0; 1 observed values are not, the first is -1"),
        (poisson, (0.5, 1.0, torch.nan), "whole numbers >= 0; 2"),
        (student, (torch.inf, 1.0, 1.0), "not finite"),
        (censored, (-2.0, 0.0, 1.0), "beyond the limits of their sensors, the first is -2"),
        (censored, (0.0, 0.0, 0.5), "neither above nor below"),
        (censored, (torch.nan, 0.0, 0.5), "not finite"),
    ],
)
def test_readings_that_cannot_be_are_refused(law, y, text):
    with pytest.raises(ValueError, match=text):
        law().check(numbers(*y)[None])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Poisson(numbers(0.0)), "gain"),
        (lambda: Poisson(numbers(1.0), numbers(-1.0)), "background"),
        (lambda: StudentT(numbers(0.0), numbers(4.0)), "std must be"),
        (lambda: StudentT(numbers(1.0), numbers(torch.inf)), "dof must be"),
        (lambda: Censored(numbers(0.0), numbers(0.0), numbers(1.0)), "std must be"),
        (lambda: Censored(numbers(1.0), numbers(2.0), numbers(1.0)), "low <= high"),
        (lambda: Censored(numbers(1.0), numbers(torch.inf), numbers(torch.inf)), "infinity"),
        (lambda: Mixed([]), "expected laws"),
    ],
)
def test_laws_that_make_no_sense_are_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()
