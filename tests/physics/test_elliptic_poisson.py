"""Poisson and Helmholtz. Truths: eigenvectors in closed form, smooth solutions that are no eigenvectors."""

import math

import numpy as np
import pytest
import torch
from physics.closed_forms_elliptic import cosine_poisson, grid_of, mesh, smooth_poisson

from sciml_diffusion.physics.elliptic.helmholtz import Helmholtz
from sciml_diffusion.physics.elliptic.laplacian import Laplacian
from sciml_diffusion.physics.elliptic.poisson import Poisson
from sciml_diffusion.physics.grid import Grid

PI = math.pi


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def slope(resolutions: list[int], errors: list[float]) -> float:
    return -np.polyfit(np.log(resolutions), np.log(errors), 1)[0]


@pytest.mark.parametrize("symbol", ["stencil", "spectral"])
@pytest.mark.parametrize("points", ["cells", "nodes", "inside"])
def test_sine_modes_are_eigenvectors(points, symbol):
    """Lap sin(3 pi y) sin(pi x) = -(q_y^2 + q_x^2) times itself, q replaced by 2 / h sin(q h / 2) for the stencil;
    rounding is amplified by the largest eigenvalue over the one at hand, 1e2."""
    grid = grid_of(points, 20, (1.0, 2.0))
    y, x = mesh(grid)
    mode = ((3 * PI * y).sin() * (PI * x).sin())[None, None]
    q = [3 * PI, PI]
    if symbol == "stencil":
        q = [2 / h * math.sin(k * h / 2) for k, h in zip(q, grid.spacings, strict=True)]
    eigenvalue = -(q[0] ** 2 + q[1] ** 2)
    problem = Poisson(grid, points=points, symbol=symbol)
    assert (problem.solve(eigenvalue * mode) - mode).abs().max() < 1e-13
    assert (problem.apply(mode) - eigenvalue * mode).abs().max() < 1e-11
    k = 7.0
    helmholtz = Helmholtz(grid, k, points=points, symbol=symbol)
    assert (helmholtz.solve((eigenvalue + k**2) * mode) - mode).abs().max() < 1e-12
    assert (helmholtz.apply(mode) - (eigenvalue + k**2) * mode).abs().max() < 1e-11


def test_waves_and_cosines_are_eigenvectors():
    """Periodic in x, zero slope in y: Lap cos(2 pi y) sin(4 pi x) = -20 pi^2 times itself in the spectral symbol."""
    grid = Grid(("y", "x"), ((np.arange(10) + 0.5) / 10, np.arange(12) / 12), (None, 1.0))
    y, x = mesh(grid)
    mode = ((2 * PI * y).cos() * (4 * PI * x).sin())[None, None]
    problem = Poisson(grid, walls="neumann", symbol="spectral")
    assert (problem.solve(-20 * PI**2 * mode) - mode).abs().max() < 1e-13
    assert (problem.apply(mode) + 20 * PI**2 * mode).abs().max() < 1e-11


@pytest.mark.parametrize("points", ["cells", "nodes", "inside"])
@pytest.mark.parametrize("k", [0.0, 1.0, 6.0])
def test_order_two_on_a_smooth_solution(points, k):
    """Error ~ h^2, within 5 % of the order; k = 6 lies between eigenvalues, 4.44 and 7.02."""
    errors, resolutions = [], [16, 32, 64]
    for n in resolutions:
        f, u = smooth_poisson(grid_of(points, n), k)
        problem = Helmholtz(grid_of(points, n), k, points=points) if k else Poisson(grid_of(points, n), points=points)
        errors.append((problem.solve(f) - u).abs().max().item())
    assert 1.9 < slope(resolutions, errors) < 2.1, errors


def test_order_two_between_walls_without_flow():
    """Zero slope on all walls: the solution of mean 0; 5 % of the order."""
    errors, resolutions = [], [16, 32, 64]
    for n in resolutions:
        f, u = cosine_poisson(grid_of("cells", n))
        errors.append((Poisson(grid_of("cells", n), walls="neumann").solve(f) - u).abs().max().item())
    assert 1.9 < slope(resolutions, errors) < 2.1, errors


