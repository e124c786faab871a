"""Initial laws of PDEBench and WDNO. Truths: their ranges and moments, one function on all grids, streams by sample."""

import math

import pytest
import torch

from sciml_diffusion.physics.finite_volume.control_laws import ControlledBurgersLaw, control_times
from sciml_diffusion.physics.finite_volume.initial_laws import RandomGas, ShockTubes, SineSum


def points(count: int, start: float = -1.0, length: float = 2.0) -> torch.Tensor:
    return start + (torch.arange(count, dtype=torch.float64) + 0.5) * length / count


@pytest.mark.parametrize("law", [SineSum(), RandomGas(), ShockTubes()], ids=lambda law: type(law).__name__)
def test_a_sample_is_one_function_whatever_its_batch_and_grid(law):
    """Batches and the order of samples change no number; every third of 96 points are the 32, to rounding."""
    many, one = law.coefficients(3, range(5)), law.coefficients(3, [4])
    assert torch.equal(many[4:], one)
    assert not torch.equal(law.coefficients(4, [4]), one)
    assert torch.equal(law.evaluate(many, points(32))[4:], law.evaluate(one, points(32)))
    assert (law.evaluate(many, points(96))[..., 1::3] - law.evaluate(many, points(32))).abs().max() < 1e-12


def test_sums_of_sines_have_the_variance_of_their_law():
    """Without fold and window E u = 0 and Var u(x) = K E[A^2] / 2 = 2/3 (K = 4); 4 standard errors of 4000 draws."""
    law = SineSum(fold=0.0, window=0.0)
    u = law.evaluate(law.coefficients(0, range(4000)), torch.tensor([0.1, 0.6]))
    assert u.mean(0).abs().max() < 4 * math.sqrt(2 / 3 / 4000)
    assert (u.var(0) - 2 / 3).abs().max() < 4 * 2 / 3 * math.sqrt(2 / 4000)


def test_sums_of_sines_are_periodic_folded_and_windowed_as_often_as_stated():
    """Period L; 10 % have one sign by the fold, 10 % vanish outside their window; 4 standard errors of 2000 draws."""
    law = SineSum()
    coefficients = law.coefficients(1, range(2000))
    fold, sign, window = coefficients[:, -5:-2].unbind(1)
    for share, expected in ((fold, 0.1), (window, 0.1), ((sign + 1) / 2, 0.5)):
        assert abs(float(share.mean()) - expected) < 4 * math.sqrt(expected * (1 - expected) / 2000)
    u = law.evaluate(coefficients, torch.tensor([0.01, 0.37, 1.37]))
    assert (u[window > 0, 0].abs() < 1e-5).all()  # the window's edge at 0.1 has the width 0.01
    plain = window == 0
    assert (u[plain, 1] - u[plain, 2]).abs().max() < 1e-12
    assert (u[fold > 0] * sign[fold > 0, None] >= 0).all()
    assert (coefficients[:, :4].sum(1) == 2).all()


def test_random_gas_lies_within_its_ranges():
    """density in [1, 20], pressure in [10, 200]; log-uniform least values: E log b = log 10 / 2 and 3 log 10 / 2."""
    law = RandomGas()
    coefficients = law.coefficients(0, range(500))
    gas = law.evaluate(coefficients, law.reference)
    lowest, highest = gas.amin(-1), gas.amax(-1)
    for channel, least, mean in ((0, 1.0, 0.5), (2, 10.0, 1.5)):
        assert (lowest[:, channel] >= least - 1e-12).all() and (highest[:, channel] <= 20 * least + 1e-9).all()
        standard_error = math.log(10) / math.sqrt(12 * 500)
        assert abs(float(lowest[:, channel].log().mean()) - mean * math.log(10)) < 4 * standard_error
        span = (highest - lowest)[:, channel]
        assert torch.allclose(span, coefficients[:, channel, 1].exp(), rtol=1e-9)
    assert gas[:, 1].abs().max() <= 3


def test_shock_tubes_jump_once_within_the_middle_half():
    law = ShockTubes()
    gas = law.evaluate(law.coefficients(0, range(200)), points(400))
    jumps = gas.diff(dim=-1) != 0
    assert (jumps.sum(-1) == 1).all()
    places = points(400)[1:][jumps.to(torch.float64).argmax(-1)]
    assert places.min() > -0.51 and places.max() < 0.51
    for channel, low, high in ((0, 1, 10), (1, math.exp(-0.5), math.exp(0.5)), (2, 10, 100)):
        assert gas[:, channel].min() >= low and gas[:, channel].max() <= high
        assert gas[:, channel].min() < 1.1 * low and gas[:, channel].max() > 0.9 * high


def test_controls_and_bumps_have_the_moments_of_their_law():
    """f: E f = 0 and Var f(x, s) = (3 + 7 * 3 / 2) E[g_x^2] E[g_s^2], g the unit bumps; 5 % of 4000 draws."""
    law = ControlledBurgersLaw()
    initial, control = law.coefficients(0, range(4000))
    f = law.control(control, torch.tensor([0.5]), torch.tensor([0.5]))[:, 0, 0]
    grid = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    width = (0.1 + 0.3 * grid)[:, None]
    unit = torch.exp(-(((grid - 0.5) / width) ** 2)).mean()  # E exp(-(1/2 - m)^2 / w^2)
    assert abs(float(f.var()) / float(13.5 * unit**2) - 1) < 0.1
    assert abs(float(f.mean())) < 4 * float(f.std()) / math.sqrt(4000)
    u0 = law.initial(initial, torch.linspace(0, 1, 200))
    assert (u0.amax(1) <= 2).all() and (u0.amin(1) >= -2).all()
    means = initial.mean(0)
    expected = torch.tensor([[1.0, 0.3, 0.1], [-1.0, 0.7, 0.1]], dtype=torch.float64)
    assert (means - expected).abs().max() < 0.05
    assert (control[:, 1:, 0] == 0).double().mean().sub(0.5).abs() < 0.02 and (control[:, 0, 0] != 0).all()


def test_controls_are_one_function_whatever_their_batch_and_grid():
    law = ControlledBurgersLaw()
    (u_many, f_many), (u_one, f_one) = law.coefficients(2, range(4)), law.coefficients(2, [3])
    assert torch.equal(u_many[3:], u_one) and torch.equal(f_many[3:], f_one)
    assert law.control(f_many, torch.linspace(0, 1, 5), control_times(7)).shape == (4, 7, 5)
    assert torch.allclose(control_times(7)[1::2], control_times(3))
    with pytest.raises(ValueError, match="highest >= 1"):
        SineSum(highest=0)
