"""Splits of dated fields into training and test: blocks of whole days, with a gap between them."""

import numpy as np

DAY = np.timedelta64(1, "D")


def blocked_folds(time: np.ndarray, folds: int = 5, gap: np.timedelta64 = DAY) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each contiguous block of whole days is the test once; the days next to it are left out of the training.

    Arguments:
        time: increasing datetime64, with shape (T,).
        folds: number of blocks, >= 2; their sizes differ by at most one day.
        gap: time left out on either side of a test block.

    Returns:
        (train, test) for each fold: indices into `time`.

    Raises:
        ValueError: undated fields, fewer days than folds, or a fold without training.
    """
    days = _dates(time).astype("datetime64[D]")
    blocks = np.array_split(np.unique(days), folds) if folds >= 2 else []
    if not blocks or any(len(block) == 0 for block in blocks):
        raise ValueError(
            f"{folds} folds need at least 2 blocks and one day for each; the fields have {len(np.unique(days))} days"
        )
    result = []
    for block in blocks:
        test = (days >= block[0]) & (days <= block[-1])
        near = (time >= block[0] - gap) & (time < block[-1] + DAY + gap)
        if near.all():
            raise ValueError(
                f"the fold {block[0]} to {block[-1]} leaves no training outside its gap; use a smaller gap"
            )
        result.append((np.flatnonzero(~near), np.flatnonzero(test)))
    return result


def by_dates(time: np.ndarray, train: tuple[str, str], test: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Training and test periods by their first and last dates, both included.

    Arguments:
        time: increasing datetime64, with shape (T,).
        train, test: ISO dates; "2019-03-24" as an end takes in the whole day, "2019-03" the whole month.

    Returns:
        (train, test): indices into `time`.

    Raises:
        ValueError: undated fields, an end before its start, periods that overlap or hold no field.
    """
    time = _dates(time)
    chosen = {}
    for name, (first, last) in (("training", train), ("test", test)):
        start, end = np.datetime64(first), np.datetime64(last)
        end = end + np.timedelta64(1, np.datetime_data(end.dtype)[0])
        if end <= start:
            raise ValueError(f"the {name} period ends ({last}) before it begins ({first})")
        index = np.flatnonzero((time >= start) & (time < end))
        if not len(index):
            raise ValueError(
                f"the {name} period {first} to {last} holds no field; the fields span {time[0]} to {time[-1]}"
            )
        chosen[name] = index
    if len(np.intersect1d(chosen["training"], chosen["test"])):
        raise ValueError(f"the training period {train} and the test period {test} overlap")
    return chosen["training"], chosen["test"]


def _dates(time: np.ndarray) -> np.ndarray:
    """Times that must be dates."""
    time = np.asarray(time)
    if time.dtype.kind != "M":
        raise ValueError(
            f"a split by days needs dated fields (datetime64), got times of type {time.dtype}; split by sample instead"
        )
    return time
