"""Residuals. Truths: the exact residual of smooth fields, solutions or not, by differentiation in float64; closed forms
of norms and log-densities."""

import math

import numpy as np
import pytest
import torch
from physics.closed_forms_residuals import CASES, rms, spoilt

from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.residuals.base import Residual
from sciml_diffusion.physics.residuals.combine import Together, Tolerance
from sciml_diffusion.physics.residuals.conditions import Boundary, Initial, Mass
from sciml_diffusion.physics.residuals.elliptic import PoissonResidual
from sciml_diffusion.physics.residuals.incompressible import Divergence, VorticityEquation
from sciml_diffusion.physics.residuals.time import CentralResidual, MidpointResidual, StepResidual
from sciml_diffusion.physics.residuals.transport import AdvectionEquation, BurgersEquation, TracerEquation

F64 = torch.float64
GRID = Grid.periodic((16,), (1.0,))


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


class Given(Residual):
    """The fields themselves as residual: norms and densities have closed forms."""

    def __init__(self, grid: Grid = GRID, fields=("u",)):
        self.grid, self.fields = grid, fields

    def terms(self, x, parameters):
        return {"pde": (x, 0 * x)}


@pytest.mark.parametrize("name", CASES)
def test_order_against_the_exact_residual(name):
    """Discrete minus exact residual falls at the expected order where h and dt halve; 0.15 as pre-asymptotic share."""
    case = CASES[name]
    errors = case.errors()
    assert abs(-np.polyfit(np.log(case.sizes), np.log(errors), 1)[0] - case.order) < 0.15, errors


@pytest.mark.parametrize("name", CASES)
def test_wrong_fields_and_parameters_show_as_much_as_they_must(name):
    """Spoilt data have the exact residual that they should, to 3 % and four times the floor, and not the floor alone.

    Some faults leave a solution a solution (the sign of an advected wave); the exact residual knows that too.
    """
    case = CASES[name]
    floor, faults = rms(torch.sub(*case.at(case.sizes[1]))), spoilt(case)
    for control, (found, exact) in faults.items():
        assert abs(rms(found) - rms(exact)) < 0.03 * rms(exact) + 4 * floor, control
    assert not faults or max(rms(exact) for _, exact in faults.values()) > 20 * floor


