"""Projections. Truths: the divergence of the metric itself, orthogonality, idempotence, conditional Gaussian means."""

import pytest
import torch

from sciml_diffusion.physics.derivatives import Derivatives
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.projections import DivergenceFree, LinearInvariants, boundary_values, mass_row, positive
from sciml_diffusion.physics.residuals.incompressible import Divergence

F64 = torch.float64
FLOW = {"x": "u", "y": "v"}


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def torus(dims=("y", "x"), sizes=(64, 48)) -> Grid:
    return Grid.periodic(sizes, (1.0, 2.0), dims)


def inner(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a * b).sum())


@pytest.mark.parametrize("dims", [("y", "x"), ("x", "y")])
@pytest.mark.parametrize("scheme", ["spectral", "fd2", "fd4"])
@pytest.mark.parametrize("sizes", [(64, 48), (33, 31)])
def test_divergence_is_zero_in_the_metric_of_the_scheme(scheme, dims, sizes):
    """White noise, whose divergence is above 50: at most 1e-12 is left, in `Divergence` with the same scheme."""
    grid = torus(dims, sizes)
    u = draw(2, 2, 3, *sizes)
    metric = Divergence(grid, FLOW, scheme)
    left = metric(DivergenceFree(grid, FLOW, scheme)(u))["divergence"]
    assert metric(u)["divergence"].abs().max() > 50
    assert left.abs().max() < 1e-12


def test_another_scheme_sees_divergence_left():
    """The spectral projection leaves central differences a divergence above 1: the metric's own must be used."""
    grid = torus()
    smooth = DivergenceFree(grid, FLOW, "spectral")(draw(1, 2, 1, 64, 48))
    assert Divergence(grid, FLOW, "fd2")(smooth)["divergence"].abs().max() > 1


def test_three_dimensions():
    grid = Grid.periodic((8, 10, 9), (1.0, 1.0, 2.0), ("z", "y", "x"))
    velocity = {"x": "u", "y": "v", "z": "w"}
    u = DivergenceFree(grid, velocity, "fd2")(draw(1, 3, 2, 8, 10, 9))
    assert Divergence(grid, velocity, "fd2")(u)["divergence"].abs().max() < 1e-12


@pytest.mark.parametrize("scheme", ["spectral", "fd2"])
def test_divergence_projection_is_orthogonal(scheme):
    """P P = P and <P a, b> = <a, P b>; gradients without Nyquist modes vanish, flows of a stream function and means
    stay; to rounding."""
    grid = torus()
    project, derivatives = DivergenceFree(grid, FLOW, scheme), Derivatives(grid, scheme)
    a, b = draw(1, 2, 1, 64, 48), draw(1, 2, 1, 64, 48, seed=1)
    once = project(a)
    assert (project(once) - once).abs().max() < 1e-13
    assert abs(inner(once, b) - inner(a, project(b))) < 1e-10
    psi = project.keep * torch.fft.rfft2(draw(1, 1, 64, 48))
    psi = torch.fft.irfft2(psi, s=(64, 48))
    along_x, along_y = derivatives.along(psi, "x"), derivatives.along(psi, "y")
    flow = torch.stack([along_y + 0.3, -along_x - 0.2], 1)
    assert (project(flow) - flow).abs().max() < 1e-11
    assert project(torch.stack([along_x, along_y], 1)).abs().max() < 1e-11


def test_other_channels_pass_and_gradients_flow():
    """A scalar between the velocities is bit for bit the same; gradcheck in float64."""
    grid = Grid.periodic((4, 5), (1.0, 1.0), ("y", "x"))
    project = DivergenceFree(grid, FLOW, "fd2", ("u", "smoke", "v"))
    x = draw(1, 3, 2, 4, 5)
    assert torch.equal(project(x)[:, 1], x[:, 1])
    assert Divergence(grid, FLOW)(project(x)[:, [0, 2]])["divergence"].abs().max() < 1e-12
    assert torch.autograd.gradcheck(project, x.requires_grad_())


def test_every_axis_needs_a_velocity():
    with pytest.raises(ValueError, match="one component along each"):
        DivergenceFree(torus(), {"x": "u"})
    with pytest.raises(ValueError, match="not periodic"):
        DivergenceFree(Grid.nodes((8, 8), (1.0, 1.0), ("y", "x")), FLOW)


