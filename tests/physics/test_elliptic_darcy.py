"""Darcy flow. Truths: manufactured solutions, layers in closed form, balances and bounds of the exact operator."""

import math

import numpy as np
import pytest
import torch
from physics.closed_forms_elliptic import grid_of, layered_darcy, manufactured_darcy

from sciml_diffusion.physics.elliptic.darcy import Darcy
from sciml_diffusion.physics.grid import Grid

VARIANTS = [
    ("cells", "harmonic"),
    ("cells", "arithmetic"),
    ("nodes", "arithmetic"),
    ("nodes", "harmonic"),
    ("inside", "arithmetic"),
]


def random_coefficient(batch: int, *size: int, contrast: float = 4.0) -> torch.Tensor:
    noise = torch.rand(batch, 1, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return 3 * contrast**noise


@pytest.mark.parametrize("points,faces", VARIANTS)
def test_order_two_on_a_manufactured_solution(points, faces):
    """Error ~ h^2; within 5 % of the order on these resolutions."""
    errors, resolutions = [], [16, 32, 64]
    for n in resolutions:
        a, f, u = manufactured_darcy(grid_of(points, n))
        errors.append((Darcy(grid_of(points, n), f, points, faces).solve(a) - u).abs().max().item())
    order = -np.polyfit(np.log(resolutions), np.log(errors), 1)[0]
    assert 1.9 < order < 2.1, errors
    assert errors[-1] < 1e-3


def test_layers_are_exact_with_harmonic_means():
    """Constant a in each cell, a point source: harmonic means give the exact heads in 1-D, to rounding; also in 2-D
    where the walls along the layers let nothing through. Arithmetic means do not."""
    n, at = 20, 7
    a = random_coefficient(1, n, contrast=1e3)
    f = torch.zeros(n, dtype=torch.float64)
    f[at] = n
    exact = layered_darcy(a[0, 0], at)
    line = Grid.cells((n,), (1.0,), ("x",))
    assert (Darcy(line, f).solve(a)[0, 0] / exact - 1).abs().max() < 1e-12
    assert (Darcy(line, f, faces="arithmetic").solve(a)[0, 0] / exact - 1).abs().max() > 0.1
    plane = Grid.cells((6, n), (0.5, 1.0), ("y", "x"))
    for method in ("direct", "iterative"):
        u = Darcy(plane, f.expand(6, n), no_flow=("y",), method=method).solve(a[:, :, None].expand(1, 1, 6, n))
        assert (u[0, 0] / exact - 1).abs().max() < 1e-8, method  # the iteration ends at 1e-10 of the residual


@pytest.mark.parametrize("points,faces", VARIANTS)
def test_operator_is_symmetric_positive_definite_and_its_inverse_positive(points, faces):
    """The matrix of `apply` on the interior: A = A^T, eigenvalues > 0, and A^-1 > 0 (discrete maximum principle)."""
    grid = Grid.nodes((7, 8), (1.0, 2.0)) if points == "nodes" else Grid.cells((5, 6), (1.0, 2.0))
    problem = Darcy(grid, points=points, faces=faces)
    a = random_coefficient(1, *grid.sizes, contrast=100.0)
    basis = problem.laplacian.outside(torch.eye(30, dtype=torch.float64).reshape(30, 1, 5, 6))
    matrix = problem.apply(a.expand_as(basis), basis)[(..., *problem.interior)].reshape(30, 30)
    assert (matrix - matrix.T).abs().max() < 1e-12 * matrix.abs().max()
    assert torch.linalg.eigvalsh(matrix).min() > 0
    assert matrix.inverse().min() > 0
    solved = problem.solve(a.expand_as(basis), basis)[(..., *problem.interior)].reshape(30, 30)
    assert (solved @ matrix - torch.eye(30)).abs().max() < 1e-11


def test_what_the_source_brings_leaves_through_the_walls():
    """int f = sum over the walls of 2 a u / h times the area; to rounding of the direct solve."""
    grid = Grid.cells((16, 24), (1.0, 1.5), ("y", "x"))
    a, f = random_coefficient(3, 16, 24), torch.rand(3, 1, 16, 24, dtype=torch.float64)
    u, (h_y, h_x) = Darcy(grid).solve(a, f), grid.spacings
    flux = 2 * a * u
    out = (flux[..., 0].sum(-1) + flux[..., -1].sum(-1)) * h_y / h_x
    out = out + (flux[..., 0, :].sum(-1) + flux[..., -1, :].sum(-1)) * h_x / h_y
    assert (out / (f.sum((-1, -2)) * h_y * h_x) - 1).abs().max() < 1e-12


@pytest.mark.parametrize("contrast", [4.0, 1e4])
@pytest.mark.parametrize("points", ["cells", "nodes", "inside"])
def test_direct_and_iterative_solutions_agree(points, contrast):
    """Two independent linear solvers; the iteration ends at a residual of 1e-10, times the condition number 1e3."""
    grid = grid_of(points, 31)
    a = random_coefficient(3, *grid.sizes, contrast=contrast)
    direct = Darcy(grid, 1.0, points, method="direct").solve(a)
    iterative = Darcy(grid, 1.0, points, method="iterative").solve(a)
    assert (direct - iterative).abs().max() < 1e-7 * direct.abs().max()
    assert Darcy(grid, 1.0, points).residual(a, direct).abs().max() < 1e-10


def test_inside_points_are_those_of_ghost_cells_that_hold_zero():
    """PDEBench: arithmetic means with a copied and u = 0 in a ring of ghosts; the same as nodes that hold them, to
    rounding."""
    a, f = random_coefficient(2, 9, 9), torch.tensor([1.0, 0.01], dtype=torch.float64)
    u = Darcy(grid_of("inside", 10), points="inside", faces="arithmetic").solve(a, f)
    ring = torch.nn.functional.pad(a, (1, 1, 1, 1), mode="replicate")
    nodes = Darcy(grid_of("nodes", 10), points="nodes", faces="arithmetic").solve(ring, f)
    assert (nodes[..., 1:-1, 1:-1] - u).abs().max() < 1e-13 * u.abs().max()


def test_stencils_of_other_data_leave_a_large_residual():
    """Where a jumps between 3 and 12 the harmonic residual of an arithmetic solution is as large as f: > 100 %."""
    grid = grid_of("cells", 64)
    a = torch.where(random_coefficient(1, 8, 8) > 6, 12.0, 3.0).repeat_interleave(8, -1).repeat_interleave(8, -2)
    u = Darcy(grid, faces="arithmetic").solve(a.double())
    assert Darcy(grid, faces="arithmetic").residual(a.double(), u).abs().max() < 1e-10
    assert Darcy(grid).residual(a.double(), u).pow(2).mean().sqrt() > 1


@pytest.mark.parametrize("points,method", [("cells", "direct"), ("cells", "iterative"), ("nodes", "direct")])
def test_gradients_agree_with_finite_differences(points, method):
    """Reverse and forward mode in a and f, against central differences."""
    grid = Grid.cells((2, 3), (1.0, 1.0)) if points == "cells" else Grid.nodes((4, 4), (1.0, 1.0))
    problem = Darcy(grid, points=points, method=method)
    a = random_coefficient(2, *grid.sizes).requires_grad_()
    f = torch.rand(2, 1, *grid.sizes, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(problem.solve, (a, f), check_forward_ad=True, atol=1e-7)


def test_second_derivatives_agree_with_finite_differences():
    """The adjoint is differentiable in its turn."""
    a, f = random_coefficient(1, 2, 2).requires_grad_(), torch.ones(1, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(Darcy(grid_of("cells", 2)).solve, (a, f), atol=1e-6)


def test_jacobian_by_tangents_under_vmap_is_that_of_reverse_mode():
    """The Jacobian that a Gauss-Newton step needs, by jvp, backward and vmap of vjp; to rounding."""
    problem = Darcy(Grid.cells((3, 4), (1.0, 1.0)))
    a = random_coefficient(1, 3, 4)
    tangents = torch.eye(12, dtype=torch.float64).reshape(12, 1, 1, 3, 4)
    forward = torch.func.vmap(lambda t: torch.func.jvp(problem.solve, (a,), (t,))[1])(tangents).reshape(12, 12).T
    reverse = torch.autograd.functional.jacobian(problem.solve, a).reshape(12, 12)
    assert (forward - reverse).abs().max() < 1e-12 * reverse.abs().max()
    rows = torch.func.jacrev(problem.solve)(a).reshape(12, 12)
    assert (rows - reverse).abs().max() < 1e-12 * reverse.abs().max()
    solved = torch.func.vmap(lambda x: problem.solve(x, check=False))(random_coefficient(5, 1, 3, 4).transpose(1, 2))
    assert solved.shape == (5, 1, 1, 3, 4)


@pytest.mark.parametrize("method", ["direct", "iterative"])
def test_samples_do_not_depend_on_their_batch(method):
    """A sample solved alone equals itself within a batch; to rounding."""
    problem = Darcy(grid_of("cells", 24), method=method)
    a, f = random_coefficient(4, 24, 24), torch.tensor([1.0, 0.1, 10.0, 0.0], dtype=torch.float64)
    together = problem.solve(a, f)
    assert (problem.solve(a[1:2], f[1:2]) - together[1:2]).abs().max() < 1e-12 * together[1].abs().max()
    assert (together[3] == 0).all()


def test_single_precision_in_is_single_precision_out():
    """The solve itself is in float64: the error is one rounding of a and u."""
    problem, a = Darcy(grid_of("cells", 32)), random_coefficient(1, 32, 32)
    u = problem.solve(a.float())
    assert u.dtype == torch.float32
    assert (u - problem.solve(a)).abs().max() < 3e-7 * u.abs().max()


def test_forms_of_the_source_are_the_same():
    problem, a = Darcy(grid_of("cells", 8), 2.0), random_coefficient(3, 8, 8)
    u = problem.solve(a)
    forms = (2.0, torch.full((3,), 2.0), torch.full((8, 8), 2.0), torch.full((3, 1, 8, 8), 2.0))
    assert all(torch.equal(problem.solve(a, f), u) for f in forms)
    with pytest.raises(ValueError, match=r"f must be a number or have the shape .* got \(2,\)"):
        problem.solve(a, torch.ones(2))


def test_errors_name_the_sample_and_the_cell():
    problem, a = Darcy(grid_of("cells", 8)), random_coefficient(3, 8, 8)
    a[1, 0, 4, 5] = -0.5
    with pytest.raises(ValueError, match=r"a must be > 0; sample 1 has -0.5 at y\[4\], x\[5\]"):
        problem.solve(a)
    a[1, 0, 4, 5] = math.nan
    with pytest.raises(ValueError, match=r"a must be finite; sample 1 has nan at y\[4\], x\[5\]"):
        problem.solve(a)
    with pytest.raises(ValueError, match=r"needs a of shape \(B, 1, 8, 8\); got \(3, 8, 8\)"):
        problem.solve(a[:, 0])
    hard = Darcy(grid_of("cells", 16), method="iterative")
    hard.solver.iterations = 3
    with pytest.raises(RuntimeError, match="sample 0 has a relative residual .* method='direct'"):
        hard.solve(random_coefficient(1, 16, 16))


def test_errors_of_the_problem():
    grid = grid_of("cells", 8)
    with pytest.raises(ValueError, match="needs walls on every axis"):
        Darcy(Grid.periodic((8, 8), (1.0, 1.0)))
    with pytest.raises(ValueError, match="faces are"):
        Darcy(grid, faces="geometric")
    with pytest.raises(ValueError, match="some, not all"):
        Darcy(grid, no_flow=("y", "x"))
    with pytest.raises(ValueError, match="neumann walls need points='cells'"):
        Darcy(grid_of("nodes", 8), points="nodes", no_flow=("y",))
    with pytest.raises(ValueError, match="points are"):
        Darcy(grid, points="vertices")
    with pytest.raises(ValueError, match="method must be auto, direct or iterative"):
        Darcy(grid, method="multigrid")
