"""The Gaussian-anchored denoiser: exactly a Gaussian at first, moved only by what data say against it."""

import torch
from torch import Tensor, nn

from .base import expand
from .covariance import Covariance
from .gaussian import GaussianDenoiser
from .precondition import TrainableDenoiser

LINEAR = 0.7  # of the Gaussian's squared error: below it a network has found what no linear estimate can


class AnchoredDenoiser(TrainableDenoiser):
    """D = D_G + beta(sigma) P_sigma^{1/2} F([c_in (x_t - mu), D_G - mu], ln(sigma) / 4).

    D_G = mu + C (C + sigma^2)^{-1} (x_t - mu) is the exact denoiser of N(mu, C), P_sigma = C sigma^2 / (C + sigma^2)
    its conditional covariance, c_in = 1 / sqrt(1 + sigma^2). F ends in zeros when new, so D starts as D_G, and its
    correction is in units of the Gaussian's own doubt. beta and the ratio of the squared error of D to P_sigma are
    measured on validation data (`training.calibrate`) and interpolated linearly in ln sigma (the ratio: its logarithm),
    constant beyond the nodes, and 0 and 1 at sigma = infinity, where D is the anchor again.

    Arguments:
        anchor: the Gaussian, with events of three axes (channels, H, W).
        backbone: F, (N, 2 channels, H, W), (N,) -> (N, channels, H, W).
        log_sigma: nodes ln sigma, increasing, with shape (n,).
        beta: trust in F at each node, in [0, 1], with shape (n,).
        ratio: squared error over P_sigma at each node, > 0, with shape (n, *coefficients) or (n, 1, ..., 1).

    Raises:
        ValueError: where the nodes, beta or ratio do not fit together.
    """

    def __init__(self, anchor: GaussianDenoiser, backbone: nn.Module, log_sigma: Tensor, beta: Tensor, ratio: Tensor):
        super().__init__()
        if log_sigma.ndim != 1 or len(log_sigma) < 2 or (log_sigma.diff() <= 0).any():
            raise ValueError(f"log_sigma must be at least 2 increasing nodes; got {log_sigma.tolist()}")
        if beta.shape != log_sigma.shape or (beta < 0).any() or (beta > 1).any():
            raise ValueError(
                f"beta must hold one number in [0, 1] for each of {len(log_sigma)} nodes; got {beta.tolist()}"
            )
        fits = ratio.ndim == anchor.variance.ndim + 1 and len(ratio) == len(log_sigma)
        if not fits or any(r not in (1, v) for r, v in zip(ratio.shape[1:], anchor.variance.shape, strict=True)):
            want = (len(log_sigma), *anchor.variance.shape)
            raise ValueError(f"ratio has shape {tuple(ratio.shape)}; it must have, or broadcast to, {want}")
        if not (ratio > 0).all():
            raise ValueError("ratio must be > 0 at every node")
        self.event, self.anchor, self.backbone = anchor.event, anchor, backbone
        self.register_buffer("log_sigma", log_sigma, persistent=False)
        self.register_buffer("beta", beta, persistent=False)
        self.register_buffer("ratio", ratio, persistent=False)

    @classmethod
    def untrained(cls, anchor: GaussianDenoiser, backbone: nn.Module, log_sigma: Tensor) -> "AnchoredDenoiser":
        """With beta = 1 and ratio = 1 at the nodes ln sigma, of shape (n,): as training needs it."""
        ones = torch.ones(len(log_sigma), dtype=anchor.mean.dtype)
        return cls(anchor, backbone, log_sigma, ones, ones.reshape(-1, *(1,) * anchor.variance.ndim))

    @property
    def arguments(self) -> dict:
        """Constructor arguments, from which the denoiser can be rebuilt."""
        names = ("anchor", "backbone", "log_sigma", "beta", "ratio")
        return {name: getattr(self, name) for name in names}

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Returns D(x_t, sigma), with shape (N, *event); x_t (N, *event), sigma () or (N,)."""
        far = torch.isinf(sigma)
        beta = torch.where(far, 0, self._at_nodes(self.beta, sigma)).to(x_t)
        if beta.device.type == "cpu" and not beta.any():  # asked of the host alone: a question to a device stalls it
            return self.anchor(x_t, sigma)
        centre, correction = self.parts(x_t, torch.where(far, 1, sigma))
        centre = torch.where(expand(far, x_t), self.anchor.mean, centre)
        return torch.addcmul(centre, expand(beta, x_t), correction)

    def parts(self, x_t: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Returns D_G and P_sigma^{1/2} F, each with shape (N, *event); x_t (N, *event), sigma finite, () or (N,)."""
        basis, mean = self.anchor.basis, self.anchor.mean
        c = basis(x_t - mean)
        s2 = expand(sigma, c) ** 2
        shift = basis.inverse(c / (1 + s2 / self.anchor.variance))
        c_in = (1 + expand(sigma, x_t) ** 2).rsqrt()
        inputs = torch.cat([c_in * (x_t - mean), shift], 1)
        f = self.backbone(inputs, (sigma.log() / 4).expand(len(x_t))).to(x_t)
        root = (1 / (1 / self.anchor.variance + 1 / s2)).sqrt()
        return mean + shift, basis.inverse(root * basis(f))

    def surrogate(self, sigma: Tensor) -> Covariance:
        """E_sigma = ratio(sigma) P_sigma, diagonal in the anchor's basis; sigma of shape ()."""
        exact = self.anchor.surrogate(sigma)
        known = self.ratio.to(exact.variance).log()
        ratio = torch.where(torch.isinf(sigma), 1, self._at_nodes(known, sigma).exp())
        return Covariance(exact.basis, ratio * exact.variance)

    @property
    def nearly_linear(self) -> bool:
        """Whether the squared error comes near the Gaussian's, above `LINEAR` of it, at every node."""
        shape = (-1, *(1,) * self.anchor.variance.ndim)
        p = 1 / (1 / self.anchor.variance + torch.exp(-2 * self.log_sigma).reshape(shape))
        share = (self.ratio * p).flatten(1).sum(1) / p.flatten(1).sum(1)
        return bool(share.min() > LINEAR)

    def prior_mean(self) -> Tensor:
        """mu, with shape (*event)."""
        return self.anchor.prior_mean()

    def error_scale(self, sigma: Tensor) -> Tensor:
        """tr(P_sigma): the anchor's own squared error; sigma of shape (N,) -> (N,)."""
        s2 = sigma.reshape(-1, *(1,) * self.anchor.variance.ndim) ** 2
        return (1 / (1 / self.anchor.variance + 1 / s2)).flatten(1).sum(1)

    def _at_nodes(self, values: Tensor, sigma: Tensor) -> Tensor:
        """Values (n, ...), linear in ln sigma and constant outside; sigma of shape () or (N,) -> (...) or (N, ...)."""
        place = sigma.to(self.log_sigma).log().clamp(self.log_sigma[0], self.log_sigma[-1])
        right = torch.searchsorted(self.log_sigma, place.contiguous()).clamp(1, len(self.log_sigma) - 1)
        left = right - 1
        share = (place - self.log_sigma[left]) / (self.log_sigma[right] - self.log_sigma[left])
        share = share.reshape((*share.shape, *(1,) * (values.ndim - 1))).to(values)
        return torch.lerp(values[left], values[right], share)