@pytest.mark.parametrize("shifted", ["advection, fd2, midpoint", "burgers, fd2, midpoint", "vorticity, fd2, midpoint"])
def test_a_shift_by_one_cell_between_frames_is_a_false_velocity(shifted):
    """The last frame moved by one cell leaves about h / dt u_x there: far above the floor."""
    case = CASES[shifted]
    n = case.sizes[-1]
    sizes, dt = tuple(n for _ in case.dims), 0.4 / (n // 8)
    grid = Grid.periodic(sizes, case.lengths, case.dims)
    residual = case.build(grid, dt, **case.parameters)
    at = torch.meshgrid(torch.tensor([0.0, dt], dtype=F64), *map(torch.from_numpy, grid.coordinates), indexing="ij")
    u = case.functions[0](at[0], *reversed(at[1:]))[None, None]
    moved = torch.stack([u[:, :, 0], u[:, :, 1].roll(1, -1)], 2)
    slope = residual.equation.along(u[:, :, :1], "x")
    predicted = rms(slope) * grid.spacings[-1] / dt
    assert predicted > 20 * rms(residual(u)["pde"])
    assert abs(rms(residual(moved)["pde"]) / predicted - 1) < 0.1  # the tendency at the mean of both frames adds O(h)


def test_norms_are_means_of_the_penalty_of_each_sample():
    """r = +-a in turns has mean 0 and does not vanish; each kind in closed form, per sample, after division by S."""
    residual = Given()
    residual.scale = {"pde": torch.tensor([2.0], dtype=F64).reshape(1, 1, 1)}
    r = 2 * torch.tensor([0.5, 3.0], dtype=F64).reshape(2, 1, 1, 1) * torch.tensor([1.0, -1.0] * 8, dtype=F64)
    expected = {
        "l2": [0.25, 9.0],
        "l1": [0.5, 3.0],
        "huber": [0.25, 5.0],
        "pseudo-huber": [2 * (math.sqrt(1.25) - 1), 2 * (math.sqrt(10) - 1)],
        "h-1": [0.25 / (1 + (16 * math.pi) ** 2), 9 / (1 + (16 * math.pi) ** 2)],
    }
    for kind, values in expected.items():
        found = residual.norm({"pde": r}, kind)["pde"]
        assert torch.allclose(found, torch.tensor(values, dtype=F64), rtol=1e-12), kind
        assert torch.allclose(residual.loss(r, kind=kind, shares={"pde": 0.5}), found / 2)
    with pytest.raises(ValueError, match="kind of a norm"):
        residual.norm({"pde": r}, "l3")


def test_weights_enter_the_mean():
    residual = Given()
    residual.weight = {"pde": torch.arange(16, dtype=F64)}
    r = draw(3, 1, 2, 16)
    expected = (r**2 * torch.arange(16)).sum((1, 2, 3)) / (2 * 120)
    assert torch.allclose(residual.norm({"pde": r})["pde"], expected, rtol=1e-12)


def test_h_minus_one_bounds_the_error_of_the_solution_on_every_grid():
    """Poisson with an error e = 0.1 sin(k x) sin(k y): |r|_{H-1} / |e|_{H1} tends to 1, |r|_{L2} grows as k^2."""
    for n in (33, 65):
        grid = Grid.nodes((n, n), (1.0, 1.0), ("y", "x"))
        y, x = torch.meshgrid(*map(torch.from_numpy, grid.coordinates), indexing="ij")
        for m in (1, 4):
            e = 0.1 * (m * math.pi * x).sin() * (m * math.pi * y).sin()
            residual = PoissonResidual(grid)
            components = residual(torch.stack([0 * e, e])[None, :, None])
            h1 = float((e**2).sum() / n**2 * (1 + 2 * (m * math.pi) ** 2))
            assert (
                abs(float(residual.norm(components, "h-1")["pde"]) / h1 - 1) < 0.08
            )  # (k h)^2 / 6, and n against n - 1
            assert float(residual.norm(components)["pde"]) > 10 * h1


def test_log_prob_is_the_normal_density_summed_over_a_sample():
    """Against torch.distributions, per sample; components that `std` does not name do not count."""
    residual = Given()
    residual.scale = {"pde": torch.tensor([2.0], dtype=F64).reshape(1, 1, 1)}
    x = draw(3, 1, 4, 16)
    expected = torch.distributions.Normal(0.0, torch.tensor(0.3, dtype=F64)).log_prob(x / 2).sum((1, 2, 3))
    assert torch.allclose(residual.log_prob(x, 0.3), expected, rtol=1e-12)
    assert torch.allclose(residual.log_prob(x, {"pde": 0.3}), expected, rtol=1e-12)
    two = Together(("u",), {"a": residual, "b": Mass(GRID, ("u",))})
    assert torch.allclose(two.log_prob(x, {"a pde": 0.3}), expected, rtol=1e-12)
    for call in (lambda: residual.log_prob(x, {"mass": 0.3}), lambda: residual.loss(x, shares={"mass": 1.0})):
        with pytest.raises(ValueError, match="components are .*pde"):
            call()
    with pytest.raises(ValueError, match="std"):
        residual.log_prob(x, 0.0)


def test_floor_and_what_is_relative_to_it():
    """Mean, rms and quantiles of known numbers; a sample twice as large is at twice the floor; excess over q90."""
    residual, x = Given(), torch.linspace(-1, 1, 16, dtype=F64).expand(2, 1, 3, 16)
    floor = residual.floor(x)
    size = np.abs(np.linspace(-1, 1, 16))
    assert abs(floor.mean["pde"]) < 1e-15 and abs(floor.rms["pde"] - np.sqrt((size**2).mean())) < 1e-15
    assert floor.q50["pde"] == np.quantile(size, 0.5) and floor.q90["pde"] == np.quantile(np.tile(size, 6), 0.9)
    assert torch.allclose(residual.relative(2 * x, floor)["pde"], torch.full((2,), 2.0, dtype=F64))
    excess = Tolerance(residual, floor)(3 * x)["pde"]
    tau = floor.q90["pde"]
    assert torch.allclose(excess, torch.sign(x) * (3 * x.abs() - tau).clamp_min(0))
    with pytest.raises(ValueError, match="sample 1 is not finite"):
        residual.floor(torch.stack([x[0], x[0] * math.nan]))


def test_scale_is_the_size_of_the_terms_and_no_gradient_shrinks_it():
    """S^2 = mean(u_t^2) + mean(rhs^2), for each channel, a constant: halving all fields quarters the norm."""
    residual = MidpointResidual(AdvectionEquation(GRID, {"x": 0.7}), 0.1)
    x = draw(2, 1, 3, 16)
    scaled = residual.nondimensional(x)
    rate, push = residual.terms(x, {})["pde"]
    assert abs(float(scaled.scale["pde"]) ** 2 - float((rate**2).mean() + (push**2).mean())) < 1e-10
    assert not residual.scale and not scaled.scale["pde"].requires_grad
    assert torch.allclose(scaled.loss(x / 2), scaled.loss(x) / 4)


def test_parameters_of_a_call_and_of_each_sample():
    """A tensor (B,), a number and a function of time give what single samples with these numbers give; bitwise."""
    x = draw(3, 1, 4, 16)
    nu = torch.tensor([0.1, 0.2, 0.3], dtype=F64)
    together = MidpointResidual(BurgersEquation(GRID, nu), 0.1)(x)["pde"]
    for i, value in enumerate(nu.tolist()):
        one = MidpointResidual(BurgersEquation(GRID, 7.0), 0.1)(x[i : i + 1], {"nu": value})["pde"]
        assert torch.equal(one[0], together[i])
    seen = []
    forced = MidpointResidual(BurgersEquation(GRID, nu, forcing=lambda time: seen.append(time) or 2.0 + time), 0.1, 5.0)
    difference = together - forced(x)["pde"]
    assert np.allclose(seen, [5.05, 5.15, 5.25]) and torch.allclose(
        difference[0, 0, :, 0], 2 + torch.tensor(seen, dtype=F64)
    )
    field = draw(16)
    assert torch.allclose(MidpointResidual(BurgersEquation(GRID, nu, forcing=field), 0.1)(x)["pde"], together - field)
    with pytest.raises(ValueError, match="has the parameters"):
        MidpointResidual(BurgersEquation(GRID, nu), 0.1)(x, {"mu": 1.0})
    with pytest.raises(ValueError, match="each of 3 samples"):
        MidpointResidual(BurgersEquation(GRID, nu[:2]), 0.1)(x)


def test_a_tracer_alone_has_an_equation():
    """Velocities are channels without a residual of their own."""
    grid = Grid.periodic((6, 8), (1.0, 1.0), ("y", "x"))
    residual = CentralResidual(TracerEquation(grid, {"x": "u", "y": "v"}, "smoke"), 0.1)
    assert residual.fields == ("smoke", "u", "v")
    assert residual(draw(2, 3, 5, 6, 8))["pde"].shape == (2, 1, 3, 6, 8)


def test_shapes_are_checked():
    residual = MidpointResidual(BurgersEquation(GRID, 0.1), 0.1)
    for shape in ((1, 2, 3, 16), (1, 1, 3, 15), (1, 3, 16)):
        with pytest.raises(ValueError, match=r"needs u with shape \(B, 1, T, 16\)"):
            residual(draw(*shape))
    with pytest.raises(ValueError, match="at least 2 frames"):
        residual(draw(1, 1, 1, 16))
    with pytest.raises(ValueError, match="dt must be > 0"):
        MidpointResidual(BurgersEquation(GRID, 0.1), 0.0)
    with pytest.raises(ValueError, match="rhs"):
        MidpointResidual(GRID, 0.1)
    with pytest.raises(ValueError, match="substeps"):
        StepResidual(BurgersEquation(GRID, 0.1), 0.1, 0)


@pytest.mark.parametrize("kind", ["l2", "pseudo-huber", "h-1"])
def test_losses_and_log_densities_have_right_gradients(kind):
    """gradcheck in float64 of the training loss and the guidance term, through the stream function too."""
    grid = Grid.periodic((4, 4), (1.0, 1.0), ("y", "x"))
    residual = MidpointResidual(VorticityEquation(grid, 0.1), 0.1)
    x = draw(1, 1, 2, 4, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda u: residual.loss(u, kind=kind), x)
    assert torch.autograd.gradcheck(lambda u: residual.log_prob(u, 2.0), x)


def test_tangents_and_adjoints_agree():
    """<J v, w> = <v, J^T w> by jvp and vjp; to rounding."""
    residual = MidpointResidual(BurgersEquation(GRID, 0.1, "fd4"), 0.1)
    x, v, w = draw(2, 1, 3, 16), draw(2, 1, 3, 16, seed=1), draw(2, 1, 2, 16, seed=2)
    forward = torch.func.jvp(lambda u: residual(u)["pde"], (x,), (v,))[1]
    (reverse,) = torch.func.vjp(lambda u: residual(u)["pde"], x)[1](w)
    assert abs(float((forward * w).sum() - (v * reverse).sum())) < 1e-10


def test_shifts_along_periodic_axes_shift_the_residual():
    grid = Grid.periodic((12, 10), (1.0, 1.0), ("y", "x"))
    for scheme in ("fd2", "spectral"):
        residual = MidpointResidual(VorticityEquation(grid, 0.1, scheme=scheme), 0.1)
        x = draw(1, 1, 3, 12, 10)
        moved = residual(x.roll((3, 4), (-2, -1)))["pde"]
        assert (moved - residual(x)["pde"].roll((3, 4), (-2, -1))).abs().max() < 1e-11  # rounding of 1 / h^2


def test_float32_is_near_float64_and_half_is_raised_to_it():
    """Cole-Hopf at 128 points: rounding of u / dt and nu u / h^2 stays below 1e-3; half comes as float32."""
    case = CASES["burgers, fd2, midpoint"]
    grid = Grid.periodic((128,), (1.0,))
    residual = case.build(grid, 0.025, **case.parameters)
    t, x = torch.meshgrid(0.025 * torch.arange(9, dtype=F64), torch.from_numpy(grid.coordinates[0]), indexing="ij")
    u = case.functions[0](t, x)[None, None]
    assert (residual(u.float())["pde"] - residual(u)["pde"]).abs().max() < 1e-3
    assert residual(u.bfloat16())["pde"].dtype == torch.float32


@pytest.mark.parametrize("at", ["node", "wall"])
@pytest.mark.parametrize("decreasing", [False, True])
def test_boundary_values_and_outward_slopes(at, decreasing):
    """u = 1 + 2 x + 3 x^2 on [0, 1]: values 1 and 6, outward slopes -2 and 8; exact for parabolas."""
    grid = Grid.nodes((9,), (1.0,)) if at == "node" else Grid.cells((9,), (1.0,))
    if decreasing:
        grid = Grid(("x",), (grid.coordinates[0][::-1].copy(),), (None,))
    x = torch.from_numpy(grid.coordinates[0])
    u = (1 + 2 * x + 3 * x**2).expand(2, 1, 3, 9)
    ends = ("last", "first") if decreasing else ("first", "last")
    for slope, values in ((False, (1.0, 6.0)), (True, (-2.0, 8.0))):
        residual = Boundary(grid, "u", "x", dict(zip(ends, values, strict=True)), slope, at)
        assert residual(u)["boundary"].shape == (2, 1, 3, 2)
        assert residual(u)["boundary"].abs().max() < 1e-12
        assert residual(0.9 * u)["boundary"].abs().min() > 0.09
    with pytest.raises(ValueError, match="does not close"):
        Boundary(GRID, "u", "x", {"first": 0.0})


def test_initial_fields_mass_and_several_residuals_at_once():
    """Components stay apart under names of their own, and each residual takes its channels by name."""
    grid = Grid.periodic((6, 8), (1.0, 1.0), ("y", "x"))
    x = draw(2, 3, 4, 6, 8)
    volumes = draw(6, 8).abs()
    together = Together(
        ("v", "smoke", "u"),
        {
            "flow": Divergence(grid, {"x": "u", "y": "v"}),
            "start": Initial(grid, ("smoke",), x[:, 1:2, 0] + 1),
            "smoke": Mass(grid, ("smoke",), volumes),
        },
    )
    components = together(x)
    assert set(components) == {"flow divergence", "start initial", "smoke mass"}
    assert torch.equal(
        components["flow divergence"], Divergence(grid, {"x": "u", "y": "v"})(x[:, [2, 0]])["divergence"]
    )
    assert torch.allclose(components["start initial"], torch.full((2, 1, 1, 6, 8), -1.0, dtype=F64))
    mean = (x[:, 1:2] * volumes).sum((-2, -1), keepdim=True) / volumes.sum()
    assert torch.allclose(components["smoke mass"], mean[:, :, 1:] - mean[:, :, :1])
    assert together.floor(x).rms.keys() == components.keys() and together.loss(x).shape == (2,)
    with pytest.raises(ValueError, match="needs"):
        Together(("u", "v"), {"smoke": Mass(grid, ("smoke",))})
