"""Truth: <A x, y> = <x, A^T y>; the likelihood is that of a dense normal law, also seen through a codec."""

import pytest
import torch
from analytic import F64
from registry import CODECS, OPERATORS
from torch.distributions import MultivariateNormal

from sciml_diffusion.observations.observation import Observation

EVENT = (2, 3, 4)


def _numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


@pytest.mark.parametrize("name", OPERATORS)
def test_adjoint_and_rows(name):
    operator = OPERATORS[name]()
    x, y = _numbers(5, *operator.event), _numbers(5, operator.m, seed=1)
    left, right = (operator(x) * y).sum(), (x * operator.adjoint(y)).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=0)
    rows = operator.rows(F64)
    assert rows.shape == (operator.m, *operator.event)
    torch.testing.assert_close(x.flatten(1) @ rows.flatten(1).T, operator(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_take_the_precision_of_the_members(name):
    operator = OPERATORS[name]()
    if name == "through-codec":
        operator.codec.float()
    assert operator(_numbers(2, *operator.event).float()).dtype == torch.float32
    assert operator.adjoint(_numbers(2, operator.m).float()).dtype == torch.float32


@pytest.mark.parametrize("name", OPERATORS)
def test_likelihood_sums_over_the_sensors_of_one_member(name):
    operator = OPERATORS[name]()
    std = 0.3 + _numbers(operator.m, seed=2).abs()
    y, x = _numbers(2, operator.m), _numbers(6, *operator.event, seed=1)
    found = Observation(operator, y, std).log_likelihood(x)
    law = MultivariateNormal(operator(x), torch.diag(std**2))
    torch.testing.assert_close(found, law.log_prob(y.repeat_interleave(3, 0)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", ["matrix", "weighted"])
def test_data_seen_through_a_codec_have_the_same_likelihood(name, codec):
    operator, codec = OPERATORS[name](), CODECS[codec]()
    observation = Observation(operator, _numbers(2, operator.m), torch.full((operator.m,), 0.5, dtype=F64))
    z = _numbers(6, *codec.event, seed=1)
    found = observation.through([codec, codec]).log_likelihood(z)
    torch.testing.assert_close(found, observation.log_likelihood(codec.decode(z)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("y", "std"), [([[1.0, 2.0]], [1.0]), ([[1.0]], [0.0]), ([[1.0]], [torch.inf]), ([[torch.nan]], [1.0])]
)
def test_observations_that_make_no_sense_are_refused(y, std):
    matrix = OPERATORS["matrix"]()
    one = type(matrix)(matrix.matrix[:1], EVENT)
    with pytest.raises(ValueError, match="shape|std must|not finite"):
        Observation(one, torch.tensor(y), torch.tensor(std))
