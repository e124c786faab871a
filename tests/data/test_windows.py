"""Windows. Truth: counts by hand; fields that hold their own frame number."""

import numpy as np
import pytest
import torch

from sciml_diffusion.data.windows import contiguous_segments, window_index, window_length, windows

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2020-01-01", "ns")


def frames(count: int) -> torch.Tensor:
    """x[n, c, i, j] = 1000 n + 100 c + 10 i + j."""
    n, c, i, j = torch.meshgrid(*map(torch.arange, (count, 2, 3, 4)), indexing="ij")
    return (1000 * n + 100 * c + 10 * i + j).double()


@pytest.mark.parametrize("length, stride, count", [(8, 1, 17), (8, 8, 3), (8, 5, 4), (24, 1, 1), (1, 1, 24)])
def test_count_content_and_view(length, stride, count):
    x = frames(24)
    w = windows(x, length, stride)
    assert w.shape == (count, 2, length, 3, 4)
    assert w.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    index = window_index([slice(0, 24)], length, stride)
    for k in range(count):
        assert index[k].tolist() == list(range(k * stride, k * stride + length))
        assert torch.equal(w[k], x[index[k]].movedim(0, 1))


def test_no_window_across_a_gap():
    """Segments of 10, 3 and 7 hours: windows of 4 frames number 7 + 0 + 4."""
    hours = np.r_[0:10, 12:15, 20:27]
    time = START + hours * HOUR
    segments = contiguous_segments(time)
    assert [(s.start, s.stop) for s in segments] == [(0, 10), (10, 13), (13, 20)]
    w = windows(frames(20), 4, 1, segments)
    assert len(w) == 11
    index = window_index(segments, 4)
    for k in range(11):
        assert (np.diff(time[index[k]]) == HOUR).all()
        assert torch.equal(w[k], frames(20)[index[k]].movedim(0, 1))


def test_segments():
    assert contiguous_segments(START + np.arange(5) * HOUR) == [slice(0, 5)]
    assert contiguous_segments(START + np.arange(4) * HOUR, step=2 * HOUR) == [slice(i, i + 1) for i in range(4)]
    # model time in steps of 0.1, which binary numbers only approximate
    assert contiguous_segments(np.arange(11) * 0.1) == [slice(0, 11)]
    assert contiguous_segments(np.array([0.0, 0.1, 0.2, 0.5, 0.6])) == [slice(0, 3), slice(3, 5)]
    assert contiguous_segments(np.array([0.0])) == [slice(0, 1)] and contiguous_segments(np.array([])) == []


def test_refusals():
    with pytest.raises(ValueError, match="8 frames; the longest stretch .* has 5"):
        windows(frames(9), 8, 1, [slice(0, 5), slice(5, 9)])
    with pytest.raises(ValueError, match="length >= 1"):
        window_index([slice(0, 5)], 0)


def test_window_length():
    assert window_length("8h", HOUR) == 8 and window_length("1D", 6 * HOUR) == 4 and window_length(5, HOUR) == 5
    assert window_length(0.7, 0.1) == 7 and window_length(64, 0.1) == 64
    for window, step, word in (
        ("8h", 3 * HOUR, "whole number"),
        ("30min", HOUR, "whole number"),
        ("eight", HOUR, "no duration"),
        ("8h", 0.1, "model time"),
        (8.0, HOUR, "'8h'"),
        (0, HOUR, "at least 1"),
    ):
        with pytest.raises(ValueError, match=word):
            window_length(window, step)
