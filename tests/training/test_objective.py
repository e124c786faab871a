"""Truths: the exact denoiser has the least loss, for a Gaussian 1 on average; laws of sigma by quantiles."""

import math

import pytest
import torch

from sciml_diffusion.denoisers.anchored import AnchoredDenoiser
from sciml_diffusion.denoisers.backbones.unet import UNet
from sciml_diffusion.denoisers.basis import FourierBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.training.objective import Balance, DenoisingLoss

EVENT = (1, 8, 8)


def anchored() -> AnchoredDenoiser:
    generator = torch.Generator().manual_seed(0)
    variance = torch.rand(EVENT, generator=generator, dtype=torch.float64) + 0.01
    anchor = GaussianDenoiser(torch.zeros(EVENT, dtype=torch.float64), FourierBasis(2), variance)
    net = UNet(2, 1, width=8, multipliers=(1,), attention=False).double()
    return AnchoredDenoiser.untrained(anchor, net, torch.tensor([-3.0, 3.0], dtype=torch.float64))


def test_loss_of_the_exact_denoiser_is_one_and_least():
    denoiser, objective = anchored(), DenoisingLoss((0.05, 20.0))
    generator = torch.Generator().manual_seed(1)
    n = 4000
    x = denoiser.anchor.surrogate(torch.tensor(math.inf)).sqrt(
        torch.randn(n, *EVENT, generator=generator, dtype=torch.float64)
    )
    sigma, z = objective.draw(x, generator)
    loss = objective(denoiser, x, sigma, z)
    assert loss.shape == (n,)
    # each loss has a standard deviation of about sqrt(2 / 20 effective coefficients): 5 standard errors are 0.025
    assert float(loss.mean()) == pytest.approx(1.0, abs=0.025)
    denoiser.backbone.last.bias.data.fill_(0.2)
    assert objective(denoiser, x, sigma, z).mean() > loss.mean() + 0.005


@pytest.mark.parametrize("law", ["log-normal", "log-uniform"])
def test_law_of_sigma(law):
    objective = DenoisingLoss((0.01, 50.0), law, log_mean=-0.5, log_std=1.5)
    sigma = objective.sigmas(1000, torch.Generator().manual_seed(0)).double()
    assert (sigma.diff() > 0).all() and sigma[0] >= 0.01 * (1 - 1e-6) and sigma[-1] <= 50 * (1 + 1e-6)
    u, low, high = (torch.arange(1000) + 0.5) / 1000, math.log(0.01), math.log(50)
    if law == "log-uniform":
        median = torch.exp(low + (high - low) * u)
    else:
        normal = torch.distributions.Normal(-0.5, 1.5)
        a, b = normal.cdf(torch.tensor(low)), normal.cdf(torch.tensor(high))
        median = normal.icdf(a + (b - a) * u).exp()
    # a stratum of 1/1000 of the mass: inside the bulk the quantile moves by less than 1 % over one stratum
    torch.testing.assert_close(sigma[50:-50], median[50:-50].double(), rtol=0.02, atol=0)


def test_bad_laws():
    with pytest.raises(ValueError, match="log-normal"):
        DenoisingLoss((0.1, 1.0), "uniform")
    with pytest.raises(ValueError, match="sigma_range"):
        DenoisingLoss((1.0, 0.1))


def test_balance_divides_by_the_running_mean():
    balance = Balance((0.1, 10.0), bins=2, rate=0.5)
    sigma = torch.tensor([0.2, 5.0, 5.0])
    first = balance(torch.tensor([0.5, 3.0, 5.0]), sigma)
    torch.testing.assert_close(first, torch.tensor([0.5, 3.0, 5.0]))  # the means start at 1
    # then: (1 + 0.5) / 2; ((1 + 3) / 2 + 5) / 2
    torch.testing.assert_close(balance.mean, torch.tensor([0.75, 3.5]))
    torch.testing.assert_close(balance(torch.tensor([1.5, 7.0, 7.0]), sigma), torch.tensor([2.0, 2.0, 2.0]))
