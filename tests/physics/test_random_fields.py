"""Periodic random fields. Truth: their spectrum in closed form."""

import math

import pytest
import torch

from sciml_diffusion.physics.random_fields import PeriodicRandomField


def positions(points: int) -> torch.Tensor:
    return torch.arange(points, dtype=torch.float64) / points


def test_the_same_seed_is_the_same_function_on_every_grid_with_any_modes():
    """Values at common points agree to rounding; more modes only add the tail."""
    field, more = PeriodicRandomField(), PeriodicRandomField(modes=128)
    c = field.coefficients(7, [0, 3])
    coarse, fine = field.evaluate(c, positions(32)), field.evaluate(c, positions(256))
    assert (coarse - fine[:, ::8]).abs().max() < 1e-14
    assert torch.equal(more.coefficients(7, [0, 3])[:, :64], c)
    assert torch.equal(field.coefficients(7, [3]), c[1:])
    assert not torch.equal(field.coefficients(8, [3]), c[1:])


def test_amplitudes_are_those_of_the_law():
    """s_1 = sqrt 2 * 49 * (4 pi^2 + 49)^-1.25, evaluated by hand: 0.255; slope of the tail is -gamma."""
    s = PeriodicRandomField().amplitudes
    assert s[0].item() == pytest.approx(math.sqrt(2) * 49 * (4 * math.pi**2 + 49) ** -1.25, rel=1e-12)
    assert (s[63] / s[31]).log2().item() == pytest.approx(-2.5, abs=0.01)


def test_variance_and_covariance_of_draws():
    """4000 draws: the standard error of a variance is sqrt(2 / 4000) = 2.2 %; 5 of them are allowed."""
    field = PeriodicRandomField()
    u = field.evaluate(field.coefficients(0, range(4000)), positions(16))
    assert (u.var(0) / field.variance - 1).abs().max() < 0.11
    empirical = (u[:, :1] * u).mean(0)
    expected = field.covariance(positions(16))
    assert expected[0].item() == pytest.approx(field.variance, rel=1e-12)
    assert (empirical - expected).abs().max() < 0.11 * field.variance


def test_length_stretches_the_axis():
    """With period L and wavenumbers 2 pi k / L, u has the period L; to rounding."""
    field = PeriodicRandomField(length=3.0)
    c = field.coefficients(0, [0])
    u = field.evaluate(c, torch.tensor([0.4, 3.4], dtype=torch.float64))
    assert (u[:, 0] - u[:, 1]).abs().max() < 1e-13


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="gamma > 0.5"):
        PeriodicRandomField(gamma=0.2)
    with pytest.raises(ValueError, match="at most 4"):
        PeriodicRandomField(modes=4).evaluate(torch.zeros(1, 5, 2), positions(8))
