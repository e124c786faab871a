"""Truths: the Gaussian it is anchored at; interpolation in ln sigma by hand; Prior.save and load."""

import math

import numpy as np
import pytest
import torch

from sciml_diffusion.codecs.standardise import Standardise
from sciml_diffusion.denoisers.anchored import AnchoredDenoiser
from sciml_diffusion.denoisers.backbones.unet import UNet
from sciml_diffusion.denoisers.basis import FourierBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.inverse.base import CountedDenoiser
from sciml_diffusion.inverse.guidance import MomentMatched
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Matrix
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.prior import Prior, Variable

NODES = torch.linspace(math.log(0.1), math.log(10.0), 3, dtype=torch.float64)
EVENT = (2, 8, 8)


def gaussian() -> GaussianDenoiser:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(EVENT, generator=generator, dtype=torch.float64)
    variance = torch.rand(EVENT, generator=generator, dtype=torch.float64) + 0.1
    return GaussianDenoiser(mean, FourierBasis(3), variance)


def anchored(beta=(0.5, 1.0, 0.25), ratio=(0.5, 0.25, 1.0), moved=True) -> AnchoredDenoiser:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = UNet(4, 2, width=8, multipliers=(1, 2), boundary=("periodic", "reflect")).double()
        for p in net.parameters():
            p.data += 0.05 * moved * torch.randn_like(p)
    ratio = torch.tensor(ratio, dtype=torch.float64).reshape(-1, 1, 1, 1)
    return AnchoredDenoiser(gaussian(), net, NODES, torch.tensor(beta, dtype=torch.float64), ratio)


