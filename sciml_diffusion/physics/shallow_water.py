"""Rotating shallow water on an f- or beta-plane, doubly periodic or in a channel, on the staggered C-grid."""

from collections.abc import Callable

import torch
from torch import Tensor

from .constants import Constants
from .elliptic.laplacian import check_equispaced
from .grid import Grid
from .solver import Solver

RK4_LIMIT = 2.78  # of the step times the largest rate: stable on the imaginary (2.83) and the negative real axis (2.78)


class ShallowWater(Solver):
    """h_t + (h u)_x + (h v)_y = 0, with q = (v_x - u_y + f) / h, B = g (h + b) + (u^2 + v^2) / 2 and f = f0 + beta y:

    u_t = q h v - B_x + nu Lap u - r u,  v_t = -q h u - B_y + nu Lap v - r v.

    Sadourny's energy-conserving scheme of order 2, in time the classical Runge-Kutta scheme of order 4. Without nu and
    r, the discrete mass and energy are constant (energy up to the error in time); potential enstrophy is not, and long
    turbulent runs need some viscosity. Source: Sadourny, J. Atmos. Sci. 32 (1975); Arakawa & Lamb (1977).

    The fields are on their own places: h at the points (y_j, x_i) of the grid, u half a cell before it along x, at
    (y_j, x_i - dx / 2), and v half a cell before it along y, at (y_j - dy / 2, x_i). An axis y without period has walls
    half a cell outside its first and last point: v of the first row lies on a wall and is 0, as it is behind the last
    row; u slips freely.

    Arguments:
        grid: equispaced, increasing axes "x" (periodic) and "y" (periodic, or between walls), in any order; metres or
            other units, shared by all arguments.
        gravity: g > 0; reduced gravity for a layer under a lid.
        f0: Coriolis parameter at y = 0; float, or Tensor of shape (B,).
        beta: its slope; float, or Tensor of shape (B,); 0 on a periodic axis y.
        topography: b, height of the bottom, with shape (*S) or (B, *S); None is flat.
        viscosity: nu >= 0; float, or Tensor of shape (B,).
        drag: r >= 0, linear, for each unit of time; float, or Tensor of shape (B,).

    Raises:
        ValueError: axes or parameters out of range.
    """

    fields = ("h", "u", "v")

    def __init__(
        self,
        grid: Grid,
        gravity: float = 9.81,
        f0: float | Tensor = 1e-4,
        beta: float | Tensor = 0.0,
        topography: Tensor | None = None,
        viscosity: float | Tensor = 0.0,
        drag: float | Tensor = 0.0,
    ):
        _check(grid, gravity, beta, viscosity, drag)
        self.grid, self.gravity = grid, gravity
        self.parameters = {"f0": f0, "beta": beta, "viscosity": viscosity, "drag": drag}
        self.x, self.y = grid.dims.index("x") - 2, grid.dims.index("y") - 2  # axes, from the end
        self.dx, self.dy = grid.spacings[self.x], grid.spacings[self.y]
        self.channel = grid.periods[self.y] is None
        if topography is not None and tuple(topography.shape[-2:]) != grid.sizes:
            raise ValueError(f"topography needs the shape {grid.sizes} or (B, *S); got {tuple(topography.shape)}")
        self.topography = torch.zeros(grid.sizes, dtype=torch.float64) if topography is None else topography
        corners = torch.as_tensor(grid.coordinates[self.y], dtype=torch.float64) - self.dy / 2
        corners = corners[:, None] if self.y == -2 else corners  # y of corners and of v
        open_ = torch.ones_like(corners)
        if self.channel:
            open_[0] = 0
        self._constants = Constants(open_, corners, self.topography)

    def parameters_by_sample(self) -> tuple:
        """Rotation, friction, and topography where it differs."""
        return (*self.parameters.values(), self.topography if self.topography.ndim == 3 else None)

    def rhs(self, u: Tensor, time: float = 0.0) -> Tensor:
        """(h_t, u_t, v_t) in units of the fields for each unit of time: shape (B, 3, *S) -> (B, 3, *S)."""
        h, u, v = u.unbind(1)
        is_open = self._constants.like(h)[0]
        v = v * is_open
        h_u, h_v = (h + self._west(h)) / 2, (h + self._south(h)) / 2
        flux_u, flux_v = h_u * u, h_v * v
        h_t = (flux_u - self._east(flux_u)) / self.dx + (flux_v - self._north(flux_v)) / self.dy
        q = self._vorticity(h_u, u, v)
        turn_v = q * (flux_v + self._west(flux_v)) / 2
        turn_u = q * (flux_u + self._south(flux_u)) / 2
        bernoulli = self._bernoulli(h, u, v)
        u_t = (turn_v + self._north(turn_v)) / 2 - (bernoulli - self._west(bernoulli)) / self.dx
        v_t = -(turn_u + self._east(turn_u)) / 2 - (bernoulli - self._south(bernoulli)) / self.dy
        nu, r = self._parameter("viscosity", h), self._parameter("drag", h)
        u_t = u_t + nu * self._laplacian(u, self._north_slip(u)) - r * u
        v_t = v_t + nu * self._laplacian(v, self._north(v)) - r * v
        return torch.stack([h_t, u_t, v_t * is_open], 1)

    def stepper(self, dt: float) -> Callable[[Tensor, int], Tensor]:
        """One step of the classical Runge-Kutta scheme; states have the shape (B, 3, *S)."""

        def step(state: Tensor, n: int) -> Tensor:
            first = self.rhs(state)
            second = self.rhs(state + dt / 2 * first)
            third = self.rhs(state + dt / 2 * second)
            fourth = self.rhs(state + dt * third)
            return state + dt / 6 * (first + 2 * (second + third) + fourth)

        return step

    def step_limit(self, u: Tensor) -> float:
        """2.78 over the sum of the largest rates of gravity waves, flow, rotation, viscosity and drag; (B, 3, *S).

        Raises:
            ValueError: a layer that is not thicker than 0, or flow through a wall, with the sample.
        """
        h, velocity_u, velocity_v = u.detach().unbind(1)
        self._check_state(h, velocity_v)
        inverse = (1 / self.dx**2 + 1 / self.dy**2) ** 0.5
        rate = 2 * inverse * (self.gravity * h.amax((-1, -2))).sqrt()
        rate = rate + 2 * (velocity_u.abs().amax((-1, -2)) / self.dx + velocity_v.abs().amax((-1, -2)) / self.dy)
        rate = rate + self._coriolis(h).detach().abs().expand_as(h).amax((-1, -2))
        for name, size in (("viscosity", 4 * inverse**2), ("drag", 1.0)):
            rate = rate + size * self._parameter(name, h).detach().flatten()
        return RK4_LIMIT / float(rate.max())

    def energy(self, u: Tensor) -> Tensor:
        """int h (u^2 + v^2) / 2 + g h (h / 2 + b) dx dy in the discrete form that is conserved: (B, 3, *S) -> (B,)."""
        h, u, v = u.unbind(1)
        v = v * self._constants.like(h)[0]
        kinetic = (h + self._west(h)) * u**2 / 4 + (h + self._south(h)) * v**2 / 4
        potential = self.gravity * h * (h / 2 + self._constants.like(h)[2])
        return (kinetic + potential).sum((-1, -2)) * self.dx * self.dy

    def mass(self, u: Tensor) -> Tensor:
        """int h dx dy: (B, 3, *S) -> (B,)."""
        return u[:, 0].sum((-1, -2)) * self.dx * self.dy

    def potential_vorticity(self, u: Tensor) -> Tensor:
        """q = (v_x - u_y + f) / h at the corners (y_j - dy / 2, x_i - dx / 2): (B, 3, *S) -> shape (B, *S)."""
        h, u, v = u.unbind(1)
        return self._vorticity((h + self._west(h)) / 2, u, v * self._constants.like(h)[0])

    def enstrophy(self, u: Tensor) -> Tensor:
        """Potential enstrophy int h q^2 / 2 dx dy over the corners that are not on walls: (B, 3, *S) -> (B,)."""
        h = u[:, 0]
        h_u = (h + self._west(h)) / 2
        density = (h_u + self._south(h_u)) / 4 * self.potential_vorticity(u) ** 2
        return (density * self._constants.like(h)[0]).sum((-1, -2)) * self.dx * self.dy

    def _vorticity(self, h_u: Tensor, u: Tensor, v: Tensor) -> Tensor:
        relative = (v - self._west(v)) / self.dx - (u - self._south(u)) / self.dy
        return (relative + self._coriolis(u)) / ((h_u + self._south(h_u)) / 2)

    def _bernoulli(self, h: Tensor, u: Tensor, v: Tensor) -> Tensor:
        kinetic = (u**2 + self._east(u**2) + v**2 + self._north(v**2)) / 4
        return self.gravity * (h + self._constants.like(h)[2]) + kinetic

    def _coriolis(self, like: Tensor) -> Tensor:
        """f at the corners, to broadcast over (B, *S)."""
        return self._parameter("f0", like) + self._parameter("beta", like) * self._constants.like(like)[1]

    def _parameter(self, name: str, like: Tensor) -> Tensor:
        value = self.parameters[name]
        return value.to(like).reshape(-1, 1, 1) if isinstance(value, Tensor) else like.new_full((1, 1, 1), value)

    def _west(self, a: Tensor) -> Tensor:
        return a.roll(1, self.x)

    def _east(self, a: Tensor) -> Tensor:
        return a.roll(-1, self.x)

    def _south(self, a: Tensor) -> Tensor:
        """The value before, along y; at a wall that of the first row itself (`_open` hides it, or u slips)."""
        if not self.channel:
            return a.roll(1, self.y)
        return torch.cat([a.narrow(self.y, 0, 1), a.narrow(self.y, 0, a.shape[self.y] - 1)], self.y)

    def _north(self, a: Tensor) -> Tensor:
        """The value behind, along y, of what lives on the faces of v: 0 on the last wall."""
        if not self.channel:
            return a.roll(-1, self.y)
        return torch.cat([a.narrow(self.y, 1, a.shape[self.y] - 1), 0 * a.narrow(self.y, 0, 1)], self.y)

    def _north_slip(self, a: Tensor) -> Tensor:
        """The value behind, along y, of u: its own at the last wall."""
        if not self.channel:
            return a.roll(-1, self.y)
        n = a.shape[self.y]
        return torch.cat([a.narrow(self.y, 1, n - 1), a.narrow(self.y, n - 1, 1)], self.y)

    def _laplacian(self, a: Tensor, north: Tensor) -> Tensor:
        along_x = (self._east(a) - 2 * a + self._west(a)) / self.dx**2
        return along_x + (north - 2 * a + self._south(a)) / self.dy**2

    def _check_state(self, h: Tensor, v: Tensor) -> None:
        dry = ~(h > 0).flatten(1).all(1)
        if dry.any():
            sample = int(dry.nonzero()[0])
            raise ValueError(
                f"the layer of sample {sample} has the thickness {float(h[sample].min()):.4g}; shallow water needs "
                "h > 0 everywhere: lower the topography or the speeds, or use more viscosity"
            )
        if self.channel and (v.narrow(self.y, 0, 1) != 0).any():
            sample = int((v.narrow(self.y, 0, 1) != 0).flatten(1).any(1).nonzero()[0])
            raise ValueError(f"v of the first row lies on a wall and must be 0; that of sample {sample} is not")


def _check(grid: Grid, gravity: float, beta, viscosity, drag) -> None:
    if set(grid.dims) != {"x", "y"} or grid.periods[grid.dims.index("x")] is None:
        raise ValueError(f"shallow water needs the axes x (periodic) and y; got {grid.dims}, periods {grid.periods}")
    check_equispaced(grid, 4)
    if any(values[0] > values[-1] for values in grid.coordinates):
        raise ValueError("shallow water needs increasing coordinates; flip the axis and its fields")
    if not gravity > 0:
        raise ValueError(f"gravity must be > 0; got {gravity}")
    for name, value in (("viscosity", viscosity), ("drag", drag)):
        if not bool((torch.as_tensor(value) >= 0).all()):
            raise ValueError(f"the {name} must be >= 0; got {value}")
    if grid.periods[grid.dims.index("y")] is not None and bool((torch.as_tensor(beta) != 0).any()):
        raise ValueError("beta must be 0 where y is periodic: f = f0 + beta y would jump; use walls in y")
