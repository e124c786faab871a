"""Maximum a posteriori through a differentiable forward model by Gauss-Newton, with a Laplace ensemble around it."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..ensemble import WeightedEnsemble
from ..observations.observation import Observation
from ..physics.burgers import Burgers
from ..physics.grid import Grid
from ..physics.random_fields import PeriodicRandomField
from ..samplers.streams import MemberStreams


class GaussNewton:
    """Minimises J(xi) = |y - A f(xi)|^2 / (2 std^2) + |xi|^2 / 2 over white parameters xi ~ N(0, 1).

    (H + lambda diag H) d = G^T r - xi, H = G^T G + 1, G = A f'(xi) / std, r = (y - A f(xi)) / std, with the damping
    lambda of Levenberg and Marquardt, one for each problem. Members are f(xi_map + H^{-1/2} z), the Laplace
    approximation of xi, so f's own nonlinearity is kept.
    Source: J. Nocedal & S. Wright, Numerical Optimization (2006), sections 10.3 and 11.2.

    Arguments:
        forward: f, from white parameters (B, P) to events (B, *event), differentiable in forward mode under vmap; what
            it cannot compute is not finite.
        parameters: P.
        iterations: most steps to take.
        tolerance: a problem is done where a step lowers J by less than this share of 1 + J.
        chunk: problems whose Jacobians are computed at a time.
    """

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        parameters: int,
        iterations: int = 40,
        tolerance: float = 1e-6,
        chunk: int = 16,
    ):
        self.forward, self.parameters = forward, parameters
        self.iterations, self.tolerance, self.chunk = iterations, tolerance, chunk

    def solve(self, observation: Observation, start: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the minimiser (B, P), its Hessian G^T G + 1 (B, P, P), and J there (B,); float64.

        Arguments:
            observation: y with shape (B, m), in the space of f's events.
            start: xi to begin from, with shape (B, P); zeros, the prior's mean, by default.
        """
        y = observation.y.to(torch.float64)
        xi = y.new_zeros(len(y), self.parameters) if start is None else start.to(torch.float64).clone()
        damping, active = y.new_full((len(y),), 1e-2), torch.ones(len(y), dtype=torch.bool)
        hessian = y.new_zeros(len(y), self.parameters, self.parameters)
        slope, objective = torch.zeros_like(xi), self._objective(xi, y, observation)
        stale = active.clone()
        for _ in range(self.iterations):
            rows = (active & stale).nonzero()[:, 0]
            if len(rows):
                slope[rows], hessian[rows] = self._linearise(xi[rows], y[rows], observation)
            rows = active.nonzero()[:, 0]
            shift = damping[rows, None, None] * hessian[rows].diagonal(dim1=1, dim2=2).diag_embed()
            trial = xi[rows] + torch.linalg.solve(hessian[rows] + shift, slope[rows])
            value = self._objective(trial, y[rows], observation)
            better = value < objective[rows]
            done = better & (objective[rows] - value < self.tolerance * (1 + value)) | ~better & (damping[rows] > 1e8)
            xi[rows[better]], objective[rows[better]] = trial[better], value[better]
            damping[rows] = torch.where(better, damping[rows] / 10, damping[rows] * 10).clamp_min(1e-9)
            stale[rows] = better
            active[rows[done]] = False
            if not active.any():
                break
        return xi, self._linearise(xi, y, observation)[1], objective

    def posterior(
        self, observation: Observation, streams: MemberStreams, start: Tensor | None = None
    ) -> WeightedEnsemble:
        """K members of the Laplace approximation for each problem: shape (B, K, *event), unweighted, float64.

        Diagnostics: `parameters` (B, P), `map` = f(xi_map) (B, *event), and `objective` (B,), about m / 2 for a fit at
        the noise level.

        Arguments:
            observation: y with shape (B, m).
            streams: B K rows, members within problems.
            start: as in `solve`.
        """
        xi, hessian, objective = self.solve(observation, start)
        members = streams.rows // len(xi)
        z = streams.normal((self.parameters,)).to(xi).reshape(len(xi), members, self.parameters)
        upper = torch.linalg.cholesky(hessian).mT
        draws = xi[:, None] + torch.linalg.solve_triangular(upper, z.mT, upper=True).mT
        x = self._run(draws.flatten(0, 1))
        diagnostics = {"parameters": xi, "map": self._run(xi), "objective": objective}
        return WeightedEnsemble(x.reshape(len(xi), members, *x.shape[1:]), x.new_zeros(len(xi), members), diagnostics)

    @torch.no_grad()
    def _run(self, xi: Tensor) -> Tensor:
        return torch.cat([self.forward(part) for part in xi.split(self.chunk * 16)])

    def _objective(self, xi: Tensor, y: Tensor, observation: Observation) -> Tensor:
        misfit = (y - observation.operator(self._run(xi))) / observation.std
        value = 0.5 * (misfit**2).sum(-1) + 0.5 * (xi**2).sum(-1)
        return torch.where(value.isfinite(), value, torch.inf)

    @torch.no_grad()
    def _linearise(self, xi: Tensor, y: Tensor, observation: Observation) -> tuple[Tensor, Tensor]:
        """Minus the gradient, (B, P), and the Gauss-Newton Hessian, (B, P, P), of J at xi."""
        std, directions = observation.std.to(y), torch.eye(self.parameters, dtype=xi.dtype)
        slopes, hessians = [], []

        def seen(part: Tensor) -> Tensor:
            return observation.operator(self.forward(part)) / std

        for part, data in zip(xi.split(self.chunk), y.split(self.chunk), strict=True):
            jacobian = _jacobian(seen, part, directions)
            slopes.append(torch.einsum("bmp,bm->bp", jacobian, data / std - seen(part)) - part)
            hessians.append(jacobian.mT @ jacobian + directions)
        return torch.cat(slopes), torch.cat(hessians)


def _jacobian(function: Callable[[Tensor], Tensor], x: Tensor, directions: Tensor) -> Tensor:
    """Derivatives of function (B, P) -> (B, m) along directions (Q, P) that all rows share: shape (B, m, Q)."""

    def along(direction: Tensor) -> Tensor:
        return torch.func.jvp(function, (x,), (direction.expand_as(x),))[1]

    return torch.func.vmap(along)(directions).permute(1, 2, 0)


def burgers_forward(
    points: int,
    frames: int,
    modes: int = 16,
    nu: float = 0.01,
    duration: float = 1.0,
    refine: int = 2,
    substeps: int = 4,
    field: PeriodicRandomField | None = None,
) -> Callable[[Tensor], Tensor]:
    """Returns f: white coefficients of the initial field, (B, 2 modes), to trajectories (B, 1, T, X), float64.

    The prior of u_0 is the random field cut after `modes` waves; the equation is solved on refine * points points.

    Arguments:
        points, frames, nu, duration: as in `generate_burgers`.
        modes: waves whose coefficients are sought; the others hold 2e-5 of the variance under the defaults.
        refine: points of the solver for each point kept.
        substeps: steps between frames.
        field: law of the initial state; DiffusionPDE's by default.
    """
    law = field or PeriodicRandomField()
    grid = Grid.periodic((refine * points,), (law.length,))
    solver, x = Burgers(grid, nu), torch.from_numpy(grid.coordinates[0])

    def forward(xi: Tensor) -> Tensor:
        u0 = law.evaluate(xi.reshape(len(xi), modes, 2), x)
        u = solver.solve(u0[:, None], duration, frames, substeps, check=False, checkpoint=False)
        return u[..., ::refine]

    return forward
