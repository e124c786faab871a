"""The problems of the posterior bank: exact Gaussian-field priors on the inputs of an equation, sensors on its outputs.

A case is a prior N(mu, C) whose denoiser is known in closed form, and noisy point values of the solution that our own
solver makes of x on the same grid, so that the posterior is that of the discrete problem: no model error. The truth and
the noise are drawn with the case's own seed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import common  # noqa: F401  (finds the package)
import torch
from bank_operators import BURGERS_POINTS, DARCY_POINTS, BurgersSensors, DarcySensors
from torch import Tensor

from sciml_diffusion.denoisers.basis import AxisBasis, FourierBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Operator

F64 = torch.float64


@dataclass(frozen=True)
class Case:
    """One problem with its truth.

    Arguments:
        name: of the case.
        prior: closed-form denoiser of x.
        observation: one window.
        truth: x that the data come from, with shape (1, *event).
        words: what is asked, in one sentence.
    """

    name: str
    prior: GaussianDenoiser
    observation: Observation
    truth: Tensor
    words: str

    @property
    def sigma_range(self) -> tuple[float, float]:
        """Noise levels for diffusion: from a hundredth of the field's spread to five times its largest scale."""
        point = float(self.prior.variance.mean().sqrt())
        return 0.01 * point, 5 * float(self.prior.variance.max().sqrt())


def burgers_prior(std: float = 0.7) -> GaussianDenoiser:
    """u_0 on 64 points of a circle of length 1: variance of wave k proportional to ((2 pi k)^2 + 49)^(-5/2).

    The mean flow, k = 0, has a tenth of that, and every point the given standard deviation.
    """
    k = torch.fft.fftfreq(BURGERS_POINTS, d=1 / BURGERS_POINTS, dtype=F64)
    spectrum = ((2 * torch.pi * k) ** 2 + 49) ** -2.5
    spectrum[0] *= 0.1
    variance = (std**2 * spectrum / spectrum.mean()).reshape(1, 1, -1)
    return GaussianDenoiser(torch.zeros_like(variance), FourierBasis(1), variance)


def darcy_prior(std: float = 1.0) -> GaussianDenoiser:
    """log a on 32 x 32 cells: variance of the cosines (j, k) proportional to (pi^2 (j^2 + k^2) + 9)^(-2).

    The mean, j = k = 0, has a tenth of that; the variance, averaged over the square, is std^2.
    """
    j = torch.arange(DARCY_POINTS, dtype=F64)
    spectrum = (torch.pi**2 * (j[:, None] ** 2 + j**2) + 9) ** -2
    spectrum[0, 0] *= 0.1
    variance = (std**2 * spectrum / spectrum.mean())[None, None]
    return GaussianDenoiser(torch.zeros_like(variance), AxisBasis(("cosine", "cosine")), variance)


def make(name: str, prior: GaussianDenoiser, operator: Operator, std: float, seed: int, words: str) -> Case:
    """Draws a truth and its data; noise of the given std for every sensor."""
    g = torch.Generator().manual_seed(seed)
    root = prior.surrogate(torch.tensor(torch.inf, dtype=F64))
    truth = prior.mean + root.sqrt(torch.randn(1, *prior.event, generator=g, dtype=F64))
    clean = operator(truth)
    y = clean + std * torch.randn(clean.shape, generator=g, dtype=F64)
    return Case(name, prior, Observation(operator, y, torch.full((operator.m,), std, dtype=F64)), truth, words)


def lattice(per_axis: int) -> tuple[list[int], list[int]]:
    """Rows and columns of per_axis x per_axis cells, evenly inside the square."""
    at = [round((i + 0.5) * DARCY_POINTS / per_axis - 0.5) for i in range(per_axis)]
    return [i for i in at for _ in at], at * per_axis


def wells() -> Tensor:
    """Injection at one cell and extraction at another, both of strength 1, spread over 2 x 2 cells: shape (32, 32)."""
    source = torch.zeros(DARCY_POINTS, DARCY_POINTS, dtype=F64)
    source[7:9, 7:9], source[23:25, 23:25] = 0.25 * DARCY_POINTS**2, -0.25 * DARCY_POINTS**2
    return source


def _burgers_final() -> Case:
    operator = BurgersSensors(0.02, 0.5, [8], list(range(2, 64, 4)))
    return make("burgers-final", burgers_prior(), operator, 0.02, 1, "u_0 from 16 sensors at t = 0.5 alone")


def _burgers_series() -> Case:
    operator = BurgersSensors(0.02, 0.5, list(range(1, 9)), [5, 19, 30, 44, 58])
    return make("burgers-series", burgers_prior(), operator, 0.02, 2, "u_0 from 5 sensors at 8 times up to t = 0.5")


def _burgers_sparse() -> Case:
    operator = BurgersSensors(0.02, 0.5, [4, 8], [3, 21, 40])
    return make("burgers-sparse", burgers_prior(), operator, 0.05, 3, "u_0 from 3 sensors at t = 0.25 and 0.5")


def _darcy_grid() -> Case:
    return make(
        "darcy-16", darcy_prior(), DarcySensors(*lattice(4)), 0.002, 5, "log a from the pressure at 4 x 4 points"
    )


def _darcy_dense() -> Case:
    return make(
        "darcy-49", darcy_prior(), DarcySensors(*lattice(7)), 0.001, 6, "log a from the pressure at 7 x 7 points"
    )


def _darcy_wells() -> Case:
    operator = DarcySensors(*lattice(5), wells(), ("y",))
    words = "log a from 5 x 5 pressures between an injection and an extraction well"
    return make("darcy-wells", darcy_prior(1.3), operator, 0.05, 7, words)


CASES: dict[str, Callable[[], Case]] = {
    "burgers-final": _burgers_final,
    "burgers-series": _burgers_series,
    "burgers-sparse": _burgers_sparse,
    "darcy-16": _darcy_grid,
    "darcy-49": _darcy_dense,
    "darcy-wells": _darcy_wells,
}
