"""Smoke: incompressible flow around obstacles that carries a density, with exits that count what leaves."""

import copy
import math

import torch
from torch import Tensor

from ..constants import Constants
from ..solver import Solver, State
from ..upwind import upwind_flux
from .advection import SCHEMES, Advection
from .control import Control, set_in_rim
from .faces import Velocity, to_centres, to_faces
from .flux_form import FluxForm, outward_at_sides
from .projection import Projection
from .scene import Scene

CELLS_A_STEP = 4.0  # that air may cross in one step; a bound for accuracy, no scheme here is unstable


class Smoke(Solver):
    """d_t + div(u d) = 0, u_t + (u . grad) u = -grad p + nu lap u + b d e_y + f, div u = 0; u . n = 0 on walls.

    One step is advection - projection - reflection - advection - projection (second order in time): half a step of
    advection, forces and diffusion gives w, u' = P w, the density moves a whole step with u', and the other half starts
    from 2 u' - w. Air slips along walls without friction; p = 0 on open sides. With `momentum=None` the velocity is not
    carried along (only forces, control and projection change it), as in WDNO's data. Sources: Stam (SIGGRAPH 1999);
    Zehnder, Narain & Thomaszewski, ACM Trans. Graph. 37 (2018).

    Fields are "density" (any unit, 0 in walls), "velocity_y" and "velocity_x" (length / time), all at cell centres.
    The state in between is staggered: density, the velocities (v, u) on faces, and the smoke that left from each cell.
    `start` takes the mean of two centres for each face and projects, `read` the mean of two faces for each centre, so a
    run that starts again from a stored frame has a slightly smoother velocity. Frame 0 of `solve` is u0 as it is given;
    later frames have no smoke in walls and a velocity that was projected.

    Arguments:
        scene: cells, walls, exits and rim.
        momentum: how velocity is carried: "maccormack", "semi-lagrangian" or None (see `Advection`).
        transport: how density is carried: "flux" (finite volumes: no smoke is lost), "maccormack" or
            "semi-lagrangian" (mass to the order of the scheme only: in rough winds between walls it drifts by tens of
            per cent).
        viscosity: nu >= 0, in length^2 / time; a number, or one for each sample with shape (B,).
        buoyancy: b, acceleration along +y per unit of density; a number, or one for each sample with shape (B,).
        control: a force or a velocity in the rim, or None.
        projection: prepared for this scene, to share it between solvers; made by default.

    Raises:
        ValueError: where a scheme is unknown or the viscosity negative.
    """

    fields = ("density", "velocity_y", "velocity_x")
    restarts = False

    def __init__(
        self,
        scene: Scene,
        momentum: str | None = "maccormack",
        transport: str = "flux",
        viscosity: float | Tensor = 0.0,
        buoyancy: float | Tensor = 0.0,
        control: Control | None = None,
        projection: Projection | None = None,
    ):
        if transport not in (*SCHEMES, "flux"):
            raise ValueError(f"transport must be one of {(*SCHEMES, 'flux')}; got {transport!r}")
        self.scene, self.grid, self.control = scene, scene.grid, control
        self.viscosity, self.buoyancy = (torch.as_tensor(v, dtype=torch.float64) for v in (viscosity, buoyancy))
        if not (self.viscosity >= 0).all():
            raise ValueError(f"the viscosity must be >= 0; got {viscosity}")
        self._viscous, self._buoyant = bool((self.viscosity > 0).any()), bool((self.buoyancy != 0).any())
        self.projection = projection or Projection(scene)
        self.momentum = Advection(scene, momentum) if momentum is not None else None
        self.transport = FluxForm(scene) if transport == "flux" else Advection(scene, transport)
        self._exits = Constants(scene.exits.any(0))

    def with_control(self, control: Control | None) -> "Smoke":
        """The same solver, sharing all that was prepared, under another control."""
        other = copy.copy(self)
        other.control = control
        return other

    def parameters_by_sample(self) -> tuple:
        """Viscosity and buoyancy."""
        return (self.viscosity, self.buoyancy)

    def start(self, u: Tensor) -> State:
        """(density, v, u, left) from fields of shape (B, 3, Y, X); the velocity is projected, walls are emptied."""
        if self.control is not None and not self.control.broadcast(len(u)):
            raise ValueError(f"got {len(u)} samples and a control for {len(self.control.values)}")
        density = u[:, 0] * (~self.scene.solid).to(u)
        return density, *self.projection(to_faces(u[:, 1], u[:, 2])), torch.zeros_like(density)

    def read(self, state: State) -> Tensor:
        """Fields at cell centres, with shape (B, 3, Y, X)."""
        return torch.stack([state[0], *to_centres(state[1:3])], 1)

    def stepper(self, dt: float):
        """One step of length dt on the staggered state (density, v, u, left)."""

        def step(state: State, n: int) -> State:
            density, v, u, left = state
            time = n * dt
            if self.momentum is None:
                middle = self._forced((v, u), density, dt, time)
                after = middle = self._projected(middle, time)
                density, out = self._carried(density, middle, dt)
                return density, *after, left + out
            masks = self.projection.masks(v)
            first = self._forced(self.momentum.velocity((v, u), (v, u), dt / 2), density, dt / 2, time)
            first = tuple(w * mask for w, mask in zip(first, masks, strict=True))
            middle = self._projected(first, time)
            density, out = self._carried(density, middle, dt)
            mirrored = tuple(2 * m - w for m, w in zip(middle, first, strict=True))
            second = self._forced(mirrored, density, dt / 2, time)
            after = self._projected(self.momentum.velocity(second, middle, dt / 2), time)
            return density, *after, left + out

        return step

    def step_limit(self, u: Tensor) -> float:
        """Largest step for fields of shape (B, 3, Y, X).

        dt (|v| / h_y + |u| / h_x) <= 4 with the largest speed that the fields have, the control gives, or forces can
        give over the length of the box; and nu dt (1 / h_y^2 + 1 / h_x^2) <= 1, where diffusion becomes unstable (1/2
        where momentum is None).
        """
        with torch.no_grad():
            h_y, h_x = self.scene.spacings
            rate = float((u[:, 1].abs() / h_y + u[:, 2].abs() / h_x).max())
            force = float((self.buoyancy.abs().to(u).max()) * u[:, 0].abs().max())
            if self.control is not None:
                bound = self.control.bound()
                rate = max(rate, bound * (1 / h_y + 1 / h_x)) if self.control.kind == "velocity" else rate
                force += bound if self.control.kind == "force" else 0.0
            rate += math.sqrt(2 * force * max(self.scene.size)) / min(h_y, h_x)
            limit = CELLS_A_STEP / rate if rate > 0 else math.inf
            diffusion = float(self.viscosity.max()) * (h_y**-2 + h_x**-2) * (2 if self.momentum is None else 1)
            return min(limit, 1 / diffusion) if diffusion > 0 else limit

    def solve_with_exits(self, u0: Tensor, duration: float, frames: int, substeps: int | None = None, **options):
        """Fields (B, 3, T, Y, X), and the smoke that left through each of `scene.outlets` by then, (B, T, K).

        Smoke is density times area. With transport="flux" the smoke inside plus all that left is the smoke at the
        start; else what leaves through open sides is estimated by upwind fluxes. The share of WDNO is
        left[..., k] / (left.sum(-1) + inside).

        Arguments:
            u0: initial fields, with shape (B, 3, Y, X).
            duration, frames, substeps, options: as `solve`.
        """
        if u0.ndim == 4:
            u0 = torch.cat([u0, torch.zeros_like(u0[:, :1])], 1)
        fields = SmokeWithExits(self).solve(u0, duration, frames, substeps, **options)
        return fields[:, :3], self.scene.count(fields[:, 3])

    def _forced(self, w: Velocity, density: Tensor, h: float, time: float) -> Velocity:
        """w after a time h of diffusion (second order), buoyancy and control force."""
        v, u = self._diffused(w, h) if self._viscous else w
        if self._buoyant:
            v = v + h * _per_sample(self.buoyancy, density) * to_faces(density, density)[0]
        if self.control is not None and self.control.kind == "force":
            f = self.control.at(time, self.scene).to(v)
            f_v, f_u = to_faces(f[:, 0], f[:, 1])
            v, u = v + h * f_v, u + h * f_u
        return v, u

    def _diffused(self, w: Velocity, h: float) -> Velocity:
        nu, masks, spacings = _per_sample(self.viscosity, w[0]), self.projection.masks(w[0]), self.scene.spacings
        half = tuple(q + h / 2 * nu * d for q, d in zip(w, laplacian(w, masks, spacings), strict=True))
        return tuple(q + h * nu * d for q, d in zip(w, laplacian(half, masks, spacings), strict=True))

    def _projected(self, w: Velocity, time: float) -> Velocity:
        """P w, after the rim has been given the velocity of a control of that kind."""
        if self.control is not None and self.control.kind == "velocity":
            w = set_in_rim(w, self.control.at(time, self.scene).to(w[0]), self.scene)
        return self.projection(w)

    def _carried(self, density: Tensor, by: Velocity, dt: float) -> tuple[Tensor, Tensor]:
        """Density after a step, and the smoke that left from each cell."""
        if isinstance(self.transport, FluxForm):
            moved, out = self.transport.density(density, by, dt)
        else:
            moved = self.transport.density(density, by, dt)
            out = torch.zeros_like(density)
            if self.scene.open_sides:
                edges = (torch.zeros_like(density[:, :1]),) * 2, (torch.zeros_like(density[:, :, :1]),) * 2
                flux = tuple(upwind_flux(density, by[i], i - 2, edges[i]) for i in (0, 1))
                out = dt * outward_at_sides(flux, self.scene)
        taken = moved * self._exits.like(moved)[0]
        return moved - taken, (out + taken) * math.prod(self.scene.spacings)


