"""Nonlinear instruments and forward models. Truths: numpy, central differences, solvers run by hand, Cole-Hopf."""

import math

import numpy as np
import pytest
import torch
from analytic import F64
from registry import CODECS

from sciml_diffusion.observations.forward import (
    Forward,
    ResidualOperator,
    from_coefficient,
    from_initial,
    residual_observation,
)
from sciml_diffusion.observations.noise import Correlated, Gaussian
from sciml_diffusion.observations.nonlinear import Composed, Extreme, clip, logarithm, magnitude, power, saturate
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Decoded, Function, Jacobian, Matrix, Weighted, scaled
from sciml_diffusion.observations.stacked import stack_operators
from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.physics.elliptic.darcy import Darcy
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.residuals.time import CentralResidual
from sciml_diffusion.physics.residuals.transport import BurgersEquation

EVENT = (2, 3, 4)
LINE = Grid.periodic((16,), (1.0,))


def draw(seed, *shape):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def matrix(seed, m=6, event=EVENT):
    return Matrix(draw(seed, m, math.prod(event)) / 4, event)


def burgers(substeps=8):
    sensors = Weighted(torch.tensor([[20], [44], [30]]), torch.ones(3, 1), (1, 3, 16))
    return from_initial(Burgers(LINE, 0.01), sensors, (1, 2, 16), 0.2, substeps)


def darcy():
    grid = Grid.cells((6, 6), (1.0, 1.0), ("y", "x"))
    sensors = Weighted(torch.tensor([[7], [21]]), torch.ones(2, 1), (1, 1, 6, 6))
    return from_coefficient(Darcy(grid), sensors, (1, 1, 6, 6), torch.exp)


NONLINEAR = {
    "clip": lambda: Composed(clip(-0.5, 0.5), matrix(0)),
    "saturate": lambda: Composed(saturate(2.0, 0.3), matrix(0)),
    "magnitude": lambda: Composed(magnitude, matrix(0), matrix(1)),
    "logarithm": lambda: Composed(logarithm(0.2, 0.1), matrix(0)),
    "power": lambda: Composed(power(0.5, 0.2), matrix(0)),
    "own function": lambda: Composed(lambda a, b: a * b.exp(), matrix(0), matrix(1)),
    "chain": lambda: Composed(torch.sin, Composed(magnitude, matrix(0), matrix(1))),
    "maximum": lambda: Extreme(matrix(0), 3),
    "minimum": lambda: Extreme(matrix(0), 2, largest=False),
    "stacked": lambda: stack_operators([Composed(saturate(1.0), matrix(0)), matrix(2), Extreme(matrix(1), 3)]),
    "scaled": lambda: scaled(Composed(magnitude, matrix(0), matrix(1)), draw(9, 6, 6)),
    "decoded": lambda: Decoded(Composed(magnitude, matrix(0), matrix(1)), [CODECS["standardise"]()] * 2),
    "initial field": burgers,
    "coefficient": darcy,
    "residual": lambda: ResidualOperator(
        CentralResidual(BurgersEquation(LINE, 0.05), 0.1), torch.zeros(1, 3, 16, dtype=F64)
    ),
}


