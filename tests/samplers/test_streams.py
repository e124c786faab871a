"""Truth: the numbers of a member depend on (seed, observation, member) alone, bit for bit."""

import pytest
import torch
from analytic import F64

from sciml_diffusion.samplers.streams import MemberStreams


def _calls(streams):
    """Several calls in a row: the state of every stream must move alike."""
    return [streams.normal((3, 2)), streams.uniform((5,)), streams.normal(())]


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_numbers_do_not_depend_on_the_split(dtype):
    whole = _calls(MemberStreams(1, [0, 1, 2], range(4), dtype))
    by_window = [_calls(MemberStreams(1, [b], range(4), dtype)) for b in range(3)]
    by_member = [_calls(MemberStreams(1, [0, 1, 2], [k], dtype)) for k in range(4)]
    for call in range(3):
        assert torch.equal(whole[call], torch.cat([part[call] for part in by_window]))
        assert torch.equal(whole[call], torch.stack([part[call] for part in by_member], 1).flatten(0, 1))


def test_the_shared_stream_depends_on_the_observation_alone():
    first, second = MemberStreams(1, [4, 5], range(3)), MemberStreams(1, [5], range(7))
    first.normal((2,))  # members' numbers do not move the shared stream
    shared = [first.shared_uniform(), first.shared_uniform()]
    again = [second.shared_uniform(), second.shared_uniform()]
    assert shared[0].dtype == F64
    assert all(torch.equal(a[1:], b) for a, b in zip(shared, again, strict=True))


def test_different_keys_are_uncorrelated():
    n = 4000
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 2**31), (0, 1, 1)]
    x = torch.stack([MemberStreams(seed, [b], [k], F64).normal((n,))[0] for seed, b, k in keys])
    assert torch.corrcoef(x).fill_diagonal_(0).abs().max() < 4.5 / n**0.5  # 15 pairs, 4.5 standard errors
    assert (x.mean(1).abs() < 4 / n**0.5).all() and ((x.var(1) - 1).abs() < 4 * (2 / n) ** 0.5).all()


def test_uniform_numbers_lie_in_the_unit_interval():
    u = MemberStreams(0, [0], range(4), F64).uniform((1000,))
    assert ((u >= 0) & (u < 1)).all()
    assert abs(float(u.mean()) - 0.5) < 4 * (1 / 12 / 4000) ** 0.5
