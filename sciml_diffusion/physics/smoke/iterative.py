"""Conjugate gradients for the pressure in scenes with more walls than a dense matrix can take."""

import torch
from torch import Tensor

from ..conjugate_gradients import conjugate_gradients
from ..constants import Constants
from .pressure import BoxPoisson, apply_poisson
from .scene import Scene


class IterativePoisson:
    """Solves -div(c grad p) = f by conjugate gradients, preconditioned with the exact inverse of the empty box.

    All samples together, until |r| <= tolerance |f| in each; the operator is symmetric, so the gradient with respect
    to f is the same solve, and no iteration is recorded.

    Arguments:
        scene: its cells and walls.
        tolerance: relative; by default 1e-12 in float64 and 1e-5 in float32.
        iterations: at most; what remains then is an error.

    Raises:
        RuntimeError: at a call, where the tolerance is not met.
    """

    def __init__(self, scene: Scene, tolerance: float | None = None, iterations: int = 500):
        self.scene, self.tolerance, self.iterations = scene, tolerance, iterations
        self.box = BoxPoisson(scene.sizes, scene.spacings, scene.open_sides)
        self.regions = Constants(scene.regions())

    def __call__(self, f: Tensor) -> Tensor:
        """p with -div(c grad p) = f, of mean zero in regions without a way out: shape (B, Y, X), kept."""
        return _Solve.apply(f, self)

    def centre(self, p: Tensor) -> Tensor:
        """p less its mean over each region without a way out, with shape (B, Y, X)."""
        (regions,) = self.regions.like(p)
        means = torch.einsum("byx,ryx->br", p, regions) / regions.sum((1, 2))
        return p - torch.einsum("br,ryx->byx", means, regions)

    def iterate(self, f: Tensor) -> Tensor:
        """The iteration itself, not differentiable: shape (B, Y, X), kept."""
        tolerance = self.tolerance or (1e-12 if f.dtype == torch.float64 else 1e-5)
        advice = "use float64, a larger tolerance or more iterations for the pressure"
        p = conjugate_gradients(
            lambda d: apply_poisson(d, self.scene),
            self.centre(f),
            lambda r: self.centre(self.box(r)),
            tolerance,
            self.iterations,
            advice,
        )
        return self.centre(p)


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(ctx, f, solver):
        ctx.solver = solver
        return solver.iterate(f)

    @staticmethod
    def backward(ctx, gradient):
        return _Solve.apply(gradient, ctx.solver), None
