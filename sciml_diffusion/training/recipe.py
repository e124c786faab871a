"""From fields to a trained prior: codec, Gaussian anchor, network, training, calibration."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..codecs.base import Codec
from ..codecs.standardise import Standardise
from ..data.container import canonical, grid_of, to_tensor, variables_of
from ..data.statistics import mean_std
from ..data.windows import contiguous_segments, window_index, window_length
from ..denoisers.anchored import AnchoredDenoiser
from ..denoisers.backbones.unet import UNet
from ..denoisers.base import Denoiser
from ..denoisers.precondition import PreconditionedDenoiser, TrainableDenoiser
from ..physics.grid import Grid
from .augment import compose_augment
from .calibrate import calibrate
from .fit import FitConfig, fit
from .objective import DenoisingLoss
from .spectral import fit_spectral

if TYPE_CHECKING:
    import xarray as xr

NODES = 12  # noise levels at which beta and ratio are measured
SHARE = 0.2  # of the fields, for validation
GAP = 3  # windows between training and validation
LOG_MEAN, LOG_STD = -0.7, 1.6  # of ln sigma in training
RANGE = (0.01, 50.0)  # of sigma, for trajectories in units of their standard deviation


TRAJECTORIES = FitConfig(
    steps=13000,
    batch=16,
    learning_rate=1.5e-3,
    warmup=200,
    half_life=300,
    validate_every=500,
    check=96,
    precision="auto",
)
SERIES = FitConfig(
    steps=300, batch=16, learning_rate=5e-4, warmup=100, half_life=50, validate_every=50, patience=6, precision="auto"
)


class PriorParts(NamedTuple):
    """The arguments of `Prior`, in its order; `variables` holds the arguments of `Variable`."""

    denoiser: Denoiser
    codec: Codec
    grid: Grid
    variables: tuple[dict, ...]
    window: int
    step: np.timedelta64 | float
    sigma_range: tuple[float, float]
    card: dict


def train_prior(
    fields: "xr.Dataset",
    window: str | int | float | None = None,
    *,
    validation: "xr.Dataset | None" = None,
    seed: int = 0,
    network: dict | None = None,
    config: FitConfig | None = None,
    anchored: bool = True,
    mirror: bool = False,
    folder: Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> PriorParts:
    """Trains a prior on any gridded fields: trajectories (with a dim `sample`) or one series in time.

    Fields on one periodic axis are anchored at the spectral Gaussian, others at the localised one of `fit_prior`.
    Without `validation`, the last fifth of the samples, or the two ends of a series (`validation_blocks`), are held
    out: they stop the training, and set beta and ratio. The anchor of a series is then fitted again to all of it.

    Arguments:
        fields: training fields, one variable or several.
        window: "8h", frames (an int) or model time (a float); by default "8h", or whole trajectories.
        validation: fields to validate on instead of a part of `fields`.
        seed: of the network's weights, batches and noise.
        network: arguments of `UNet` over the defaults (multipliers (1, 2, 2), patch 2, width 48 for samples, else 32).
        config: numbers of the run; by default `TRAJECTORIES` or `SERIES`.
        anchored: False leaves the anchor out.
        mirror: augment by u(x) -> -u(-x), a symmetry of Burgers, on top of the shifts of a periodic axis.
        folder, resume, progress: see `fit`.

    Returns the arguments of `Prior`; the card holds steps, seconds and the validation error by noise level.
    Raises:
        ValueError: fields that do not make windows, or have other axes than x or two spatial ones.
    """
    source = _source(fields, window, validation)
    train, check = source.encoded()
    config, denoiser = config or source.config, _untrained(source, network or {}, anchored, seed)
    objective = DenoisingLoss(source.sigma_range, "log-normal", LOG_MEAN, LOG_STD)
    more = {"folder": folder, "resume": resume, "progress": progress}
    augment = compose_augment(mirror) if source.periodic else None
    report = fit(denoiser, train, check, objective, config, seed=seed, augment=augment, **more)
    card = {"seed": seed, **vars(report), "fit": vars(config)}
    card["parameters"] = sum(p.numel() for p in denoiser.backbone.parameters())
    if anchored:
        denoiser = _calibrated(denoiser, source, check, seed)
        levels = denoiser.log_sigma.exp()
        card["beta"] = {f"{s:.4g}": round(float(b), 4) for s, b in zip(levels, denoiser.beta, strict=True)}
    parts = (source.codec, source.grid, source.variables, source.window, source.step, source.sigma_range)
    return PriorParts(denoiser.requires_grad_(False), *parts, card)


def _source(fields: "xr.Dataset", window, validation: "xr.Dataset | None") -> "_Trajectories | _Series":
    """What the recipe needs to know of the fields."""
    fields, held = canonical(fields), canonical(validation) if validation is not None else None
    return (_Trajectories if "sample" in fields.dims else _Series)(fields, window, held)


def _untrained(source, network: dict, anchored: bool, seed: int) -> TrainableDenoiser:
    """The denoiser to train, the weights of its network drawn from the seed."""
    defaults = {"width": source.width, "multipliers": (1, 2, 2), "patch": 2, "boundary": source.boundary}
    backbone = UNet((2 if anchored else 1) * source.channels, source.channels, **(defaults | network))
    backbone.initialise(torch.Generator().manual_seed(seed))
    if not anchored:
        return PreconditionedDenoiser(backbone, source.anchor.event)
    low, high = (math.log(s) for s in source.sigma_range)
    return AnchoredDenoiser.untrained(source.anchor, backbone, torch.linspace(low, high, NODES))


def _calibrated(denoiser: AnchoredDenoiser, source, check: Tensor, seed: int) -> AnchoredDenoiser:
    """With beta and ratio from validation windows (M, *event), then on the anchor of all fields."""
    known = calibrate(denoiser, check, seed=seed, pool=source.pool, independent=source.independent)
    final = source.final_anchor()
    return AnchoredDenoiser(final, known.backbone, known.log_sigma, known.beta, known.ratio).eval()


class _Trajectories:
    """Samples of a periodic axis in time: standardised by two numbers, validated on samples.

    Arguments:
        fields, window, held: as for `train_prior`.
    """

    pool, periodic, config, width = "mode", True, TRAJECTORIES, 48
    sigma_range = RANGE

    def __init__(self, fields: "xr.Dataset", window, held: "xr.Dataset | None"):
        self.grid, self.variables = grid_of(fields), variables_of(fields)
        if len(self.grid.dims) != 1 or self.grid.periods[0] is None:
            raise ValueError(
                f"trajectories need one periodic axis; got {self.grid.dims} with periods {self.grid.periods}"
            )
        if held is None:
            split = max(1, round(fields.sizes["sample"] * (1 - SHARE)))
            fields, held = fields.isel(sample=slice(None, split)), fields.isel(sample=slice(split, None))
        time = fields["time"].values
        self.step = time[1] - time[0] if time.dtype.kind == "M" else float(time[1] - time[0])
        self.window = len(time) if window is None else window_length(window, self.step)
        self._train, self._check = (self._windows(part) for part in (fields, held))
        channels = self._train.shape[1]
        mean, std = mean_std(self._train.movedim(2, 1).flatten(0, 1))
        self.codec = Standardise(mean, std, tuple(self._train.shape[1:]), frames_as_channels=False)
        self.channels, self.boundary = channels, ("reflect", "periodic")

    def _windows(self, fields: "xr.Dataset") -> Tensor:
        """Windows side by side, with shape (N, C, T, X)."""
        x = to_tensor(fields).movedim(1, 2)
        count = x.shape[2] // self.window
        if count == 0 or len(x) == 0:
            raise ValueError(f"a window has {self.window} frames; the {len(x)} trajectories have {x.shape[2]}")
        return torch.cat([x[:, :, i * self.window : (i + 1) * self.window] for i in range(count)])

    def encoded(self) -> tuple[Tensor, Tensor]:
        """Windows for training and validation, each with shape (N, C, T, X)."""
        train = self.codec.encode(self._train)
        self.anchor = fit_spectral(train)
        return train, self.codec.encode(self._check)

    @property
    def independent(self) -> float:
        """Number of independent windows for validation."""
        return float(len(self._check))

    def final_anchor(self) -> Denoiser:
        return self.anchor


class _Series:
    """One long series on two spatial axes: frames as channels, validated on its two ends.

    Arguments:
        fields, window, held: as for `train_prior`.
    """

    pool, periodic, config, width = "relative", False, SERIES, 32

    def __init__(self, fields: "xr.Dataset", window, held: "xr.Dataset | None"):
        from .fit_prior import fit_prior

        self._all, self._fit = fields, fit_prior
        time = fields["time"].values
        step = np.diff(time).min()
        self.window = window_length("8h" if window is None else window, step if time.dtype.kind == "M" else float(step))
        if held is None:
            train, check = validation_blocks(len(time), self.window)
            self._train, self._check = fields.isel(time=train), fields.isel(time=check)
        else:
            self._train, self._check = fields, held
        self.anchor, self.codec, self.grid, self.step, self.variables, self.sigma_range, card = fit_prior(
            self._train, self.window
        )
        memory = card["law"].get("decorrelation") or 0.0  # frames after which weather has forgotten itself
        self.independent = self._check.sizes["time"] / max(memory, self.window)
        self._refit = held is None
        if len(self.grid.dims) != 2:
            raise ValueError(f"a series needs two spatial axes; got {self.grid.dims}")
        self.channels = self.anchor.event[0]
        self.boundary = tuple("reflect" if period is None else "periodic" for period in self.grid.periods)

    def encoded(self) -> tuple[Tensor, Tensor]:
        """Windows for training (one for each frame) and validation, each with shape (N, C T, H, W)."""
        return self._encode(self._train, 1), self._encode(self._check, max(1, self.window // 4))

    def _encode(self, fields: "xr.Dataset", stride: int) -> Tensor:
        x, time = to_tensor(fields).movedim(0, 1)[None], fields["time"].values
        index = window_index(contiguous_segments(time, self.step), self.window, stride)
        return torch.cat([self.codec.at(time[i]).encode(x[:, :, i]) for i in index])

    def final_anchor(self) -> Denoiser:
        """The anchor of all fields, once the training has used that of a part; the codec becomes theirs as well."""
        if self._refit:
            self.anchor, self.codec, *_ = self._fit(self._all, self.window)
        return self.anchor


def validation_blocks(frames: int, window: int, share: float = SHARE) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the frames for training and validation: the two ends of the series, each a gap of 3 windows away.

    Ends have training on one side only, as a test period has: blocks within the series look better than they are.

    Raises:
        ValueError: where an end, or what is left, holds less than two windows.
    """
    end, gap = round(frames * share / 2), GAP * window
    if end < 2 * window or frames - 2 * (end + gap) < 2 * window:
        raise ValueError(f"{frames} frames are too few to hold out windows of {window} at both ends; give `validation`")
    index = np.arange(frames)
    return index[end + gap : frames - end - gap], np.concatenate([index[:end], index[frames - end :]])
