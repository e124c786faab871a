"""Truth: decode undoes encode; decode is affine, and its adjoint satisfies <L z, x> = <z, L^T x>."""

import numpy as np
import pytest
import torch
from analytic import F64
from registry import CODECS

from sciml_diffusion.codecs.standardise import Climatology, Standardise

WINDOW = (2, 3, 4)


def _fields(n=3, seed=0):
    return torch.randn(n, *WINDOW, generator=torch.Generator().manual_seed(seed), dtype=F64)


@pytest.mark.parametrize("name", CODECS)
def test_decode_undoes_encode(name):
    codec, x = CODECS[name](), _fields()
    torch.testing.assert_close(codec.decode(codec.encode(x)), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CODECS)
def test_decode_is_affine_with_the_stated_linear_part(name):
    codec = CODECS[name]()
    z = codec.encode(_fields())
    truth = codec.decode(z) - codec.decode(torch.zeros_like(z))
    torch.testing.assert_close(codec.decode_linear(z), truth, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CODECS)
def test_adjoint(name):
    codec, x = CODECS[name](), _fields(seed=1)
    z = codec.encode(_fields())
    left, right = (codec.decode_linear(z) * x).sum(), (z * codec.decode_adjoint(x)).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=0)


def test_frames_as_channels_keep_the_memory_order():
    x = _fields()
    as_image, as_axes = (Standardise(torch.zeros(1), torch.ones(1), WINDOW, flag) for flag in (True, False))
    assert as_image.event == (6, 4) and as_axes.event == WINDOW
    assert torch.equal(as_image.encode(x).flatten(), as_axes.encode(x).flatten())


def _climatology():
    mean = torch.arange(24, dtype=F64)[None, :, None].expand(2, 24, 4).clone()
    mean[:, 12:] = torch.nan
    return Climatology(mean, torch.full((2, 1, 1), 2.0, dtype=F64), WINDOW, True)


def test_climatology_takes_the_mean_of_each_hour():
    time = np.datetime64("2019-03-04T09", "h") + np.arange(3)
    codec = _climatology().at(time)
    truth = torch.arange(9, 12, dtype=F64)[None, :, None].expand(WINDOW)
    torch.testing.assert_close(codec.decode(torch.zeros(1, 6, 4, dtype=F64))[0], truth, rtol=0, atol=1e-12)


def test_climatology_names_the_hours_that_it_lacks():
    with pytest.raises(ValueError, match="knows the hours"):
        _climatology().at(np.datetime64("2019-03-04T11", "h") + np.arange(3))
    with pytest.raises(TypeError, match="at\\(time\\)"):
        _climatology().encode(_fields())


def test_standardise_refuses_a_field_that_does_not_vary():
    with pytest.raises(ValueError, match="does not vary"):
        Standardise(torch.zeros(1), torch.zeros(1), WINDOW, True)
