"""Closed-form truths: problems whose posterior is known, so every error that a test sees is a method's.

The mixtures follow the protocol of MCGDiff (d dimensions, m linear observations); the fields are stationary Gaussians
on a periodic grid with point sensors, solved by kriging. Everything here is dense linear algebra in float64, written
without the samplers and guidance of the package.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml_diffusion.denoisers.base import Denoiser
from sciml_diffusion.denoisers.basis import FourierBasis, IdentityBasis, MatrixBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.denoisers.mixture import MixtureDenoiser
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Matrix, Weighted
from sciml_diffusion.samplers.grids import karras_sigmas

F64 = torch.float64


class Kriging:
    """N(mu, C) given y = A x + sqrt(R) eps: mean, std, evidence and draws, from the rows C A^T alone.

    Arguments:
        denoiser: the Gaussian prior.
        observation: one window, y of shape (1, m).
    """

    def __init__(self, denoiser: GaussianDenoiser, observation: Observation):
        self.denoiser, self.observation = denoiser, observation
        rows = observation.operator.rows(F64)
        self.prior = denoiser.surrogate(torch.tensor(torch.inf, dtype=F64))
        self.cross = self.prior.apply(rows).flatten(1)  # A C, (m, d)
        s = rows.flatten(1) @ self.cross.T + torch.diag(observation.std**2)
        self.gain = torch.linalg.solve(s, self.cross)  # S^{-1} A C
        residual = observation.y - observation.operator(denoiser.mean[None])
        self.mean = denoiser.mean + (residual @ self.gain).reshape(denoiser.event)
        law = torch.distributions.MultivariateNormal(torch.zeros(len(s), dtype=F64), s)
        self.log_evidence = float(law.log_prob(residual[0]))
        prior_variance = self.prior.apply(torch.eye(1, self.cross.shape[1], dtype=F64).reshape(1, *denoiser.event))
        self._stationary = float(prior_variance.flatten()[0])

    @property
    def covariance(self) -> Tensor:
        """C - C A^T S^{-1} A C, with shape (d, d): for small problems."""
        d = self.cross.shape[1]
        prior = self.prior.apply(torch.eye(d, dtype=F64).reshape(d, *self.denoiser.event)).flatten(1)
        return prior - self.cross.T @ self.gain

    def stationary_std(self) -> Tensor:
        """Pointwise standard deviation of the posterior where the prior is stationary, with shape (*event)."""
        return (self._stationary - (self.cross * self.gain).sum(0)).sqrt().reshape(self.denoiser.event)

    def draw(self, members: int, generator: torch.Generator) -> Tensor:
        """Exact draws (Matheron: a prior draw plus its kriged residual), with shape (members, *event)."""
        z = torch.randn(members, *self.denoiser.event, generator=generator, dtype=F64)
        eps = torch.randn(members, len(self.observation.std), generator=generator, dtype=F64)
        x = self.denoiser.mean + self.prior.sqrt(z)
        residual = self.observation.y - self.observation.operator(x) - self.observation.std * eps
        return x + (residual @ self.gain).reshape(x.shape)


class FieldMixturePosterior:
    """sum_k w_k N(m_k, C) given y for a stationary C of many points: each mode kriged with one gain, nothing dense.

    Arguments:
        denoiser: the prior, with modes of one covariance.
        observation: one window, y of shape (1, m).
    """

    def __init__(self, denoiser: MixtureDenoiser, observation: Observation):
        field = GaussianDenoiser(torch.zeros_like(denoiser.means[0]), denoiser.basis, denoiser.variances[0])
        self.kriging, self.observation, self.denoiser = Kriging(field, observation), observation, denoiser
        rows = observation.operator.rows(F64).flatten(1)
        s = rows @ self.kriging.cross.T + torch.diag(observation.std**2)
        residual = observation.y - observation.operator(denoiser.means)
        law = torch.distributions.MultivariateNormal(torch.zeros(len(s), dtype=F64), s)
        joint = denoiser.log_weights + law.log_prob(residual)
        self.log_evidence, self.weights = float(joint.logsumexp(0)), joint.softmax(0)
        self.means = denoiser.means + (residual @ self.kriging.gain).reshape(denoiser.means.shape)

    def std(self) -> Tensor:
        """Pointwise standard deviation within a mode, with shape (*event)."""
        return self.kriging.stationary_std()

    def draw(self, members: int, generator: torch.Generator) -> Tensor:
        """Exact draws: a mode, and a field about its mean; shape (members, *event)."""
        k = torch.multinomial(self.weights, members, replacement=True, generator=generator)
        return self.means[k] + self.kriging.draw(members, generator) - self.kriging.mean

    def modes(self, x: Tensor) -> Tensor:
        """Probability of each mode for a field x that is known without noise, shape (N, *event) -> (N, K)."""
        return self.denoiser.log_joint(x, torch.tensor(1e-3, dtype=F64)).softmax(1)


class MixturePosterior:
    """sum_k w_k N(m_k, C) given y: again a mixture, w'_k ∝ w_k N(y; A m_k, A C A^T + R), each mode kriged.

    Arguments:
        log_weights: log w_k, with shape (K,).
        means: m_k, with shape (K, d).
        covariance: C, with shape (d, d), common to the modes.
        matrix, y, std: A (m, d), y (m,) and the noise's standard deviations (m,).
    """

    def __init__(self, log_weights: Tensor, means: Tensor, covariance: Tensor, matrix: Tensor, y: Tensor, std: Tensor):
        s = matrix @ covariance @ matrix.T + torch.diag(std**2)
        gain = torch.linalg.solve(s, matrix @ covariance)
        residual = y - means @ matrix.T
        law = torch.distributions.MultivariateNormal(torch.zeros(len(s), dtype=F64), s)
        joint = log_weights.log_softmax(0) + law.log_prob(residual)
        self.log_evidence, self.weights = float(joint.logsumexp(0)), joint.softmax(0)
        self.means = means + residual @ gain
        self.covariance = covariance - covariance @ matrix.T @ gain

    @property
    def mean(self) -> Tensor:
        """Mean of the posterior, with shape (d,)."""
        return self.weights @ self.means

    def draw(self, members: int, generator: torch.Generator) -> Tensor:
        """Exact draws, with shape (members, d)."""
        k = torch.multinomial(self.weights, members, replacement=True, generator=generator)
        z = torch.randn(members, self.means.shape[1], generator=generator, dtype=F64)
        values, vectors = torch.linalg.eigh(self.covariance)
        return self.means[k] + z @ (vectors * values.clamp_min(0).sqrt()).T

    def projected(self, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Means (K,) and common std () of the modes of u . x, for a direction u of shape (d,)."""
        return self.means @ direction, (direction @ self.covariance @ direction).sqrt()


