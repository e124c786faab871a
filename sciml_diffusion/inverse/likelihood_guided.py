"""Guidance by the gradient of one Gaussian likelihood at D(x_t): one backward pass for each step."""

from abc import abstractmethod

from torch import Tensor

from ..denoisers.base import Denoiser
from ..observations.observation import Observation
from ..observations.operators import LinearOperator
from ..samplers.streams import MemberStreams


class LikelihoodGuided(Denoiser):
    """D_y = D + sigma^2 (dD/dx_t)^T H^T g, g the gradient by h = A(D) of a Gaussian log p(y | x_t); H = dA/dx at D.

    Subclasses state g. Laws of noise that are not Gaussian enter by the Gaussian near h (`Observation.local`).

    Arguments:
        denoiser: of the prior.
        observation: y, with shape (B, m); rows of x_t run over members within the B windows.
    """

    def __init__(self, denoiser: Denoiser, observation: Observation):
        super().__init__()
        self.inner, self.observation, self.event = denoiser, observation, tuple(denoiser.event)

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Returns D_y(x_t, sigma), with shape (N, *event); sigma of shape ()."""
        mean, pull = self.inner.vjp(x_t, sigma)
        residual, std, slope = self.observation.local(mean)
        g = self.pressure(residual.to(mean), std.to(mean), slope, sigma)
        return mean + sigma**2 * pull(slope.adjoint(g).to(mean))

    @abstractmethod
    def pressure(self, residual: Tensor, std: Tensor, slope: LinearOperator, sigma: Tensor) -> Tensor:
        """g, with shape (N, m), from r = y - h and std, both (N, m), and H, which acts on N rows; sigma ()."""

    def start(self, sigma: Tensor, streams: MemberStreams) -> Tensor:
        """Draws x_t at the level sigma as the prior does, with shape (rows, *event)."""
        return self.inner.start(sigma, streams)
