"""The exact denoiser of a Gaussian mixture: the smallest law on which guidance methods can go wrong."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .base import Denoiser, expand
from .basis import Basis


class MixtureDenoiser(Denoiser):
    """Closed-form denoiser of sum_k w_k N(m_k, C_k), C_k = B^T diag(v_k) B.

    r_k ∝ w_k N(x_t; m_k, C_k + sigma^2), d_k = m_k + C_k (C_k + sigma^2)^{-1} (x_t - m_k), D = sum_k r_k d_k.
    Cov[x | x_t] = sum_k r_k (P_k + d_k d_k^T) - D D^T depends on x_t: there is no shared surrogate.

    Arguments:
        log_weights: log w_k up to a constant, with shape (K,).
        means: m_k, with shape (K, *event).
        basis: B, in which every C_k is diagonal.
        variances: v_k, with shape (K, *coefficients) or (1, *coefficients).
    """

    def __init__(self, log_weights: Tensor, means: Tensor, basis: Basis, variances: Tensor):
        super().__init__()
        if len(log_weights) != len(means) or len(variances) not in (1, len(means)):
            raise ValueError(
                f"got {len(log_weights)} weights, {len(means)} means and {len(variances)} variances for one mixture"
            )
        self.event, self.basis = tuple(means.shape[1:]), basis
        self.register_buffer("log_weights", log_weights.log_softmax(0), persistent=False)
        self.register_buffer("means", means, persistent=False)
        self.register_buffer("variances", variances, persistent=False)
        self.register_buffer("_modes", basis(means), persistent=False)

    @property
    def arguments(self) -> dict:
        """Constructor arguments, from which the denoiser can be rebuilt."""
        return {"log_weights": self.log_weights, "means": self.means, "basis": self.basis, "variances": self.variances}

    def log_joint(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """log w_k N(x_t; m_k, C_k + sigma^2), with shape (N, K); x_t (N, *event), sigma () or (N,)."""
        return self._log_joint(self.basis(x_t), sigma)

    def _log_joint(self, c: Tensor, sigma: Tensor) -> Tensor:
        total = self.variances + expand(sigma, c[:, None]) ** 2
        delta = (c[:, None] - self._modes) ** 2 / total
        axes = tuple(range(2, delta.ndim))
        log_det = total.log().expand(delta.shape).sum(axes)
        dimension = math.prod(delta.shape[2:])
        return self.log_weights - 0.5 * (delta.sum(axes) + log_det + dimension * math.log(2 * math.pi))

    def _components(self, x_t: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Responsibilities r (N, K), coefficients of d_k (N, K, *coefficients), and of P_k."""
        c = self.basis(x_t)
        s2 = expand(sigma, c[:, None]) ** 2
        r = self._log_joint(c, sigma).softmax(1)
        gain = self.variances / (self.variances + s2)
        return r, self._modes + gain * (c[:, None] - self._modes), gain * s2

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Returns sum_k r_k d_k, with shape (N, *event)."""
        r, d, _ = self._components(x_t, sigma)
        return self.basis.inverse(torch.einsum("nk,nk...->n...", r, d))

    def vjp(self, x_t: Tensor, sigma: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """As `Denoiser.vjp`, in closed form: dD/dx_t = Cov[x | x_t] / sigma^2; sigma of shape ()."""
        r, d, p = self._components(x_t, sigma)
        mean = torch.einsum("nk,nk...->n...", r, d)
        centred = d - mean[:, None]

        def pull(u: Tensor) -> Tensor:
            u = self.basis(u)
            inner = r * (centred * u[:, None]).flatten(2).sum(-1)
            within = torch.einsum("nk,nk...->n...", r, p.expand(d.shape)) * u
            return self.basis.inverse(within + torch.einsum("nk,nk...->n...", inner, centred)) / sigma**2

        return self.basis.inverse(mean), pull

    def within_variance(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Mean over coordinates of the within-mode variance sum_k r_k P_k, with shape (N,): the step variance."""
        r, d, p = self._components(x_t, sigma)
        return (r * p.expand(d.shape).flatten(2).mean(-1)).sum(1)

    def start(self, sigma: Tensor, streams) -> Tensor:
        """Draws x_t exactly from the mixture at the noise level sigma, with shape (rows, *event)."""
        cumulative = self.log_weights.exp().cumsum(0)
        k = torch.searchsorted(cumulative, streams.uniform(()).to(cumulative)).clamp_max(len(cumulative) - 1)
        spread = (self.variances.expand(self._modes.shape)[k] + sigma**2).sqrt()
        return self.basis.inverse(self._modes[k] + spread * self.basis(streams.normal(self.event)))
