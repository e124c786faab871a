"""The masked U-Net. Truth: for Gaussian fields the best estimate is kriging's, which the regression approaches."""

import pytest
import torch

from sciml_diffusion.baselines.masked_unet import MaskedUNet
from sciml_diffusion.samplers.streams import MemberStreams

POINTS, NOISE, SMALL = 8, 0.5, {"width": 16, "multipliers": (1,), "patch": 1}


def fields(count, seed):
    """Two channels on 4 x 4 points: a constant a ~ N(0, 1), and 2 a."""
    a = torch.randn(count, 1, 1, 1, generator=torch.Generator().manual_seed(seed)).expand(-1, 1, 4, 4)
    return torch.cat([a, 2 * a], 1)


def test_approaches_kriging_and_knows_its_errors():
    """The mean of 2 a given m noisy values is 2 m ybar / (m + NOISE^2), its error 2 NOISE / sqrt(m + NOISE^2)."""
    model = MaskedUNet.fit(fields(2000, 0), (POINTS, 0, [1]), NOISE, 400, network=SMALL)
    x, g = fields(400, 1), torch.Generator().manual_seed(2)
    index = torch.randperm(16, generator=g)[:POINTS]
    y = x[:, 0].flatten(1)[:, index] + NOISE * torch.randn(400, POINTS, generator=g)
    best = 2 * NOISE / (POINTS + NOISE**2) ** 0.5
    error = float((model.mean(y, index)[:, 0] - x[:, 1]).square().mean().sqrt())
    assert (
        0.9 * best < error < 1.5 * best
    )  # best 0.35 of a standard deviation of 2; 250 steps fall short of it a little
    members = model.posterior(y, index, MemberStreams(0, range(400), range(8))).x
    assert members.shape == (400, 8, 1, 4, 4)
    spread = float(members.var(1).mean().sqrt())
    assert 0.7 < spread / error < 1.4  # measured on 64 windows with layouts of their own


def test_a_seed_gives_the_same_network():
    x, y, index = fields(100, 3), torch.ones(1, 5), torch.arange(5)
    first, second, other = (MaskedUNet.fit(x, (5, 0, [0, 1]), 0.1, 3, s, network=SMALL) for s in (1, 1, 2))
    assert torch.equal(first.mean(y, index), second.mean(y, index))
    assert not torch.equal(first.mean(y, index), other.mean(y, index))


def test_symmetries_are_of_input_and_output_together():
    """Fields with their sign turned by the augmentation alone: trained on a > 0, the network knows a < 0 too."""
    x = fields(500, 4).abs()
    model = MaskedUNet.fit(x, (16, 0, [1]), 0.1, 100, augment=lambda w, g: -w, network=SMALL)
    assert model.mean(torch.full((1, 16), -1.0), torch.arange(16)).mean() < -1.2  # the answer is -2


def test_knows_where_it_is():
    """What is asked for is one fixed wave: a periodic network without positions could only answer its mean, 0."""
    x = fields(200, 5)
    x[:, 1] = torch.cos(2 * torch.pi * torch.arange(4) / 4)
    model = MaskedUNet.fit(x, (16, 0, [1]), 0.1, 100, network=SMALL | {"boundary": ("periodic", "periodic")})
    found = model.mean(torch.zeros(1, 16), torch.arange(16))[0, 0]
    assert (found - x[0, 1]).norm() < 0.3 * x[0, 1].norm()  # 100 steps come to a tenth or less


@pytest.mark.parametrize(("count", "sensors"), [(64, 5), (100, 0), (100, 17)])
def test_too_little_to_train_on(count, sensors):
    with pytest.raises(ValueError, match="more than 64 windows"):
        MaskedUNet.fit(fields(count, 0), (sensors, 0, [0]), 0.1, 1)
