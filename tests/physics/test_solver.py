"""What all spectral solvers share. Truths: finite differences, the same solve done another way, counted memory."""

import math

import pytest
import torch
from physics.peak_memory import PeakMemory

from sciml_diffusion.physics.advection import Advection
from sciml_diffusion.physics.burgers import Burgers
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.kuramoto_sivashinsky import KuramotoSivashinsky
from sciml_diffusion.physics.navier_stokes import NavierStokes, fno_forcing

F64 = torch.float64
LINE, LONG = Grid.periodic((32,), (1.0,)), Grid.periodic((32,), (8 * math.pi,))
PLANE = Grid.periodic((12, 16), (1.0, 1.0), ("y", "x"))
# Each: a solver with its parameter p (a number or one for each sample), p, its smallest number of steps in 0.2.
CASES = {
    "burgers": (lambda p: Burgers(LINE, p, (2 * math.pi * torch.arange(32, dtype=F64) / 32).cos()), 0.05),
    "kuramoto-sivashinsky": (lambda p: KuramotoSivashinsky(LONG, p), 1.1),
    "navier-stokes": (lambda p: NavierStokes(PLANE, p, fno_forcing(PLANE), drag=0.1, mean_flow=(0.2, 0.1)), 0.01),
    "navier-stokes-in-time": (lambda p: NavierStokes(PLANE, p, lambda time: time * fno_forcing(PLANE)), 0.01),
    "public-recipe": (lambda p: NavierStokes(PLANE, p, fno_forcing(PLANE), scheme="cn-fe"), 0.05),
    "advection": (lambda p: Advection(LINE, p), 0.3),
}
STEPS = 12  # in 0.2 units of time, below the limits of all of them


def solver_and_state(name: str, samples: int = 1) -> tuple:
    make, parameter = CASES[name]
    solver = make(parameter)
    return make, parameter, smooth(solver, samples)


def smooth(solver, samples: int) -> torch.Tensor:
    """Random states of the resolved modes, of size 1; shape (B, 1, *S)."""
    noise = torch.randn(samples, 1, *solver.grid.sizes, dtype=F64, generator=torch.Generator().manual_seed(0))
    axes = tuple(range(2, noise.ndim))
    v = torch.fft.rfftn(noise, dim=axes)
    for axis, n in zip(axes, solver.grid.sizes, strict=True):
        m = torch.arange(v.shape[axis]) if axis == noise.ndim - 1 else torch.fft.fftfreq(n, 1 / n)
        v = v * (1.0 + m.abs()).pow(-2).reshape([-1 if i == axis else 1 for i in range(noise.ndim)])
    u = torch.fft.irfftn(v, s=solver.grid.sizes, dim=axes)
    return u / u.abs().amax(axes, keepdim=True)


