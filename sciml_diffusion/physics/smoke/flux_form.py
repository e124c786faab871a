"""Transport of smoke by fluxes between cells: none is lost, what leaves through open sides is counted."""

import torch
from torch import Tensor

from ..constants import Constants
from ..upwind import upwind_flux
from .faces import Velocity, divergence
from .scene import SIDES, Scene

PARTS = 4  # of a step: as many as the cells that air may cross in it


class FluxForm:
    """c_t + div(u c) = 0 in finite volumes: limited upwind fluxes (MUSCL), three stages of Runge and Kutta (SSPRK3).

    A step is cut in four, each accurate while air crosses at most one cell. No cell gives more than it holds (its
    outflow is scaled down), so c stays >= 0 for every step, and the smoke inside plus what left equals the smoke at the
    start, to rounding. Second order in smooth fields. Sources: van Leer, J. Comput. Phys. 32 (1979); Gottlieb, Shu &
    Tadmor, SIAM Review 43 (2001).

    Arguments:
        scene: cells and walls.
    """

    def __init__(self, scene: Scene):
        self.scene, self._masks = scene, Constants(*scene.openness())

    def density(self, c: Tensor, by: Velocity, dt: float) -> tuple[Tensor, Tensor]:
        """Density after dt, and how much of it left from each cell through open sides, both with shape (B, Y, X)."""
        out = torch.zeros_like(c)
        for _ in range(PARTS):
            c, gone = self._step(c, by, dt / PARTS)
            out = out + gone
        return c, out

    def _step(self, c: Tensor, by: Velocity, dt: float) -> tuple[Tensor, Tensor]:
        one, out_one = self._stage(c, by, dt)
        two, out_two = self._stage(one, by, dt)
        two = (3 * c + two) / 4
        three, out_three = self._stage(two, by, dt)
        return (c + 2 * three) / 3, (out_one + out_two) / 6 + 2 * out_three / 3

    def _stage(self, c: Tensor, by: Velocity, dt: float) -> tuple[Tensor, Tensor]:
        open_v, open_u = self._masks.like(c)
        clean_y, clean_x = torch.zeros_like(c[:, :1]), torch.zeros_like(c[:, :, :1])
        flux = (
            upwind_flux(c, by[0], -2, (clean_y, clean_y), open_v),
            upwind_flux(c, by[1], -1, (clean_x, clean_x), open_u),
        )
        flux = self._within_content(c, flux, dt)
        through = dt * outward_at_sides(flux, self.scene)
        return c - dt * divergence(flux, self.scene.spacings), through

    def _within_content(self, c: Tensor, flux: Velocity, dt: float) -> Velocity:
        """Scales the fluxes out of a cell so that they take no more than it holds."""
        (v, u), (h_y, h_x) = flux, self.scene.spacings
        out = v[:, 1:].clamp_min(0) + (-v[:, :-1]).clamp_min(0)
        out = out / h_y + (u[..., 1:].clamp_min(0) + (-u[..., :-1]).clamp_min(0)) / h_x
        held, taken = c.clamp_min(0), dt * out
        short = taken > held
        share = torch.where(short, held / torch.where(short, taken, 1.0), 1.0)
        edge_y, edge_x = torch.ones_like(share[:, :1]), torch.ones_like(share[:, :, :1])
        from_below, from_left = torch.cat([edge_y, share], 1), torch.cat([edge_x, share], 2)
        from_above, from_right = torch.cat([share, edge_y], 1), torch.cat([share, edge_x], 2)
        return v * torch.where(v > 0, from_below, from_above), u * torch.where(u > 0, from_left, from_right)


def outward_at_sides(flux: Velocity, scene: Scene) -> Tensor:
    """Outflow through open sides per unit of volume of the cells along them: faces (v, u) -> shape (B, Y, X), >= 0."""
    (v, u), (h_y, h_x) = flux, scene.spacings
    parts = dict(zip(SIDES, (-v[:, :1], v[:, -1:], -u[..., :1], u[..., -1:]), strict=True))
    out = torch.zeros_like(v[:, 1:])
    n_y, n_x = scene.sizes
    for side in scene.open_sides:
        part = parts[side].clamp_min(0)
        before = {"top": (0, 0, n_y - 1, 0), "bottom": (0, 0, 0, n_y - 1)}
        room = before.get(side) or ((n_x - 1, 0) if side == "right" else (0, n_x - 1))
        out = out + torch.nn.functional.pad(part, room) / (h_y if side in before else h_x)
    return out
