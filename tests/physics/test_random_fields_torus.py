"""Random fields on the torus. Truth: their spectrum in closed form, and FNO's law as its own formula states it."""

import math

import pytest
import torch
from physics.closed_forms_spectral import mesh

from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.random_fields_torus import TorusRandomField

F64 = torch.float64


def unit(n: int, dims: tuple[str, str] = ("y", "x")) -> Grid:
    return Grid.periodic((n, n), (1.0, 1.0), dims)


def test_the_variance_is_that_of_the_public_law():
    """Var = sum over k != 0 of 2 * 7^3 (4 pi^2 |k|^2 + 49)^(-5/2) = 0.0686; 32 shells hold all but 1e-4 of it."""
    side = torch.arange(-200, 201, dtype=F64)
    square = 4 * math.pi**2 * (side[:, None] ** 2 + side**2)
    terms = 2 * 7.0**3 * (square + 49) ** -2.5
    whole = (terms.sum() - terms[200, 200]).item()
    assert whole == pytest.approx(0.0686, abs=5e-5)
    assert TorusRandomField().variance == pytest.approx(whole, rel=1e-4)


def test_the_same_seed_is_the_same_function_on_every_grid_with_any_modes():
    """Values at common points agree to rounding, also above a grid's own modes; more modes only add the tail."""
    field, more = TorusRandomField(modes=12), TorusRandomField(modes=20)
    c = field.coefficients(7, [0, 3])
    coarse, fine = field.evaluate(c, unit(8)), field.evaluate(c, unit(32))
    assert (coarse - fine[:, ::4, ::4]).abs().max() < 1e-14
    assert torch.equal(more.coefficients(7, [0, 3])[:, : c.shape[1]], c)
    assert (more.evaluate(c, unit(8)) - coarse).abs().max() < 1e-14
    assert torch.equal(field.coefficients(7, [3]), c[1:])
    assert not torch.equal(field.coefficients(8, [3]), c[1:])


def test_values_are_the_sum_of_waves():
    """Direct sum over the modes at the points of a rectangle, for either order of the axes; to rounding."""
    field = TorusRandomField(modes=3, length=2.0)
    c = field.coefficients(0, [5])
    for dims in (("x", "y"), ("y", "x")):
        grid = Grid.periodic((6, 10), (2.0, 2.0), dims)
        x, y = mesh(grid)
        phase = math.pi * (field.shells[:, 0, None, None] * x + field.shells[:, 1, None, None] * y)
        waves = c[0, :, 0, None, None] * phase.cos() + c[0, :, 1, None, None] * phase.sin()
        direct = (field.amplitudes[:, None, None] * waves).sum(0)
        assert (field.evaluate(c, grid)[0] - direct).abs().max() < 1e-14


def test_every_wave_is_there_once():
    """(2 m + 1)^2 - 1 wavevectors, one of k and -k in the table, in shells that do not decrease."""
    k = TorusRandomField(modes=5).shells
    both = {tuple(row) for row in torch.cat([k, -k]).tolist()}
    assert len(k) == 60 and len(both) == 120 and (0, 0) not in both
    assert (k.abs().amax(1).diff() >= 0).all()


def test_draws_have_the_law():
    """Mean spectrum of 400 draws: power at |k| = 1 and 3 within 5 standard errors (16 and 8 numbers a draw)."""
    field = TorusRandomField(modes=8)
    w = field.evaluate(field.coefficients(0, range(400)), unit(24))
    power = torch.fft.fft2(w, norm="forward").abs().square().mean(0)
    for axes in ((1, 0), (0, 1), (3, 0), (0, 3)):
        expected = 7.0**3 * 2 * (4 * math.pi**2 * (axes[0] ** 2 + axes[1] ** 2) + 49) ** -2.5
        assert power[axes].item() == pytest.approx(expected, rel=5 / math.sqrt(400))
    assert w.square().mean().item() == pytest.approx(field.variance, rel=0.1)
    assert w.mean((1, 2)).abs().max() < 1e-14


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="alpha > 1"):
        TorusRandomField(alpha=0.5)
    with pytest.raises(ValueError, match="at most 12"):
        TorusRandomField(modes=2).evaluate(torch.zeros(1, 13, 2), unit(8))
    with pytest.raises(ValueError, match="axes x and y"):
        TorusRandomField(modes=2).evaluate(torch.zeros(1, 12, 2), Grid.periodic((8,), (1.0,)))
