"""Fluxes that cannot empty a cell: density and pressure stay positive."""

import torch
from torch import Tensor

from .riemann import conservative, euler_flux, sound_speed

LEAST = 1e-6  # share of a cell's own density and pressure that each of its two faces must leave


def positive_flux(flux: Tensor, w: Tensor, ratio: Tensor, gamma: float) -> Tensor:
    """Blends a flux with the Lax-Friedrichs flux on the faces where it would empty a cell.

    A cell's new state is the mean of q - 2 (dt/dx) F_right and q + 2 (dt/dx) F_left, so it is positive if both are.
    The Lax-Friedrichs flux leaves both positive while dt (|u| + a) <= dx / 2; the share of the flux at each face is
    the largest for which density and then pressure stay positive too. Elsewhere the flux is returned as it is, and the
    scheme remains conservative. Source: Hu, Adams & Shu, J. Comput. Phys. 242 (2013) 169.

    Arguments:
        flux: of (rho, rho u, E) at the faces, with shape (B, 3, F).
        w: (rho, u, p) of the cells on both sides of the faces, with shape (B, 3, F + 1).
        ratio: dt / dx, with shape (B, 1, 1).
        gamma: ratio of specific heats > 1.

    Returns the fluxes with shape (B, 3, F).
    """
    q = conservative(w, gamma)
    sides = torch.stack([q[..., :-1], q[..., 1:]])  # the cell on the left loses the flux, the one on the right has it
    change = torch.stack([-2 * ratio, 2 * ratio])
    least = LEAST * torch.stack([w[..., :-1], w[..., 1:]])
    high = _margins(sides + change * flux, least, gamma)
    if not flux.is_cuda and _all_positive(high):  # nothing to blend; on a GPU the question costs more than the blend
        return flux
    low_flux = _lax_friedrichs(w, q, gamma)
    low = _margins(sides + change * low_flux, least, gamma)
    for which in (0, 1):
        share = _share(low[which], high[which])[:, None]
        flux = torch.where(share < 1, low_flux + share * (flux - low_flux), flux)
        high = _margins(sides + change * flux, least, gamma)
    return flux


def _margins(q: Tensor, least: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Density and pressure of states (2, B, 3, F) above the least allowed, each with shape (2, B, F)."""
    density, momentum, energy = q.unbind(2)
    filled = density > 0
    safe = torch.where(filled, density, torch.ones_like(density))
    pressure = torch.where(filled, (gamma - 1) * (energy - 0.5 * momentum**2 / safe), -torch.ones_like(density))
    return density - least[:, :, 0], pressure - least[:, :, 2]


def _all_positive(margins: tuple[Tensor, Tensor]) -> bool:
    """Whether no margin is below 0; False inside `torch.func.vmap`, where values cannot be read."""
    try:
        return all(bool((margin >= 0).all()) for margin in margins)
    except RuntimeError:
        return False


def _share(low: Tensor, high: Tensor) -> Tensor:
    """Largest share of the high-order flux that leaves margins (concave in it) >= 0; shape (2, B, F) -> (B, F)."""
    gap = torch.where(high < 0, low - high, torch.ones_like(low))
    share = torch.where(high < 0, (low / gap).clamp(0, 1), torch.ones_like(low))
    return share.amin(0)


def _lax_friedrichs(w: Tensor, q: Tensor, gamma: float) -> Tensor:
    """(F(q_i) + F(q_{i+1}) - s (q_{i+1} - q_i)) / 2 with s the larger |u| + a; shape (B, 3, F)."""
    speed = w[:, 1].abs() + sound_speed(w, gamma)
    fastest = torch.maximum(speed[:, :-1], speed[:, 1:])[:, None]
    flux = euler_flux(w, gamma)
    return 0.5 * (flux[..., :-1] + flux[..., 1:] - fastest * q.diff(dim=-1))


def check_positive(w: Tensor, time: float) -> None:
    """Raises ValueError where a density or a pressure of (rho, u, p), shape (B, 3, X), is not > 0."""
    for channel, name in ((0, "density"), (2, "pressure")):
        values = w[:, channel].detach()
        low = values.amin(1)
        if not bool((low > 0).all()):
            sample = int((~(low > 0)).nonzero()[0])
            cell = int(values[sample].argmin())
            raise ValueError(
                f"sample {sample} has the {name} {float(low[sample]):.3g} in cell {cell} at time {time:.6g}; it must "
                "be > 0. Check the initial fields, or use more substeps"
            )
