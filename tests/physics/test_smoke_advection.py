"""Transport of density and velocity. Truths: rotation of a solid body, uniform flow, mass."""

import math

import pytest
import torch
from physics.closed_forms_smoke_tracer import gaussian_means, observed_order, rotation_faces

from sciml_diffusion.physics.smoke.advection import Advection
from sciml_diffusion.physics.smoke.flux_form import FluxForm
from sciml_diffusion.physics.smoke.projection import Projection
from sciml_diffusion.physics.smoke.scene import SIDES, Scene, empty_box


def density(transport, c, by, dt, steps):
    """Density after some steps, and all that left."""
    left = 0.0
    for _ in range(steps):
        c = transport.density(c, by, dt)
        c, out = c if isinstance(c, tuple) else (c, 0.0)
        left = left + out
    return c, left


@pytest.mark.parametrize("name,order", [("semi-lagrangian", 1), ("maccormack", 2), ("flux", 2)])
def test_rotation_of_a_solid_body(name, order):
    """A quarter turn of a Gaussian, dt proportional to h (2 cells a step at the corner): L1 error against its place.

    Sizes are those where the asymptotic order has set in; a first-order scheme needs finer grids to come near it.
    """
    sizes, errors = ([96, 128, 192] if order == 1 else [32, 64, 128]), []
    for n in sizes:
        scene = empty_box((n, n), (1.0, 1.0), SIDES)
        transport = FluxForm(scene) if name == "flux" else Advection(scene, name)
        c0, exact = (gaussian_means(scene.grid, middle, 0.08) for middle in ((0.5, 0.3), (0.3, 0.5)))
        c, _ = density(transport, c0, rotation_faces((n, n), scene.size), math.pi / n, n // 2)
        errors.append(float((c - exact).abs().mean()))
    assert abs(observed_order(sizes, errors) - order) < 0.25, errors


def test_fluxes_keep_every_bit_of_smoke_and_no_less_than_none():
    """Inside + left = initial, to rounding; c >= 0 also where a step crosses 20 cells."""
    scene = empty_box((24, 24), (1.0, 1.0), SIDES)
    c0 = gaussian_means(scene.grid, (0.5, 0.3), 0.1)
    for speed in (1.0, 20.0):
        by = tuple(speed * part for part in rotation_faces((24, 24), scene.size))
        c, left = density(FluxForm(scene), c0, by, 1 / 24, 40)
        assert abs((c + left).sum() / c0.sum() - 1) < 1e-13
        assert left.sum() > 1e-4 * c0.sum() and c.min() >= -1e-16


def test_fluxes_bear_negative_values():
    """Densities a little below zero, as a network may make them, stay finite and keep their sum."""
    scene = empty_box((16, 16))
    by = tuple(5 * part for part in rotation_faces((16, 16), scene.size))
    by = Projection(scene)(by)
    c0 = gaussian_means(scene.grid, (0.5, 0.3), 0.1) - 0.5
    c0.requires_grad_()
    c, _ = density(FluxForm(scene), c0, by, 1 / 16, 20)
    assert c.isfinite().all() and abs((c.sum() - c0.sum()) / c0.abs().sum()) < 1e-13
    assert torch.autograd.grad((c**2).sum(), c0)[0].isfinite().all()


@pytest.mark.parametrize("name", ["semi-lagrangian", "maccormack"])
def test_uniform_wind_moves_by_whole_cells(name):
    """Wind of exactly one cell a step: interpolation is exact, to rounding; clean air follows."""
    scene = empty_box((16, 32), (1.0, 2.0), ("left", "right"))
    c0 = gaussian_means(scene.grid, (0.5, 0.7), 0.15)
    by = torch.zeros(1, 17, 32, dtype=torch.float64), torch.ones(1, 16, 33, dtype=torch.float64)
    c, _ = density(Advection(scene, name), c0, by, 1 / 16, 8)
    assert (c[..., 8:] - c0[..., :-8]).abs().max() < 1e-12
    assert c[..., :7].abs().max() == 0


@pytest.mark.parametrize("scheme", ["semi-lagrangian", "maccormack"])
def test_no_smoke_comes_out_of_walls_or_through_them(scheme):
    """Two rooms divided by a wall of one cell: smoke stays in its own, with a swirl of 3 cells a step."""
    solid = torch.zeros(24, 24, dtype=torch.bool)
    solid[:, 12] = True
    scene = Scene(solid, (1.0, 1.0))
    generator = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(
        torch.randn(1, 2, 6, 6, generator=generator, dtype=torch.float64), (25, 25), mode="bilinear"
    )
    by = Projection(scene)((smooth[:, 0, :, :24], smooth[:, 1, :24]))
    by = tuple(part * 3 / 24 / part.abs().max() for part in by)
    c0 = torch.zeros(1, 24, 24, dtype=torch.float64)
    c0[..., :12] = 1.0
    c, _ = density(Advection(scene, scheme), c0, by, 1.0, 20)
    assert c[..., 12:].abs().max() == 0
    assert (c[..., :12] - 1).abs().max() < 1e-12  # a room full of smoke stays full


@pytest.mark.parametrize("scheme", ["semi-lagrangian", "maccormack"])
def test_uniform_velocity_stays_uniform(scheme):
    scene = empty_box((12, 12), (1.0, 1.0), SIDES)
    by = torch.full((1, 13, 12), 0.7, dtype=torch.float64), torch.full((1, 12, 13), -0.4, dtype=torch.float64)
    moved = Advection(scene, scheme).velocity(by, by, 0.3)
    assert max(float((a - b).abs().max()) for a, b in zip(moved, by, strict=True)) < 1e-14


def test_unknown_scheme_is_named():
    with pytest.raises(ValueError, match="advection must be one of"):
        Advection(empty_box((4, 4)), "cubic")
