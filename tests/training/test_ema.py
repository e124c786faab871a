"""Truth: the weighted sum that an exponential average is, written out."""

import pytest
from torch import nn

from sciml_diffusion.training.ema import EMA


def test_closed_form():
    """m_n = sum_i (1 - d_i) prod_{j > i} d_j w_i + prod_j d_j w_0, with d_n = min(2^(-1/h), n / (n + 9))."""
    module = nn.Linear(1, 1, bias=False).double()
    weights = [3.0, -1.0, 2.0, 5.0, 0.5, 4.0]
    module.weight.data.fill_(weights[0])
    ema = EMA(module, half_life=0.5)  # decay 1/4, below n / (n + 9) from n = 3 on
    decays = [min(0.25, n / (n + 9)) for n in range(1, 6)]
    for w in weights[1:]:
        module.weight.data.fill_(w)
        ema.update(module)
    expected, left = 0.0, 1.0
    for w, d in zip(reversed(weights[1:]), reversed(decays), strict=True):
        expected, left = expected + left * (1 - d) * w, left * d
    expected += left * weights[0]
    ema.copy_to(module)
    assert module.weight.item() == pytest.approx(expected, rel=1e-14)


def test_half_life():
    """After the warm-up is long over, a step change is half forgotten in half_life updates."""
    module = nn.Linear(1, 1, bias=False).double()
    module.weight.data.fill_(1.0)
    ema = EMA(module, half_life=20)
    for _ in range(1000):
        ema.update(module)
    module.weight.data.fill_(0.0)
    for _ in range(20):
        ema.update(module)
    assert float(ema.weights["weight"]) == pytest.approx(0.5, rel=1e-12)


def test_half_life_must_be_positive():
    with pytest.raises(ValueError, match="half_life"):
        EMA(nn.Linear(1, 1), 0)
