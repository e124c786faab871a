"""Derivatives. Truths: polynomials that stencils take exactly, sines with their orders, solid-body flow."""

import math

import numpy as np
import pytest
import torch

from sciml_diffusion.physics.derivatives import Derivatives
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.sphere import Sphere

F64 = torch.float64
KINDS = ["periodic", "nodes", "uneven"]


def axis(kind: str, n: int, decreasing: bool = False) -> Grid:
    """An axis x of length 2: periodic, with ends, or with ends and spacings that vary by a factor of 4."""
    if kind == "periodic":
        grid = Grid.periodic((n,), (2.0,))
    elif kind == "nodes":
        grid = Grid.nodes((n,), (2.0,))
    else:
        q = np.linspace(0, 1, n)
        grid = Grid(("x",), (2 * q + 0.19 * np.sin(2 * math.pi * q),), (None,))
    return Grid(grid.dims, (grid.coordinates[0][::-1],), grid.periods) if decreasing else grid


def positions(grid: Grid, dim: str = "x") -> torch.Tensor:
    return torch.from_numpy(grid.coordinates[grid.dims.index(dim)].copy())


def slope(sizes, errors) -> float:
    return -np.polyfit(np.log(sizes), np.log(errors), 1)[0]


@pytest.mark.parametrize("decreasing", [False, True])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("kind", "scheme", "expected"), [
    ("periodic", "fd2", 2), ("periodic", "fd4", 4), ("nodes", "fd2", 2), ("nodes", "fd4", 2), ("uneven", "fd2", 2),
    ("uneven", "fd4", 2),
])  # fmt: skip
def test_orders_on_a_sine(kind, scheme, expected, order, decreasing):
    """Largest error of sin(pi x + 1) against resolution; order 2 everywhere with ends, where the edges decide."""
    sizes, errors = (32, 64, 128), []
    for n in sizes:
        grid = axis(kind, n, decreasing)
        phase = math.pi * positions(grid) + 1
        exact = math.pi * phase.cos() if order == 1 else -(math.pi**2) * phase.sin()
        errors.append(float((Derivatives(grid, scheme).along(phase.sin(), "x", order) - exact).abs().max()))
    assert slope(sizes, errors) > expected - 0.1
    assert kind != "periodic" or slope(sizes, errors) < expected + 0.1


@pytest.mark.parametrize("kind", ["nodes", "uneven"])
@pytest.mark.parametrize("order", [1, 2])
def test_stencils_are_exact_on_polynomials(kind, order):
    """fd2 takes degree order + 1 exactly at every point, ends included; 1e-10 is rounding over h^2."""
    grid = axis(kind, 20)
    x, p = positions(grid), order + 1
    exact = p * x ** (p - 1) if order == 1 else p * (p - 1) * x ** (p - 2)
    assert (Derivatives(grid, "fd2").along(x**p, "x", order) - exact).abs().max() < 1e-10


