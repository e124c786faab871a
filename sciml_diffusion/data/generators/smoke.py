"""Smoke among obstacles under random controls, as in WDNO."""

from dataclasses import dataclass
from functools import cached_property

from ...physics.smoke.scene import WDNO_TARGET, wdno_scene
from ...physics.smoke.solver import Smoke
from ...physics.smoke.wdno import DURATION, wdno_control, wdno_smoke
from .base import Axes, Generator, Variable, finer, space, times


@dataclass(frozen=True)
class SmokeGenerator(Generator):
    """Smoke in WDNO's box of obstacles with seven exits, led towards one of them by velocities in the rim.

    Time runs to 256 steps of WDNO's solver and the box has the length 128, its points. The control is held from each
    frame to the next. `smoke` is the share of all smoke that has left through the target, the second exit.

    Arguments:
        points: cells of an axis, >= 32.
        frames: T >= 2 times that are kept; WDNO has 33.
        inertia: whether the flow carries its own velocity along; in WDNO's data only the control moves the air.

    Raises:
        ValueError: a number is out of range.
    """

    points: int = 64
    frames: int = 33
    inertia: bool = False

    name = "smoke"
    title = "Smoke among obstacles under random controls"
    equation = "d_t + div(w d) = 0, div w = 0, w = control in the rim; with inertia: w_t + (w . grad) w = -grad p"
    law = "WDNO's: a square of smoke above the lower wall; in the rim noisy velocities along a path to the target exit"
    boundary = "box with open sides, obstacles inside, exits that take smoke out"
    solver = "staggered grid, exact projection, smoke in flux form (order 2 where smooth), float64"
    block = 2
    least = {"points": 32, "frames": 2}

    @cached_property
    def equation_on_grid(self) -> Smoke:
        """The equation with its discretisation."""
        return Smoke(wdno_scene(self.points), momentum="maccormack" if self.inertia else None)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Smoke, velocity, control, the share in the target, obstacles."""
        dims = ("time", "y", "x")
        return (
            Variable("density", dims, "density of the smoke"),
            Variable("velocity_x", dims, "velocity along x"),
            Variable("velocity_y", dims, "velocity along y"),
            Variable("control_x", dims, "velocity given to the rim along x, held from its time to the next"),
            Variable("control_y", dims, "velocity given to the rim along y, held from its time to the next"),
            Variable("smoke", ("time",), "share of the smoke that has left through the target exit"),
            Variable("solid", ("y", "x"), "1 in obstacles", shared=True),
        )

    @property
    def axes(self) -> Axes:
        """Times and cell centres."""
        return times(DURATION, self.frames) | space(self.equation_on_grid.grid)

    @property
    def facts(self) -> dict:
        """Step of the solver."""
        return {"solver_step": "air crosses at most 2 cells in a step of its block of samples"}

    def solve(self, seed: int, samples: range, refine: int) -> dict:
        """Fields and controls (B, T, Y, X), share (B, T), obstacles (Y, X)."""
        scene = self.equation_on_grid.scene
        control = wdno_control(scene, seed, samples, self.frames)
        solver = finer(self.equation_on_grid.with_control(control), refine)
        u, left = solver.solve_with_exits(wdno_smoke(scene, seed, samples), DURATION, self.frames)
        inside = u[:, 0].sum((-2, -1)) * scene.spacings[0] * scene.spacings[1]
        return {
            "density": u[:, 0],
            "velocity_x": u[:, 2],
            "velocity_y": u[:, 1],
            "control_x": control.values[:, 1],
            "control_y": control.values[:, 0],
            "smoke": left[..., WDNO_TARGET] / (left.sum(-1) + inside),
            "solid": scene.solid,
        }
