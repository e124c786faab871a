"""The operator A(T) u = -div(T grad u) between walls, from the transmissibilities T of the faces, and its solves.

With D_i the difference of neighbours along axis i, u = 0 outside, A(T) = sum_i D_i^T T_i D_i: symmetric, and positive
definite where every region touches a wall. Source: Eymard, Gallouet & Herbin, Finite Volume Methods (2000), chapter 3.
"""

import torch
from torch import Tensor

from ..conjugate_gradients import conjugate_gradients
from .laplacian import Laplacian
from .sparse_direct import solve_sparse

DIRECT_LIMIT = 2**17  # unknowns of a sample up to which the factorisation on a CPU is as fast as the iteration
SMOOTH = 50.0  # contrast of T above which the preconditioner is scaled by the diagonal


def differences(u: Tensor, axis: int) -> Tensor:
    """D_i u, u = 0 outside: one more along an axis counted from the end; shape (B, .., n, ..) -> (B, .., n + 1, ..)."""
    zero = torch.zeros_like(u.narrow(axis, 0, 1))
    return torch.cat([zero, u, zero], axis).diff(dim=axis)


def flux_form(faces: tuple[Tensor, ...], u: Tensor) -> Tensor:
    """A(T) u = -sum_i diff(T_i D_i u): shape (B, *S) -> (B, *S).

    Arguments:
        faces: T_i, for each axis i, with shape (B, *S) but one more along the axis i.
        u: with shape (B, *S).
    """
    axes = range(-len(faces), 0)
    return -sum((face * differences(u, axis)).diff(dim=axis) for face, axis in zip(faces, axes, strict=True))


def diagonal(faces: tuple[Tensor, ...]) -> Tensor:
    """Diagonal of A(T), with shape (B, *S): the sum of the faces of each point."""
    total = 0
    for face, axis in zip(faces, range(-len(faces), 0), strict=True):
        n = face.shape[axis] - 1
        total = total + face.narrow(axis, 0, n) + face.narrow(axis, 1, n)
    return total


class FluxFormSolver:
    """u = A(T)^{-1} f for a batch, in float64, differentiable by the adjoint.

    The gradient of a loss J is lambda = A^{-1} dJ/du with respect to f, and -(D_i lambda) (D_i u) with respect to T_i:
    one more solve, whatever the number of iterations. Tangents (jvp) cost one solve as well, and vmap folds into the
    batch. Source: Giles & Pierce, An Introduction to the Adjoint Approach to Design (2000).

    Arguments:
        laplacian: with the walls of the problem: the preconditioner of the iteration.
        method: "direct" (sparse factorisation of each sample on the CPU, whatever the contrast), "iterative"
            (conjugate gradients for the whole batch, on any device), or "auto": direct on a CPU up to 2^17 unknowns.
        tolerance: relative residual |f - A u| / |f| at which a sample's iteration ends.
        iterations: at most.

    Raises:
        ValueError: an unknown method.
    """

    def __init__(self, laplacian: Laplacian, method: str = "auto", tolerance: float = 1e-10, iterations: int = 5000):
        if method not in ("auto", "direct", "iterative"):
            raise ValueError(f"the method must be auto, direct or iterative; got {method!r}")
        self.laplacian, self.method, self.tolerance, self.iterations = laplacian, method, tolerance, iterations

    def __call__(self, faces: tuple[Tensor, ...], f: Tensor) -> Tensor:
        """The solution of A(T) u = f, with the shape (B, *S) of f; T as in `flux_form`, all float64."""
        return _Solve.apply(f, self, *faces)

    def forward(self, faces: tuple[Tensor, ...], f: Tensor) -> Tensor:
        """The solution of shape (B, *S) without gradients.

        Raises:
            RuntimeError: where the iteration does not reach the tolerance, with the sample.
        """
        small = f[0].numel() <= DIRECT_LIMIT if len(f) else True
        if self.method == "direct" or (self.method == "auto" and f.device.type == "cpu" and small):
            return solve_sparse(faces, f)
        advice = "the contrast of the coefficient is large; use method='direct'"
        operator, preconditioner = (lambda u: flux_form(faces, u)), self._preconditioner(faces)
        return conjugate_gradients(operator, f, preconditioner, self.tolerance, self.iterations, advice)

    def _preconditioner(self, faces: tuple[Tensor, ...]):
        """w (-Lap)^{-1} w: w = 1 bounds the condition number by the contrast of T; strong contrast takes the diagonal.

        w = (diag(-Lap) / diag A)^{1/2} is nearly exact where log a is smooth: Concus & Golub, SIAM J. Numer. Anal. 10
        (1973).
        """
        unit = diagonal(tuple(torch.where(face[:1] > 0, 1.0, 0.0) for face in faces))
        weights = (unit / diagonal(faces)).sqrt()
        flat = weights.flatten(1)
        contrast = (flat.amax(1) / flat.amin(1)) ** 2
        weights = torch.where((contrast > SMOOTH).reshape(-1, *(1,) * len(faces)), weights, 1.0)
        return lambda r: -weights * self.laplacian.inverse_inside(weights * r)


class _Solve(torch.autograd.Function):
    """`FluxFormSolver.forward` with its adjoint, tangent and batching rules."""

    @staticmethod
    def forward(f, solver, *faces):
        return solver.forward(faces, f)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.solver, *faces = inputs
        ctx.save_for_backward(output, *faces)
        ctx.save_for_forward(output, *faces)

    @staticmethod
    def backward(ctx, gradient):
        u, *faces = ctx.saved_tensors
        adjoint = _Solve.apply(gradient, ctx.solver, *faces)
        axes = range(-len(faces), 0)
        return adjoint, None, *(-differences(adjoint, axis) * differences(u, axis) for axis in axes)

    @staticmethod
    def jvp(ctx, f_tangent, _, *face_tangents):
        u, *faces = ctx.saved_tensors
        right = torch.zeros_like(u) if f_tangent is None else f_tangent
        if face_tangents[0] is not None:
            right = right - flux_form(face_tangents, u)
        return _Solve.apply(right, ctx.solver, *faces)

    @staticmethod
    def vmap(info, in_dims, f, solver, *faces):
        count = info.batch_size

        def fold(x, dim):
            x = x.unsqueeze(0).expand(count, *x.shape) if dim is None else x.movedim(dim, 0)
            return x.flatten(0, 1)

        pairs = zip((f, *faces), (in_dims[0], *in_dims[2:]), strict=True)
        f, *faces = (fold(x, dim) for x, dim in pairs)
        return _Solve.apply(f, solver, *faces).unflatten(0, (count, -1)), 0
