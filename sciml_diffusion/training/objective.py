"""The denoising objective: noise levels by a stated law, one loss for each sample."""

import math

import torch
from torch import Tensor

from ..denoisers.base import expand
from ..denoisers.precondition import TrainableDenoiser

LAWS = ("log-normal", "log-uniform")


class DenoisingLoss:
    """l_i = ||D(x_i + sigma_i z_i, sigma_i) - x_i||^2 / e(sigma_i): 1 for the new denoiser, less for a better one.

    e is the denoiser's own `error_scale`: tr(P_sigma) where it is anchored, so 1 is the Gaussian; d sigma^2 / (1 +
    sigma^2) where it is not, which is the weight of Karras et al., 2022. sigma follows a law truncated to a range and
    stratified: one draw in each of N equal parts of its mass.

    Arguments:
        sigma_range: smallest and largest level, > 0.
        law: "log-normal" or "log-uniform".
        log_mean, log_std: of ln sigma, for the log-normal law.

    Raises:
        ValueError: where the range is empty or the law unknown.
    """

    def __init__(
        self, sigma_range: tuple[float, float], law: str = "log-uniform", log_mean: float = -1.2, log_std: float = 1.2
    ):
        if not 0 < sigma_range[0] < sigma_range[1]:
            raise ValueError(f"sigma_range must be 0 < smallest < largest; got {tuple(sigma_range)}")
        if law not in LAWS:
            raise ValueError(f"unknown law {law!r} of the noise level; choose from {LAWS}")
        self.sigma_range, self.law, self.log_mean, self.log_std = tuple(sigma_range), law, log_mean, log_std

    def sigmas(self, n: int, generator: torch.Generator) -> Tensor:
        """Draws n stratified noise levels, in increasing order, with shape (n,), float32."""
        u = (torch.arange(n) + torch.rand(n, generator=generator, dtype=torch.float64)) / n
        low, high = (math.log(s) for s in self.sigma_range)
        if self.law == "log-uniform":
            return (low + (high - low) * u).exp().float()
        ends = torch.special.ndtr((torch.tensor([low, high], dtype=torch.float64) - self.log_mean) / self.log_std)
        return (self.log_mean + self.log_std * torch.special.ndtri(ends[0] + (ends[1] - ends[0]) * u)).exp().float()

    def draw(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws sigma (N,) and white noise z on the CPU, for x of shape (N, *event), and moves them to its device."""
        sigma = self.sigmas(len(x), generator)
        return sigma.to(x), torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)

    def __call__(self, denoiser: TrainableDenoiser, x: Tensor, sigma: Tensor, z: Tensor) -> Tensor:
        """The loss of each sample, with shape (N,); x and z (N, *event), sigma (N,)."""
        error = denoiser(x + expand(sigma, x) * z, sigma) - x
        return error.flatten(1).square().sum(1) / denoiser.error_scale(sigma)


class Balance:
    """Weights 1 / r(sigma), r the running mean of the loss at that noise level: levels matter by relative progress.

    Without it the levels at which nothing can be learned drown those at which the error is a tenth of the start's. r is
    kept in bins of ln sigma, each updated by r <- r + rate (l - r) for every loss that falls into it. It serves the
    purpose of the learned uncertainty of Karras et al., Analyzing and improving the training dynamics of diffusion
    models, 2024, eq. 21.

    Arguments:
        sigma_range: of the objective.
        bins: number of bins.
        rate: of the running means.
    """

    def __init__(self, sigma_range: tuple[float, float], bins: int = 16, rate: float = 0.02):
        self.low, self.high = (math.log(s) for s in sigma_range)
        self.rate, self.mean = rate, torch.ones(bins)

    def __call__(self, loss: Tensor, sigma: Tensor) -> Tensor:
        """Returns loss / r(sigma), then updates r; loss and sigma of shape (N,) -> (N,)."""
        place = (sigma.detach().cpu().log() - self.low) / (self.high - self.low) * len(self.mean)
        index = place.long().clamp(0, len(self.mean) - 1)
        weighted = loss / self.mean[index].to(loss)
        for i, value in zip(index.tolist(), loss.detach().cpu().tolist(), strict=True):
            self.mean[i] += self.rate * (value - self.mean[i])
        return weighted
