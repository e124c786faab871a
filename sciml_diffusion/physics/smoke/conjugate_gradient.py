"""Conjugate gradients for the pressure in scenes with more walls than a dense matrix can take."""

import torch
from torch import Tensor

from .pressure import BoxPoisson, apply_poisson
from .scene import Scene


class IterativePoisson:
    """Solves -div(c grad p) = f by conjugate gradients, preconditioned with the exact inverse of the empty box.

    All samples together, until |r| <= tolerance |f| in each; the operator is symmetric, so the gradient with respect
    to f is the same solve, and no iteration is recorded. Source: Hestenes & Stiefel (1952).

    Arguments:
        scene: its cells and walls.
        tolerance: relative; by default 1e-12 in float64 and 1e-5 in float32.
        iterations: at most; what remains then is an error.

    Raises:
        ValueError: at a call, where the tolerance is not met.
    """

    def __init__(self, scene: Scene, tolerance: float | None = None, iterations: int = 500):
        self.scene, self.tolerance, self.iterations = scene, tolerance, iterations
        self.box = BoxPoisson(scene.sizes, scene.spacings, scene.open_sides)
        self.regions = scene.regions()

    def __call__(self, f: Tensor) -> Tensor:
        """p with -div(c grad p) = f, of mean zero in regions without a way out: shape (B, Y, X), kept."""
        return _Solve.apply(f, self)

    def centre(self, p: Tensor) -> Tensor:
        """p less its mean over each region without a way out, with shape (B, Y, X)."""
        regions = self.regions.to(p)
        means = torch.einsum("byx,ryx->br", p, regions) / regions.sum((1, 2))
        return p - torch.einsum("br,ryx->byx", means, regions)

    def iterate(self, f: Tensor) -> Tensor:
        """The iteration itself, not differentiable: shape (B, Y, X), kept."""
        tolerance = self.tolerance or (1e-12 if f.dtype == torch.float64 else 1e-5)
        p, r = torch.zeros_like(f), self.centre(f)
        limit = tolerance * r.flatten(1).norm(dim=1)
        z = self.centre(self.box(r))
        d, rho = z, _dot(r, z)
        for _ in range(self.iterations):
            if (r.flatten(1).norm(dim=1) <= limit).all():
                return self.centre(p)
            a_d = apply_poisson(d, self.scene)
            alpha = rho / _dot(d, a_d).clamp_min(torch.finfo(f.dtype).tiny)
            p, r = p + alpha * d, r - alpha * a_d
            z = self.centre(self.box(r))
            rho, before = _dot(r, z), rho
            d = z + rho / before.clamp_min(torch.finfo(f.dtype).tiny) * d
        worst = (r.flatten(1).norm(dim=1) / f.flatten(1).norm(dim=1)).max()
        raise ValueError(
            f"the pressure stopped at a relative residual of {float(worst):.1e} after {self.iterations} iterations "
            f"(asked: {tolerance:.1e}); use float64, a larger tolerance or more iterations"
        )


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, solver):
        ctx.solver = solver
        return solver.iterate(f)

    @staticmethod
    def backward(ctx, gradient):
        return _Solve.apply(gradient, ctx.solver), None


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((1, 2), keepdim=True)
