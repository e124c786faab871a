"""Windows of consecutive frames, as views of the fields where that is possible, never across a gap in time."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor


def contiguous_segments(time: np.ndarray, step: np.timedelta64 | float | None = None) -> list[slice]:
    """Stretches of equidistant times.

    Arguments:
        time: increasing times (datetime64 or numbers), with shape (T,).
        step: time between frames; the smallest difference by default.

    Returns:
        slices into `time`, together all of it; a difference other than `step` begins the next one.
    """
    time = np.asarray(time)
    if len(time) < 2:
        return [slice(0, len(time))] if len(time) else []
    steps = np.diff(time)
    if time.dtype.kind in "mM":
        same = steps == (steps.min() if step is None else np.timedelta64(step))
    else:
        step = float(steps.min() if step is None else step)
        same = np.abs(steps - step) <= 1e-6 * step
    cuts = np.flatnonzero(~same) + 1
    return [slice(int(a), int(b)) for a, b in zip([0, *cuts], [*cuts, len(time)], strict=True)]


def trajectory_segments(samples: Sequence[int], time: np.ndarray) -> list[slice]:
    """Stretches of the frames of some samples laid end to end: frame n of sample s is number s T + n.

    Windows made of them (`window_index`) hold frames of one sample without a gap in time.

    Arguments:
        samples: indices s of the samples, for example those of the training.
        time: increasing times that all samples share, with shape (T,).
    """
    own, count = contiguous_segments(time), len(time)
    return [slice(s * count + part.start, s * count + part.stop) for s in map(int, samples) for part in own]


def window_index(segments: list[slice], length: int, stride: int = 1, every: int = 1) -> np.ndarray:
    """Indices of the frames of every window, with shape (N, length).

    Arguments:
        segments: stretches without a gap.
        length: frames of a window.
        stride: frames from the start of one window to that of the next, within a stretch.
        every: frames from one frame of a window to the next.

    Raises:
        ValueError: length, stride or every < 1, or no stretch as long as a window.
    """
    if length < 1 or stride < 1 or every < 1:
        raise ValueError(f"a window needs length >= 1, stride >= 1 and every >= 1, got {length}, {stride} and {every}")
    span = (length - 1) * every + 1
    starts = [np.arange(s.start, s.stop - span + 1, stride) for s in segments if s.stop - s.start >= span]
    if not starts:
        longest = max((s.stop - s.start for s in segments), default=0)
        raise ValueError(f"a window has {span} frames; the longest stretch without a gap in time has {longest}")
    return np.concatenate(starts)[:, None] + every * np.arange(length)


def windows(fields: Tensor, length: int, stride: int = 1, segments: list[slice] | None = None) -> Tensor:
    """All windows of the fields, in the order of `window_index`.

    Arguments:
        fields: with shape (T, C, *S).
        length: frames of a window.
        stride: frames from the start of one window to that of the next.
        segments: stretches without a gap in time (`contiguous_segments`); one by default.

    Returns:
        with shape (N, C, length, *S): a view of the fields for one stretch, a copy for several.

    Raises:
        ValueError: as `window_index`.
    """
    segments = [slice(0, len(fields))] if segments is None else segments
    window_index(segments, length, stride)
    parts = [fields[s].unfold(0, length, stride).movedim(-1, 2) for s in segments if s.stop - s.start >= length]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def window_length(window: str | int | float, step: np.timedelta64 | float) -> int:
    """Number of frames of a window.

    Arguments:
        window: a duration such as "8h" for dated fields, a duration in model time (a float), or a number of
            frames (an int).
        step: time between frames.

    Raises:
        ValueError: a text that is no duration, or a duration that is no whole number (>= 1) of frames.
    """
    if isinstance(window, bool) or (isinstance(window, str) and not isinstance(step, np.timedelta64)):
        raise ValueError(
            f"fields in model time need a window in frames (an int) or in model time (a float), got {window!r}"
        )
    if isinstance(window, int | np.integer):
        frames = float(window)
    elif isinstance(window, str):
        try:
            frames = float(pd.Timedelta(window) / pd.Timedelta(step))
        except ValueError as error:
            raise ValueError(f"{window!r} is no duration; write for example '8h' or '1D'") from error
    elif isinstance(step, np.timedelta64):
        raise ValueError(f"dated fields need a window such as '8h', or a number of frames (an int); got {window!r}")
    else:
        frames = window / step
    shown = pd.Timedelta(step) if isinstance(step, np.timedelta64) else step
    if frames < 0.5 or abs(frames - round(frames)) > 1e-6 * frames:
        raise ValueError(
            f"a window of {window!r} holds {frames:g} frames of step {shown}; it must be a whole number of at least 1"
        )
    return round(frames)
