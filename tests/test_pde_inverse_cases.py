"""Methods of the benchmark pde_inverse that know the equation. Truths: moments of a cut-off normal law in the plane,
the random fields' own values, and the solver on the full grid."""

import importlib
import math
import sys
from pathlib import Path

import pytest
import torch

from sciml_diffusion.physics.random_fields_neumann import NeumannRandomField
from sciml_diffusion.physics.random_fields_torus import TorusRandomField
from sciml_diffusion.samplers.streams import MemberStreams

F64 = torch.float64
BENCHMARKS = Path(__file__).parent.parent / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="benchmarks come with the repository, not with the package"
)


@pytest.fixture(scope="module")
def cases():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("pde_inverse_cases")
    finally:
        sys.path.remove(str(BENCHMARKS))


def white(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=F64)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_draws_with_given_signs_have_the_known_mean(cases, sign):
    """E[w_1 | w_1, w_2 > 0] = (1 + r) / (2 sqrt(2 pi) P), P = 1/4 + asin(r) / (2 pi); 4000 draws: error 0.01."""
    r = 0.6
    covariance, side = torch.tensor([[1.0, r], [r, 1.0]], dtype=F64), torch.full((1, 2), sign, dtype=F64)
    w = cases.signed_draws(covariance, side, MemberStreams(0, [0], range(4000), F64), sweeps=8)
    expected = (1 + r) / (2 * math.sqrt(2 * math.pi) * (0.25 + math.asin(r) / (2 * math.pi)))
    assert (sign * w > 0).all()
    assert torch.allclose(w.mean(0), torch.full((2,), sign * expected, dtype=F64), atol=0.04)


def test_waves_are_those_of_the_laws(cases):
    index = torch.tensor([0, 5, 64, 64 * 63 + 62])
    law, xi = NeumannRandomField(modes=8), white(2, 8, 8)
    y, x = (torch.from_numpy(c) for c in cases.square().coordinates)
    assert torch.allclose(xi.flatten(1) @ cases.waves(index, 8).T, law.evaluate(xi, y, x).flatten(1)[:, index])
    torus = TorusRandomField(modes=3)
    xi = white(2, 24, 2)
    values = torus.evaluate(xi, cases.torus(64)).flatten(1)[:, index]
    assert torch.allclose(xi.flatten(1) @ cases.torus_waves(torus, index).T, values)


def test_the_coarse_flow_is_that_of_the_full_grid(cases):
    """Waves up to 4 on 24 points: what is left out decays by exp(-20) and more; steps of order 4 leave about 1e-4."""
    xi = white(1, 80)
    first = TorusRandomField().evaluate(xi.reshape(1, 40, 2), cases.torus(64))[:, None]
    full = cases.flow(64).solve(first, 7.0, 2)[:, 0, -1]
    coarse = cases.last_frame(4)(xi)
    assert (coarse - full).norm() < 2e-3 * full.norm()
