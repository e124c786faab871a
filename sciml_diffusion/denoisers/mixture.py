"""The exact denoiser of a Gaussian mixture: the smallest law on which guidance methods can go wrong."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .base import Denoiser, expand
from .basis import Basis
from .covariance import Covariance


class MixtureDenoiser(Denoiser):
    """Closed-form denoiser of sum_k w_k N(m_k, C_k), C_k = B^T diag(v_k) B.

    r_k ∝ w_k N(x_t; m_k, C_k + sigma^2), d_k = m_k + C_k (C_k + sigma^2)^{-1} (x_t - m_k), D = sum_k r_k d_k.
    Cov[x | x_t] = sum_k r_k (P_k + d_k d_k^T) - D D^T depends on x_t: there is no shared surrogate. Where modes have
    one C, P is shared (`within`), and all that the modes need is two products with the matrix of their means: O(N K d)
    operations without a tensor of N K d numbers.

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

    @property
    def shared(self) -> bool:
        """Whether all modes have one covariance."""
        return len(self.variances) == 1

    def within(self, sigma: Tensor) -> Covariance | None:
        """P = (C^{-1} + sigma^{-2})^{-1} where all modes share C, else None; sigma of shape ()."""
        return Covariance(self.basis, 1 / (1 / self.variances[0] + sigma**-2)) if self.shared else None

    def between(self) -> Tensor:
        """sqrt(w_k) (m_k - mean), with shape (K, *event): Cov[x] = within(infinity) + the sum of their squares."""
        root = self.log_weights.exp().sqrt().reshape(-1, *(1,) * len(self.event))
        return root * (self.means - self.prior_mean())

    def prior_mean(self) -> Tensor:
        """sum_k w_k m_k, with shape (*event)."""
        return torch.einsum("k,k...->...", self.log_weights.exp(), self.means)

    def _log_joint(self, c: Tensor, sigma: Tensor) -> Tensor:
        if self.shared:
            return self._log_joint_shared(c, self.variances[0] + expand(sigma, c) ** 2)
        total = self.variances + expand(sigma, c[:, None]) ** 2
        delta = (c[:, None] - self._modes) ** 2 / total
        axes = tuple(range(2, delta.ndim))
        log_det = total.log().expand(delta.shape).sum(axes)
        dimension = math.prod(delta.shape[2:])
        return self.log_weights - 0.5 * (delta.sum(axes) + log_det + dimension * math.log(2 * math.pi))

    def _log_joint_shared(self, c: Tensor, total: Tensor) -> Tensor:
        """The same by inner products, about the mean of the modes and in float64: they cancel; c (N, *coefficients)."""
        total = total.expand(c.shape).flatten(1).double()
        modes = self._modes.flatten(1).double()
        centre = modes.mean(0)
        c, modes = c.flatten(1).double() - centre, modes - centre
        white = c / total
        square = (c * white).sum(1, keepdim=True) - 2 * white @ modes.T + (1 / total) @ (modes**2).T
        constant = total.log().sum(1, keepdim=True) + total.shape[1] * math.log(2 * math.pi)
        return (self.log_weights - 0.5 * (square + constant)).to(self._modes.dtype)

    def _components(self, x_t: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Responsibilities r (N, K), coefficients of d_k (N, K, *coefficients), and of P_k."""
        c = self.basis(x_t)
        s2 = expand(sigma, c[:, None]) ** 2
        r = self._log_joint(c, sigma).softmax(1)
        gain = self.variances / (self.variances + s2)
        return r, self._modes + gain * (c[:, None] - self._modes), gain * s2

    def forward(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Returns sum_k r_k d_k, with shape (N, *event)."""
        if self.shared:
            return self._shared_mean(x_t, sigma)[0]
        r, d, _ = self._components(x_t, sigma)
        return self.basis.inverse(torch.einsum("nk,nk...->n...", r, d))

    def _shared_mean(self, x_t: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """D (N, *event), r (N, K), and the share C (C + sigma^2)^{-1} of x_t in every d_k, for modes of one C."""
        c = self.basis(x_t)
        r, gain = self._log_joint(c, sigma).softmax(1), 1 / (1 + expand(sigma, c) ** 2 / self.variances[0])
        modes = (r @ self._modes.flatten(1)).reshape(c.shape)
        return self.basis.inverse(modes + gain * (c - modes)), r, gain

    def vjp(self, x_t: Tensor, sigma: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """As `Denoiser.vjp`, in closed form: dD/dx_t = Cov[x | x_t] / sigma^2; sigma of shape ()."""
        if self.shared:
            return self._shared_vjp(x_t, sigma)
        r, d, p = self._components(x_t, sigma)
        mean = torch.einsum("nk,nk...->n...", r, d)
        centred = d - mean[:, None]

        def pull(u: Tensor) -> Tensor:
            u = self.basis(u)
            inner = r * (centred * u[:, None]).flatten(2).sum(-1)
            within = torch.einsum("nk,nk...->n...", r, p.expand(d.shape)) * u
            return self.basis.inverse(within + torch.einsum("nk,nk...->n...", inner, centred)) / sigma**2

        return self.basis.inverse(mean), pull

    def _shared_vjp(self, x_t: Tensor, sigma: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """The same where d_k - D = (1 - gain) (m_k - sum_j r_j m_j): two products with the means for each u."""
        mean, r, gain = self._shared_mean(x_t, sigma)
        modes = self._modes.flatten(1)

        def pull(u: Tensor) -> Tensor:
            u = self.basis(u)
            inner = ((1 - gain) * u).flatten(1) @ modes.T
            inner = r * (inner - (r * inner).sum(1, keepdim=True))
            between = (1 - gain) * (inner @ modes).reshape(u.shape)
            return self.basis.inverse(gain * u + between / sigma**2)

        return mean, pull

    def within_variance(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Mean over coordinates of the within-mode variance sum_k r_k P_k, with shape (N,): the step variance."""
        if self.shared:
            variance = self.within(sigma).variance.expand(self._modes.shape[1:])
            return variance.mean().to(x_t).expand(len(x_t))
        r, d, p = self._components(x_t, sigma)
        return (r * p.expand(d.shape).flatten(2).mean(-1)).sum(1)

    def start(self, sigma: Tensor, streams) -> Tensor:
        """Draws x_t exactly from the mixture at the noise level sigma, with shape (rows, *event)."""
        cumulative = self.log_weights.exp().cumsum(0)
        k = torch.searchsorted(cumulative, streams.uniform(()).to(cumulative)).clamp_max(len(cumulative) - 1)
        spread = (self.variances.expand(self._modes.shape)[k] + sigma**2).sqrt()
        return self.basis.inverse(self._modes[k] + spread * self.basis(streams.normal(self.event)))
