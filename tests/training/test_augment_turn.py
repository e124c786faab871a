"""The turn of FNO's forced vorticity. Truth: the forcing itself, which it keeps."""

import math

import pytest
import torch

from sciml_diffusion.training.augment import random_turn


def test_a_turn_keeps_the_forcing_and_needs_half_a_period_on_the_grid():
    """sin + cos of 2 pi (x + y) stays, to the rounding of float64; with an odd n half a period lies between points."""
    x = torch.arange(8, dtype=torch.float64) / 8
    phase = 2 * math.pi * (x[:, None] + x)
    forcing = (phase.sin() + phase.cos()).expand(16, 1, 8, 8)
    turned = random_turn(forcing, torch.Generator().manual_seed(0))
    assert (turned - forcing).abs().max() < 1e-14
    noise = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    changed = (random_turn(noise, torch.Generator().manual_seed(0)) != noise).flatten(1).any(1)
    assert 0 < changed.sum() < 16
    for shape in ((2, 1, 7, 7), (2, 1, 6, 8)):
        with pytest.raises(ValueError, match="a square grid with an even number of points"):
            random_turn(torch.zeros(shape), torch.Generator())
