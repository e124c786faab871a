"""One-dimensional gas, as in PDEBench."""

from dataclasses import dataclass

import torch

from ...physics.finite_volume.compressible import Compressible
from ...physics.finite_volume.initial_laws import RandomGas, ShockTubes
from ...physics.grid import Grid
from .base import LARGEST, Axes, Generator, Variable, coarse, finer, periodic_cells, space, times

LAWS = {"random": (RandomGas, "periodic"), "shock": (ShockTubes, "outflow")}  # with PDEBench's boundary for each
BOUNDARIES = ("periodic", "outflow", "reflecting")


@dataclass(frozen=True)
class CompressibleGenerator(Generator):
    """The compressible Navier-Stokes equations of an ideal gas on [-1, 1], gamma = 5/3, from PDEBench's initial laws.

    Viscosities are kinematic (they are multiplied by the local density), as in PDEBench's data. Finite volumes on a
    finer grid; kept are means over cells of density, momentum over density, and pressure.

    Arguments:
        points, frames: X >= 4 cells and T >= 2 times that are kept.
        initial: "random" (sums of sines) or "shock" (a jump of each field).
        eta, zeta: shear and bulk viscosity >= 0.
        duration: last time > 0.
        solver_points: a multiple of `points`; PDEBench has 1024.
        boundary: "periodic", "outflow" or "reflecting"; by default that of PDEBench: periodic for random fields,
            outflow for shocks.

    Raises:
        ValueError: a number is out of range, or a word is not one of these.
    """

    points: int = 128
    frames: int = 41
    initial: str = "random"
    eta: float = 1e-8
    zeta: float = 1e-8
    duration: float = 0.4
    solver_points: int = 256
    boundary_kind: str | None = None

    name = "compressible"
    title = "Compressible flow of an ideal gas on a line"
    equation = (
        "rho_t + (rho u)_x = 0, (rho u)_t + (rho u^2 + p - tau)_x = 0, E_t + (u (E + p) - u tau)_x = 0, "
        "E = p / (gamma - 1) + rho u^2 / 2, tau = rho (4/3 eta + zeta) u_x, gamma = 5/3"
    )
    law = "PDEBench's: random sums of 3 sines for each field (random), or a jump of each field (shock)"
    boundary = "as boundary_kind says"
    solver = "finite volumes: MC-limited slopes, HLLC flux, SSPRK3 (order 2 where smooth, 1 at shocks), float64"
    block = 4
    largest = LARGEST[1]
    least = {"points": 4, "frames": 2, "eta": 0, "zeta": 0}
    above_zero = ("duration",)
    choices = {"initial": tuple(LAWS), "boundary_kind": (None, *BOUNDARIES)}

    @property
    def ends(self) -> str:
        """Boundary of this data set."""
        return self.boundary_kind or LAWS[self.initial][1]

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Density, velocity, pressure."""
        dims = ("time", "x")
        return (
            Variable("density", dims, "density, means over cells"),
            Variable("velocity_x", dims, "velocity: mean momentum over mean density"),
            Variable("pressure", dims, "pressure of the mean energy"),
        )

    @property
    def axes(self) -> Axes:
        """Times and cell centres."""
        return times(self.duration, self.frames) | space(self._grid(self.points))

    @property
    def facts(self) -> dict:
        """Boundary and step."""
        return {"boundary": self.ends, "gamma": 5 / 3, "solver_step": "each sample's own, 0.8 of its limit"}

    def solve(self, seed: int, samples: range, refine: int) -> dict:
        """Density, velocity and pressure, each with shape (B, T, X)."""
        law, grid = LAWS[self.initial][0](), self._grid(self.solver_points)
        u0 = law.evaluate(law.coefficients(seed, samples), torch.from_numpy(grid.coordinates[0]))
        equation = Compressible(grid, eta=self.eta, zeta=self.zeta, boundary=self.ends)
        u = finer(equation, refine).solve(u0, self.duration, self.frames).transpose(1, 2)
        flat = equation.start(u.flatten(0, 1))
        means = equation.read(coarse(flat, self.solver_points // self.points)).unflatten(0, u.shape[:2])
        return {v.name: means[:, :, i] for i, v in enumerate(self.variables)}

    def _grid(self, points: int) -> Grid:
        if self.ends == "periodic":
            return periodic_cells(points, 2.0, -1.0)
        return Grid.cells((points,), (2.0,), origin=(-1.0,))