def noisy(n=3) -> torch.Tensor:
    return 2 * torch.randn(n, *EVENT, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("sigma", [0.01, 1.0, 100.0])
def test_starts_exactly_as_the_gaussian(sigma):
    denoiser, x_t, sigma = anchored(moved=False), noisy(), torch.tensor(sigma, dtype=torch.float64)
    # D_G is computed once as mu + shift and once by the anchor: the same operations, so the same bits
    assert torch.equal(denoiser(x_t, sigma), gaussian()(x_t, sigma))


def test_correction_by_hand():
    denoiser, x_t, sigma = anchored(), noisy(), torch.tensor(1.0, dtype=torch.float64)
    anchor = gaussian()
    centre = anchor(x_t, sigma)
    inputs = torch.cat([(x_t - anchor.mean) / math.sqrt(2), centre - anchor.mean], 1)
    f = denoiser.backbone(inputs, torch.zeros(3, dtype=torch.float64))
    # beta at sigma = 1, the middle node, is 1
    torch.testing.assert_close(denoiser(x_t, sigma), centre + anchor.surrogate(sigma).sqrt(f), rtol=1e-12, atol=1e-12)


def test_beta_is_interpolated_and_clamped():
    denoiser, one, x_t = anchored(), anchored(beta=(1.0, 1.0, 1.0)), noisy()
    for sigma, beta in [(math.sqrt(0.1), 0.75), (0.001, 0.5), (1000.0, 0.25), (10**0.75, 1 - 0.75 * 0.75)]:
        sigma = torch.tensor(sigma, dtype=torch.float64)
        centre = gaussian()(x_t, sigma)
        expected = centre + beta * (one(x_t, sigma) - centre)
        torch.testing.assert_close(denoiser(x_t, sigma), expected, rtol=1e-12, atol=1e-12)


def test_one_sigma_for_each_row():
    denoiser, x_t = anchored(), noisy()
    sigma = torch.tensor([0.05, 1.0, 30.0], dtype=torch.float64)
    rows = torch.cat([denoiser(x_t[i : i + 1], sigma[i]) for i in range(3)])
    # convolutions of another batch size may sum in another order: rounding only
    torch.testing.assert_close(denoiser(x_t, sigma), rows, rtol=1e-10, atol=1e-10)
    trace = torch.stack([gaussian().surrogate(s).variance.sum() for s in sigma])
    torch.testing.assert_close(denoiser.error_scale(sigma), trace, rtol=1e-12, atol=0)


def test_infinite_noise_is_the_anchor():
    denoiser, x_t, infinity = anchored(), noisy(), torch.tensor(math.inf, dtype=torch.float64)
    assert torch.equal(denoiser(x_t, infinity), gaussian().mean.expand(3, *EVENT))
    assert torch.equal(denoiser.prior_mean(), gaussian().mean)
    torch.testing.assert_close(denoiser.surrogate(infinity).variance, gaussian().variance, rtol=1e-12, atol=0)
    mixed = denoiser(x_t, torch.tensor([1.0, math.inf, 1.0], dtype=torch.float64))
    torch.testing.assert_close(mixed[1], gaussian().mean, rtol=1e-12, atol=1e-12)
    alone = denoiser(x_t, torch.tensor(1.0, dtype=torch.float64))
    torch.testing.assert_close(mixed[0], alone[0], rtol=1e-10, atol=1e-10)


def test_surrogate_is_the_ratio_times_p():
    denoiser, sigma = anchored(), torch.tensor(math.sqrt(0.1), dtype=torch.float64)
    # between the nodes 0.1 and 1 the ratio is the geometric mean of 0.5 and 0.25
    expected = math.sqrt(0.125) * gaussian().surrogate(sigma).variance
    torch.testing.assert_close(denoiser.surrogate(sigma).variance, expected, rtol=1e-12, atol=0)


def test_ratio_for_each_coefficient():
    ratio = torch.rand(3, *EVENT, dtype=torch.float64) + 0.1
    denoiser = AnchoredDenoiser(gaussian(), anchored().backbone, NODES, torch.ones(3, dtype=torch.float64), ratio)
    sigma = torch.tensor(10.0, dtype=torch.float64)
    expected = ratio[2] * gaussian().surrogate(sigma).variance
    torch.testing.assert_close(denoiser.surrogate(sigma).variance, expected, rtol=1e-12, atol=0)


def test_vjp_is_the_transpose():
    """<v, J u> by finite differences against <J^T v, u>: central differences of step 1e-5 leave about 1e-9."""
    denoiser, x_t, sigma = anchored(), noisy(1), torch.tensor(0.7, dtype=torch.float64)
    u, v = torch.randn(2, 1, *EVENT, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    _, pull = denoiser.vjp(x_t, sigma)
    forward = (denoiser(x_t + 1e-5 * u, sigma) - denoiser(x_t - 1e-5 * u, sigma)) / 2e-5
    assert float((v * forward).sum()) == pytest.approx(float((pull(v) * u).sum()), rel=1e-6)


def test_all_parameters_get_finite_gradients():
    denoiser = anchored()
    denoiser(noisy(), torch.tensor([0.05, 1.0, 30.0], dtype=torch.float64)).square().sum().backward()
    for name, p in denoiser.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all(), name


def test_saved_and_loaded(tmp_path):
    anchor = gaussian()
    anchor = GaussianDenoiser(anchor.mean.float(), anchor.basis, anchor.variance.float())
    ratio = torch.rand(3, *EVENT) + 0.1
    beta, net = torch.tensor([0.5, 1.0, 0.0]), anchored().backbone.float()
    denoiser = AnchoredDenoiser(anchor, net, NODES.float(), beta, ratio)
    codec = Standardise(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1), (1, *EVENT), True)
    grid = Grid(("y", "x"), (np.arange(8.0), np.arange(8.0)), (8.0, None))
    Prior(denoiser, codec, grid, (Variable("u"),), 2, 1.0, (0.1, 10.0)).save(tmp_path / "prior")
    again, x_t = Prior.load(tmp_path / "prior").denoiser, noisy().float()
    for sigma in (torch.tensor(0.3), torch.tensor(3.0)):
        assert torch.equal(denoiser(x_t, sigma), again(x_t, sigma))
        assert torch.equal(denoiser.surrogate(sigma).variance, again.surrogate(sigma).variance)


def test_state_dict_round_trip():
    denoiser, again = anchored(), anchored(moved=False)
    again.load_state_dict(denoiser.state_dict())
    assert torch.equal(denoiser(noisy(), NODES[1].exp()), again(noisy(), NODES[1].exp()))


@pytest.mark.parametrize(
    "beta, ratio",
    [((0.5, 1.5, 0.0), (1, 1, 1)), ((0.5, 1.0), (1, 1, 1)), ((1, 1, 1), (1, 0, 1)), ((1, 1, 1), (1, 1))],
)
def test_numbers_that_do_not_fit(beta, ratio):
    with pytest.raises(ValueError, match="beta|ratio"):
        anchored(beta=beta, ratio=ratio)


@pytest.mark.parametrize(("ratio", "linear"), [((1.0, 0.9, 1.0), True), ((1.0, 0.5, 1.0), False)])
def test_guidance_takes_the_surrogate_only_near_the_gaussian(ratio, linear):
    """A squared error of half the Gaussian's at one node means what no linear estimate can: the Jacobian is asked."""
    denoiser = anchored(ratio=ratio)
    operator = Matrix(torch.eye(math.prod(EVENT), dtype=torch.float64)[:3], EVENT)
    observation = Observation(operator, torch.zeros(1, 3).double(), torch.ones(3).double())
    assert denoiser.nearly_linear is linear
    for covariance, jacobian in (("auto", not linear), ("surrogate", False), ("jacobian", True)):
        assert MomentMatched(CountedDenoiser(denoiser), observation, covariance).exact_jacobian is jacobian
