"""What the finite-volume solvers share. Truths: definitions of limiters and ghosts, order of steps, exact heat flow."""

import math

import numpy as np
import pytest
import torch
from physics.closed_forms_conservation import centres, periodic_cells

from sciml_diffusion.physics.finite_volume.advection import FiniteVolumeAdvection
from sciml_diffusion.physics.finite_volume.base import ssprk3
from sciml_diffusion.physics.finite_volume.burgers import FiniteVolumeBurgers
from sciml_diffusion.physics.finite_volume.compressible import Compressible
from sciml_diffusion.physics.finite_volume.exponential import etdrk4_step, phi_functions
from sciml_diffusion.physics.finite_volume.ghost import pad
from sciml_diffusion.physics.finite_volume.heat import HeatFlow
from sciml_diffusion.physics.finite_volume.slopes import LIMITERS, face_values
from sciml_diffusion.physics.grid import Grid


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", LIMITERS)
def test_limiters_are_odd_symmetric_and_bounded(name):
    """s(a, b) = s(b, a) = -s(-a, -b), 0 where signs differ, a where a = b, at most twice the smaller; to rounding."""
    limit, (a, b) = LIMITERS[name], random(2, 200)
    s = limit(a, b)
    assert torch.allclose(s, limit(b, a), atol=1e-15)
    assert torch.allclose(s, -limit(-a, -b), atol=1e-15)
    assert torch.allclose(limit(a, a), a, atol=1e-15)
    assert (s[a * b <= 0] == 0).all()
    assert (s.abs() <= 2 * torch.minimum(a.abs(), b.abs()) + 1e-15).all()


def test_faces_are_exact_on_lines_and_within_neighbours_elsewhere():
    """A line has the mean of its two cells on both sides of a face, to rounding."""
    line = 0.3 * torch.arange(12, dtype=torch.float64)[None, None]
    left, right = face_values(line, LIMITERS["mc"])
    assert torch.allclose(left, right, atol=1e-14)
    assert torch.allclose(left, 0.5 * (line[..., 1:-2] + line[..., 2:-1]), atol=1e-14)
    u = random(1, 1, 50)
    left, right = face_values(u, LIMITERS["mc"])
    low, high = torch.minimum(u[..., 1:-2], u[..., 2:-1]), torch.maximum(u[..., 1:-2], u[..., 2:-1])
    for value in (left, right):
        assert ((value >= low - 1e-15) & (value <= high + 1e-15)).all()


def test_ghost_cells():
    u = torch.arange(1.0, 7.0).reshape(1, 2, 3)
    assert pad(u, "periodic")[0, 0].tolist() == [2, 3, 1, 2, 3, 1, 2]
    assert pad(u, "outflow")[0, 1].tolist() == [4, 4, 4, 5, 6, 6, 6]
    assert pad(u, "dirichlet", (7.0, 8.0))[0, 0].tolist() == [7, 7, 1, 2, 3, 8, 8]
    walls = pad(u, "reflecting", signs=torch.tensor([[1.0], [-1.0]]))[0]
    assert walls[0].tolist() == [2, 1, 1, 2, 3, 3, 2]
    assert walls[1].tolist() == [-5, -4, 4, 5, 6, -6, -5]


def test_three_stage_steps_have_order_three():
    """y' = cos(t) y, with t carried along; slope of log error over log steps, 0.1 for the next term of the error."""
    counts, errors = [20, 40, 80], []
    for count in counts:
        y, dt = torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.tensor(2 / count, dtype=torch.float64)
        for _ in range(count):
            y = ssprk3(lambda y: torch.stack([y[:, 0] * y[:, 1].cos(), torch.ones(1)], 1), y, dt)
        errors.append(abs(y[0, 0].item() - math.exp(math.sin(2.0))))
    assert abs(-np.polyfit(np.log(counts), np.log(errors), 1)[0] - 3) < 0.1, errors


@pytest.mark.parametrize("ends", ["periodic", "outflow", "dirichlet"])
def test_heat_flow_is_the_matrix_exponential(ends):
    """exp(t nu D) of the dense three-point matrix with its ghost cells; to rounding."""
    n, dx, nu, time = 7, 0.2, 0.3, 0.15
    matrix = torch.diag(torch.full((n,), -2.0)) + torch.diag(torch.ones(n - 1), 1) + torch.diag(torch.ones(n - 1), -1)
    corner = {"periodic": 0.0, "outflow": 1.0, "dirichlet": -1.0}[ends]
    matrix[0, 0] += corner
    matrix[-1, -1] += corner
    if ends == "periodic":
        matrix[0, -1] = matrix[-1, 0] = 1.0
    u, moment = random(2, 1, n), torch.full((2, 1, 1), time, dtype=torch.float64)
    exact = u @ torch.linalg.matrix_exp(time * nu / dx**2 * matrix.to(torch.float64))
    assert (HeatFlow(n, dx, ends).flow(u, nu, moment) - exact).abs().max() < 1e-13