@dataclass(frozen=True)
class Problem:
    """A prior, one observed window, a noise grid's range, and the exact posterior."""

    denoiser: Denoiser
    observation: Observation
    sigma_range: tuple[float, float]
    posterior: Kriging | MixturePosterior | FieldMixturePosterior

    def sigmas(self, steps: int) -> Tensor:
        """The grid with the given number of steps; shape (steps + 1,)."""
        return karras_sigmas(steps, *self.sigma_range)


def gmm(d: int, m: int, seed: int) -> Problem:
    """25 unit Gaussians at (8i, 8j, 8i, 8j, ...), i, j in -2..2, with random weights and observations."""
    g = torch.Generator().manual_seed(1000 * d + 10 * m + seed)
    log_weights = (torch.randn(25, generator=g, dtype=F64) ** 2).log()
    u, _, vt = torch.linalg.svd(torch.randn(m, d, generator=g, dtype=F64), full_matrices=False)
    values = torch.rand(m, generator=g, dtype=F64).sort(descending=True).values
    std = (torch.rand((), generator=g, dtype=F64) * values.max()).expand(m)
    matrix, means = u @ torch.diag(values) @ vt, _lattice(d)
    k = torch.multinomial(log_weights.exp(), 1, generator=g)
    x = means[k] + torch.randn(1, d, generator=g, dtype=F64)
    y = x @ matrix.T + std * torch.randn(1, m, generator=g, dtype=F64)
    return _mixture(log_weights, means, matrix, y, std, (0.02, max(100.0, 80 * math.sqrt(d))))


