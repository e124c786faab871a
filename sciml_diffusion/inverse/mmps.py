"""MMPS: moment-matched posterior sampling, the default method."""

from collections.abc import Callable

from torch import Tensor

from ..denoisers.base import Denoiser
from ..observations.observation import Observation
from ..samplers.base import Sampler
from ..samplers.sde import Ancestral
from ..samplers.streams import MemberStreams
from .base import PosteriorMethod
from .guidance import MomentMatched


class MMPS(PosteriorMethod):
    """Any sampler on the denoiser of `MomentMatched`; members are independent and carry no weights.

    Exact for a Gaussian prior with the ancestral sampler and the surrogate covariance, at any number of steps;
    an approximation elsewhere, whose error more members do not mend: see `TwistedSMC`.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        covariance, tolerance, iterations: see `MomentMatched`.
        sampler: class of the sampler.
    """

    needs = "gradient"

    def __init__(
        self,
        sigmas: Tensor,
        covariance: str = "auto",
        tolerance: float = 1e-3,
        iterations: int = 4,
        sampler: type[Sampler] = Ancestral,
    ):
        super().__init__(sigmas)
        self.covariance, self.tolerance, self.iterations, self.sampler = covariance, tolerance, iterations, sampler

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, None, dict]:
        """Members of shape (B K, *event); no weights."""
        guided = MomentMatched(denoiser, observation, self.covariance, self.tolerance, self.iterations)
        return self.sampler(self.sigmas)(guided, streams, callback), None, {}