def test_mass_is_exact_and_the_change_is_the_smallest():
    """Integrals of each frame are as asked, to rounding; any other field with them lies farther away."""
    volumes = draw(6, 7).abs() + 0.1
    project = LinearInvariants(mass_row(volumes, 1, 2))
    u, wanted = draw(3, 2, 4, 6, 7), draw(3, 1, 4, seed=1)
    fixed = project(u, wanted)
    assert ((fixed[:, 1] * volumes).sum((-2, -1)) - wanted[:, 0]).abs().max() < 1e-13
    assert torch.equal(fixed[:, 0], u[:, 0])
    assert (project(fixed, wanted) - fixed).abs().max() < 1e-14
    other = project(draw(3, 2, 4, 6, 7, seed=2), wanted)
    assert abs(inner(fixed - u, other - fixed)) < 1e-11  # right angle: the nearest point


def test_invariants_with_a_variance_are_the_conditional_mean():
    """u + W A^T (A W A^T)^-1 (b - A u) written out with matrices, and self-adjoint in 1 / W; to rounding."""
    rows, variance, u, b = draw(3, 1, 2, 5), draw(1, 2, 5).exp(), draw(4, 1, 2, 5), draw(4, 3)
    project = LinearInvariants(rows, variance)
    a, w = rows.flatten(1), torch.diag(variance.flatten())
    gain = w @ a.T @ torch.linalg.inv(a @ w @ a.T)
    exact = u.flatten(1) + (b - u.flatten(1) @ a.T) @ gain.T
    assert (project(u, b).flatten(1) - exact).abs().max() < 1e-12
    assert (project.values(project(u, b)) - b).abs().max() < 1e-12
    zero, other = torch.zeros(4, 3, dtype=F64), draw(4, 1, 2, 5, seed=3)
    assert abs(inner(project(u, zero), other / variance) - inner(u / variance, project(other, zero))) < 1e-11


def test_dependent_invariants_are_refused():
    row = draw(1, 2, 5)
    with pytest.raises(ValueError, match="depend on each other"):
        LinearInvariants(torch.stack([row, 2 * row]))
    with pytest.raises(ValueError, match="variance"):
        LinearInvariants(row[None], torch.zeros(5, dtype=F64))


def test_positive_fields_keep_their_mass():
    """Nothing below the bound, integrals to rounding, idempotent; positive fields stay bit for bit."""
    volumes = draw(6, 7).abs() + 0.1
    u = draw(3, 2, 4, 6, 7) + 0.5
    fixed = positive(u, volumes)
    assert fixed.min() >= 0
    assert ((fixed - u) * volumes).sum((-2, -1)).abs().max() < 1e-12
    assert (positive(fixed, volumes) - fixed).abs().max() < 1e-14
    assert (positive(u.abs() + 0.1, volumes) - u.abs() - 0.1).abs().max() < 1e-14
    assert positive(u, 1.0, low=-0.2).min() >= -0.2
    with pytest.raises(ValueError, match="less mass"):
        positive(-u.abs())


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_rounding_of_zero_is_no_lack_of_mass(dtype):
    """A frame of -1e-20 beside frames of size 1 is zero; what exceeds 1000 eps of their mass is not."""
    u = draw(1, 1, 3, 6, 7).abs().to(dtype)
    u[:, :, 1] = -1e-20
    fixed = positive(u)
    assert (fixed[:, :, 1] == 0).all() and (fixed[:, :, ::2] - u[:, :, ::2]).abs().max() < 1e-5
    low = u + 1
    low[:, :, 1] = 1 - torch.finfo(dtype).eps / 2
    assert (positive(low, low=1.0)[:, :, 1] == 1).all()
    u[:, :, 1] = -1e4 * torch.finfo(dtype).eps
    with pytest.raises(ValueError, match="less mass"):
        positive(u)


def test_boundary_values_replace_the_ends_alone():
    grid = Grid.nodes((5, 6), (1.0, 1.0), ("y", "x"))
    u = draw(2, 1, 3, 5, 6)
    fixed = boundary_values(u, grid, "x", 0.0, draw(5))
    assert fixed[..., 0].abs().max() == 0 and torch.equal(fixed[1, 0, 2, :, -1], draw(5))
    assert torch.equal(fixed[..., 1:-1], u[..., 1:-1])
    assert torch.equal(boundary_values(u, grid, "y", None, 1.0)[..., :-1, :], u[..., :-1, :])
