"""Tracer. Truths: Gaussian puffs, the mass equation M' = S - lambda M, differences."""

import math

import pytest
import torch
from physics.closed_forms_smoke_tracer import centres, gaussian_means, observed_order, puff

from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.physics.tracer import Tracer
from sciml_diffusion.physics.wind import PiecewiseLinear

WIND = (0.5, 0.8)


def torus(n: int) -> Grid:
    return Grid(("y", "x"), *zip(*[(c, 1.0) for c in Grid.cells((n, n), (1.0, 1.0)).coordinates], strict=True))


def uniform(n: int) -> torch.Tensor:
    return torch.tensor(WIND, dtype=torch.float64)[None, :, None, None].expand(1, 2, n, n)


def random_fields(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def swirl(grid: Grid) -> torch.Tensor:
    """A wind without divergence on the unit torus, (1, 2, Y, X)."""
    y, x = (2 * math.pi * c for c in centres(grid))
    return torch.stack([x.sin() * y.cos() + 0.3, -x.cos() * y.sin()])[None]


def puff_error(n: int, decay: float = 0.0) -> float:
    grid, k, duration = torus(n), 2e-3, 0.5
    u0 = puff(grid, (0.3, 0.4), WIND, 0.1, k, 0.0)[None]
    c = Tracer(grid, uniform(n), k, decay).solve(u0, duration, 2, 5 * n // 4)[0, 0, -1]
    exact = math.exp(-decay * duration) * puff(grid, (0.3, 0.4), WIND, 0.1, k, duration)[0]
    return float((c - exact).abs().mean())


def test_puff_in_uniform_wind_is_of_second_order():
    """L1 error against the exact Gaussian; the limiter flattens extrema, which L1 hardly sees."""
    sizes = [32, 64, 128]
    errors = [puff_error(n, 0.7) for n in sizes]
    assert abs(observed_order(sizes, errors) - 2) < 0.25, errors
    assert errors[-1] < 4e-3  # of a mean of 0.7


def test_puff_between_open_ends_leaves_the_box():
    """In one dimension with open ends: the exact puff while inside, nothing once the wind has carried it out."""
    grid = Grid.cells((200,), (1.0,), ("x",))
    tracer = Tracer(grid, torch.ones(1, 1, 200, dtype=torch.float64), 1e-3)
    u0 = puff(grid, (0.3,), (1.0,), 0.05, 1e-3, 0.0)[None]
    c = tracer.solve(u0, 1.2, 5)[0, 0]
    exact = puff(grid, (0.3,), (1.0,), 0.05, 1e-3, 0.3)[0]
    assert (c[1] - exact).abs().mean() < 0.01  # second-order error at 200 cells, mean 1
    assert c.sum(-1).diff().max() <= 1e-12 and c[-1].abs().max() < 1e-6


def test_mass_with_source_and_decay_is_exact():
    """M(t) = M_0 e^{-lambda t} + S (1 - e^{-lambda t}) / lambda on a torus in a swirling wind, to rounding."""
    grid, decay = torus(24), torch.tensor([0.0, 0.9], dtype=torch.float64)
    source = random_fields(2, 24, 24).abs()
    u0 = random_fields(2, 1, 24, 24, seed=1).abs()
    c = Tracer(grid, swirl(grid), 1e-3, decay, source).solve(u0, 1.0, 5)
    time = torch.linspace(0, 1, 5, dtype=torch.float64)
    grown = torch.stack([time, -torch.expm1(-decay[1] * time) / decay[1]])
    mass = u0.sum((1, 2, 3))[:, None] * (-decay[:, None] * time).exp() + source.sum((1, 2))[:, None] * grown
    assert (c.sum((1, 3, 4)) / mass - 1).abs().max() < 1e-13  # 128 steps of rounding
    assert c.min() >= 0


def test_rate_that_grows_linearly_gives_its_integral():
    """Without decay M = S t^2 / 2 for a rate r = t: the middle of each half step is exact for linear rates."""
    grid, source = torus(16), random_fields(1, 16, 16).abs()
    tracer = Tracer(grid, uniform(16), 1e-3, source=lambda time: time * source)
    c = tracer.solve(torch.zeros(1, 1, 16, 16, dtype=torch.float64), 2.0, 3)
    assert abs(c[0, 0, -1].sum() / (2 * source.sum()) - 1) < 1e-13


def test_inflow_fills_the_box_and_uniform_air_stays_uniform():
    """c = inflow everywhere is a steady state between open ends; an empty box fills up to it."""
    grid = Grid.cells((30,), (1.0,), ("x",))
    tracer = Tracer(grid, torch.ones(1, 1, 30, dtype=torch.float64), 1e-3, inflow=torch.tensor([2.0, 3.0]).double())
    u0 = torch.tensor([2.0, 3.0], dtype=torch.float64)[:, None, None].expand(2, 1, 30)
    assert (tracer.solve(u0, 1.0, 3) - u0[:, :, None]).abs().max() < 1e-13
    filled = tracer.solve(0 * u0, 3.0, 2)[:, :, -1]
    assert (filled / u0 - 1).abs().max() < 1e-3  # numerical diffusion of the front has left after three crossings


def test_wind_in_time_carries_the_puff_by_its_integral():
    """w(t) = 2 t on [0, 1] moves the puff by 1; the same wind as a function of time and on faces gives the same."""
    grid = Grid(("x",), Grid.cells((128,), (1.0,)).coordinates, (1.0,))
    values = torch.tensor([0.0, 2.0], dtype=torch.float64)[None, None, :, None].expand(1, 1, 2, 128)
    u0 = gaussian_means(grid, (0.5,), 0.1)[None]
    given = Tracer(grid, PiecewiseLinear(values, (0.0, 1.0))).solve(u0, 1.0, 2, 512)
    assert (given[0, 0, -1] - u0[0, 0]).abs().mean() < 0.01  # second-order error at 128 cells, mean 1
    faces = torch.full((1, 129), 2.0, dtype=torch.float64)
    function = Tracer(grid, lambda time: (time * faces,), max_speed=2.0 * 128).solve(u0, 1.0, 2, 512)
    assert (function - given).abs().max() < 1e-12


def test_axes_are_looked_up_in_the_order_of_the_grid():
    """The same case with dims (x, y) is the transpose."""
    n = 24
    grid = torus(n)
    u0 = puff(grid, (0.3, 0.5), WIND, 0.1, 0.0, 0.0)[None]
    one = Tracer(grid, uniform(n), 1e-3).solve(u0, 0.3, 2)
    swapped = Grid(("x", "y"), grid.coordinates, grid.periods)
    other = Tracer(swapped, uniform(n).flip(1), 1e-3).solve(u0.mT, 0.3, 2)
    assert (one.mT - other).abs().max() < 1e-14


def test_rhs_is_the_rate_of_the_solver():
    """(c(dt) - c(0)) / dt -> rhs with dt."""
    grid = torus(24)
    tracer = Tracer(grid, swirl(grid), 1e-3, 0.5, random_fields(1, 24, 24))
    u0 = 1 + gaussian_means(grid, (0.4, 0.6), 0.15)[None]
    difference = (tracer.solve(u0, 1e-6, 2, 1)[:, :, 1] - u0) / 1e-6
    assert (difference - tracer.rhs(u0)).abs().max() < 1e-3  # first order in dt, with a second derivative of about 200


def test_gradients_agree_with_finite_differences():
    """In the initial field, the sources and the wind; a central difference of 1e-7 errs by about 1e-8 of its value.

    No face of this wind is still: where air stands, the upwind side changes and there is no derivative.
    """
    grid = torus(12)
    puffs = [gaussian_means(grid, centre, 0.2) for centre in ((0.41, 0.57), (0.23, 0.34))]
    inputs = [1 + puffs[0][None], puffs[1], swirl(grid) + 0.1]
    weight = random_fields(1, 1, 4, 12, 12, seed=2)

    def value(u0, source, wind):
        tracer = Tracer(
            grid, PiecewiseLinear(wind[:, :, None] * torch.ones(2)[:, None, None], (0.0, 1.0)), 5e-3, 0.3, source
        )
        return (weight * tracer.solve(u0, 0.4, 4, 8)).sum()

    leaves = [i.clone().requires_grad_() for i in inputs]
    gradients = torch.autograd.grad(value(*leaves), leaves)
    for k, gradient in enumerate(gradients):
        direction = random_fields(*inputs[k].shape, seed=3 + k)
        with torch.no_grad():
            ends = [value(*(i + s * 1e-7 * direction if j == k else i for j, i in enumerate(inputs))) for s in (1, -1)]
        difference = (ends[0] - ends[1]) / 2e-7
        assert abs((gradient * direction).sum() - difference) < 1e-6 * abs(difference)


def test_without_limiter_the_tracer_is_linear():
    """F(a u + b v) = a F(u) + b F(v) with sources alike; to rounding."""
    grid, (u, v), (r, s) = torus(16), random_fields(2, 1, 1, 16, 16), random_fields(2, 1, 16, 16, seed=1)

    def solve(u0, source):
        return Tracer(grid, swirl(grid), 1e-3, 0.2, source, limited=False).solve(u0, 0.5, 3, 16)

    assert (solve(2 * u - v, 2 * r - s) - 2 * solve(u, r) + solve(v, s)).abs().max() < 1e-12


def test_samples_do_not_depend_on_their_batch():
    grid = torus(16)
    u0, source, decay = random_fields(3, 1, 16, 16).abs(), random_fields(3, 16, 16).abs(), random_fields(3).abs()
    together = Tracer(grid, swirl(grid), 1e-3, decay, source).solve(u0, 0.3, 3, 16)
    alone = Tracer(grid, swirl(grid), 1e-3, decay[1:2], source[1:2]).solve(u0[1:2], 0.3, 3, 16)
    assert (together[1:2] - alone).abs().max() < 1e-14


def test_errors_name_what_was_expected():
    grid = torus(16)
    with pytest.raises(ValueError, match=r"wind at centres needs shape \(B \| 1, 2, 16, 16\)"):
        Tracer(grid, torch.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match="K must be >= 0"):
        Tracer(grid, uniform(16), -1.0)
    with pytest.raises(ValueError, match="max_speed"):
        Tracer(grid, lambda time: uniform(16))
    with pytest.raises(ValueError, match="source needs shape"):
        Tracer(grid, uniform(16), source=torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match="equispaced"):
        Tracer(Grid(("x",), (torch.linspace(0, 1, 9).numpy() ** 2,), (None,)), torch.zeros(1, 1, 9))
    with pytest.raises(ValueError, match="increasing times"):
        PiecewiseLinear(torch.zeros(1, 2, 2, 4, 4), (1.0, 0.0))
    with pytest.raises(ValueError, match=r"stability limit .* use substeps >="):
        Tracer(grid, uniform(16)).solve(torch.zeros(1, 1, 16, 16), 1.0, 2, 1)
