"""The denoiser protocol: E[x | x_t] for x_t = x + sigma z, z white.

Everything else follows from it: the score (D - x_t) / sigma^2, the conditional covariance sigma^2 dD/dx_t, samplers and
posteriors. A denoiser may also state a Gaussian surrogate N(D, E_sigma) of x | x_t whose covariance is shared by all
members; samplers use it for the exact variance of their steps, and guidance for its own covariance.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .covariance import Covariance


class Denoiser(nn.Module, ABC):
    """E[x | x_t]; see `forward`. `event` is the shape of one x without its batch axis."""

    event: tuple[int, ...]

    @abstractmethod
    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Returns D(x_t, sigma) = E[x | x_t], with shape (N, *event).

        Arguments:
            x_t: noisy x, with shape (N, *event).
            sigma: noise level, with shape () or (N,).
        """

    def surrogate(self, sigma: Tensor) -> Covariance | None:
        """Covariance E_sigma of the surrogate N(D, E_sigma) of x | x_t at one noise level (shape ()); None if unknown.

        At sigma = infinity it is the covariance of x itself.
        """
        return None

    def within(self, sigma: Tensor) -> Covariance | None:
        """The part of Cov[x | x_t] that all x_t share at one noise level (shape ()), None if unknown: the surrogate.

        A mixture knows it though it has no surrogate: what is left is `between` its modes, and depends on x_t.
        """
        return self.surrogate(sigma)

    def between(self) -> Tensor | None:
        """Fields u_k with Cov[x] = within(infinity) + sum_k u_k u_k^T, with shape (r, *event); None where r = 0."""
        return None

    @property
    def nearly_linear(self) -> bool:
        """Whether Cov[x | x_t] hardly depends on x_t, so that guidance may take the surrogate's for it."""
        return True

    def within_variance(self, x_t: Tensor, sigma: Tensor) -> Tensor | None:
        """Mean variance per coordinate that x | x_t has within one mode, with shape (N,); None if unknown.

        Arguments:
            x_t: shape (N, *event).
            sigma: shape ().
        """
        return None

    def prior_mean(self) -> Tensor | None:
        """Mean of x, with shape (*event), where the denoiser knows it: D(x_t, infinity)."""
        return None

    def start(self, sigma: Tensor, streams) -> Tensor:
        """Draws x_t at the noise level sigma (shape ()) from (the surrogate of) its marginal law.

        Without a surrogate this is N(0, sigma^2), which asks for a sigma far above the scale of the data; with one it
        is N(mean, C + sigma^2), exact for a Gaussian at any sigma.

        Arguments:
            streams: `samplers.MemberStreams`, one row for each x_t.
        Returns x_t with shape (rows, *event).
        """
        mean = self.prior_mean()
        noise = sigma * streams.normal(self.event)
        if mean is None:
            return noise
        return mean + self.surrogate(torch.full_like(sigma, torch.inf)).sqrt(streams.normal(self.event)) + noise

    def draw(self, x_t: Tensor, sigma: Tensor, streams) -> Tensor:
        """Draws x from the surrogate N(D(x_t), E_sigma) of x | x_t, with shape (N, *event); D itself where E is None.

        Arguments:
            x_t: shape (N, *event).
            sigma: shape ().
            streams: one row for each x_t.
        """
        mean, covariance = self(x_t, sigma), self.surrogate(sigma)
        if covariance is None:
            return mean
        return mean + covariance.sqrt(streams.normal(self.event))

    def vjp(self, x_t: Tensor, sigma: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Returns D(x_t, sigma), and u -> (dD/dx_t)^T u; sigma^2 times it is Cov[x | x_t] u for an exact denoiser.

        Shapes: x_t and u (N, *event). Each call of the function is one backward pass through the network.
        """
        with torch.enable_grad():
            x_t = x_t.detach().requires_grad_()
            mean = self(x_t, sigma)

        def pull(u: Tensor) -> Tensor:
            return torch.autograd.grad(mean, x_t, u, retain_graph=True)[0]

        return mean.detach(), pull


def expand(sigma: Tensor, x: Tensor) -> Tensor:
    """Returns sigma, of shape () or (N,), as shape () or (N, 1, ..., 1), to broadcast against x (N, *event)."""
    return sigma if sigma.ndim == 0 else sigma.reshape(-1, *(1,) * (x.ndim - 1))
