"""Nonlinear problems in the plane whose posterior is known by quadrature on a fine grid, float64."""

import math
from dataclasses import dataclass

import torch
from analytic import F64, gmm2
from torch import Tensor

from sciml_diffusion.denoisers.base import Denoiser
from sciml_diffusion.denoisers.basis import IdentityBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.observations.noise import Noise
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Function
from sciml_diffusion.samplers.grids import karras_sigmas

DIRECTIONS = 50
BINS = 4000  # points at which distribution functions are compared


class GridPosterior:
    """p(x) p(y | A(x)) on a grid of the plane: weights, mean, evidence, marginals and draws.

    Arguments:
        log_prior: log p(x) at points, shape (N, 2) -> (N,).
        observation: one window, y of shape (1, m).
        box: ((low, high), (low, high)), which holds all but a negligible part of the mass.
        points: of the grid along each axis.
    """

    def __init__(self, log_prior, observation: Observation, box, points: int = 600):
        axes = [torch.linspace(low, high, points, dtype=F64) for low, high in box]
        self.cell = torch.stack([axis[1] - axis[0] for axis in axes])
        self.points = torch.cartesian_prod(*axes)
        log_joint = log_prior(self.points) + observation.log_likelihood(self.points)
        self.log_evidence = float(log_joint.logsumexp(0) + self.cell.log().sum())
        weights = log_joint.softmax(0)
        keep = weights > 1e-9 / len(weights)  # the rest weighs less than 1e-9
        self._projected: dict[int, tuple[Tensor, Tensor]] = {}
        self.points, self.weights = self.points[keep], weights[keep] / weights[keep].sum()

    @property
    def mean(self) -> Tensor:
        """Mean of the posterior, with shape (2,)."""
        return self.weights @ self.points

    @property
    def std(self) -> Tensor:
        """Standard deviations, with shape (2,)."""
        return (self.weights @ (self.points - self.mean) ** 2).sqrt()

    def draw(self, members: int, generator: torch.Generator) -> Tensor:
        """Draws with shape (members, 2): a cell by its weight, a point within it by chance."""
        k = torch.multinomial(self.weights, members, replacement=True, generator=generator)
        return self.points[k] + self.cell * (torch.rand(members, 2, generator=generator, dtype=F64) - 0.5)

    def cdf(self, axis: int, at: Tensor) -> Tensor:
        """Distribution function of one coordinate, at points of shape (n,) -> (n,)."""
        values, order = self.points[:, axis].sort()
        steps = torch.cat([torch.zeros(1, dtype=F64), self.weights[order].cumsum(0)])
        return steps[torch.searchsorted(values, at, right=True)]

    def sliced_w1(self, x: Tensor, weights: Tensor) -> float:
        """Mean over fixed directions of the integral of |F - F_exact|; x (K, 2), normalised weights (K,)."""
        angle = math.pi * (torch.arange(DIRECTIONS, dtype=F64) + 0.5) / DIRECTIONS
        total = 0.0
        for n, direction in enumerate(torch.stack([angle.cos(), angle.sin()], 1)):
            if n not in self._projected:
                values, order = (self.points @ direction).sort()
                at = torch.linspace(float(values[0]) - 5, float(values[-1]) + 5, BINS, dtype=F64)
                steps = torch.cat([torch.zeros(1, dtype=F64), self.weights[order].cumsum(0)])
                self._projected[n] = at, steps[torch.searchsorted(values, at)]
            at, exact = self._projected[n]
            values, order = (x @ direction).sort()
            steps = torch.cat([torch.zeros(1, dtype=F64), weights[order].cumsum(0)])
            found = steps[torch.searchsorted(values.contiguous(), at)]
            total += float(torch.trapezoid((found - exact).abs(), at))
        return total / DIRECTIONS


@dataclass(frozen=True)
class PlaneProblem:
    """A prior, one observed window, a noise grid's range, and the posterior on a grid."""

    denoiser: Denoiser
    observation: Observation
    sigma_range: tuple[float, float]
    posterior: GridPosterior

    def sigmas(self, steps: int) -> Tensor:
        """The grid with the given number of steps; shape (steps + 1,)."""
        return karras_sigmas(steps, *self.sigma_range)


def bend(x: Tensor) -> Tensor:
    """A(x) = tanh(u) + 0.3 u^2, u = W x: one saturating, one quadratic part; shape (N, 2) -> (N, 1)."""
    u = x @ torch.tensor([[0.8], [0.6]], dtype=x.dtype, device=x.device)
    return torch.tanh(u) + 0.3 * u**2


def distance(x: Tensor) -> Tensor:
    """A(x) = |x|, smoothed at the origin: the posterior is a ring; shape (N, 2) -> (N, 1)."""
    return (x.square().sum(1, keepdim=True) + 1e-6).sqrt()


def nonlinear2(kind: str = "bend", noise: Noise | None = None) -> PlaneProblem:
    """Three problems in the plane, each with one reading and noise of std 0.3 unless another law is given.

    bend: N((0.5, 0), diag(1, 0.5)) and A of `bend`, y = 1.5: a curved ridge and a faint second one.
    ring: N((0.6, 0.3), I) and A = |x|, y = 2: a ring, heavier on one side.
    mixture: the 25 modes of `gmm2` and A = 3 tanh(u / 4) with u = 0.8 x_0 + 0.6 x_1, y = 1.2: a saturating instrument.
    """
    std = noise if noise is not None else torch.tensor([0.3], dtype=F64)
    if kind == "mixture":
        u = torch.tensor([[0.8], [0.6]], dtype=F64)
        observation = Observation(
            Function(lambda x: 3 * torch.tanh(x @ u.to(x) / 4), (2,), 1), torch.tensor([[1.2]], dtype=F64), std
        )
        denoiser = gmm2().denoiser
        zero = torch.zeros((), dtype=F64)
        posterior = GridPosterior(
            lambda x: denoiser.log_joint(x, zero).logsumexp(1), observation, ((-21, 21), (-21, 21)), 1000
        )
        return PlaneProblem(denoiser, observation, (0.02, 80 * math.sqrt(2)), posterior)
    mean, variance, function, y = {
        "bend": ((0.5, 0.0), (1.0, 0.5), bend, 1.5),
        "ring": ((0.6, 0.3), (1.0, 1.0), distance, 2.0),
    }[kind]
    denoiser = GaussianDenoiser(torch.tensor(mean, dtype=F64), IdentityBasis(), torch.tensor(variance, dtype=F64))
    observation = Observation(Function(function, (2,), 1), torch.tensor([[y]], dtype=F64), std)
    zero = torch.zeros((), dtype=F64)
    posterior = GridPosterior(lambda x: denoiser.log_prob(x, zero), observation, ((-6, 6), (-6, 6)))
    return PlaneProblem(denoiser, observation, (0.01, 8.0), posterior)
