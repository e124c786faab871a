"""Truths: paddings commute with what their boundary allows (shifts, reflections); a new network returns 0."""

import pytest
import torch
import torch.nn.functional as F

from sciml_diffusion.denoisers.backbones.unet import Conv, UNet


def small(**more) -> UNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = UNet(2, 3, **({"width": 8, "multipliers": (1, 2)} | more)).double()
        for p in net.parameters():  # a new network returns 0; move every weight to see what it does
            p.data += 0.1 * torch.randn_like(p)
    return net


def test_starts_at_zero():
    net = UNet(2, 3, width=8)
    assert (net(torch.randn(2, 2, 8, 8), torch.zeros(2)) == 0).all()


def test_weights_from_a_generator():
    """One generator, one network, whatever the global state; uniform in +-1 / sqrt(fan-in), still 0 at first."""
    nets = [UNet(2, 3, width=16), UNet(2, 3, width=16)]
    for net in nets:
        net.initialise(torch.Generator().manual_seed(5))
    assert all(torch.equal(a, b) for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True))
    weight = nets[0].down[2][0].conv_1.weight
    bound = 1 / (9 * weight.shape[1]) ** 0.5
    assert float(weight.abs().max()) <= bound and float(weight.std()) == pytest.approx(bound / 3**0.5, rel=0.05)
    assert (nets[0](torch.randn(2, 2, 8, 8), torch.zeros(2)) == 0).all()


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("size", [(9, 13), (8, 8), (5, 16), (11, 3)])
@pytest.mark.parametrize("boundary", [("periodic", "reflect"), ("zero", "periodic"), ("reflect", "zero")])
def test_any_size(size, boundary, patch):
    net = small(boundary=boundary, patch=patch)
    assert net(torch.randn(2, 2, *size, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)).shape == (
        2,
        3,
        *size,
    )


@pytest.mark.parametrize("boundary", [("periodic", "reflect"), ("periodic", "periodic"), ("zero", "periodic")])
def test_shift_along_periodic_axis(boundary):
    """Shifts by multiples of the coarsest cell (patch 2, two levels: 4 pixels) commute with it, to rounding."""
    net = small(boundary=boundary, patch=2)
    x, c = torch.randn(2, 2, 16, 16, dtype=torch.float64), torch.tensor([0.1, -0.3], dtype=torch.float64)
    axis = -2 + boundary.index("periodic")
    torch.testing.assert_close(net(x.roll(4, axis), c), net(x, c).roll(4, axis), rtol=1e-10, atol=1e-10)


def test_shift_does_not_commute_with_other_boundaries():
    net = small(boundary=("reflect", "zero"))
    x, c = torch.randn(1, 2, 16, 16, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for axis in (-2, -1):
        assert (net(x.roll(4, axis), c) - net(x, c).roll(4, axis)).abs().max() > 1e-3


@pytest.mark.parametrize("rule, mode", [("reflect", "reflect"), ("periodic", "circular"), ("zero", "constant")])
def test_paddings_are_those_of_torch(rule, mode):
    conv = Conv(2, 3, (rule, rule)).double()
    x = torch.randn(2, 2, 6, 7, dtype=torch.float64)
    expected = F.conv2d(F.pad(x, (1, 1, 1, 1), mode=mode), conv.weight, conv.bias)
    torch.testing.assert_close(conv(x), expected, rtol=1e-12, atol=1e-12)


def test_noise_level_matters_row_by_row():
    net = small()
    x = torch.randn(1, 2, 8, 8, dtype=torch.float64).expand(3, -1, -1, -1)
    c = torch.tensor([0.0, 0.5, 0.0], dtype=torch.float64)
    out = net(x, c)
    # rows of a batched product may be summed in another order: rounding only
    torch.testing.assert_close(out[0], out[2], rtol=1e-10, atol=1e-10)
    assert (out[0] - out[1]).abs().max() > 1e-3


def test_all_parameters_get_finite_gradients():
    net = small(boundary=("reflect", "periodic"), patch=2, blocks=2)
    x, c = torch.randn(2, 2, 12, 12, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    net(x, c).square().sum().backward()
    for name, p in net.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all() and p.grad.abs().max() > 0, name


def test_rebuilt_from_its_arguments():
    net = small(boundary=("periodic", "zero"), attention=False)
    again = UNet(**net.arguments).double()
    again.load_state_dict(net.state_dict())
    x, c = torch.randn(2, 2, 8, 8, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    assert torch.equal(net(x, c), again(x, c))


def test_unknown_boundary():
    with pytest.raises(ValueError, match="periodic"):
        UNet(1, 1, boundary=("circular", "zero"))