@pytest.mark.parametrize("n", [16, 17])
@pytest.mark.parametrize("decreasing", [False, True])
def test_spectral_derivatives_are_exact_below_nyquist(n, decreasing):
    """exp(2 pi i m x / L) for all m < n / 2 and orders 1 to 4, to rounding times k^order."""
    grid = axis("periodic", n, decreasing)
    x, derivatives = positions(grid), Derivatives(grid, "spectral")
    for m in range((n - 1) // 2 + 1):
        k = math.pi * m
        for order, exact in enumerate([k * (k * x).cos(), -(k**2) * (k * x).sin(), -(k**3) * (k * x).cos()], start=1):
            assert (derivatives.along((k * x).sin(), "x", order) - exact).abs().max() < 1e-13 * (1 + k) ** 3 * n


def test_nyquist_has_no_odd_derivative_and_a_second_one():
    """(-1)^j: zero slope, and second derivative -(pi / h)^2; the central second difference has -4 / h^2, not 0."""
    grid, h = axis("periodic", 16), 2 / 16
    u = torch.tensor([1.0, -1.0] * 8, dtype=F64)
    spectral = Derivatives(grid, "spectral")
    assert spectral.along(u, "x").abs().max() < 1e-12
    assert (spectral.along(u, "x", 2) + (math.pi / h) ** 2 * u).abs().max() < 1e-9
    assert (Derivatives(grid, "fd2").along(u, "x", 2) + 4 / h**2 * u).abs().max() < 1e-9


def test_constants_have_no_derivative_whatever_their_size():
    """Sums of differences: exactly 0 in float32 at 1e5, also beside ends and for order 4."""
    u = torch.full((3, 40), 1.0e5)
    for kind, scheme in (("periodic", "fd4"), ("nodes", "fd2"), ("uneven", "fd2")):
        derivatives = Derivatives(axis(kind, 40), scheme)
        assert derivatives.along(u, "x").abs().max() == 0 and derivatives.along(u, "x", 2).abs().max() == 0


@pytest.mark.parametrize(("edge", "wave"), [("even", torch.cos), ("odd", torch.sin)])
@pytest.mark.parametrize("scheme", ["fd2", "fd4"])
def test_mirrored_edges_keep_the_order_of_the_inside(edge, wave, scheme):
    """Cells between walls at 0 and 1: cos(2 pi x) has no slope there, sin(2 pi x) no value."""
    sizes, errors = (32, 64, 128), []
    for n in sizes:
        grid = Grid.cells((n,), (1.0,))
        x = 2 * math.pi * positions(grid)
        found = Derivatives(grid, scheme, {"x": edge}).along(wave(x), "x", 2)
        errors.append(float((found + (2 * math.pi) ** 2 * wave(x)).abs().max()))
    assert abs(slope(sizes, errors) - int(scheme[-1])) < 0.1


def test_axes_are_found_by_name_and_leading_dims_are_free():
    """u = x^2 y on ("y", "x") and ("x", "y") grids; exact for fd2, to rounding."""
    for dims in (("y", "x"), ("x", "y")):
        grid = Grid.nodes((6, 9), (1.0, 2.0), dims)
        x, y = torch.meshgrid(*map(torch.from_numpy, grid.coordinates), indexing="ij")
        x, y = (x, y) if dims == ("x", "y") else (y, x)
        derivatives = Derivatives(grid)
        u = (x**2 * y).expand(2, 3, 4, 6, 9)
        assert (derivatives.along(u, "x") - 2 * x * y).abs().max() < 1e-12
        assert (derivatives.along(u, "y") - x**2).abs().max() < 1e-12
        assert (derivatives.laplacian(u) - 2 * y).abs().max() < 1e-12
        assert (derivatives.divergence({"x": u, "y": 2 * u}) - 2 * x * y - 2 * x**2).abs().max() < 1e-12


@pytest.mark.parametrize("scheme", ["fd2", "fd4", "spectral"])
def test_symbols_are_the_eigenvalues(scheme):
    """Derivative of random fields against the symbol in Fourier space; and the inverse Laplacian inverts; rounding."""
    grid = Grid.periodic((12, 15), (1.0, 3.0), ("y", "x"))
    derivatives = Derivatives(grid, scheme)
    u = torch.randn(2, 12, 15, generator=torch.Generator().manual_seed(0), dtype=F64)
    for order in (1, 2):
        modes = torch.fft.rfft(u) * derivatives.symbol("x", order)
        assert (derivatives.along(u, "x", order) - torch.fft.irfft(modes, n=15)).abs().max() < 1e-10
        modes = torch.fft.fft(u, dim=1) * derivatives.symbol("y", order, full=True)[:, None]
        assert (derivatives.along(u, "y", order) - torch.fft.ifft(modes, dim=1).real).abs().max() < 1e-10
    psi = derivatives.inverse_laplacian(u)
    assert (derivatives.laplacian(psi) - u + u.mean((1, 2), keepdim=True)).abs().max() < 1e-10
    assert psi.mean((1, 2)).abs().max() < 1e-12


def test_coordinates_rounded_to_float32_are_even():
    """Cell centres stored in float32 give the weights of exact ones: else errors of 1e-3 in a second derivative."""
    exact = Grid.cells((512,), (1.0,))
    rounded = Grid(("x",), (exact.coordinates[0].astype(np.float32),), (None,))
    u = (7 * positions(exact)).sin()
    difference = Derivatives(rounded).along(u, "x", 2) - Derivatives(exact).along(u, "x", 2)
    assert difference.abs().max() < 1e-4


def test_gradient_is_the_transpose():
    """<D u, w> = <u, D^T w>, D^T by autograd; jvp is D itself; to rounding."""
    derivatives = Derivatives(axis("uneven", 12), "fd4")
    g = torch.Generator().manual_seed(1)
    u, w = (torch.randn(2, 12, generator=g, dtype=F64) for _ in range(2))
    u.requires_grad_()
    (gradient,) = torch.autograd.grad((derivatives.along(u, "x", 2) * w).sum(), u)
    assert ((gradient * u).sum() - (derivatives.along(u, "x", 2) * w).sum()).abs() < 1e-10
    tangent = torch.func.jvp(lambda a: derivatives.along(a, "x", 2), (u.detach(),), (w,))[1]
    assert (tangent - derivatives.along(w, "x", 2)).abs().max() < 1e-10


@pytest.mark.parametrize("scheme", ["fd2", "spectral"])
def test_weights_kept_from_inference_or_a_transform_serve_gradients(scheme):
    """First used in inference mode or under jvp, then with autograd: the same values, bit for bit, and a gradient."""
    u = torch.randn(2, 16, generator=torch.Generator().manual_seed(2), dtype=F64)
    for first in (lambda f: torch.inference_mode()(f)(u), lambda f: torch.func.jvp(f, (u,), (u,))[0]):
        derivatives = Derivatives(axis("periodic", 16), scheme)

        def f(a, derivatives=derivatives):
            return derivatives.along(a, "x") + derivatives.inverse_laplacian(a)

        before, leaf = first(f), u.clone().requires_grad_()
        after = f(leaf)
        after.square().sum().backward()
        assert torch.equal(before, after.detach()) and leaf.grad.isfinite().all()


def globe(rows: int, decreasing: bool, order=("latitude", "longitude")) -> Grid:
    latitude = np.linspace(-90, 90, rows)
    axes = {"latitude": latitude[::-1] if decreasing else latitude, "longitude": np.arange(2 * rows) * (180 / rows)}
    periods = {"latitude": None, "longitude": 360.0}
    return Grid(order, tuple(axes[d] for d in order), tuple(periods[d] for d in order))


@pytest.mark.parametrize("decreasing", [False, True])
@pytest.mark.parametrize("order", [("latitude", "longitude"), ("longitude", "latitude")])
def test_sphere_of_order_two_on_harmonics(decreasing, order):
    """u = a sin(l) cos^2(p), v = a cos(l) cos^2(p), for example u_x = cos(l) cos(p); up to 60 degrees."""
    sizes, errors = (19, 37, 73), []
    for rows in sizes:
        grid = globe(rows, decreasing, order)
        sphere = Sphere(grid, radius=2.0)
        at = torch.meshgrid(*(torch.from_numpy(np.deg2rad(c)) for c in grid.coordinates), indexing="ij")
        lat, lon = (at[order.index(name)] for name in ("latitude", "longitude"))
        c, s = lat.cos(), lat.sin()
        u, v = 2 * lon.sin() * c**2, 2 * lon.cos() * c**2
        pairs = [
            (sphere.dx(u), lon.cos() * c),
            (sphere.dy(u), -2 * lon.sin() * c * s),
            (sphere.divergence(u, v), lon.cos() * (c - 3 * c * s)),
            (sphere.vorticity(u, v), -lon.sin() * (c - 3 * c * s)),
        ]
        inside, dim = sphere.inside(-1, 60.5), order.index("latitude")
        errors.append([float((a - b).index_select(dim, inside).abs().max()) for a, b in pairs])
    for column in np.array(errors).T:
        assert abs(slope([n - 1 for n in sizes], column) - 2) < 0.1


def test_the_solid_earth_turns_without_divergence():
    """u = U cos(p): no divergence, to rounding, and vorticity 2 U sin(p) / a, positive in the north, of order 2."""
    for decreasing in (False, True):
        sphere = Sphere(globe(91, decreasing))
        lat = torch.from_numpy(np.deg2rad(sphere.latitude))[:, None].expand(-1, 182)
        u = 10 * lat.cos()
        assert sphere.divergence(u, torch.zeros_like(u)).abs().max() < 1e-18
        exact = 20 * lat.sin() / sphere.radius
        inside = sphere.inside(-1, 85)
        assert (sphere.vorticity(u, 0 * u) - exact)[inside].abs().max() < 2e-3 * exact.abs().max()
        assert torch.equal(sphere.coriolis(u)[:, 0] > 0, lat[:, 0] > 1e-9)


def test_errors_say_what_is_expected():
    with pytest.raises(ValueError, match="not periodic"):
        Derivatives(Grid.nodes((8,), (1.0,)), "spectral")
    with pytest.raises(ValueError, match="end point out"):
        Derivatives(Grid(("x",), (np.linspace(0, 1, 8),), (1.0,)), "spectral")
    with pytest.raises(ValueError, match="one of"):
        Derivatives(Grid.periodic((8,), (1.0,)), "fd6")
    with pytest.raises(ValueError, match="more than 3 points"):
        Derivatives(Grid.nodes((3,), (1.0,)), "fd4").along(torch.zeros(3), "x")
    with pytest.raises(ValueError, match="edges are"):
        Derivatives(Grid.nodes((8,), (1.0,)), "fd2", {"x": "flat"})
    with pytest.raises(ValueError, match="not among"):
        Derivatives(Grid.periodic((8,), (1.0,))).along(torch.zeros(8), "y")
    with pytest.raises(ValueError, match="edges name"):
        Derivatives(Grid.nodes((8,), (1.0,)), "fd2", {"y": "odd"})
    with pytest.raises(ValueError, match="latitude"):
        Sphere(Grid.nodes((8,), (1.0,)))
    with pytest.raises(ValueError, match="period 360"):
        Sphere(Grid(("latitude", "longitude"), (np.arange(4.0), np.arange(4.0)), (None, 4.0)))
