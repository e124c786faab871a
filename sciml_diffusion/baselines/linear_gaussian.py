"""Linear Gaussian estimation from the sample covariance of training fields: optimal interpolation of whole windows."""

import torch
from torch import Tensor

from ..ensemble import WeightedEnsemble
from ..observations.observation import Observation
from ..samplers.streams import MemberStreams


class LinearGaussian:
    """x ~ N(mu, F F^T + delta^2), y = A x + std z: mean mu + K (y - A mu), K = (F (A F)^T + delta^2 A^T) S^{-1},

    S = A F (A F)^T + delta^2 A A^T + std^2. Exact for a Gaussian x; the best linear estimate for any other. Members are
    x + K (y - A x - std z) with x from the prior (Matheron's rule). Source: Rasmussen & Williams, Gaussian Processes
    (2006), section 2.2; J.-P. Chiles and P. Delfiner, Geostatistics (2012), section 7.3.

    Arguments:
        mean: mu, with shape (*event).
        factor: F, with shape (r, *event): one row for each direction.
        ridge: delta >= 0, a standard deviation in the units of x: white variance that the samples are too few to show.

    Raises:
        ValueError: where shapes do not fit, or the ridge is negative.
    """

    def __init__(self, mean: Tensor, factor: Tensor, ridge: float = 0.0):
        if factor.shape[1:] != mean.shape or not ridge >= 0:
            raise ValueError(
                f"expected a factor of shape (r, {', '.join(map(str, mean.shape))}) and ridge >= 0; "
                f"got {tuple(factor.shape)} and {ridge}"
            )
        self.mu, self.factor, self.ridge = mean, factor, ridge

    @classmethod
    def from_samples(cls, x: Tensor, ridge: float = 0.0) -> "LinearGaussian":
        """The sample mean and covariance of fields of shape (N, *event), N >= 2: F = (x - mu) / sqrt(N - 1)."""
        if len(x) < 2:
            raise ValueError(f"a covariance needs at least 2 samples; got {len(x)}")
        mean = x.mean(0)
        return cls(mean, (x - mean) / (len(x) - 1) ** 0.5, ridge)

    def mean(self, observation: Observation) -> Tensor:
        """Posterior mean of each window, with shape (B, *event).

        Arguments:
            observation: y with shape (B, m), of the same kind of event.
        """
        gain = self._gain(observation)
        innovation = observation.y.to(self.mu) - observation.operator(self.mu[None])
        return self.mu + (innovation @ gain).reshape(-1, *self.mu.shape)

    def posterior(self, observation: Observation, streams: MemberStreams) -> WeightedEnsemble:
        """K draws from the posterior of each window, with shape (B, K, *event), unweighted.

        Arguments:
            observation: y with shape (B, m).
            streams: B K rows, members within windows.
        """
        gain, std, windows = self._gain(observation), observation.std.to(self.mu), len(observation.y)
        x = self.mu + torch.tensordot(streams.normal((len(self.factor),)).to(self.mu), self.factor, 1)
        x = x + self.ridge * streams.normal(self.mu.shape).to(self.mu)
        noise = std * streams.normal((observation.operator.m,)).to(self.mu)
        y = observation.repeat(len(x) // windows).to(self.mu)
        x = x + ((y - noise - observation.operator(x)) @ gain).reshape(x.shape)
        return WeightedEnsemble(x.reshape(windows, -1, *self.mu.shape), torch.zeros(windows, len(x) // windows))

    def _gain(self, observation: Observation) -> Tensor:
        """K^T, with shape (m, prod event); solved in float64."""
        operator, dtype = observation.operator, self.mu.dtype
        rows = operator.rows(dtype, self.mu.device)
        seen, white = operator(self.factor), self.ridge**2 * operator(rows)
        noise = observation.std.to(self.mu.device, torch.float64) ** 2
        total = seen.double().T @ seen.double() + white.double() + noise.diag()
        cross = seen.T @ self.factor.flatten(1) + self.ridge**2 * rows.flatten(1)
        return torch.cholesky_solve(cross.double(), torch.linalg.cholesky(total)).to(dtype)