def test_phi_functions_are_their_integrals():
    """phi_k(z) = int_0^1 e^{(1 - s) z} s^{k - 1} / (k - 1)! ds, by Gauss's rule; from 0 to where e^z is nothing."""
    z = torch.tensor([0.0, -1e-9, -1e-3, -0.5, -0.999, -1.001, -3.0, -30.0], dtype=torch.float64)
    nodes, weights = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(60))
    s = 0.5 * (nodes + 1)
    found = phi_functions(z)
    assert torch.equal(found[0], z.exp())
    for k in (1, 2, 3):
        exact = (0.5 * weights * torch.exp((1 - s) * z[:, None]) * s ** (k - 1) / math.factorial(k - 1)).sum(1)
        assert (found[k] - exact).abs().max() < 1e-14


def test_exponential_steps_have_order_four():
    """y' = -20 y + y^2 / 2 + 1 from each of two states with steps of their own; 0.2 for the next term of the error."""

    def solve(count: int) -> torch.Tensor:
        y, linear = torch.tensor([[3.0], [-1.0]], dtype=torch.float64), torch.tensor(-20.0, dtype=torch.float64)
        dt = torch.tensor([[0.5], [0.4]], dtype=torch.float64) / count
        for _ in range(count):
            y = etdrk4_step(y, linear, dt, lambda v: 0.5 * v**2 + 1)
        return y

    root = math.sqrt(20.0**2 - 2)  # Riccati's equation: y' = (y - r_1) (y - r_2) / 2
    ends, start, time = (20 - root, 20 + root), np.array([3.0, -1.0]), np.array([0.5, 0.4])
    ratio = (start - ends[0]) / (start - ends[1]) * np.exp(-root * time)
    exact = torch.from_numpy((ends[0] - ratio * ends[1]) / (1 - ratio))[:, None]
    counts = [8, 16, 32]
    errors = [(solve(count) - exact).abs().max().item() for count in counts]
    assert abs(-np.polyfit(np.log(counts), np.log(errors), 1)[0] - 4) < 0.2, errors


def solvers(batch: int):
    """Each solver with a parameter that differs by sample, and initial fields of that many samples."""
    grid, pick = periodic_cells(48), slice(4 - batch, 4)
    x = centres(grid)
    speeds = torch.tensor([0.3, 2.0, 1.0, -1.5], dtype=torch.float64)[pick]
    waves = torch.tensor([0.5, 1.0, 1.5, 2.0], dtype=torch.float64)[pick, None, None] * (2 * math.pi * x).sin()
    gas = torch.cat([1 + 0.4 * waves / 2, waves, 1 + 0.3 * waves / 2], 1)
    yield FiniteVolumeAdvection(grid, speeds), waves
    yield FiniteVolumeBurgers(grid, 0.01 * speeds.abs()), waves
    yield Compressible(grid, eta=0.002 * speeds.abs()), gas


def test_samples_do_not_depend_on_their_batch():
    """With steps of their own, two samples equal themselves in a batch of four whose speeds differ; bit by bit or to
    the rounding of Fourier transforms of other batch sizes."""
    for (many, fields), (few, own) in zip(solvers(4), solvers(2), strict=True):
        together = many.solve(fields, 0.15, 3)[2:]
        assert (together - few.solve(own, 0.15, 3)).abs().max() < 1e-13, type(many).__name__


def test_own_steps_agree_with_small_equal_steps():
    """Both tend to one semi-discrete solution; 3e-4 in the mean is the time error of the larger steps with a shock."""
    for solver, fields in solvers(4):
        assert (solver.solve(fields, 0.1, 3) - solver.solve(fields, 0.1, 3, 64)).abs().mean() < 3e-4


