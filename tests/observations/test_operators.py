"""Operators and the likelihood. Truths: the identity <A x, y> = <x, A^T y>, dense matrices, and scipy.stats.norm."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from sciml_diffusion.codecs.standardise import Climatology, Standardise
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Matrix, ThroughCodec, Weighted
from sciml_diffusion.observations.sensors import mask_operator

WINDOW = (2, 3, 4, 5)
ROUNDING = 1e-12  # float64 sums of some hundred terms of size one


def draw(seed, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def weighted(m=7, p=3):
    index = torch.randint(0, 120, (m, p), generator=torch.Generator().manual_seed(5))
    return Weighted(index, draw(6, m, p), WINDOW)


def standardise(frames_as_channels=True):
    return Standardise(draw(1, 2, 3, 4, 5), draw(2, 2, 1, 1, 1).abs() + 0.5, WINDOW, frames_as_channels)


OPERATORS = {
    "matrix": lambda: Matrix(draw(3, 7, 120), WINDOW),
    "weighted": weighted,
    "weighted with repeated cells": lambda: Weighted(torch.tensor([[3, 3], [3, 7]]), draw(4, 2, 2), WINDOW),
    "mask": lambda: mask_operator(draw(8, 2, 1, 4, 5) > 0.3, WINDOW),
    "through codec": lambda: ThroughCodec(weighted(), standardise()),
    "through codec, time as image axis": lambda: ThroughCodec(weighted(), standardise(False)),
    "matrix through codec": lambda: ThroughCodec(Matrix(draw(3, 7, 120), WINDOW), standardise()),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_adjoint_is_the_transpose(name):
    operator = OPERATORS[name]()
    x, y = draw(10, 6, *operator.event), draw(11, 6, operator.m)
    forward = (operator(x) * y).sum(1)
    backward = (x * operator.adjoint(y)).flatten(1).sum(1)
    assert operator(x).shape == (6, operator.m) and operator.adjoint(y).shape == x.shape
    assert torch.allclose(forward, backward, rtol=0, atol=100 * ROUNDING)


@pytest.mark.parametrize("name", OPERATORS)
def test_rows_are_the_matrix(name):
    operator = OPERATORS[name]()
    matrix = Matrix(operator.rows(torch.float64).flatten(1), operator.event)
    x = draw(12, 3, *operator.event)
    assert torch.allclose(matrix(x), operator(x), rtol=0, atol=100 * ROUNDING)


@pytest.mark.parametrize("name", OPERATORS)
def test_one_row_is_the_same_alone_and_in_a_batch(name):
    operator = OPERATORS[name]()
    x, y = draw(13, 16, *operator.event), draw(14, 16, operator.m)
    # matrix products may sum in another order for another batch; all else is the same arithmetic
    assert torch.allclose(operator(x)[:1], operator(x[:1]), rtol=0, atol=ROUNDING * 10)
    assert torch.allclose(operator.adjoint(y)[:1], operator.adjoint(y[:1]), rtol=0, atol=ROUNDING * 10)


@pytest.mark.parametrize("name", OPERATORS)
def test_derivative_is_the_adjoint(name):
    operator = OPERATORS[name]()
    x, y = draw(15, 2, *operator.event).requires_grad_(), draw(16, 2, operator.m)
    (gradient,) = torch.autograd.grad((operator(x) * y).sum(), x)
    assert torch.allclose(gradient, operator.adjoint(y), rtol=0, atol=100 * ROUNDING)


def test_mask_reads_the_values_in_memory_order():
    mask = draw(20, *WINDOW) > 0
    x = draw(21, 3, *WINDOW)
    assert torch.equal(mask_operator(mask, WINDOW)(x), x[:, mask])


def test_mask_broadcasts_over_variables_and_frames():
    mask = torch.zeros(4, 5, dtype=torch.bool)
    mask[1, 2] = mask[3, 0] = True
    x = draw(22, 2, *WINDOW)
    assert torch.equal(mask_operator(mask, WINDOW)(x), x[..., [1, 3], [2, 0]].flatten(1))


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (torch.ones(WINDOW), "boolean"),
        (torch.ones(3, 5, dtype=torch.bool), "does not fit"),
        (torch.zeros(WINDOW, dtype=torch.bool), "nowhere true"),
    ],
)
def test_bad_masks_are_refused(mask, text):
    with pytest.raises(ValueError, match=text):
        mask_operator(mask, WINDOW)


def observation(batch=4, m=7):
    return Observation(weighted(m), draw(30, batch, m), draw(31, m).abs() + 0.1)


def test_log_likelihood_is_a_sum_of_normal_densities():
    data = observation()
    x = draw(32, 12, *WINDOW)  # three members of each of four windows, members within windows
    y = data.y.repeat_interleave(3, 0).numpy()
    truth = norm.logpdf(y, loc=data.operator(x).numpy(), scale=data.std.numpy()).sum(1)
    assert np.allclose(data.log_likelihood(x).numpy(), truth, rtol=1e-12, atol=0)


def test_log_likelihood_of_one_window_is_the_same_in_a_batch():
    data = observation(batch=16)
    x = draw(33, 32, *WINDOW)
    first = Observation(data.operator, data.y[:1], data.std)
    assert torch.equal(data.log_likelihood(x)[:2], first.log_likelihood(x[:2]))


@pytest.mark.parametrize("frames_as_channels", [True, False])
def test_through_a_codec_is_as_good_as_decoding_first(frames_as_channels):
    data, codec = observation(), standardise(frames_as_channels)
    z = draw(34, 8, *codec.event)
    through = data.through([codec] * 4)
    assert torch.allclose(through.log_likelihood(z), data.log_likelihood(codec.decode(z)), rtol=1e-11, atol=0)


def test_through_codecs_of_different_hours():
    climatology = Climatology(draw(35, 2, 24, 4, 5), draw(36, 2, 1, 1, 1).abs() + 0.5, WINDOW, True)
    starts = np.datetime64("2019-03-26T00") + np.array([0, 5, 21, 30]) * np.timedelta64(1, "h")
    codecs = [climatology.at(start + np.arange(3) * np.timedelta64(1, "h")) for start in starts]
    data = observation()
    z = draw(37, 4, *codecs[0].event)
    decoded = torch.cat([codec.decode(row[None]) for codec, row in zip(codecs, z, strict=True)])
    assert torch.allclose(data.through(codecs).log_likelihood(z), data.log_likelihood(decoded), rtol=1e-11, atol=0)


@pytest.mark.parametrize(
    ("y", "std", "text"),
    [
        (torch.zeros(1, 6), torch.ones(7), "needs y of shape"),
        (torch.zeros(1, 7), torch.ones(6), "needs y of shape"),
        (torch.zeros(7), torch.ones(7), "needs y of shape"),
        (torch.zeros(1, 7), torch.zeros(7), "std must be"),
        (torch.zeros(1, 7), torch.full((7,), float("inf")), "std must be"),
        (torch.full((1, 7), float("nan")), torch.ones(7), "not finite"),
    ],
)
def test_bad_observations_are_refused(y, std, text):
    with pytest.raises(ValueError, match=text):
        Observation(weighted(), y, std)
