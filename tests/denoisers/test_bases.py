"""Truth: an orthonormal change of coordinates keeps scalar products and is undone by its transpose."""

import pytest
import torch
from analytic import F64
from registry import BASES

from sciml_diffusion.denoisers.covariance import Covariance

EXACT = {"rtol": 0, "atol": 1e-12}  # float64 rounding of a few hundred sums of numbers of order 1


def _numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


@pytest.mark.parametrize("name", BASES)
def test_basis_is_orthonormal(name):
    make, event = BASES[name]
    basis, x, y = make(), _numbers(3, *event), _numbers(3, *event, seed=1)
    torch.testing.assert_close(basis.inverse(basis(x)), x, **EXACT)
    torch.testing.assert_close((basis(x) * basis(y)).flatten(1).sum(1), (x * y).flatten(1).sum(1), **EXACT)


@pytest.mark.parametrize("name", BASES)
def test_inverse_is_the_transpose(name):
    make, event = BASES[name]
    basis, x = make(), _numbers(2, *event)
    c = _numbers(*basis(x).shape, seed=1)
    left, right = (basis(x) * c).flatten(1).sum(1), (x * basis.inverse(c)).flatten(1).sum(1)
    torch.testing.assert_close(left, right, **EXACT)


@pytest.mark.parametrize("name", BASES)
def test_covariance_root_applied_twice_is_the_covariance(name):
    make, event = BASES[name]
    basis, x = make(), _numbers(2, *event)
    covariance = Covariance(basis, _numbers(*basis(x).shape[1:]) ** 2)
    torch.testing.assert_close(covariance.sqrt(covariance.sqrt(x)), covariance.apply(x), **EXACT)