@pytest.mark.parametrize("name", NONLINEAR)
def test_derivative_is_that_of_differences_and_of_the_graph(name):
    operator = NONLINEAR[name]()
    x, u, y = draw(3, 4, *operator.event), draw(4, 4, *operator.event), draw(5, 4, operator.m)
    value, slope = operator.at(x)
    torch.testing.assert_close(value, operator(x), rtol=1e-12, atol=1e-12)
    d = 1e-6
    difference = (operator(x + d * u) - operator(x - d * u)) / (2 * d)
    # differences of values of size one: 1e-12 of truncation and 1e-10 of rounding; the elliptic solve adds its own
    torch.testing.assert_close(slope(u), difference, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close((slope(u) * y).sum(), (slope.adjoint(y) * u).sum(), rtol=1e-9, atol=1e-11)
    graph = x.clone().requires_grad_()
    (pulled,) = torch.autograd.grad((operator(graph) * y).sum(), graph)
    torch.testing.assert_close(slope.adjoint(y), pulled, rtol=1e-9, atol=1e-11)
    with torch.no_grad():  # as samplers ask
        _, again = operator.at(x)
        torch.testing.assert_close(again(u), slope(u), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(again.adjoint(y), slope.adjoint(y), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NONLINEAR)
def test_a_member_is_the_same_alone(name):
    operator = NONLINEAR[name]()
    x = draw(6, 4, *operator.event)
    if name == "decoded":
        operator = Decoded(operator.operator, operator.codecs[:1])
    torch.testing.assert_close(operator(x)[:1], operator(x[:1]), rtol=1e-11, atol=1e-11)
    assert operator(x).shape == (4, operator.m) and not operator.linear and operator.differentiable


def test_instruments_by_hand():
    h = torch.tensor([[-2.0, 0.05, 0.3, 4.0]], dtype=F64)
    assert clip(0.0, 1.0)(h).tolist() == [[0.0, 0.05, 0.3, 1.0]]
    torch.testing.assert_close(saturate(2.0)(h), 2 * torch.tanh(h / 2))
    torch.testing.assert_close(magnitude(h, 2 * h), 5**0.5 * h.abs())
    found = logarithm(floor=0.1)(h)
    np.testing.assert_allclose(found[0, 2:].numpy(), np.log(h[0, 2:].numpy()), rtol=1e-12)
    np.testing.assert_allclose(found[0, :2].numpy(), np.log(0.1) + (h[0, :2].numpy() - 0.1) / 0.1, rtol=1e-12)
    assert (power(0.5)(h)[0, 2:] == h[0, 2:].sqrt()).all()
    x = draw(7, 3, *EVENT)
    day = matrix(0)(x).reshape(3, 2, 3)
    assert torch.equal(Extreme(matrix(0), 3)(x), day.max(2).values)


def test_whitening_keeps_the_density_and_what_the_operator_is():
    """Of full covariance, seen through an operator that is not linear: the truth is the multivariate normal density."""
    root = draw(10, 6, 6) + 4 * torch.eye(6, dtype=F64)
    operator, x, y = Composed(magnitude, matrix(0), matrix(1)), draw(11, 4, *EVENT), draw(12, 2, 6)
    white, log_scale = Observation(operator, y, Correlated(root @ root.T)).whitened()
    assert not white.operator.linear and not white.linear_gaussian and white.operator.differentiable
    law = torch.distributions.MultivariateNormal(operator(x), root @ root.T)
    truth = law.log_prob(y.repeat_interleave(2, 0))
    torch.testing.assert_close(white.log_likelihood(x) + log_scale, truth, rtol=1e-10, atol=1e-10)  # 6 x 6 algebra


def test_black_boxes_stay_black():
    box = Function(lambda x: x.flatten(1)[:, :6], EVENT, 6, differentiable=False)
    whole = scaled(box, torch.eye(6, dtype=F64))
    for operator in (Composed(magnitude, box), Extreme(box, 3), stack_operators([matrix(0), box]), whole):
        assert not operator.differentiable


def test_initial_field_is_seen_at_later_times():
    x = draw(8, 3, 1, 2, 16)
    solved = Burgers(LINE, 0.01).solve(x[:, :, 0], 0.2, 3, 8)
    assert torch.equal(burgers()(x), solved.flatten(1)[:, [20, 44, 30]])


def test_a_step_above_the_limit_is_refused_in_words():
    with pytest.raises(ValueError, match="forward model cannot be run.*above the stability limit.*substeps >="):
        burgers(1)(1e3 * draw(8, 3, 1, 2, 16))


def test_residual_as_data_is_its_density():
    residual = CentralResidual(BurgersEquation(LINE, 0.05), 0.1)
    x = draw(9, 4, 1, 3, 16)
    data = residual_observation(residual, x[0], 0.3, windows=2)
    torch.testing.assert_close(data.log_likelihood(x), residual.log_prob(x, 0.3), rtol=1e-12, atol=0)
    named = residual_observation(residual, x[0], {"pde": 0.3})
    torch.testing.assert_close(named.log_likelihood(x), residual.log_prob(x, 0.3), rtol=1e-12, atol=0)


def test_whitened_and_repeated_data_keep_the_noise():
    data = Observation(NONLINEAR["maximum"](), torch.zeros(2, 2, dtype=F64), Gaussian(torch.ones(2, dtype=F64)))
    residual, std, slope = data.local(draw(10, 6, *EVENT))
    assert residual.shape == std.shape == (6, 2) and slope.m == 2 and not isinstance(slope, Jacobian)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Composed(magnitude), "one event"),
        (lambda: Composed(magnitude, matrix(0), matrix(1, 5)), "one event"),
        (lambda: Extreme(matrix(0), 4), "over must divide"),
        (lambda: clip(1.0, 1.0), "low < high"),
        (lambda: saturate(0.0), "limit must be > 0"),
        (lambda: power(0.5, 0.0), "floor must be > 0"),
        (lambda: from_initial(Burgers(LINE, 0.1), matrix(0), (2, 1, 16), 1.0, 1), "solves u on"),
        (lambda: from_coefficient(Darcy(Grid.cells((4, 4), (1.0, 1.0))), matrix(0), (1, 2, 4, 4)), "takes a"),
        (lambda: Forward(lambda x: x[:, :1], matrix(0), EVENT)(draw(0, 2, *EVENT)), "solver returned fields"),
        (lambda: residual_observation(NONLINEAR["residual"]().residual, torch.zeros(1, 3, 16), {"x": 1.0}), "compon"),
        (lambda: residual_observation(NONLINEAR["residual"]().residual, torch.zeros(1, 3, 16), 0.0), "std must be"),
    ],
)
def test_what_does_not_fit_is_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()