def gmm2() -> Problem:
    """The planar mixture with one observation whose posterior has six modes: (8, -8) 0.575, (-8, 16) 0.206, ..."""
    log_weights = torch.tensor([1.0 + (3 * k) % 7 for k in range(25)], dtype=F64).log()
    matrix, y = torch.tensor([[0.8, 0.6]], dtype=F64), torch.tensor([[1.6]], dtype=F64)
    std = torch.tensor([0.5], dtype=F64)
    return _mixture(log_weights, _lattice(2), matrix, y, std, (0.02, 80 * math.sqrt(2)))


def _lattice(d: int) -> Tensor:
    pairs = [(8.0 * i, 8.0 * j) for i in range(-2, 3) for j in range(-2, 3)]
    return torch.tensor(pairs, dtype=F64).repeat(1, d // 2)


def _mixture(log_weights, means, matrix, y, std, sigma_range) -> Problem:
    d = means.shape[1]
    denoiser = MixtureDenoiser(log_weights, means, IdentityBasis(), torch.ones(1, d, dtype=F64))
    posterior = MixturePosterior(log_weights, means, torch.eye(d, dtype=F64), matrix, y[0], std)
    return Problem(denoiser, Observation(Matrix(matrix, (d,)), y, std), sigma_range, posterior)


def grf_prior(axes: int, n: int = 64) -> GaussianDenoiser:
    """Periodic field with the spectrum (1 + |k|^2 / 4)^{-2}, scaled to variance 1; event (1, 1, n) or (1, n, n)."""
    k = torch.fft.fftfreq(n, d=1 / n, dtype=F64)
    square = k[None, :] ** 2 if axes == 1 else k[:, None] ** 2 + k**2
    spectrum = (1 + square / 4) ** -2
    spectrum = (spectrum / spectrum.mean())[None]
    return GaussianDenoiser(torch.zeros_like(spectrum), FourierBasis(axes), spectrum)


def grf(axes: int, seed: int, n: int = 64) -> Problem:
    """The Gaussian field seen by round(0.05 n^axes) random point sensors of std 0.1."""
    g = torch.Generator().manual_seed(seed + 100 * axes)
    denoiser = grf_prior(axes, n)
    points = denoiser.mean.numel()
    m = round(0.05 * points)
    index = torch.randperm(points, generator=g)[:m, None]
    operator = Weighted(index, torch.ones(m, 1, dtype=F64), denoiser.event)
    x = denoiser.basis.inverse(denoiser.variance.sqrt() * torch.randn(1, *denoiser.event, generator=g, dtype=F64))
    std = torch.full((m,), 0.1, dtype=F64)
    observation = Observation(operator, operator(x) + std * torch.randn(1, m, generator=g, dtype=F64), std)
    sigma_range = (0.01, 5 * math.sqrt(float(denoiser.variance.max())))
    return Problem(denoiser, observation, sigma_range, Kriging(denoiser, observation))


BUMPS = ((10, 10), (10, 42), (32, 22), (32, 54), (54, 10), (54, 42))  # centres of the hidden bumps, in cells of 64
WIDE, FAINT = 3 * math.sqrt(2), 3.0  # radii of the bumps: rims that sensors 7 cells away see, or hardly see


def grfmix_prior(n: int = 64, height: float = 4.0, radius: float = WIDE) -> tuple[MixtureDenoiser, Tensor]:
    """The field plus six bumps of sign +-, exp(-r^2 / (2 radius^2)): 64 modes; and the signs of each, shape (64, 6)."""
    field, cell = grf_prior(2, n), torch.arange(n, dtype=F64)
    bumps = []
    for a, b in BUMPS:
        square = _square(cell, a * n / 64)[:, None] + _square(cell, b * n / 64)
        bumps.append(torch.exp(-square / (2 * (radius * n / 64) ** 2)))
    signs = 1 - 2 * torch.cartesian_prod(*[torch.arange(2.0, dtype=F64)] * len(BUMPS))
    means = height * torch.einsum("kj,jab->kab", signs, torch.stack(bumps))[:, None]
    return MixtureDenoiser(torch.zeros(64, dtype=F64), means, field.basis, field.variance[None]), signs


def grfmix(seed: int, n: int = 64, sensors: int = 205, height: float = 4.0, radius: float = WIDE) -> Problem:
    """Field plus six bumps of hidden sign, seen by point sensors (std 1) at least 7 of 64 cells from every centre.

    What tells the sign of a bump is its faint rim, and the field that the sensors leave for it to stand on.
    """
    g = torch.Generator().manual_seed(seed + 300)
    denoiser, _ = grfmix_prior(n, height, radius)
    cell = torch.arange(n)
    square = torch.stack([_square(cell, c[0] * n / 64)[:, None] + _square(cell, c[1] * n / 64) for c in BUMPS])
    allowed = (square.amin(0) >= (7 * n / 64) ** 2).flatten().nonzero()[:, 0]
    index = allowed[torch.randperm(len(allowed), generator=g)[:sensors], None]
    operator = Weighted(index, torch.ones(sensors, 1, dtype=F64), denoiser.event)
    k = torch.randint(64, (1,), generator=g)
    z = torch.randn(1, *denoiser.event, generator=g, dtype=F64)
    x = denoiser.means[k] + denoiser.basis.inverse(denoiser.variances[0].sqrt() * z)
    std = torch.ones(sensors, dtype=F64)
    observation = Observation(operator, operator(x) + std * torch.randn(1, sensors, generator=g, dtype=F64), std)
    sigma_range = (0.01, 5 * math.sqrt(float(denoiser.variances.max())))
    return Problem(denoiser, observation, sigma_range, FieldMixturePosterior(denoiser, observation))


def _square(cell: Tensor, centre: float) -> Tensor:
    """Squared periodic distance to a centre, shape (n,)."""
    return ((cell - centre + len(cell) / 2) % len(cell) - len(cell) / 2) ** 2


def small_gaussian(windows: int = 1, seed: int = 0, d: int = 6, m: int = 3) -> tuple[GaussianDenoiser, Observation]:
    """A Gaussian with a dense covariance in d dimensions and m dense observations of it, for each of some windows.

    The data of window b depend on the seed and b alone, so that fewer windows are the first of more.
    """
    g = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(d, d, generator=g, dtype=F64)).Q
    variance = torch.logspace(0.3, -1.5, d, dtype=F64)
    mean = torch.randn(d, generator=g, dtype=F64)
    denoiser = GaussianDenoiser(mean, MatrixBasis(basis, (d,)), variance)
    matrix = torch.randn(m, d, generator=g, dtype=F64)
    std = torch.linspace(0.2, 0.6, m, dtype=F64)
    y = torch.cat([_data(denoiser, matrix, std, b, seed) for b in range(windows)])
    return denoiser, Observation(Matrix(matrix, (d,)), y, std)


def _data(denoiser: GaussianDenoiser, matrix: Tensor, std: Tensor, window: int, seed: int) -> Tensor:
    g = torch.Generator().manual_seed(1000 * seed + window + 1)
    root = denoiser.surrogate(torch.tensor(torch.inf, dtype=F64))
    x = denoiser.mean + root.sqrt(torch.randn(1, *denoiser.event, generator=g, dtype=F64))
    return x @ matrix.T + std * torch.randn(1, len(std), generator=g, dtype=F64)
