"""Splits. Truth: the calendar of March 2019."""

import numpy as np
import pytest

from sciml_diffusion.data.splits import blocked_folds, by_dates

MARCH = np.datetime64("2019-03-01", "ns") + np.arange(744) * np.timedelta64(1, "h")
DAY = np.timedelta64(1, "D")


def days(index) -> set:
    return set((MARCH[index].astype("datetime64[D]") - np.datetime64("2019-02-28")).astype(int).tolist())


def test_five_folds_of_march():
    folds = blocked_folds(MARCH)
    expected = [range(1, 8), range(8, 14), range(14, 20), range(20, 26), range(26, 32)]
    for (train, test), block in zip(folds, expected, strict=True):
        assert days(test) == set(block) and len(test) == 24 * len(block)
        gap = {block[0] - 1, block[-1] + 1}
        assert days(train) == set(range(1, 32)) - set(block) - gap
        assert len(train) == 24 * len(days(train))
        assert not set(train) & set(test)
        distance = np.abs(MARCH[train][:, None] - MARCH[test]).min()
        assert distance == DAY + np.timedelta64(1, "h")
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(744))


def test_a_gap_of_another_length():
    for train, test in blocked_folds(MARCH, folds=3, gap=np.timedelta64(36, "h")):
        assert np.abs(MARCH[train][:, None] - MARCH[test]).min() == np.timedelta64(37, "h")


def test_by_dates():
    train, test = by_dates(MARCH, ("2019-03-01", "2019-03-24"), ("2019-03-26", "2019-03-31"))
    assert days(train) == set(range(1, 25)) and len(train) == 24 * 24
    assert days(test) == set(range(26, 32)) and len(test) == 6 * 24
    train, test = by_dates(MARCH, ("2019-03-02T06", "2019-03-02T08"), ("2019-03-05", "2019-03"))
    assert MARCH[train].astype("datetime64[h]").astype(str).tolist() == [f"2019-03-02T0{h}" for h in (6, 7, 8)]
    assert days(test) == set(range(5, 32))


def test_refusals():
    with pytest.raises(ValueError, match="overlap"):
        by_dates(MARCH, ("2019-03-01", "2019-03-10"), ("2019-03-10", "2019-03-12"))
    with pytest.raises(ValueError, match="holds no field"):
        by_dates(MARCH, ("2019-03-01", "2019-03-10"), ("2019-04-10", "2019-04-12"))
    with pytest.raises(ValueError, match="before it begins"):
        by_dates(MARCH, ("2019-03-10", "2019-03-01"), ("2019-03-11", "2019-03-12"))
    with pytest.raises(ValueError, match="dated fields"):
        blocked_folds(np.arange(10.0))
    for count in (1, 32):
        with pytest.raises(ValueError, match="31 days"):
            blocked_folds(MARCH, folds=count)
    with pytest.raises(ValueError, match="no training"):
        blocked_folds(MARCH, folds=2, gap=20 * DAY)
