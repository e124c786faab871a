"""Forced Burgers trajectories between walls, as in WDNO."""

from dataclasses import dataclass

import torch

from ...physics.finite_volume.control_laws import ControlledBurgersLaw, control_times
from ...physics.finite_volume.forced_burgers import ForcedBurgers, interior_grid
from .base import LARGEST, Axes, Generator, Variable, finer, require, space, times


@dataclass(frozen=True)
class BurgersDirichletGenerator(Generator):
    """Solutions of u_t + u u_x = nu u_xx + f with u = 0 at both ends of the unit interval, under random controls f.

    The law and the numbers are those of WDNO's Burgers set. f is constant from each frame to the next; its last frame,
    after the end, is zero and never acts. Points are the inner nodes x_j = (j + 1) / (X + 1).

    Arguments:
        points, frames: X >= 3 inner nodes and T >= 2 times that are kept.
        nu: viscosity > 0.
        duration: last time > 0.
        refinement: r >= 1; the solver has r (X + 1) - 1 nodes, which must be closer than 2 nu / max |u|.

    Raises:
        ValueError: a number is out of range.
    """

    points: int = 120
    frames: int = 81
    nu: float = 0.01
    duration: float = 8.0
    refinement: int = 2

    name = "burgers-dirichlet"
    title = "Burgers trajectories between walls under random controls"
    equation = "u_t + u u_x = nu u_xx + f"
    law = "WDNO's: u_0 is the sum of two Gaussian bumps, f that of up to eight in space and time"
    boundary = "u = 0 at x = 0 and x = 1"
    solver = "nodes, energy-conserving centred flux, ETDRK4 in the sine modes (order 2 in space, 4 in time), float64"
    block = 32
    largest = LARGEST[1]
    least = {"points": 3, "frames": 2, "refinement": 1}
    above_zero = ("nu", "duration")

    def __post_init__(self):
        super().__post_init__()
        finest = self.refinement * (self.points + 1)
        require({f"refinement x (points + 1) <= {self.largest}": (finest, finest <= self.largest)})

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Velocity and control."""
        dims = ("time", "x")
        return Variable("u", dims, "velocity"), Variable("f", dims, "force, held from its time to the next")

    @property
    def axes(self) -> Axes:
        """Times and inner nodes."""
        return times(self.duration, self.frames) | space(interior_grid(self.points))

    @property
    def facts(self) -> dict:
        """Nodes of the solver."""
        nodes = self.refinement * (self.points + 1) - 1
        return {"solver_points": nodes, "solver_step": "each sample's own, 0.8 of its limit"}

    def solve(self, seed: int, samples: range, refine: int) -> dict:
        """u and f with shape (B, T, X)."""
        law, grid = ControlledBurgersLaw(), interior_grid(self.facts["solver_points"])
        x, kept = torch.from_numpy(grid.coordinates[0]), slice(self.refinement - 1, None, self.refinement)
        initial, control = law.coefficients(seed, samples)
        f = law.control(control, x, control_times(self.frames - 1))
        solver = finer(ForcedBurgers(grid, self.nu, f, self.duration / (self.frames - 1)), refine)
        u = solver.solve(law.initial(initial, x)[:, None], self.duration, self.frames)[:, 0]
        return {"u": u[:, :, kept], "f": torch.nn.functional.pad(f[:, :, kept], (0, 0, 0, 1))}