GRIDS = [
    (Grid.cells((7, 6), (1.0, 2.0), ("y", "x")), ("dirichlet", "neumann"), "cells"),
    (Grid.nodes((7, 6), (1.0, 2.0), ("y", "x")), "dirichlet", "nodes"),
    (Grid(("y", "x"), (np.arange(7) / 7 + 0.1, np.linspace(0, 1, 6)), (1.0, None)), "dirichlet", "nodes"),
    (Grid.cells((7, 6), (1.0, 2.0)), "dirichlet", "inside"),
    (Grid.periodic((6, 7), (1.0, 2.0)), "dirichlet", "cells"),
    (Grid.periodic((4, 5, 6), (1.0, 2.0, 3.0)), "dirichlet", "cells"),
    (Grid.cells((9,), (1.0,)), "neumann", "cells"),
]


@pytest.mark.parametrize("symbol", ["stencil", "spectral"])
@pytest.mark.parametrize("grid,walls,points", GRIDS)
def test_inverse_undoes_the_operator(grid, walls, points, symbol):
    """Differences (or transforms) and their inverse by eigenvectors, all walls and dimensions; to rounding."""
    problem = Poisson(grid, walls, points, symbol)
    f = noise(2, 1, *grid.sizes)
    if problem.laplacian.singular:
        f = f - f.flatten(1).mean(1).reshape(-1, *(1,) * (f.ndim - 1))
    u = problem.solve(f)
    assert problem.residual(f, u).abs().max() < 1e-11
    assert (u - problem.solve(problem.apply(u))).abs().max() < 1e-12


@pytest.mark.parametrize("walls,points", [("dirichlet", "cells"), ("dirichlet", "nodes"), ("neumann", "cells")])
def test_gradients_agree_with_finite_differences(walls, points):
    """In f and, for Helmholtz, in k of each sample."""
    grid = Grid.cells((3, 4), (1.0, 1.0)) if points == "cells" else Grid.nodes((5, 6), (1.0, 1.0))
    f = noise(2, 1, *grid.sizes).requires_grad_()
    k = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, k: Helmholtz(grid, k, walls, points).solve(f), (f, k))
    assert torch.autograd.gradcheck(lambda f: Poisson(grid, walls, points).solve(f, check=False), (f,))


def test_samples_have_their_own_wavenumber_and_do_not_depend_on_their_batch():
    grid, f = grid_of("nodes", 10), noise(3, 1, 11, 11)
    k = torch.tensor([1.0, 5.0, 6.0], dtype=torch.float64)
    together = Helmholtz(grid, k, points="nodes").solve(f)
    alone = Helmholtz(grid, 5.0, points="nodes").solve(f[1:2])
    assert (alone - together[1:2]).abs().max() < 1e-14
    with pytest.raises(ValueError, match=r"k has shape \(3,\); expected one for each of 2"):
        Helmholtz(grid, k, points="nodes").solve(f[:2])


def test_single_precision_stays_single():
    f, u = smooth_poisson(grid_of("cells", 32))
    single = Poisson(grid_of("cells", 32)).solve(f.float())
    assert single.dtype == torch.float32
    assert (single - Poisson(grid_of("cells", 32)).solve(f)).abs().max() < 1e-6 * u.abs().max()


def test_resonance_names_the_mode():
    """k^2 = (2 pi)^2 + (3 pi)^2 is an eigenvalue of -Lap on the unit square in the spectral symbol."""
    with pytest.raises(ValueError, match=r"in resonance with the mode \(y 2, x 3\)"):
        k = math.sqrt(13) * PI
        Helmholtz(Grid.cells((8, 9), (1.0, 1.0), ("y", "x")), k, symbol="spectral")
    with pytest.raises(ValueError, match="k must be > 0"):
        Helmholtz(grid_of("cells", 8), -1.0)


def test_errors_say_what_came():
    grid = grid_of("cells", 8)
    with pytest.raises(ValueError, match="no solution .* sample 1 has mean 1"):
        Poisson(grid, walls="neumann").solve(torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)]))
    f = noise(2, 1, 8, 8)
    f[1, 0, 2, 3] = math.inf
    with pytest.raises(ValueError, match=r"f must be finite; sample 1 has inf at y\[2\], x\[3\]"):
        Poisson(grid).solve(f)
    with pytest.raises(ValueError, match="walls must be"):
        Laplacian(grid, walls="robin")
    with pytest.raises(ValueError, match="equispaced points"):
        Laplacian(Grid(("x",), (np.array([0.0, 1.0, 3.0]),), (None,)))
    with pytest.raises(ValueError, match="over its period"):
        Laplacian(Grid(("x",), (np.linspace(0, 1, 5),), (1.0,)))
