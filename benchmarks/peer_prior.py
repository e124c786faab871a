"""The prior of an exactness problem as its peers see it: a Gaussian mixture on flat states, with torch alone."""

import torch
from torch import Tensor


class Prior:
    """sum_k w_k N(m_k, B^T diag(v_k) B), a Gaussian being one mode: its denoiser and its draws on flat states.

    Arguments:
        log_weights: log w_k, with shape (K,).
        means: m_k, with shape (K, d).
        variances: v_k, with shape (K, d) or (1, d).
        event: shape of the state, with product d.
        axes: number of trailing axes of the Hartley basis; 0 where a matrix is the basis.
        matrix: its columns are the basis, with shape (d, d); an empty one for the values themselves.
    """

    def __init__(self, log_weights: Tensor, means: Tensor, variances: Tensor, event: list, axes: int, matrix: Tensor):
        self.event, self.axes, self.matrix = event, axes, matrix
        self.log_weights, self.variances = log_weights.log_softmax(0), variances
        self.modes = self.into(means)

    def into(self, x: Tensor) -> Tensor:
        """Coefficients, of shape (N, d) -> (N, d)."""
        if self.axes:
            spectrum = torch.fft.fftn(x.reshape(-1, *self.event), dim=tuple(range(-self.axes, 0)), norm="ortho")
            return (spectrum.real - spectrum.imag).reshape(x.shape)
        return x @ self.matrix if len(self.matrix) else x

    def back(self, c: Tensor) -> Tensor:
        """Values, of shape (N, d) -> (N, d)."""
        return c @ self.matrix.T if len(self.matrix) else self.into(c)

    def mean(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """E[x | x_t = x + sigma z], with shape (N, d)."""
        c, total = self.into(x_t), self.variances + sigma**2
        gain, offset = self.variances / total, self.modes / total
        constant = self.log_weights - 0.5 * ((self.modes * offset).sum(1) + total.log().sum(1))
        r = (constant + c @ offset.T - 0.5 * c**2 @ (1 / total).T).softmax(1)
        return self.back((gain if len(gain) == 1 else r @ gain) * c + r @ (sigma**2 * offset))

    def draw(self, members: int) -> Tensor:
        """Exact draws, with shape (members, d)."""
        k = torch.multinomial(self.log_weights.exp(), members, replacement=True)
        spread = self.variances.expand(self.modes.shape)[k].sqrt()
        return self.back(self.modes[k] + spread * torch.randn_like(spread))

    def factors(self) -> tuple[Tensor, Tensor]:
        """Covariance B^T (diag(D) + V V^T) B of the whole law: D, with shape (d,), and V, with shape (d, K)."""
        w = self.log_weights.exp()
        diagonal = w @ self.variances.expand(self.modes.shape)
        return diagonal, (w.sqrt()[:, None] * (self.modes - w @ self.modes)).T

    def coordinate_variance(self) -> float:
        """Mean variance of a coordinate."""
        diagonal, factor = self.factors()
        return float((diagonal + (factor**2).sum(1)).mean())
