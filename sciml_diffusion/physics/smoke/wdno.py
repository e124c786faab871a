"""Initial smoke and controls by the law of WDNO's smoke data, one stream for each sample."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .control import Control, set_in_rim
from .faces import to_centres
from .projection import Projection
from .scene import WDNO_LENGTH, Scene

EDGE = 11  # of the square of smoke, in units of length
NOISE_CELLS = 64  # cells on an axis of the stored data, on which the control's noise lives
DURATION = 256.0  # and the number of the generator's steps
RISE = 0.2  # velocity of the air along y at the start


def way_path(seed: int, sample: int) -> np.ndarray:
    """Five points (y, x) along which the smoke is to be led, from its corner at the start to the target: shape (5, 2).

    y = randint [22, 25), 40, 50, 64, 112; x: start in [22, 97), two turns in the same half, one in [50, 69), end in
    [56, 62). Facts from the public generator of Hu et al., Wavelet Diffusion Neural Operator, ICLR 2025.

    Arguments:
        seed: >= 0.
        sample: index >= 0; the stream has the key (seed, sample).
    """
    draw = np.random.default_rng([seed, sample, 0])
    start_x, start_y = draw.integers(22, 97), draw.integers(22, 25)
    low, high = (21, 54) if start_x < 54 else (64, 97)
    xs = [start_x, *draw.integers(low, high, 2), draw.integers(50, 69), draw.integers(56, 62)]
    return np.stack([np.array([start_y, 40, 50, 64, 112]), np.array(xs)], 1).astype(float)


def wdno_smoke(scene: Scene, seed: int, samples: Sequence[int]) -> Tensor:
    """Initial fields with shape (B, 3, Y, X), float64: a square of smoke of density 1 in air that rises at 0.2.

    The square has the edge 11 and a corner at the first point of `way_path`; a cell holds the share of it that the
    square covers, so the same smoke lies on every grid.

    Arguments:
        scene: as `wdno_scene` makes it, of any resolution.
        seed: >= 0.
        samples: indices >= 0, with length B.
    """
    u0 = torch.zeros(len(samples), 3, *scene.sizes, dtype=torch.float64)
    for row, sample in enumerate(samples):
        shares = [
            _covered(n, corner * length / WDNO_LENGTH, EDGE * length / WDNO_LENGTH, length)
            for n, length, corner in zip(scene.sizes, scene.size, way_path(seed, sample)[0], strict=True)
        ]
        u0[row, 0] = shares[0][:, None] * shares[1]
    u0[:, 1] = RISE
    return u0 * ~scene.solid


def wdno_control(
    scene: Scene, seed: int, samples: Sequence[int], frames: int = 33, projection: Projection | None = None
) -> Control:
    """Velocities in the rim, float64, that lead the smoke along `way_path` within 256 units of time.

    On each of the four legs the mean velocity is the leg's direction at the speed path / 256, times U(2, 5) along x
    and 5 along y, redrawn as N(v, |v| / 4). Where a leg begins, the air of the rim is given N(v, |v| / 10); else what
    the rim has, which drifts by N(0, 0.1) in each unit of time. This is the law of WDNO's generator, which projects the
    flow 256 times, once in each unit of time. Ours: legs begin with frames, a frame's drift is drawn at once, noise
    lives on a 64 x 64 lattice, repeated to the scene's cells, and what the rim is given is held until the next frame,
    as where WDNO runs a stored control again (its generator gives a leg's velocity in one step only).

    Arguments:
        scene: as `wdno_scene` makes it.
        seed: >= 0.
        samples: indices >= 0, with length B; the stream has the key (seed, sample).
        frames: F of the control, of which each is held for 256 / (F - 1); the last serves a run of more than 256.
        projection: prepared for this scene, to save time.
    """
    projection, interval = projection or Projection(scene), DURATION / (frames - 1)
    rows, columns = (torch.arange(n) * NOISE_CELLS // n for n in scene.sizes)
    streams = [np.random.default_rng([seed, sample, 1]) for sample in samples]
    legs = [_legs(way_path(seed, sample), frames, draw) for sample, draw in zip(samples, streams, strict=True)]
    flow = tuple(
        torch.full((len(samples), *m.shape), r, dtype=torch.float64)
        for m, r in zip(scene.openness(), (RISE, 0.0), strict=True)
    )
    given = []
    for k in range(frames):
        noise = np.stack([draw.standard_normal((2, NOISE_CELLS, NOISE_CELLS)) for draw in streams])
        noise = torch.from_numpy(noise)[..., rows[:, None], columns]
        v = torch.from_numpy(np.stack([mean[leg[k]] for mean, leg in legs]))[..., None, None]
        turns = torch.tensor([k == 0 or leg[k] != leg[k - 1] for _, leg in legs])[:, None, None, None]
        drifted = torch.stack(to_centres(flow), 1) + 0.1 * interval**0.5 * noise
        given.append(torch.where(turns, v + v.abs() / 10 * noise, drifted) * scene.rim)
        for _ in range(math.ceil(interval) if k < frames - 1 else 0):
            flow = projection(set_in_rim(flow, given[-1], scene))
    return Control(torch.stack(given, 2), interval, "velocity")


def _legs(path: np.ndarray, frames: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mean velocities (y, x) of the four legs, shape (4, 2), and the leg of each frame, shape (F,)."""
    legs = np.diff(path, axis=0)
    lengths = np.linalg.norm(legs, axis=1)
    mean = lengths.sum() / DURATION * legs / lengths[:, None] * np.array([5.0, draw.uniform(2, 5)])
    mean = mean + np.abs(mean) / 4 * draw.standard_normal(mean.shape)
    ends = np.cumsum(lengths)[:-1] / lengths.sum()
    return mean, np.searchsorted(ends, np.arange(frames) / (frames - 1), side="right")


def _covered(n: int, start: float, edge: float, length: float) -> Tensor:
    """Share of each of n cells of [0, length] that lies in [start, start + edge]."""
    faces = np.linspace(0, length, n + 1)
    return torch.from_numpy(np.diff(faces.clip(start, start + edge)) * n / length)
