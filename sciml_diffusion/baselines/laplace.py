"""The posterior of a Gaussian prior in white coordinates, x = mu + C^{1/2} xi, and the Gaussian nearest to it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..denoisers.base import Denoiser
from ..observations.observation import Observation
from ..observations.operators import Function


class WhitePosterior:
    """J(xi) = -log p(y | mu + C^{1/2} xi) + |xi|^2 / 2, minus the log-density of xi | y up to a constant.

    Arguments:
        prior: denoiser that states its mean and covariance, exact for a Gaussian prior.
        observation: one window, y of shape (1, m); any operator and noise law.

    Raises:
        ValueError: more than one window, or a prior that states no mean and covariance.
    """

    def __init__(self, prior: Denoiser, observation: Observation):
        covariance, mean = prior.surrogate(torch.tensor(torch.inf, dtype=torch.float64)), prior.prior_mean()
        if covariance is None or mean is None:
            raise ValueError("white coordinates need a prior that states its mean and covariance; this one does not")
        if len(observation.y) != 1:
            raise ValueError(f"one posterior is one window, y of shape (1, m); got {tuple(observation.y.shape)}")
        self.mean, self.basis, self.root = mean.double(), covariance.basis, covariance.variance.double().sqrt()
        self.parameters = self.root.numel()
        observation = observation.to(torch.float64, "cpu").whitened()[0]
        operator = observation.operator
        seen = Function(lambda xi: operator(self.event(xi)), (self.parameters,), operator.m, operator.differentiable)
        self.observation = Observation(seen, observation.y, observation.noise)

    def event(self, xi: Tensor) -> Tensor:
        """x = mu + C^{1/2} xi: shape (N, P) -> (N, *event)."""
        return self.mean + self.basis.inverse(self.root * xi.reshape(len(xi), *self.root.shape))

    def value(self, xi: Tensor) -> Tensor:
        """J, shape (N, P) -> (N,); infinite where the likelihood cannot be computed."""
        value = 0.5 * (xi**2).sum(1) - self.observation.log_likelihood(xi)
        return torch.where(value.isfinite(), value, torch.inf)

    def slope(self, xi: Tensor) -> tuple[Tensor, Tensor]:
        """J and its gradient, shapes (N, P) -> (N,), (N, P)."""
        with torch.enable_grad():
            xi = xi.detach().requires_grad_()
            value = self.value(xi)
            (gradient,) = torch.autograd.grad(value.sum(), xi)
        return value.detach(), gradient

    def linearise(self, xi: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals r (N, m) and derivatives G (N, m, P) in units of the noise; J's Hessian is about 1 + G^T G.

        All rows of G at once, by one backward pass through m copies of xi, which has shape (N, P).
        """
        m = self.observation.operator.m
        residual, std, slope = self.observation.local(xi.repeat_interleave(m, 0))
        rows = slope.adjoint(torch.eye(m, dtype=xi.dtype).repeat(len(xi), 1) / std)
        first = slice(None, None, m)
        return residual[first] / std[first], rows.reshape(len(xi), m, -1)


@dataclass(frozen=True)
class Reference:
    """A Gaussian of xi: centre + L z, z ~ N(0, 1), L = 1 + V (S - 1) V^T, white outside the span of V.

    Arguments:
        centre: with shape (P,).
        directions: V, orthonormal columns, with shape (P, r).
        root: S, with shape (r, r); S S^T is the covariance within the span.
    """

    centre: Tensor
    directions: Tensor
    root: Tensor

    @classmethod
    def prior(cls, parameters: int) -> "Reference":
        """N(0, 1) itself; the centre has shape (parameters,)."""
        none = torch.zeros(parameters, 0, dtype=torch.float64)
        return cls(none.new_zeros(parameters), none, none.new_zeros(0, 0))

    @classmethod
    def laplace(cls, centre: Tensor, jacobian: Tensor) -> "Reference":
        """N(centre, (1 + G^T G)^{-1}); shapes (P,) and G (m, P)."""
        _, values, directions = torch.linalg.svd(jacobian, full_matrices=False)
        return cls(centre, directions.T, (1 + values**2).rsqrt().diag())

    def __call__(self, z: Tensor, scale: float = 1.0) -> Tensor:
        """xi = centre + scale L z: shape (N, P) -> (N, P)."""
        return self.centre + scale * (z + (z @ self.directions @ (self.root.T - self._one)) @ self.directions.T)

    def inverse(self, xi: Tensor) -> Tensor:
        """z = L^{-1} (xi - centre): shape (N, P) -> (N, P)."""
        d = xi - self.centre
        within = d @ self.directions
        solved = torch.linalg.solve(self.root, within.T).T
        return d + (solved - within) @ self.directions.T

    def pull(self, gradient: Tensor) -> Tensor:
        """L^T g, the gradient by z: shape (N, P) -> (N, P)."""
        return gradient + (gradient @ self.directions @ (self.root - self._one)) @ self.directions.T

    def refit(self, xi: Tensor) -> "Reference":
        """The Gaussian with the mean and covariance that draws xi, of shape (N, P), have within the span of V.

        The covariance is drawn to the present one, S S^T, by a share that falls with N.
        """
        within, r = (xi - self.centre) @ self.directions, len(self.root)
        mean, covariance = within.mean(0), torch.cov(within.T).reshape(r, r)
        share = 10 * r / (10 * r + len(xi))
        root = torch.linalg.cholesky((1 - share) * covariance + share * self.root @ self.root.T)
        return Reference(self.centre + self.directions @ mean, self.directions, root)

    @property
    def _one(self) -> Tensor:
        return torch.eye(len(self.root), dtype=self.root.dtype)


@torch.no_grad()
def minimise(
    problem: WhitePosterior, start: Tensor, iterations: int = 40, tolerance: float = 1e-8
) -> tuple[Tensor, Tensor]:
    """Minimisers of J from several starts, by Gauss-Newton steps with the damping of Levenberg and Marquardt.

    d = (1 + lambda + G^T G)^{-1} (G^T r - xi), solved in the space of the data; a step that raises J is taken back.
    Source: J. Nocedal & S. Wright, Numerical Optimization (2006), section 10.3.

    Arguments:
        problem: of P white parameters.
        start: with shape (N, P).
        iterations: most steps to take.
        tolerance: it ends where no start lowers J by more than this share of 1 + J.
    Returns minimisers with shape (N, P), and J there with shape (N,).
    """
    xi, value = start.clone(), problem.value(start)
    damping = value.new_full((len(xi), 1), 1e-2)
    for _ in range(iterations):
        residual, jacobian = problem.linearise(xi)
        right = torch.einsum("nmp,nm->np", jacobian, residual) - xi
        ridge = (1 + damping)[:, :, None] * torch.eye(jacobian.shape[1], dtype=xi.dtype)
        inner = torch.linalg.solve(jacobian @ jacobian.mT + ridge, torch.einsum("nmp,np->nm", jacobian, right))
        trial = xi + (right - torch.einsum("nmp,nm->np", jacobian, inner)) / (1 + damping)
        found = problem.value(trial)
        better = found < value
        gain = torch.where(better, value - found, 0.0) / (1 + value.abs())
        settled = (gain <= tolerance) & (better | (damping[:, 0] > 1e6))
        xi, value = torch.where(better[:, None], trial, xi), torch.where(better, found, value)
        damping = torch.where(better[:, None], damping / 10, damping * 10).clamp(1e-9, 1e12)
        if settled.all():
            break
    return xi, value