class SmokeWithExits(Solver):
    """The same solver with the smoke that left from each cell as a fourth field, "left"; see `Smoke.solve_with_exits`.

    Arguments:
        smoke: the solver.
    """

    restarts = False

    def __init__(self, smoke: Smoke):
        self.smoke, self.grid, self.fields = smoke, smoke.grid, (*smoke.fields, "left")

    def parameters_by_sample(self) -> tuple:
        """Those of `Smoke`."""
        return self.smoke.parameters_by_sample()

    def start(self, u: Tensor) -> State:
        """The state of `Smoke` from fields of shape (B, 4, Y, X)."""
        density, v, w, _ = self.smoke.start(u[:, :3])
        return density, v, w, u[:, 3]

    def read(self, state: State) -> Tensor:
        """Fields of shape (B, 4, Y, X)."""
        return torch.cat([self.smoke.read(state), state[3][:, None]], 1)

    def stepper(self, dt: float):
        """One step of length dt on the state of `Smoke`."""
        return self.smoke.stepper(dt)

    def step_limit(self, u: Tensor) -> float:
        """That of `Smoke`, for fields of shape (B, 4, Y, X)."""
        return self.smoke.step_limit(u[:, :3])


def laplacian(w: Velocity, masks: Velocity, spacings: tuple[float, float]) -> Velocity:
    """Second differences of both components on open faces: faces (v, u), shapes (B, Y + 1, X), (B, Y, X + 1) kept.

    Across a wall parallel to the component there is no difference (no friction); walls normal to it hold zero.
    """
    parts = []
    for component, (q, mask) in enumerate(zip(w, masks, strict=True)):
        total = 0.0
        for axis in (-2, -1):
            steps, h = q.diff(dim=axis), spacings[axis]
            if axis != component - 2:
                both = torch.minimum(mask.narrow(axis, 0, q.shape[axis] - 1), mask.narrow(axis, 1, q.shape[axis] - 1))
                steps = steps * both
            room = (0, 0, 1, 1) if axis == -2 else (1, 1)
            total = total + torch.nn.functional.pad(steps, room).diff(dim=axis) / h**2
        parts.append(total * mask)
    return parts[0], parts[1]


def _per_sample(value: Tensor, like: Tensor) -> Tensor:
    """A number or (B,) values, to multiply fields of shape (B, ., .)."""
    return value.to(like.dtype) if value.ndim == 0 else value.to(like)[:, None, None]