@pytest.mark.parametrize("name", CASES)
def test_gradients_agree_with_finite_differences(name):
    """In the state and in the parameter; a central difference of 1e-5 errs by about 1e-9 of the derivative."""
    make, parameter, u0 = solver_and_state(name, 2)
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(2, 1, 4, *u0.shape[2:], generator=generator, dtype=F64)
    direction = torch.randn(u0.shape, generator=generator, dtype=F64)
    p = torch.full((2,), parameter, dtype=F64)

    def value(u, p):
        return (weight * make(p).solve(u, 0.2, 4, STEPS // 3)).sum()

    gradients = torch.autograd.grad(value(u0.requires_grad_(), p.requires_grad_()), (u0, p))
    with torch.no_grad():
        in_state = (value(u0 + 1e-5 * direction, p) - value(u0 - 1e-5 * direction, p)) / 2e-5
        step = 1e-5 * p
        in_parameter = value(u0, p + step) - value(u0, p - step)
    assert ((gradients[0] * direction).sum() - in_state).abs() < 1e-7 * in_state.abs()
    assert (2 * (gradients[1] * step).sum() - in_parameter).abs() < 1e-6 * in_parameter.abs()


@pytest.mark.parametrize("name", CASES)
def test_recomputation_changes_no_gradient(name):
    """Bitwise: the same operations run twice. A second use of the same solver is safe too."""
    make, parameter, u0 = solver_and_state(name)
    p = torch.tensor([parameter], dtype=F64, requires_grad=True)
    solver, u0 = make(p), u0.requires_grad_()
    found = []
    for checkpoint in (True, False, True):
        u = solver.solve(u0, 0.2, 3, STEPS // 2, checkpoint=checkpoint)
        found.append(torch.autograd.grad(u.square().sum(), (u0, p)))
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], others, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_tangents_under_vmap_agree_with_reverse_mode(name):
    """jvp under vmap (the Jacobian of a Gauss-Newton step) against autograd's; to rounding."""
    make, parameter, u0 = solver_and_state(name)
    solver = make(parameter)

    def last(u):
        return solver.solve(u, 0.2, 2, STEPS, check=False, checkpoint=False)[:, :, -1]

    directions = torch.randn(3, *u0.shape, dtype=F64, generator=torch.Generator().manual_seed(2))
    forward = torch.func.vmap(lambda d: torch.func.jvp(last, (u0,), (d,))[1])(directions)
    _, pull = torch.func.vjp(last, u0)
    back = pull(forward[0])[0]
    assert ((back * directions[0]).sum() - forward[0].square().sum()).abs() < 1e-12 * forward[0].square().sum()
    assert (forward[1] - torch.func.jvp(last, (u0,), (directions[1],))[1]).abs().max() < 1e-12


@pytest.mark.parametrize("name", CASES)
def test_a_sample_depends_neither_on_its_batch_nor_on_its_group(name, monkeypatch):
    """Alone, among others, and in groups of one: the same to 1e-12; and a parameter for each is a solve for each."""
    make, parameter, u0 = solver_and_state(name, 3)
    p = parameter * torch.tensor([1.0, 1.3, 0.8], dtype=F64)
    together = make(p).solve(u0, 0.2, 3, STEPS)
    for i in range(3):
        assert (make(float(p[i])).solve(u0[i : i + 1], 0.2, 3, STEPS) - together[i : i + 1]).abs().max() < 1e-12
    monkeypatch.setattr("sciml_diffusion.physics.semilinear.CHUNK", 1)
    assert (make(p).solve(u0, 0.2, 3, STEPS) - together).abs().max() < 1e-12


@pytest.mark.parametrize("name", CASES)
def test_float32_is_close_to_float64(name):
    """Single precision rounds to 6e-8; some hundred operations leave 1e-5."""
    make, parameter, u0 = solver_and_state(name, 2)
    solver = make(parameter)
    u = solver.solve(u0.float(), 0.2, 3, STEPS)
    assert u.dtype == torch.float32
    assert (u - solver.solve(u0, 0.2, 3, STEPS)).abs().max() < 1e-5


@pytest.mark.parametrize("name", CASES)
def test_rhs_is_the_rate_of_the_solution(name):
    """A central difference over two short steps; its own error is h^2 / 6 of the third derivative."""
    make, parameter, u0 = solver_and_state(name)
    solver, h = make(parameter), 1e-5
    u = solver.solve(solver.solve(u0, 1e-2, 2, 4)[:, :, -1], 2 * h, 3, 1)
    rate = (u[:, :, 2] - u[:, :, 0]) / (2 * h)
    difference = (solver.rhs(u[:, :, 1], h) - rate).abs().max() / rate.abs().max()
    assert difference < (1e-2 if name == "public-recipe" else 1e-5)  # a step of order one errs by h / 2


def peak(steps: int, checkpoint: bool) -> int:
    """Largest memory of a gradient through that many steps."""
    solver = Burgers(Grid.periodic((256,), (1.0,)), 0.01)
    x = torch.linspace(0, 1, 257, dtype=F64)[:-1]
    u0 = (2 * math.pi * x).sin()[None, None].requires_grad_()
    with PeakMemory() as memory:
        u = solver.solve(u0, 2e-4 * steps, 2, steps, checkpoint=checkpoint)
        torch.autograd.grad(u.square().sum(), u0)
    return memory.peak


def test_memory_of_gradients_grows_as_the_root_of_the_steps():
    """9 times the steps: 9 times the memory when all is kept, 3 times (at most 4) with recomputation."""
    few, many, all_of_many = peak(16, True), peak(144, True), peak(144, False)
    assert many < 4 * few
    assert all_of_many > 7 * peak(16, False) and all_of_many > 4 * many


def test_an_unstable_step_names_the_limit():
    """The number of substeps that the message asks for is enough."""
    solver = Burgers(LINE, 0.05)
    u0 = 10 * smooth(solver, 1)
    with pytest.raises(ValueError, match=r"stability limit .* use substeps >= \d+ \(got 1\)") as caught:
        solver.solve(u0, 1.0, 3, 1)
    needed = int(str(caught.value).split(">= ")[1].split()[0])
    assert solver.solve(u0, 1.0, 3, needed).isfinite().all()


def test_states_that_are_not_finite_name_sample_and_time():
    solver = Burgers(LINE, 0.05, lambda time: torch.full((32,), math.nan if time > 0.45 else 0.0, dtype=F64))
    u0 = smooth(solver, 3)
    with pytest.raises(ValueError, match="sample 0 is not finite at time 0.5"):
        solver.solve(u0, 1.0, 5, 20)
    u0[1, 0, 5] = math.nan
    with pytest.raises(ValueError, match="sample 1 is not finite at time 0;"):
        solver.solve(u0, 1.0, 5, 20)


def test_bad_arguments_say_what_is_expected():
    solver = Burgers(LINE, 0.05)
    u0 = smooth(solver, 2)
    with pytest.raises(ValueError, match=r"shape \(B, 1, 32\); got \(2, 32\)"):
        solver.solve(u0[:, 0], 1.0, 3)
    for arguments in ((1.0, 1), (0.0, 3), (math.inf, 3), (1.0, 3, 0)):
        with pytest.raises(ValueError, match="frames >= 2, duration > 0 and substeps >= 1"):
            solver.solve(u0, *arguments)
    with pytest.raises(ValueError, match="substeps must be given"):
        solver.solve(u0, 1.0, 3, check=False)


def test_automatic_steps_follow_the_limit():
    """By default frames take a power of two of steps, the smallest below half of the limit."""
    solver = Burgers(LINE, 0.05)
    u0, seen = smooth(solver, 1), []
    stepper = solver.stepper
    solver.stepper = lambda dt: seen.append(dt) or stepper(dt)
    automatic = solver.solve(4 * u0, 0.4, 5)
    limit = solver.step_limit(4 * u0)
    assert seen[0] <= limit / 2 < 2 * seen[0] + 1e-15 and len(set(seen)) == len(seen)
    assert (automatic - solver.solve(4 * u0, 0.4, 5, 200)).abs().max() < 1e-4


def test_a_flow_that_becomes_fast_within_a_frame_is_solved_again():
    """From rest, under a force that the solver knows only as a function of time: against 2000 steps, 1e-3; too few
    steps of the user's own are an error that names the limit, also in the last frame."""
    force = 5 * (2 * math.pi * torch.arange(32, dtype=F64) / 32).sin()
    solver, rest = Burgers(LINE, 0.1, lambda time: force), torch.zeros(1, 1, 32, dtype=F64)
    u = solver.solve(rest, 1.0, 2)
    assert (u - solver.solve(rest, 1.0, 2, 2000)).abs().max() < 1e-3 * u.abs().max()
    with pytest.raises(ValueError, match="above the stability limit"):
        solver.solve(rest, 1.0, 2, 16)
