"""Darcy flow through random coefficients."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...physics.elliptic.darcy import FACES, Darcy
from ...physics.grid import Grid
from ...physics.random_fields_bumps import BumpField
from ...physics.random_fields_neumann import NeumannRandomField, two_phase
from .base import STEADY, Axes, Generator, Variable, space

LAWS = ("two-phase", "lognormal", "bumps")


@dataclass(frozen=True)
class DarcyGenerator(Generator):
    """u with -div(a grad u) = f on the unit square, u = 0 on its rim, for a random coefficient a.

    Arguments:
        points: cells of an axis, >= 4.
        coefficient: "two-phase" (12 or 3 by the sign of a Gaussian field) or "lognormal" (its exponential), as FNO and
            DiffusionPDE have them; "bumps" (1 or 0.1 by a sum of 5 bumps), as PDEBench has it.
        f: right-hand side; PDEBench calls it beta.
        faces: mean of a on the faces, "harmonic" (exact for layers) or "arithmetic" (as PDEBench).

    Raises:
        ValueError: a number is out of range, or a word is not one of these.
    """

    points: int = 64
    coefficient: str = "two-phase"
    f: float = 1.0
    faces: str = "harmonic"

    name = "darcy"
    title = "Darcy flow through random coefficients"
    equation = "-div(a grad u) = f"
    law = (
        "two-phase: a = 12 where g >= 0, else 3; lognormal: a = exp(g); g Gaussian with covariance 9 (-Lap + 9)^(-2), "
        "zero slope on the rim, mean 0; bumps: a = 1 where a sum of 5 Gaussian bumps exceeds its mean, else 0.1"
    )
    boundary = "u = 0 on the rim, half a cell outside the outermost cells"
    solver = "finite volumes, five points (order 2 where a is smooth), solved directly or to 1e-10, float64"
    least = {"points": 4}
    choices = {"coefficient": tuple(LAWS), "faces": tuple(FACES)}

    @property
    def grid(self) -> Grid:
        """Cell centres."""
        return Grid.cells((self.points, self.points), (1.0, 1.0), ("y", "x"))

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Coefficient and solution."""
        dims = ("time", "y", "x")
        return Variable("a", dims, "coefficient (permeability)"), Variable("u", dims, "solution (pressure)")

    @property
    def axes(self) -> Axes:
        """Positions, and one time."""
        return STEADY | space(self.grid)

    def solve(self, seed: int, samples: range, refine: int) -> dict:
        """a and u with shape (B, 1, Y, X)."""
        a = self._coefficient(seed, samples)[:, None]
        return {"a": a, "u": Darcy(self.grid, self.f, faces=self.faces).solve(a)}

    def _coefficient(self, seed: int, samples: range) -> Tensor:
        """a with shape (B, Y, X)."""
        y, x = (torch.from_numpy(c) for c in self.grid.coordinates)
        if self.coefficient == "bumps":
            law = BumpField()
            return two_phase(law.evaluate(law.draw(seed, samples), y, x), 1.0, 0.1, law.mean)
        law = NeumannRandomField()
        g = law.evaluate(law.coefficients(seed, samples), y, x)
        return two_phase(g) if self.coefficient == "two-phase" else g.exp()
