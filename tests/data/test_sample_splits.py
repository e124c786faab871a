"""Splits and windows of trajectories. Truths: counts, disjointness, and fields that hold their own number."""

import json

import numpy as np
import pytest
import torch

from sciml_diffusion.data.sample_splits import Splits, by_block, by_sample, first_tenth_for_test
from sciml_diffusion.data.windows import trajectory_segments, window_index, windows


def test_by_sample_deals_each_sample_once():
    splits = by_sample(50, {"train": 0.8, "validation": 0.1, "test": 0.1}, seed=3)
    assert [len(splits[name]) for name in ("train", "validation", "test")] == [40, 5, 5]
    assert sorted(np.concatenate(list(splits.parts.values()))) == list(range(50))
    assert not np.array_equal(splits["train"], np.arange(40))  # not in the order of the file
    assert by_sample(50, seed=3).digest == splits.digest != by_sample(50, seed=4).digest
    with pytest.raises(KeyError, match="there is no part 'dev'; there are train"):
        splits["dev"]


def test_a_part_of_the_data_may_be_left_out():
    splits = by_sample(40, {"train": 0.5, "test": 0.25})
    assert len(splits["train"]) == 20 and len(splits["test"]) == 10


def test_blocks_stay_together_and_gaps_keep_neighbours_apart():
    """10 runs of 7 windows: no run is divided; with a gap of 2, windows of two parts are at least 5 apart."""
    splits = by_block(70, 7, {"train": 0.6, "test": 0.4}, seed=1)
    for index in splits.parts.values():
        assert all(np.isin(np.arange(r * 7, r * 7 + 7), index).all() for r in np.unique(index // 7))
    assert [len(index) for index in splits.parts.values()] == [42, 28]
    gapped = by_block(70, 7, {"train": 0.6, "test": 0.4}, seed=1, gap=2)
    assert np.abs(gapped["train"][:, None] - gapped["test"]).min() == 5
    assert set(gapped["train"]) < set(splits["train"])
    last = by_block(17, 5, {"train": 0.5, "test": 0.5})  # the last block has two samples
    assert sorted(np.concatenate(list(last.parts.values()))) == list(range(17))


def test_pdebench_tests_on_the_first_tenth():
    splits = first_tenth_for_test(25)
    assert splits["test"].tolist() == [0, 1] and splits["train"].tolist() == list(range(2, 25))


def test_splits_are_kept_with_their_checksum(tmp_path):
    splits, path = by_sample(30), tmp_path / "splits.json"
    splits.save(path)
    again = Splits.load(path)
    assert again.digest == splits.digest and again.count == 30
    assert all(np.array_equal(again[name], splits[name]) for name in splits.parts)
    content = json.loads(path.read_text())
    content["parts"]["train"] = content["parts"]["train"][1:]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="has been changed"):
        Splits.load(path)
    for text in ("{}", "[]", "no json"):
        path.write_text(text)
        with pytest.raises(ValueError, match="no split that this package wrote"):
            Splits.load(path)


def test_refusals():
    with pytest.raises(ValueError, match="'train' and 'test' overlap in 2 samples, the first is 3"):
        Splits({"train": [1, 3, 4], "test": [4, 3, 7]}, 8)
    for index in ([], [8], [-1], [2, 2]):
        with pytest.raises(ValueError, match="each once, of 0 ... 7"):
            Splits({"train": index}, 8)
    with pytest.raises(ValueError, match="at least one part"):
        Splits({}, 8)
    for shares in ({"train": 0.8, "test": 0.3}, {"train": 0.0}, {}):
        with pytest.raises(ValueError, match="together at most 1"):
            by_sample(10, shares)
    with pytest.raises(ValueError, match="too few"):
        by_sample(3)
    with pytest.raises(ValueError, match="gap"):
        by_block(10, 2, gap=-1)
    with pytest.raises(ValueError, match="must hold at least one sample"):
        by_block(10, 1, {"train": 0.5, "test": 0.5}, gap=9)
    with pytest.raises(ValueError, match="at least 10"):
        first_tenth_for_test(9)


@pytest.mark.parametrize(("stride", "every"), [(1, 1), (2, 1), (3, 2)])
def test_windows_hold_one_trajectory_without_gaps(stride, every):
    """Frame n of sample s holds 100 s + n; the times jump after frame 5, and samples 2 and 0 are asked for."""
    time = np.r_[0.0:6.0, 8.0:13.0]
    frames = (100 * torch.arange(4)[:, None] + torch.arange(11)).reshape(-1, 1, 1)
    segments = trajectory_segments([2, 0], time)
    index = window_index(segments, 3, stride, every)
    held = frames.flatten()[torch.from_numpy(index)]
    assert set((held // 100).unique().tolist()) == {0, 2}
    assert (np.diff(held.numpy(), axis=1) == every).all()  # one sample, even steps
    assert ((held % 100 <= 5).all(1) | (held % 100 >= 6).all(1)).all()  # none across the jump
    span = 2 * every + 1
    assert len(index) == 2 * sum((n - span) // stride + 1 for n in (6, 5))
    if every == 1:
        assert torch.equal(windows(frames, 3, stride, segments)[:, 0, :, 0], held)


def test_windows_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="has 7 frames; the longest"):
        window_index([slice(0, 6)], 4, every=2)
    with pytest.raises(ValueError, match="every >= 1"):
        window_index([slice(0, 6)], 4, every=0)
