"""Pressure and projection. Truths: manufactured solutions, zero divergence, orthogonality, a second solver."""

import math

import pytest
import torch
from physics.closed_forms_smoke_tracer import centres, observed_order

from sciml_diffusion.physics.smoke.faces import divergence, gradient
from sciml_diffusion.physics.smoke.iterative import IterativePoisson
from sciml_diffusion.physics.smoke.pressure import BoxPoisson, CapacitancePoisson, apply_poisson
from sciml_diffusion.physics.smoke.projection import Projection
from sciml_diffusion.physics.smoke.scene import SIDES, Scene, empty_box, wdno_scene

PAIRS = [(), SIDES, ("left", "right"), ("top",), ("left", "bottom")]


def velocity(scene: Scene, batch: int = 2, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(0)
    n_y, n_x = scene.sizes
    return tuple(torch.randn(batch, *s, generator=generator, dtype=dtype) for s in ((n_y + 1, n_x), (n_y, n_x + 1)))


def blocks(n: int, open_sides: tuple[str, ...] = ()) -> Scene:
    """A box with two walls: a room without a way out, and a wall on the right side with a gap."""
    solid = torch.zeros(n, n, dtype=torch.bool)
    solid[n // 4 : n // 2 + 1, [n // 4, n // 2]] = True
    solid[[n // 4, n // 2], n // 4 : n // 2 + 1] = True
    solid[: 2 * n // 3, -1] = True
    return Scene(solid, (1.0, 1.5), open_sides)


@pytest.mark.parametrize("open_sides", PAIRS)
def test_box_solution_is_of_second_order(open_sides):
    """p = cos or sin of the lowest mode with the right ends, f = -lap p: max error falls by 4 with each halving."""
    sizes, errors = [16, 32, 64], []
    for n in sizes:
        box = empty_box((n, n), (1.0, 2.0), open_sides)
        parts, factor = [], 0.0
        for axis, ends in ((0, SIDES[:2]), (1, SIDES[2:])):
            first, last = (side in open_sides for side in ends)
            k = math.pi * (0.5 if first != last else 1.0) / box.size[axis]
            x = centres(box.grid)[axis]
            parts.append((k * x).sin() if first else (k * x).cos())
            factor += k**2
        exact = parts[0] * parts[1]
        p = BoxPoisson(box.sizes, box.spacings, open_sides)(factor * exact)
        errors.append(float((p - exact).abs().max()))
    assert abs(observed_order(sizes, errors) - 2) < 0.1, errors  # the next term of the error is of order 4


@pytest.mark.parametrize("open_sides", PAIRS)
def test_no_divergence_is_left_in_a_box(open_sides):
    """Eigenvectors are exact: |div| <= 1e-12 for velocities of size h (div of order 1) on 48 x 64 cells."""
    box = empty_box((48, 64), (1.0, 1.0), open_sides)
    w = tuple(part / 64 for part in velocity(box))
    u = Projection(box)(w)
    assert divergence(w, box.spacings).abs().max() > 1
    assert divergence(u, box.spacings).abs().max() < 1e-12
    closed_top = 0.0 if "top" not in open_sides else None
    assert closed_top is None or u[0][:, -1].abs().max() == closed_top


@pytest.mark.parametrize("open_sides", [(), ("right",), ("top", "left", "right")])
def test_obstacles_let_nothing_through_and_leave_no_divergence(open_sides):
    """Faces on walls are exactly zero; relative 1e-12 of the dense matrix (its condition times rounding)."""
    scene = blocks(24, open_sides)
    w = velocity(scene)
    u = Projection(scene)(w)
    for part, open_ in zip(u, scene.openness(), strict=True):
        assert (part[:, ~open_] == 0).all() and (part[:, open_].abs() > 0).float().mean() > 0.9
    assert divergence(u, scene.spacings).abs().max() < 1e-12 * divergence(w, scene.spacings).abs().max()


@pytest.mark.parametrize("scene", [blocks(24), blocks(24, ("top", "right")), wdno_scene(32)])
def test_dense_matrix_and_conjugate_gradients_agree(scene):
    """Two ways to solve give one velocity; 1e-9 relative is the aim of the iteration, which is run to 1e-12."""
    w = velocity(scene)
    one, other = Projection(scene)(w), Projection(scene, IterativePoisson(scene))(w)
    assert max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True)) < 1e-9
    left, before = divergence(other, scene.spacings).abs().max(), divergence(w, scene.spacings).abs().max()
    assert left < 1e-9 * before


def test_pressure_around_obstacles_solves_its_equation():
    """A p = f for a right-hand side without sum over each closed region, to rounding."""
    scene = blocks(20, ("right",))
    generator = torch.Generator().manual_seed(1)
    f = apply_poisson(torch.randn(3, 20, 20, generator=generator, dtype=torch.float64), scene)
    p = CapacitancePoisson(scene)(f)
    assert (apply_poisson(p, scene) - f).abs().max() < 1e-11 * f.abs().max()
    assert (IterativePoisson(scene)(f).sum() - IterativePoisson(scene).centre(p).sum()).abs() < 1e-8


@pytest.mark.parametrize("scene", [empty_box((12, 16), (1.0, 1.0), ("top",)), blocks(16, ("right",))])
def test_projection_is_idempotent_and_removes_gradients(scene):
    """P P = P and P (c grad q) = 0 for any q; to rounding, relative to gradients of 1 / h."""
    projection, w = Projection(scene), velocity(scene)
    u = projection(w)
    assert max(float((a - b).abs().max()) for a, b in zip(projection(u), u, strict=True)) < 1e-12
    q = torch.randn(1, *scene.sizes, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert max(float(a.abs().max()) for a in projection(gradient(q, scene.spacings))) < 1e-10


def test_float32_reaches_its_accuracy():
    """1e-5 relative to the divergence before, for both ways, on the scene of WDNO."""
    scene = wdno_scene(64)
    w = velocity(scene, dtype=torch.float32)
    before = divergence(w, scene.spacings).flatten(1).norm(dim=1)
    for solve in (None, IterativePoisson(scene)):
        u = Projection(scene, solve)(w)
        assert u[0].dtype == torch.float32
        assert (divergence(u, scene.spacings).flatten(1).norm(dim=1) < 2e-5 * before).all()


@pytest.mark.parametrize("iterative", [False, True])
def test_gradients_of_the_projection(iterative):
    """P is symmetric on a closed box: the gradient of <y, P w> is P y; to the accuracy of the solve."""
    scene = blocks(16)
    projection = Projection(scene, IterativePoisson(scene) if iterative else None)
    w, y = velocity(scene), tuple(part.flip(-1) for part in velocity(scene))
    leaves = [part.clone().requires_grad_() for part in w]
    value = sum((a * b).sum() for a, b in zip(projection(tuple(leaves)), y, strict=True))
    gradients = torch.autograd.grad(value, leaves)
    assert max(float((a - b).abs().max()) for a, b in zip(gradients, projection(y), strict=True)) < 1e-10


def test_iteration_that_does_not_arrive_is_an_error():
    scene = blocks(16)
    with pytest.raises(RuntimeError, match="relative residual .* after 2 iterations"):
        Projection(scene, IterativePoisson(scene, iterations=2))(velocity(scene))
