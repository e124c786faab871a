"""Space-time optimal interpolation: the strong linear baseline, tuned on the training days like everything of ours."""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..inverse.reconstruct import reconstruct
from ..observations.windows import bind
from ..prior import Prior, Variable
from ..training.fit_prior import RANGE, Anomalies, anomalies_of, plain
from ..training.gaussian import BLOCKS, space_time_gaussian, spectrum
from ..training.inner_folds import POOL, InnerFold, inner_blocks, make_folds, station_sets, tune
from ..training.spatial_law import Geometry, SpatialLaw, embed, variable_correlation
from .kriging import ClosedForm, window_score

if TYPE_CHECKING:
    import xarray as xr

NAMES = ("share", "taper", "reach", "inflation")
SCALES = (1.5, 3.0, 6.0, 12.0, 24.0, 48.0, 96.0)  # temporal e-folding times in frames


class OptimalInterpolation:
    """Linear estimation with the separable covariance C_space (x) exp(-|dt| / tau) about the mean daily cycle.

    x^ = mu + C A^T (A C A^T + R)^{-1} (y - A mu), window by window; members are exact draws from N(x^, P). C_space is
    the localised sample covariance shrunk towards an isotropic one (`training.spatial_law`). Localisation, shrinkage,
    lengths, inflation and tau are those of the lowest CRPS on blocked inner folds of the training fields.
    Source: L. S. Gandin, Objective analysis of meteorological fields, 1963; Evensen 2003 for the ensemble.

    Arguments:
        prior: the Gaussian that it stands on.
        choices: what was tuned, by name.
    """

    def __init__(self, prior: Prior, choices: dict):
        self.prior, self.choices = prior, choices

    @classmethod
    def fit(cls, fields: "xr.Dataset", window: str | int | float = "8h", noise: float = 0.05) -> "OptimalInterpolation":
        """Fits and tunes on training fields.

        Arguments:
            fields: one variable or several, as for `fit_prior`.
            window: of the analyses.
            noise: standard deviation of the stations' errors in the inner folds, over that of the anomalies.

        Raises:
            ValueError: as `fit_prior`.
        """
        data = anomalies_of(fields, window)
        z = torch.cat([s.flatten(1) for s in data.segments])
        mean, channels = z.mean(0), data.segments[0].shape[1]
        geometry = Geometry(embed(data.grid), channels)
        lengths, gap = [len(s) for s in data.segments], 3 * data.window
        pool = torch.randperm(z.shape[1], generator=torch.Generator().manual_seed(0))[:POOL]
        blocks = next((b for b in (BLOCKS, 2) if inner_blocks(lengths, b, gap)), 0)
        folds = make_folds(z, lengths, channels, pool, blocks, gap) if blocks else []
        law, score = tune(folds, geometry, pool, NAMES, noise)
        tau = _temporal_scale(z, lengths, data.window, blocks, gap, folds, geometry, pool, law, noise)
        sample = (z - mean).T @ (z - mean) / len(z)
        index = torch.arange(z.shape[1])
        covariance = geometry.covariance(sample, law, index, variable_correlation(z - mean, channels))
        choices = plain({"log_crps": score, "folds": blocks, "tau": tau} | vars(law))
        return cls(_prior(data, mean, covariance, tau, choices), choices)

    def posterior(self, obs: "xr.Dataset", members: int = 64, seed: int = 0) -> "xr.Dataset":
        """Mean and spread as an ensemble: fields with dims (realization, time, *space), as `sciml_diffusion.posterior`.

        Arguments:
            obs: sensor table.
            members: number of draws.
            seed: of the draws.
        """
        from ..to_xarray import posterior_dataset

        result = reconstruct(self.prior, bind(obs, self.prior), ClosedForm(), members, seed)
        return posterior_dataset(
            result, self.prior, obs, {"method": "OptimalInterpolation", "members": members, "seed": seed}
        )


def _prior(data: Anomalies, mean: Tensor, covariance: Tensor, tau: float, choices: dict) -> Prior:
    """The Gaussian with a separable covariance, as a prior."""
    frame, n = (data.segments[0].shape[1], *data.grid.sizes), data.window
    variance, modes = spectrum(covariance)
    correlation = temporal_correlation(n, tau).expand(len(modes), n, n)
    denoiser = space_time_gaussian(mean, variance, modes, correlation, frame, len(frame) > 2)
    variables = tuple(Variable(**v) for v in data.variables)
    card = data.card | {"kind": "optimal interpolation", "law": choices}
    return Prior(denoiser, data.codec, data.grid, variables, n, data.step, RANGE, card)


def temporal_correlation(frames: int, tau: float) -> Tensor:
    """exp(-|i - j| / tau), with shape (frames, frames), float64."""
    index = torch.arange(frames, dtype=torch.float64)
    return torch.exp(-(index[:, None] - index).abs() / tau)


def _temporal_scale(
    z: Tensor, lengths: list[int], window: int, blocks: int, gap: int,
    folds: list[InnerFold], geometry: Geometry, pool: Tensor, law: SpatialLaw, noise: float,
) -> float:  # fmt: skip
    """tau of the lowest CRPS of windows in the inner folds; from the correlation of neighbours where there are none."""
    if window == 1:
        return SCALES[0]
    if not folds:
        rho = float((z[1:] * z[:-1]).sum() / z.square().sum())
        return -1 / math.log(min(max(rho, 0.5), 0.99))
    sets = station_sets(len(pool), len(geometry.points), torch.Generator().manual_seed(1))[::4]
    best, tau = math.inf, SCALES[0]
    for scale in SCALES:
        correlation, total = temporal_correlation(window, scale), torch.zeros(len(sets), dtype=torch.float64)
        for fold, (rest, block) in zip(folds, inner_blocks(lengths, blocks, gap), strict=True):
            check = (z[block][:, pool] - z[rest][:, pool].mean(0))[: len(block) // window * window]
            covariance = geometry.covariance(fold.sample, law, pool, fold.correlation)
            total += window_score(covariance, correlation, check.reshape(-1, window, len(pool)), sets, noise)
        score = float(total.log().mean())
        if score >= best:
            break
        best, tau = score, scale
    return tau
