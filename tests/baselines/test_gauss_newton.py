"""Gauss-Newton and Laplace. Truths: the posterior of a linear model, stationarity, and chi-square of the fit."""

import torch

from sciml_diffusion.baselines.gauss_newton import GaussNewton, burgers_forward
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Matrix
from sciml_diffusion.physics.random_fields import PeriodicRandomField
from sciml_diffusion.samplers.streams import MemberStreams

P, D, M = 3, 5, 4


def linear_problem():
    """f(xi) = xi F, y = A f + noise: Hessian (A F)^T R^-1 (A F) + 1 and its minimiser."""
    g = torch.Generator().manual_seed(0)
    factor, a = (torch.randn(*s, generator=g, dtype=torch.float64) for s in [(P, D), (M, D)])
    std, y = torch.tensor([0.2, 0.3, 0.5, 0.1]).double(), torch.randn(2, M, generator=g, dtype=torch.float64)
    jacobian = (factor @ a.T / std).T
    hessian = jacobian.T @ jacobian + torch.eye(P, dtype=torch.float64)
    xi = (y / std) @ jacobian @ hessian.inverse()
    solver = GaussNewton(lambda p: p @ factor, P, tolerance=1e-12)
    return solver, Observation(Matrix(a, (D,)), y, std), factor, xi, hessian


def test_linear_model_gives_the_gaussian_posterior():
    """Minimiser and Hessian in closed form; the damped steps leave 1e-6 of the distance."""
    solver, observation, _, xi, hessian = linear_problem()
    found, curvature, _ = solver.solve(observation)
    assert (found - xi).abs().max() < 1e-5
    assert (curvature - hessian).abs().max() < 1e-12


def test_members_have_the_laplace_moments():
    """20000 draws pushed through the linear model: standard errors of 0.7 % and 1 %; 5 are allowed."""
    solver, observation, factor, xi, hessian = linear_problem()
    streams = MemberStreams(0, range(2), range(20000), torch.float64)
    ensemble = solver.posterior(observation, streams)
    covariance = factor.T @ hessian.inverse() @ factor
    scale = covariance.diagonal().sqrt()
    assert (((ensemble.mean - xi @ factor) / scale).abs() < 0.035).all()
    assert ((ensemble.x[0].T.cov() - covariance).abs() < 0.05 * scale * scale[:, None]).all()
    assert (ensemble.diagnostics["map"] - xi @ factor).abs().max() < 1e-4


def test_steps_into_values_that_are_not_finite_are_taken_back():
    """f = log(xi - 1) is not a number at the prior's mean, where the first step leads; J is convex where it exists."""
    solver = GaussNewton(lambda p: (p - 1).log(), 1, tolerance=1e-12)
    one = torch.ones(1, 1, dtype=torch.float64)
    xi, _, objective = solver.solve(Observation(Matrix(one, (1,)), 0 * one, one[0]), 20 * one)
    x = torch.linspace(1.001, 3, 200001, dtype=torch.float64)
    values = 0.5 * (x - 1).log() ** 2 + 0.5 * x**2
    assert abs(xi.item() - x[values.argmin()].item()) < 1e-4  # the spacing of the brute-force search, times 10
    assert abs(objective.item() - values.min().item()) < 1e-8


def test_burgers_is_inverted_to_the_level_of_the_noise():
    """Five sensors at all times. A twin of the prior is found: J is near m / 2 (chi-square), and its gradient is 0."""
    points, frames, modes = 32, 17, 6
    forward, law = burgers_forward(points, frames, modes, nu=0.03), PeriodicRandomField()
    twin = law.coefficients(0, range(2))[:, :modes].flatten(1)
    truth = forward(twin)
    sensors = torch.tensor([3, 10, 16, 22, 29])
    index = (points * torch.arange(frames)[:, None] + sensors).flatten()
    matrix = torch.eye(frames * points, dtype=torch.float64)[index]
    operator, std = Matrix(matrix, (1, frames, points)), torch.full((len(index),), 0.002).double()
    noise = torch.randn(2, len(index), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    observation = Observation(operator, operator(truth) + std * noise, std)
    solver = GaussNewton(forward, 2 * modes, tolerance=1e-9)
    xi, _, objective = solver.solve(observation)
    at_twin = -observation.log_likelihood(truth) + 0.5 * (twin**2).sum(-1)
    at_found = -observation.log_likelihood(forward(xi)) + 0.5 * (xi**2).sum(-1)
    assert (at_found <= at_twin).all()
    error = (forward(xi) - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)
    assert (error < 0.15).all()  # the prior's mean errs by 1
    assert ((objective - len(index) / 2).abs() < 5 * (len(index) / 2) ** 0.5).all()  # 5 standard deviations
    slope = xi.clone().requires_grad_()
    (-observation.log_likelihood(forward(slope)) + 0.5 * (slope**2).sum(-1)).sum().backward()
    assert slope.grad.abs().max() < 1e-2  # of slopes that are of order 1e3 at the start


def test_forward_model_starts_from_the_random_field():
    """Frame 0 is the field itself on the points kept; to rounding."""
    law, c = PeriodicRandomField(), PeriodicRandomField().coefficients(2, [0])[:, :8]
    u = burgers_forward(16, 3, modes=8)(c.flatten(1))
    assert u.shape == (1, 1, 3, 16)
    assert (u[:, 0, 0] - law.evaluate(c, torch.arange(16) / 16)).abs().max() < 1e-14