def test_own_steps_are_those_of_a_loop_that_looks_every_time(monkeypatch):
    """The same bits as steps one by one; the host reads from the device a few times for a span, not at every step."""
    for solver, fields in solvers(4):
        state, left, count = solver.start(fields), torch.full((4, 1, 1), 0.3, dtype=torch.float64), 0
        while (left > 0).any():
            parts = (left / (solver.courant * solver.limits(state)).reshape(4, 1, 1)).ceil()
            dt = torch.where(parts > 0, left / parts, 0)
            state, left, count = torch.where(dt > 0, solver.advance(state, dt, 0.3 - left), state), left - dt, count + 1
        reads, read = [], type(solver)._missing
        monkeypatch.setattr(type(solver), "_missing", lambda *a, read=read, reads=reads: reads.append(0) or read(*a))
        assert torch.equal(solver.solve(fields, 0.3, 2)[:, :, -1], solver.read(state))
        assert len(reads) < 4 * math.log2(count) < count, (len(reads), count)


def test_recomputed_gradients_are_the_same():
    """Checkpoints change memory, not gradients; with own steps and with equal ones."""
    for solver, fields in solvers(2):
        gradients = []
        for substeps, checkpoint in ((None, True), (None, False), (8, True), (8, False)):
            leaf = fields.clone().requires_grad_()
            solver.solve(leaf, 0.03, 3, substeps, checkpoint=checkpoint)[:, :, -1].pow(2).sum().backward()
            gradients.append(leaf.grad)
        assert torch.equal(gradients[0], gradients[1])
        assert torch.equal(gradients[2], gradients[3])
        assert gradients[0].isfinite().all() and gradients[0].abs().max() > 0


def test_float32_follows_float64():
    """Rounding of 1e-7 grows with some hundred steps; at kinks of the limiter it moves a slope."""
    for solver, fields in solvers(4):
        u = solver.solve(fields.float(), 0.1, 2)
        assert u.dtype == torch.float32
        assert (u - solver.solve(fields, 0.1, 2)).abs().max() < 2e-4


def test_errors_name_the_limit_the_sample_and_the_time():
    solver, fields = FiniteVolumeBurgers(periodic_cells(48)), torch.ones(3, 1, 48, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"above the stability limit .* use substeps >= (\d+)") as caught:
        solver.solve(fields, 1.0, 3, 1)
    needed = int(str(caught.value).split(">= ")[1].split()[0])
    assert solver.solve(fields, 1.0, 3, needed).isfinite().all()
    fields[1, 0, 4] = math.nan
    with pytest.raises(ValueError, match="sample 1 is not finite at time 0"):
        solver.solve(fields, 1.0, 3)
    fields[1, 0, 4] = 1e40
    with pytest.raises(ValueError, match="sample 1 has no stable step at time 0 .*limit"):
        solver.solve(fields, 1.0, 3)
    with pytest.raises(ValueError, match="initial fields of shape"):
        solver.solve(fields[0], 1.0, 3)


def test_grids_and_boundaries_must_fit():
    with pytest.raises(ValueError, match="no period.*does not fit boundary='periodic'"):
        FiniteVolumeAdvection(Grid.cells((16,), (1.0,)), 1.0)
    with pytest.raises(ValueError, match="the period 1.0, which does not fit"):
        FiniteVolumeBurgers(periodic_cells(16), boundary="outflow")
    with pytest.raises(ValueError, match="knows the boundaries periodic, outflow, dirichlet"):
        FiniteVolumeBurgers(Grid.cells((16,), (1.0,)), boundary="open")
    with pytest.raises(ValueError, match="one axis"):
        Compressible(Grid.cells((8, 8), (1.0, 1.0)), boundary="outflow")
    with pytest.raises(ValueError, match="equal cells"):
        Compressible(Grid(("x",), (np.array([0.0, 1.0, 3.0, 4.0, 5.0]),), (None,)), boundary="outflow")
    with pytest.raises(ValueError, match="mc, van_leer, minmod"):
        FiniteVolumeAdvection(periodic_cells(16), 1.0, limit="superbee")
    with pytest.raises(ValueError, match="nu must be >= 0"):
        FiniteVolumeBurgers(periodic_cells(16), -0.1)
    with pytest.raises(ValueError, match="gamma > 1"):
        Compressible(periodic_cells(16), gamma=1.0)
    with pytest.raises(ValueError, match="eta has values for 3 samples and zeta for 2"):
        Compressible(periodic_cells(16), eta=torch.ones(3), zeta=torch.ones(2))
    with pytest.raises(ValueError, match=r"eta as a number or a tensor of shape \(B,\); got \(3,\)"):
        Compressible(periodic_cells(16), eta=(3,), zeta=(2,))
    with pytest.raises(ValueError, match="zeta as a number or a tensor .* got shape"):
        Compressible(periodic_cells(16), zeta=torch.ones(2, 2))
    with pytest.raises(ValueError, match="'kinematic' or 'dynamic'"):
        Compressible(periodic_cells(16), viscosity="shear")
