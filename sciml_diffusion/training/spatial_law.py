"""A spatial covariance from few frames: the sample's, localised, mixed with a parametric one, and inflated.

C = inflation * ((1 - share) S o taper + share R), with S the sample covariance, o the elementwise product, taper the
function of Gaspari and Cohn of distance, and

R_ij = s_i s_j rho exp(-d_ij / reach) exp(-(f_i - f_j)^2 / (2 contrast^2)),

s the sample's standard deviations, rho the mean correlation between variables, and f a feature of the points in which
neighbours may differ, such as the amplitude of the mean daily cycle, which tells land from sea. Every factor is
positive semidefinite, so C is. Sources: Gaspari and Cohn 1999, eq. 4.10; Ledoit and Wolf 2004 for the shrinkage.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..physics.grid import Grid

EARTH_RADIUS = 6371.0  # km


@dataclass(frozen=True)
class SpatialLaw:
    """Numbers of the covariance; lengths over the size of the domain (its largest distance).

    Arguments:
        taper: half the distance at which the sample covariance is cut to 0; inf leaves it whole.
        share: of the parametric covariance, in [0, 1].
        reach: e-folding length of the parametric covariance.
        contrast: e-folding difference of the feature, over its standard deviation; inf leaves it out.
        inflation: of the variance: a short period shows less of it than there is.
    """

    taper: float = 0.6
    share: float = 0.5
    reach: float = 1.2
    contrast: float = math.inf
    inflation: float = 1.0


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where the d = C n values of one frame lie; value i is channel i // n at point i % n.

    Arguments:
        points: Euclidean coordinates of the points, with shape (n, k).
        channels: C.
        feature: one number for each point, with shape (n,), or None.
    """

    points: Tensor
    channels: int = 1
    feature: Tensor | None = None

    @property
    def size(self) -> float:
        """Extent of the domain: the diagonal of the box that holds all points."""
        return float((self.points.amax(0) - self.points.amin(0)).norm().clamp_min(1e-300))

    def covariance(self, sample: Tensor, law: SpatialLaw, index: Tensor, correlation: Tensor) -> Tensor:
        """C between some values of a frame.

        Arguments:
            sample: sample covariance of these values, with shape (p, p).
            law: its numbers.
            index: which values of the frame, with shape (p,).
            correlation: rho, between variables, with shape (C, C).
        Returns C with shape (p, p).
        """
        n = len(self.points)
        point, channel = index % n, index // n
        places = self.points[point] / self.size
        distance = torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")
        std = sample.diagonal().clamp_min(0).sqrt()
        target = torch.exp(distance / -law.reach).mul_(std).mul_(std[:, None])
        if self.channels > 1:
            target.mul_(correlation[channel][:, channel])
        if self.feature is not None and math.isfinite(law.contrast):
            f = self.feature[point] / (self.feature.std() * law.contrast).clamp_min(1e-300)
            target.mul_(torch.exp(-0.5 * (f - f[:, None]) ** 2))
        cut = sample * gaspari_cohn(distance / law.taper) if math.isfinite(law.taper) else sample
        return law.inflation * torch.lerp(cut, target, law.share)


def embed(grid: Grid) -> Tensor:
    """Coordinates of the grid's points in which distances are Euclidean, with shape (n, k), float64.

    Latitude and longitude become points on the sphere (km), periodic axes circles; others keep their own unit.
    """
    mesh = np.meshgrid(*(np.asarray(c, np.float64) for c in grid.coordinates), indexing="ij")
    values = dict(zip(grid.dims, (m.ravel() for m in mesh), strict=True))
    columns = []
    if {"latitude", "longitude"} <= set(grid.dims):
        phi, lam = np.radians(values.pop("latitude")), np.radians(values.pop("longitude"))
        columns = [np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)]
        columns = [EARTH_RADIUS * c for c in columns]
    for dim, period in zip(grid.dims, grid.periods, strict=True):
        if dim in values and period is not None:
            angle = 2 * math.pi / period * values[dim]
            columns += [period / (2 * math.pi) * f(angle) for f in (np.cos, np.sin)]
        elif dim in values:
            columns.append(values[dim])
    return torch.from_numpy(np.stack(columns, -1))


def gaspari_cohn(r: Tensor) -> Tensor:
    """Compactly supported correlation of distance r over half its support: 1 at 0, 0 from 2 on; any shape.

    Source: Gaspari and Cohn, Q. J. R. Meteorol. Soc. 125 (1999), eq. 4.10. Positive definite in up to three dimensions.
    """
    near = ((((-r / 4 + 0.5) * r + 0.625) * r - 5 / 3) * r * r) + 1
    far = (((((r / 12 - 0.5) * r + 0.625) * r + 5 / 3) * r - 5) * r + 4) - 2 / (3 * r.clamp_min(1))
    return torch.where(r <= 1, near, torch.where(r < 2, far, torch.zeros_like(r)).clamp_min(0))


def variable_correlation(z: Tensor, channels: int) -> Tensor:
    """Correlation between variables at one point, averaged over points: frames z (T, C n) -> shape (C, C)."""
    fields = z.reshape(len(z), channels, -1)
    scaled = fields / fields.square().mean(0).sqrt().clamp_min(1e-12)
    return torch.einsum("tcn,tdn->cd", scaled, scaled) / (len(z) * fields.shape[-1])
