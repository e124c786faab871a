"""The Helmholtz equation with random right-hand sides."""

from dataclasses import dataclass

from ...physics.elliptic.helmholtz import Helmholtz
from ...physics.grid import Grid
from .poisson import PoissonGenerator


@dataclass(frozen=True)
class HelmholtzGenerator(PoissonGenerator):
    """u with Lap u + k^2 u = f on the unit square, u = 0 on its rim, for a Gaussian random f.

    DiffusionPDE's Helmholtz set with k = 1.

    Arguments:
        points: nodes of an axis >= 4, those on the rim included; ten or more for each wavelength 2 pi / k.
        alpha, tau: of the law of f, see `NeumannRandomField`.
        k: wavenumber > 0, in radians for each unit of length.

    Raises:
        ValueError: a number is out of range; k^2 is an eigenvalue of -Lap (resonance).
    """

    k: float = 1.0

    name = "helmholtz"
    title = "The Helmholtz equation with random right-hand sides"
    equation = "Lap u + k^2 u = f"
    above_zero = ("k",)

    def equation_on(self, grid: Grid) -> Helmholtz:
        """The equation with its discretisation."""
        return Helmholtz(grid, self.k, points="nodes")
