"""Poisson's equation with random right-hand sides."""

from dataclasses import dataclass

import torch

from ...physics.elliptic.poisson import Poisson
from ...physics.grid import Grid
from ...physics.random_fields_neumann import NeumannRandomField
from .base import STEADY, Axes, Generator, Variable, space


@dataclass(frozen=True)
class PoissonGenerator(Generator):
    """u with Lap u = f on the unit square, u = 0 on its rim, for a Gaussian random f; DiffusionPDE's Poisson set.

    Arguments:
        points: nodes of an axis >= 4, those on the rim included.
        alpha, tau: of the law of f, see `NeumannRandomField`.

    Raises:
        ValueError: a number is out of range.
    """

    points: int = 64
    alpha: float = 2.0
    tau: float = 3.0

    name = "poisson"
    title = "Poisson's equation with random right-hand sides"
    equation = "Lap u = f"
    law = "f Gaussian with covariance tau^(2 alpha - 2) (-Lap + tau^2)^(-alpha), zero slope on the rim, mean 0"
    boundary = "u = 0 on the outermost nodes"
    solver = "five points on nodes (order 2), solved exactly by sine transforms, float64"
    least = {"points": 4}

    @property
    def grid(self) -> Grid:
        """Nodes, the rim included."""
        return Grid.nodes((self.points, self.points), (1.0, 1.0), ("y", "x"))

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Right-hand side and solution."""
        dims = ("time", "y", "x")
        return Variable("f", dims, "right-hand side"), Variable("u", dims, "solution")

    @property
    def axes(self) -> Axes:
        """Positions, and one time."""
        return STEADY | space(self.grid)

    def solve(self, seed: int, samples: range, refine: int) -> dict:
        """f and u with shape (B, 1, Y, X)."""
        law = NeumannRandomField(self.alpha, self.tau)
        y, x = (torch.from_numpy(c) for c in self.grid.coordinates)
        f = law.evaluate(law.coefficients(seed, samples), y, x)[:, None]
        return {"f": f, "u": self.equation_on(self.grid).solve(f)}

    def equation_on(self, grid: Grid) -> Poisson:
        """The equation with its discretisation."""
        return Poisson(grid, points="nodes")
