"""Lists of what the package offers, each entry small enough to test: add a row, inherit every test."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from analytic import F64, gmm2, grf_prior, small_gaussian
from torch import Tensor

from sciml_diffusion.codecs.standardise import Standardise
from sciml_diffusion.denoisers.anchored import AnchoredDenoiser
from sciml_diffusion.denoisers.backbones.unet import UNet
from sciml_diffusion.denoisers.basis import AxisBasis, FourierBasis, IdentityBasis, MatrixBasis, SpaceTimeBasis
from sciml_diffusion.denoisers.conventions import ConvertedDenoiser
from sciml_diffusion.denoisers.mixture import MixtureDenoiser
from sciml_diffusion.denoisers.precondition import PreconditionedDenoiser
from sciml_diffusion.denoisers.schedules import LinearVP
from sciml_diffusion.inverse.afdps import AFDPS
from sciml_diffusion.inverse.auto import Auto
from sciml_diffusion.inverse.block_moves import BlockMoves
from sciml_diffusion.inverse.daps import DAPS
from sciml_diffusion.inverse.dps import DPS
from sciml_diffusion.inverse.enkg import EnKG
from sciml_diffusion.inverse.latent_readings import LatentReadings
from sciml_diffusion.inverse.low_rank_smc import GaussianSurrogateSMC
from sciml_diffusion.inverse.mmps import MMPS
from sciml_diffusion.inverse.pigdm import PiGDM
from sciml_diffusion.inverse.sda import SDA
from sciml_diffusion.inverse.split_gibbs import SplitGibbs
from sciml_diffusion.inverse.tsmc import TwistedSMC
from sciml_diffusion.inverse.unknown_noise import UnknownNoise
from sciml_diffusion.observations.averages import Averages
from sciml_diffusion.observations.operators import Matrix, ThroughCodec, Weighted
from sciml_diffusion.observations.spectral import SpectralBand, band
from sciml_diffusion.observations.stacked import stack_operators
from sciml_diffusion.observations.subsampling import block_means, every_nth
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.samplers.ode import Euler, Heun
from sciml_diffusion.samplers.sde import Ancestral


def _uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def _circle() -> Grid:
    return Grid.periodic((4,), (1.0,))


def _orthonormal(*shape: int) -> Tensor:
    return torch.linalg.qr(torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=F64)).Q


def _varied_mixture() -> MixtureDenoiser:
    """Three modes with covariances of their own, in a Fourier basis."""
    means, variances = 2 * _uniform(3, 1, 2, 4) - 1, _uniform(3, 1, 2, 4, seed=1) + 0.1
    return MixtureDenoiser(torch.tensor([0.2, 0.5, 0.3], dtype=F64).log(), means, FourierBasis(2), variances)


def _network(channels: int) -> UNet:
    """A small U-Net whose last layer, zero when new, is filled with numbers, so that it does something."""
    g = torch.Generator().manual_seed(5)
    network = UNet(channels, 1, width=4, multipliers=(1, 2), attention=False).double()
    for parameter in network.parameters():
        parameter.data.normal_(generator=g).mul_(0.3)
    return network


def _anchored() -> AnchoredDenoiser:
    nodes = torch.linspace(-3, 3, 3, dtype=F64)
    beta, ratio = torch.tensor([0.2, 0.7, 0.4], dtype=F64), 0.5 + _uniform(3, 1, 1, 1)
    return AnchoredDenoiser(grf_prior(2, 8), _network(2), nodes, beta, ratio)


BASES: dict[str, tuple[Callable, tuple[int, ...]]] = {  # constructor, event
    "identity": (IdentityBasis, (2, 3)),
    "fourier-1": (lambda: FourierBasis(1), (1, 3, 8)),
    "fourier-2": (lambda: FourierBasis(2), (2, 5, 6)),
    "axes": (lambda: AxisBasis(("cosine", "fourier")), (2, 5, 6)),
    "matrix": (lambda: MatrixBasis(_orthonormal(6, 6), (1, 2, 3)), (1, 2, 3)),
    "space-time": (
        lambda: SpaceTimeBasis(MatrixBasis(_orthonormal(6, 6), (1, 2, 3)), _orthonormal(6, 4, 4), (1, 2, 3), (4, 2, 3)),
        (4, 2, 3),
    ),
    "space-time-fourier": (
        lambda: SpaceTimeBasis(FourierBasis(1), _orthonormal(10, 3, 3), (2, 5), (2, 3, 5)),
        (2, 3, 5),
    ),
}

CLOSED_FORMS: dict[str, Callable] = {  # denoisers whose marginal density is known: `log_prob` or `log_joint`
    "gaussian-fourier": lambda: grf_prior(2, 6),
    "gaussian-matrix": lambda: small_gaussian()[0],
    "mixture": lambda: gmm2().denoiser,
    "mixture-varied": _varied_mixture,
}

DENOISERS: dict[str, Callable] = CLOSED_FORMS | {
    "preconditioned": lambda: PreconditionedDenoiser(_network(1), (1, 8, 8)),
    "anchored": _anchored,
    "converted": lambda: ConvertedDenoiser(_network(1), (1, 8, 8), LinearVP(), "v"),
}

SAMPLERS: dict[str, Callable] = {"euler": Euler, "heun": Heun, "ancestral": Ancestral}  # from a noise grid


@dataclass(frozen=True)
class Method:
    """How to make a posterior method from a noise grid, and whether it is exact for a linear-Gaussian problem."""

    make: Callable
    exact: bool
    noise: bool = True  # knows the size of the noise: without information it gives the prior back
    needs_surrogate: bool = False
    coupled: bool = False  # members of a window depend on each other from the start


METHODS: dict[str, Method] = {
    "auto": Method(Auto, exact=True),
    "mmps": Method(MMPS, exact=True),
    "mmps-surrogate": Method(lambda s: MMPS(s, covariance="surrogate"), exact=True, needs_surrogate=True),
    "mmps-jacobian": Method(lambda s: MMPS(s, covariance="jacobian", tolerance=1e-12), exact=True),
    "smc": Method(TwistedSMC, exact=True),
    "gs-smc": Method(GaussianSurrogateSMC, exact=True, needs_surrogate=True),
    "gs-smc-rank": Method(lambda s: GaussianSurrogateSMC(s, rank=4), exact=True, needs_surrogate=True),
    "block-moves": Method(lambda s: BlockMoves(s, blocks=2, sweeps=2), exact=True, needs_surrogate=True),
    "dps": Method(DPS, exact=False, noise=False),
    "pigdm": Method(PiGDM, exact=False),
    "sda": Method(lambda s: SDA(s, corrections=1), exact=False),
    "daps": Method(DAPS, exact=True),
    "daps-hmc": Method(lambda s: DAPS(s, inner="hmc", moves=1), exact=False),
    "daps-corrected": Method(lambda s: DAPS(s, law="corrected", n_ode=2), exact=False),
    "split-gibbs": Method(lambda s: SplitGibbs(s, prior_steps=2), exact=False),
    "unknown-noise": Method(UnknownNoise, exact=False),
    "latent-readings": Method(LatentReadings, exact=True, needs_surrogate=True),
    "afdps": Method(lambda s: AFDPS(s, trigger=0.0), exact=False),
    "afdps-published": Method(lambda s: AFDPS(s, 1.0, 1.0, "constant", trigger=0.0), exact=False),
    "afdps-flow": Method(lambda s: AFDPS(s, 0.0, potential="tempered", langevin=2, trigger=0.0), exact=False),
    "enkg": Method(EnKG, exact=True, coupled=True),
    "enkg-published": Method(lambda s: EnKG(s, "published"), exact=False, noise=False, coupled=True),
}

OPERATORS: dict[str, Callable] = {  # made for events of shape (2, 3, 4)
    "matrix": lambda: Matrix(_uniform(5, 24), (2, 3, 4)),
    "weighted": lambda: Weighted(torch.tensor([[0, 5], [7, 7], [23, 1]]), _uniform(3, 2), (2, 3, 4)),
    "through-codec": lambda: ThroughCodec(Matrix(_uniform(5, 24), (2, 3, 4)), CODECS["standardise"]()),
    "averages": lambda: Averages(_uniform(5, 4), (2, 3, 4), _uniform(5, 3), [0, 1, 1, 0, 1]),
    "every-nth": lambda: every_nth((2, 3, 4), (2, 3)),
    "block-means": lambda: block_means((2, 3, 4), (3, 2), 0.5 + _uniform(4)),
    "spectral": lambda: SpectralBand(_circle(), (2, 3, 4), band((4,), 0, 2), channel=1, frames=[0, 2]),
    "stacked": lambda: stack_operators([every_nth((2, 3, 4), (3, 3)), Matrix(_uniform(2, 24), (2, 3, 4))]),
}

CODECS: dict[str, Callable] = {  # affine, for windows (C, T, *S) = (2, 3, 4)
    "standardise": lambda: Standardise(_uniform(2, 1, 4), 1 + _uniform(2, 1, 1), (2, 3, 4), False),
    "standardise-frames": lambda: Standardise(_uniform(2, 3, 4), 1 + _uniform(2, 1, 1), (2, 3, 4), True),
}
