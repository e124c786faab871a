"""The smoke solver. Truths: Taylor-Green vortex, symmetry, steady flows, the budget of smoke, finite differences."""

import math

import pytest
import torch
from physics.closed_forms_smoke_tracer import centres, gaussian_means, observed_order, taylor_green

from sciml_diffusion.physics.smoke.control import Control
from sciml_diffusion.physics.smoke.faces import divergence, to_faces
from sciml_diffusion.physics.smoke.projection import Projection
from sciml_diffusion.physics.smoke.scene import SIDES, Scene, empty_box
from sciml_diffusion.physics.smoke.solver import Smoke


def blob(scene: Scene, at: tuple[float, float], width: float = 0.1) -> torch.Tensor:
    """Smoke in still air, (1, 3, Y, X)."""
    d = gaussian_means(scene.grid, at, width)
    return torch.stack([d / d.max(), 0 * d, 0 * d], 1)


def pillar(n: int = 16, open_sides: tuple[str, ...] = ()) -> Scene:
    """A square pillar, an exit in the upper right corner and a rim of two cells."""
    solid, exits, rim = torch.zeros(3, n, n, dtype=torch.bool)
    solid[n // 3 : n // 2, n // 3 : n // 2] = True
    exits[-4:, -4:] = True
    rim[:2] = rim[-2:] = rim[:, :2] = rim[:, -2:] = True
    return Scene(solid, (1.0, 1.0), open_sides, exits[None], rim)


def gust(scene: Scene, frames: int = 4, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 2, frames, *scene.sizes, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("nu", [0.0, 0.05])
def test_taylor_green_in_a_box_is_of_second_order(nu):
    """Max error against the exact decaying vortex between slipping walls, dt proportional to h."""
    sizes, errors = [16, 24, 32], []
    for n in sizes:
        scene = empty_box((n, n), (math.pi, math.pi))
        u0 = torch.cat([torch.zeros(1, 1, n, n, dtype=torch.float64), taylor_green(scene.grid, nu, 0.0)], 1)
        u = Smoke(scene, viscosity=nu).solve(u0, 1.0, 2, n // 2)[:, 1:, -1]
        errors.append(float((u - taylor_green(scene.grid, nu, 1.0)).abs().max()))
    assert abs(observed_order(sizes, errors) - 2) < 0.2, errors
    assert errors[-1] < 4e-3


@pytest.mark.parametrize("momentum,transport", [("maccormack", "flux"), ("semi-lagrangian", "semi-lagrangian")])
def test_symmetric_smoke_rises_symmetrically(momentum, transport):
    """Left and right stay mirror images, to rounding (conditioned by the flow's growth)."""
    scene = empty_box((20, 20), (1.0, 1.0), ("top",))
    smoke = Smoke(scene, momentum, transport, buoyancy=1.0)
    u = smoke.solve(blob(scene, (0.3, 0.5)), 1.5, 4, 12)[0]
    mirror = torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)[:, None, None, None]
    assert (u - mirror * u.flip(-1)).abs().max() < 1e-10
    height = (u[0] * centres(scene.grid)[0]).sum((1, 2)) / u[0].sum((1, 2))
    assert (height.diff() > 0.01).all()


@pytest.mark.parametrize("transport", ["flux", "maccormack"])
def test_uniform_inflow_stays_uniform(transport):
    """A wind along x through an open box is a steady state; also at 1 part in 10 of viscosity."""
    scene = empty_box((12, 18), (1.0, 1.5), ("left", "right"))
    u0 = torch.zeros(1, 3, 12, 18, dtype=torch.float64)
    u0[:, 2] = 0.8
    u = Smoke(scene, transport=transport, viscosity=1e-3).solve(u0, 1.0, 3)
    assert (u - u0[:, :, None]).abs().max() < 1e-12


def test_states_have_no_divergence_and_cross_no_wall():
    """After every step: |div| <= 1e-10 (the dense matrix) and zero on the faces of walls."""
    scene = pillar()
    smoke = Smoke(scene, buoyancy=2.0, viscosity=1e-3, control=Control(gust(scene), 0.1))
    state, step = smoke.start(blob(scene, (0.2, 0.4))), smoke.stepper(0.05)
    for n in range(6):
        state = step(state, n)
        assert divergence(state[1:3], scene.spacings).abs().max() < 1e-10
        for part, open_ in zip(state[1:3], scene.openness(), strict=True):
            assert (part[:, ~open_] == 0).all()
    assert state[1].abs().max() > 0.1 and (state[0][:, scene.solid] == 0).all()


def test_smoke_inside_and_gone_is_the_smoke_at_the_start():
    """Transport by fluxes with an exit, an open side and a pillar: the budget closes to rounding at every frame."""
    scene = pillar(16, ("left",))
    smoke = Smoke(scene, buoyancy=2.0, control=Control(gust(scene, 6) / 4 + 1.0, 0.2))
    u0 = blob(scene, (0.6, 0.6), 0.15).expand(2, -1, -1, -1) * torch.tensor([1.0, 0.5]).view(2, 1, 1, 1)
    fields, left = smoke.solve_with_exits(u0, 1.0, 6)
    area = math.prod(scene.spacings)
    inside = area * fields[:, 0].sum((-1, -2))
    start = area * (u0[:, 0] * ~scene.solid).sum((-1, -2))
    assert (inside[:, 1:] + left.sum(-1)[:, 1:] - start[:, None]).abs().max() < 1e-14
    assert left.shape == (2, 6, 2) and scene.outlets == ("exit_0", "left")
    assert (left.diff(dim=1) >= 0).all() and (left[:, -1] > 1e-3 * start[:, None]).all()
    assert (fields[:, 0, 1:, scene.exits[0]] == 0).all()
    assert torch.equal(fields, smoke.solve(u0, 1.0, 6))


def test_control_of_velocity_is_taken_in_the_rim_only():
    """P of (control in the rim, else the old velocity) is one step without advection; nothing acts outside the rim."""
    scene = pillar()
    values = gust(scene, 2)
    smoke = Smoke(scene, momentum=None, control=Control(values, 0.5, "velocity"))
    state = smoke.stepper(0.5)(smoke.start(blob(scene, (0.5, 0.5))), 1)
    inside = Control(values * ~scene.rim, 0.5, "velocity")
    assert torch.equal(inside.at(0.0, scene), 0 * values[:, :, 0])
    c = values[:, :, 1] * scene.rim
    total = to_faces(c[:, 0], c[:, 1])
    rim = scene.rim.double()[None]
    shares = to_faces(rim, rim)
    w = tuple(torch.where(s > 0, t / s.clamp_min(0.5), 0.0) for t, s in zip(total, shares, strict=True))
    expected = Projection(scene)(w)
    assert max(float((a - b).abs().max()) for a, b in zip(state[1:3], expected, strict=True)) < 1e-13


def test_force_accelerates_air_in_an_open_channel():
    """A uniform force f for a time t gives u = f t: with all cells in the rim and free ends, to rounding."""
    scene = Scene(torch.zeros(8, 12, dtype=torch.bool), (1.0, 1.5), SIDES, None, torch.ones(8, 12, dtype=torch.bool))
    force = torch.tensor([0.2, 0.5], dtype=torch.float64).view(1, 2, 1, 1, 1).expand(1, 2, 3, 8, 12)
    w = to_faces(force[:, 0, 0], force[:, 1, 0])
    smoke = Smoke(scene, control=Control(force, 1.0))
    u = smoke.solve(torch.zeros(1, 3, 8, 12, dtype=torch.float64), 1.0, 2, 4)[0, :, -1]
    assert divergence(w, scene.spacings).abs().max() < 1e-15
    assert (u[1] - 0.2).abs().max() < 1e-12 and (u[2] - 0.5).abs().max() < 1e-12


@pytest.mark.parametrize("transport", ["flux", "semi-lagrangian"])
def test_gradients_agree_with_finite_differences(transport):
    """In the initial smoke, the control and the viscosity; a central difference of 1e-7 errs by about 1e-8."""
    scene = pillar(12)
    y, x = centres(scene.grid)
    wave = torch.stack([(3 * x + y).sin(), (2 * y - x).cos()])[None, :, None].expand(1, 2, 3, 12, 12)
    inputs = [blob(scene, (0.45, 0.61), 0.2) + 0.1, wave.clone(), torch.tensor([0.011], dtype=torch.float64)]
    weight, projection = gust(scene, 3, seed=2)[:, :1], Projection(scene)

    def value(u0, control, nu):
        smoke = Smoke(scene, "semi-lagrangian", transport, nu, 0.7, Control(control, 0.2), projection)
        return (weight * smoke.solve(u0, 0.4, 3, 4)).sum()

    leaves = [i.clone().requires_grad_() for i in inputs]
    gradients = torch.autograd.grad(value(*leaves), leaves)
    for k, gradient in enumerate(gradients):
        shape = inputs[k].shape
        direction = torch.randn(shape, generator=torch.Generator().manual_seed(3 + k), dtype=torch.float64)
        with torch.no_grad():
            ends = [value(*(i + s * 1e-7 * direction if j == k else i for j, i in enumerate(inputs))) for s in (1, -1)]
        difference = (ends[0] - ends[1]) / 2e-7
        assert abs((gradient * direction).sum() - difference) < 2e-6 * abs(difference), k


def test_exits_are_differentiable_in_the_control():
    """The gradient of the smoke gone is finite, not zero, and the same with and without recomputation."""
    scene, values = pillar(12), None
    found = []
    for checkpoint in (True, False):
        values = (gust(scene, 3) + 1).requires_grad_()
        smoke = Smoke(scene, momentum=None, control=Control(values, 0.2, "velocity"))
        left = smoke.solve_with_exits(blob(scene, (0.6, 0.6)), 0.4, 3, 8, checkpoint=checkpoint)[1]
        found.append(torch.autograd.grad(left[:, -1].sum(), values)[0])
    assert found[0].isfinite().all() and found[0].abs().max() > 1e-6
    assert torch.equal(*found)


def test_samples_do_not_depend_on_their_batch():
    """To rounding: matrix products of other sizes may sum in another order."""
    scene = pillar()
    u0 = torch.cat([blob(scene, at) for at in ((0.2, 0.3), (0.6, 0.6), (0.3, 0.7))])
    nu = torch.tensor([0.0, 1e-3, 2e-3], dtype=torch.float64)
    together = Smoke(scene, viscosity=nu, buoyancy=1.0).solve(u0, 0.5, 3, 6)
    alone = Smoke(scene, viscosity=nu[1:2], buoyancy=1.0).solve(u0[1:2], 0.5, 3, 6)
    assert (together[1:2] - alone).abs().max() < 1e-12


def test_errors_name_what_was_expected():
    scene = pillar()
    with pytest.raises(ValueError, match="transport must be one of"):
        Smoke(scene, transport="euler")
    with pytest.raises(ValueError, match="viscosity must be >= 0"):
        Smoke(scene, viscosity=-1.0)
    with pytest.raises(ValueError, match="a control needs values of shape"):
        Control(torch.zeros(1, 2, 3, 3), 1.0)
    with pytest.raises(ValueError, match=r"the control has 4 frames of 0.1"):
        Smoke(scene, control=Control(gust(scene), 0.1)).solve(blob(scene, (0.2, 0.2)), 1.0, 3)
    with pytest.raises(ValueError, match="2 samples and a control for 3"):
        control = Control(gust(scene).expand(3, -1, -1, -1, -1), 1.0)
        Smoke(scene, control=control).solve(blob(scene, (0.2, 0.2)).expand(2, -1, -1, -1), 1.0, 3)
    with pytest.raises(ValueError, match=r"needs initial fields of shape \(B, 3, 16, 16\)"):
        Smoke(scene).solve(torch.zeros(1, 3, 8, 8), 1.0, 3)
    with pytest.raises(ValueError, match="stability limit .* use substeps >="):
        Smoke(scene).solve(blob(scene, (0.2, 0.2)) + 1, 10.0, 2, 1)
