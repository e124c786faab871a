"""From fields to a trained prior: codec, Gaussian anchor, network, training, calibration."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..codecs.base import Codec
from ..data.container import canonical, spatial_dims
from ..denoisers.anchored import AnchoredDenoiser
from ..denoisers.backbones.unet import UNet
from ..denoisers.base import Denoiser
from ..denoisers.precondition import PreconditionedDenoiser, TrainableDenoiser
from ..physics.grid import Grid
from .augment import compose_augment
from .calibrate import calibrate
from .fit import FitConfig, fit
from .objective import DenoisingLoss
from .sources import SERIES, TRAJECTORIES, Planes, Series, Source, Trajectories

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["SERIES", "TRAJECTORIES", "PriorParts", "train_prior"]

NODES = 12  # noise levels at which beta and ratio are measured
LOG_MEAN, LOG_STD = -0.7, 1.6  # of ln sigma in training


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
    symmetries: Sequence[str] | None = None,
    folder: Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> PriorParts:
    """Trains a prior on any gridded fields: trajectories (with a dim `sample`) or one series in time.

    Samples on one periodic axis are anchored at the Gaussian of each wavenumber (`fit_spectral`), samples on two axes
    at that of the waves of both (`fit_separable`), one long series at the localised one of `fit_prior`. Without
    `validation`, the last fifth of the samples, or the two ends of a series (`validation_blocks`), are held out: they
    stop the training, and set beta and ratio. The anchor of a series is then fitted again to all of it.

    Arguments:
        fields: training fields, one variable or several.
        window: "8h", frames (an int) or model time (a float); by default "8h", or whole trajectories.
        validation: fields to validate on instead of a part of `fields`.
        seed: of the network's weights, batches and noise.
        network: arguments of `UNet` over the defaults (multipliers (1, 2, 2), patch 2, width 48 for samples, else 32).
        config: numbers of the run; by default `TRAJECTORIES` or `SERIES`.
        anchored: False leaves the anchor out.
        symmetries: of the law, by which windows are augmented: names of `augment.SYMMETRIES`; by default shifts of one
            periodic axis, and nothing elsewhere.
        folder, resume, progress: see `fit`.

    Returns the arguments of `Prior`; the card holds steps, seconds and the validation error by noise level.
    Raises:
        ValueError: fields that do not make windows, have other axes than a periodic one or two, or an unknown symmetry.
    """
    source = _source(fields, window, validation)
    train, check = source.encoded()
    config, denoiser = config or source.config, _untrained(source, network or {}, anchored, seed)
    objective = DenoisingLoss(source.sigma_range, "log-normal", LOG_MEAN, LOG_STD)
    more = {"folder": folder, "resume": resume, "progress": progress}
    augment = compose_augment(source.symmetries if symmetries is None else symmetries)
    report = fit(denoiser, train, check, objective, config, seed=seed, augment=augment, **more)
    if anchored:
        denoiser = _calibrated(denoiser, source, check, seed)
    card = {"seed": seed, **vars(report), "fit": vars(config)} | _facts(denoiser)
    parts = (source.codec, source.grid, source.variables, source.window, source.step, source.sigma_range)
    return PriorParts(denoiser.requires_grad_(False), *parts, card)


def _source(fields: "xr.Dataset", window, validation: "xr.Dataset | None") -> Source:
    """What the recipe needs to know of the fields."""
    fields, held = canonical(fields), canonical(validation) if validation is not None else None
    if "sample" not in fields.dims:
        return Series(fields, window, held)
    return (Planes if len(spatial_dims(fields)) == 2 else Trajectories)(fields, window, held)


def _untrained(source: Source, network: dict, anchored: bool, seed: int) -> TrainableDenoiser:
    """The denoiser to train, the weights of its network drawn from the seed."""
    defaults = {"width": source.width, "multipliers": (1, 2, 2), "patch": 2, "boundary": source.boundary}
    backbone = UNet((2 if anchored else 1) * source.channels, source.channels, **(defaults | network))
    backbone.initialise(torch.Generator().manual_seed(seed))
    if not anchored:
        return PreconditionedDenoiser(backbone, source.anchor.event)
    low, high = (math.log(s) for s in source.sigma_range)
    return AnchoredDenoiser.untrained(source.anchor, backbone, torch.linspace(low, high, NODES))


def _facts(denoiser: TrainableDenoiser) -> dict:
    """Size of the network, and how far it is trusted by noise level."""
    facts = {"parameters": sum(p.numel() for p in denoiser.backbone.parameters())}
    if isinstance(denoiser, AnchoredDenoiser):
        levels = denoiser.log_sigma.exp()
        facts["beta"] = {f"{s:.4g}": round(float(b), 4) for s, b in zip(levels, denoiser.beta, strict=True)}
    return facts


def _calibrated(denoiser: AnchoredDenoiser, source, check: Tensor, seed: int) -> AnchoredDenoiser:
    """With beta and ratio from validation windows (M, *event), then on the anchor of all fields."""
    known = calibrate(denoiser, check, seed=seed, pool=source.pool, independent=source.independent)
    final = source.final_anchor()
    return AnchoredDenoiser(final, known.backbone, known.log_sigma, known.beta, known.ratio).eval()
