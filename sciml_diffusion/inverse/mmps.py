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

    Takes any observation that can be differentiated; see `LocalStep` for data that bend. With covariance="surrogate" it
    is the Gaussian-covariance twist: one pass through the network for each step. Exact for a Gaussian prior and linear
    data with the ancestral sampler and the surrogate covariance, at any number of steps; an approximation elsewhere,
    whose error more members do not mend: see `TwistedSMC`. With the jacobian a step costs up to iterations + 2 passes,
    or 1 + rounds (iterations + 1) where the data bend.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
        covariance, tolerance, iterations, rounds: see `MomentMatched`.
        sampler: class of the sampler.
    """

    needs = "gradient"

    def __init__(
        self,
        sigmas: Tensor,
        covariance: str = "auto",
        tolerance: float = 1e-3,
        iterations: int = 4,
        rounds: int = 4,
        sampler: type[Sampler] = Ancestral,
    ):
        super().__init__(sigmas)
        self.arguments, self.sampler = (covariance, tolerance, iterations, rounds), sampler

    def run(
        self, denoiser: Denoiser, observation: Observation, streams: MemberStreams, callback: Callable[[int], None]
    ) -> tuple[Tensor, None, dict]:
        """Members of shape (B K, *event); no weights."""
        guided = MomentMatched(denoiser, observation, *self.arguments)
        return self.sampler(self.sigmas)(guided, streams, callback), None, {}
