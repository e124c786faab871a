"""Random fields on rectangles. Truth: their spectra in closed form, and sums over their functions."""

import math

import pytest
import torch

from sciml_diffusion.physics.cosine import idct
from sciml_diffusion.physics.random_fields_bumps import BumpField
from sciml_diffusion.physics.random_fields_neumann import NeumannRandomField, two_phase
from sciml_diffusion.physics.random_fields_separable import SeparableRandomField


def centres(n: int, length: float = 1.0) -> torch.Tensor:
    return length * (torch.arange(n, dtype=torch.float64) + 0.5) / n


def test_it_is_the_inverse_cosine_transform_of_the_public_generator():
    """n tau^(alpha-1) (pi^2 |k|^2 + tau^2)^(-alpha/2) xi, zero mean mode, through an orthonormal idct; to rounding."""
    n, field = 16, NeumannRandomField(modes=16)
    xi = field.coefficients(0, [3])
    k = torch.arange(n, dtype=torch.float64)
    spectrum = n * 3 * (math.pi**2 * (k[:, None] ** 2 + k**2) + 9) ** -1.0 * xi
    spectrum[:, 0, 0] = 0
    expected = idct(idct(spectrum, -1), -2)
    assert (field.evaluate(xi, centres(n), centres(n)) - expected).abs().max() < 1e-13


def test_the_same_seed_is_the_same_function_on_every_grid_with_any_modes():
    field, more = NeumannRandomField(modes=32), NeumannRandomField(modes=64)
    c = field.coefficients(7, [0, 3])
    coarse, fine = field.evaluate(c, centres(9), centres(9)), field.evaluate(c, centres(27), centres(27))
    assert (coarse - fine[:, 1::3, 1::3]).abs().max() < 1e-13
    assert torch.equal(more.coefficients(7, [0, 3])[:, :32, :32], c)
    assert torch.equal(field.coefficients(7, [3]), c[1:])
    assert not torch.equal(field.coefficients(8, [3]), c[1:])


@pytest.mark.parametrize("bases", [("cosine", "cosine"), ("sine", "fourier"), ("fourier", "fourier")])
def test_variance_identity_and_draws(bases):
    """Mean over the rectangle of Var u = sum s^2; 2000 draws have a standard error of sqrt(2 / 2000) = 3.2 % at a
    point, of which 5 are allowed."""
    field = SeparableRandomField(bases, 2.5, 4.0, modes=12, lengths=(1.0, 2.0))
    y, x = centres(24), centres(24, 2.0)
    assert field.variance_at(y, x).mean().item() == pytest.approx(field.variance, rel=1e-12)
    u = field.evaluate(field.coefficients(0, range(2000)), y, x)
    expected = field.variance_at(y, x)
    assert ((u**2).mean(0) / expected - 1).abs().max() < 0.16
    assert u.mean(0).abs().max() < 6 * (expected.max() / 2000).sqrt()


def test_bases_meet_their_walls():
    """Sines vanish at the ends, cosines are even about them, waves have the period L; to rounding."""
    ends = torch.tensor([0.0, 2.0, 0.3, -0.3, 2.3], dtype=torch.float64)
    for kind, gap in (("sine", [(0, None), (1, None)]), ("cosine", [(2, 3)]), ("fourier", [(0, 1), (2, 4)])):
        field = SeparableRandomField((kind, "cosine"), 2.0, 3.0, modes=8, lengths=(2.0, 1.0))
        u = field.evaluate(field.coefficients(0, [0]), ends, centres(4))[0]
        assert all((u[i] - (0 if j is None else u[j])).abs().max() < 1e-13 for i, j in gap)


def test_two_phases():
    field = NeumannRandomField()
    g = field.evaluate(field.coefficients(0, range(4)), centres(32), centres(32))
    a = two_phase(g)
    assert set(a.unique().tolist()) == {3.0, 12.0}
    assert torch.equal(a == 12, g >= 0)


def test_mean_of_bumps():
    """E g in closed form against 20000 draws: the standard error of the mean is 0.9 / sqrt(20000); 5 are allowed."""
    law = BumpField()
    g = law.evaluate(law.draw(0, range(20000)), centres(12), centres(12))
    per_sample = g.mean((1, 2))
    assert abs(per_sample.mean().item() - law.mean) < 5 * per_sample.std().item() / math.sqrt(20000)
    assert torch.equal(law.draw(0, [5]), law.draw(0, range(6))[5:])
    assert BumpField(length=2.0).mean != pytest.approx(law.mean)  # w_i is an area drawn in units of length


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="tau must be > 0"):
        NeumannRandomField(tau=0.0)
    with pytest.raises(ValueError, match="alpha > 1"):
        NeumannRandomField(alpha=0.5)
    with pytest.raises(ValueError, match="two of"):
        SeparableRandomField(("cosine", "wave"), 2.0, 3.0)
    with pytest.raises(ValueError, match=r"shape \(B, 8, 8\); got \(1, 9, 9\)"):
        NeumannRandomField(modes=8).evaluate(torch.zeros(1, 9, 9), centres(4), centres(4))
    with pytest.raises(ValueError, match="bumps >= 1"):
        BumpField(0)
