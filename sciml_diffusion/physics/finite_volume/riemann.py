"""The flux between two states of an ideal gas."""

import torch
from torch import Tensor


def conservative(w: Tensor, gamma: float) -> Tensor:
    """(rho, u, p) -> (rho, rho u, E) with E = p / (gamma - 1) + rho u^2 / 2; shape (B, 3, X) -> (B, 3, X)."""
    density, velocity, pressure = w.unbind(1)
    momentum = density * velocity
    return torch.stack([density, momentum, pressure / (gamma - 1) + 0.5 * momentum * velocity], 1)


def primitive(q: Tensor, gamma: float) -> Tensor:
    """(rho, rho u, E) -> (rho, u, p); shape (B, 3, X) -> (B, 3, X)."""
    density, momentum, energy = q.unbind(1)
    velocity = momentum / density
    return torch.stack([density, velocity, (gamma - 1) * (energy - 0.5 * momentum * velocity)], 1)


def euler_flux(w: Tensor, gamma: float) -> Tensor:
    """(rho u, rho u^2 + p, u (E + p)) of (rho, u, p); shape (B, 3, X) -> (B, 3, X)."""
    density, velocity, pressure = w.unbind(1)
    momentum = density * velocity
    enthalpy = gamma / (gamma - 1) * pressure + 0.5 * momentum * velocity
    return torch.stack([momentum, momentum * velocity + pressure, velocity * enthalpy], 1)


def sound_speed(w: Tensor, gamma: float) -> Tensor:
    """sqrt(gamma p / rho) of (rho, u, p); shape (B, 3, X) -> (B, X)."""
    return (gamma * w[:, 2] / w[:, 0]).sqrt()


def hllc_flux(left: Tensor, right: Tensor, gamma: float) -> Tensor:
    """The HLLC flux: two outer waves with Einfeldt's speeds and a contact between them, which it keeps exactly.

    Sources: Toro, Spruce & Speares, Shock Waves 4 (1994) 25; Batten et al., SIAM J. Sci. Comput. 18 (1997) 1553.

    Arguments:
        left, right: (rho, u, p) on the two sides of each face, with shape (B, 3, F); rho and p are > 0.
        gamma: ratio of specific heats > 1.

    Returns fluxes of (rho, rho u, E), with shape (B, 3, F).
    """
    slowest, fastest = _outer_speeds(left, right, gamma)
    (rho_l, u_l, p_l), (rho_r, u_r, p_r) = left.unbind(1), right.unbind(1)
    inflow_l, inflow_r = rho_l * (slowest - u_l), rho_r * (fastest - u_r)  # < 0 and > 0: mass into the outer waves
    contact = (p_r - p_l + inflow_l * u_l - inflow_r * u_r) / (inflow_l - inflow_r)
    from_left = contact >= 0
    side = torch.where(from_left[:, None], left, right)
    speed = torch.where(from_left, slowest, fastest)
    crossed = torch.where(from_left, slowest.clamp(max=0), fastest.clamp(min=0))  # 0 where all waves go one way
    density, velocity, pressure = side.unbind(1)
    q = conservative(side, gamma)
    inflow = density * (speed - velocity)
    star = inflow / (speed - contact)
    energy = star * (q[:, 2] / density + (contact - velocity) * (contact + pressure / inflow))
    between = torch.stack([star, star * contact, energy], 1)
    return euler_flux(side, gamma) + crossed[:, None] * (between - q)


def _outer_speeds(left: Tensor, right: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Einfeldt's: the outermost of the sides' own characteristics and those of the Roe average; shape (B, F)."""
    a_l, a_r = sound_speed(left, gamma), sound_speed(right, gamma)
    root_l, root_r = left[:, 0].sqrt(), right[:, 0].sqrt()
    weight = root_l / (root_l + root_r)
    u_l, u_r = left[:, 1], right[:, 1]
    velocity = weight * u_l + (1 - weight) * u_r
    spread = 0.5 * (gamma - 1) * weight * (1 - weight) * (u_l - u_r) ** 2
    speed = (weight * a_l**2 + (1 - weight) * a_r**2 + spread).sqrt()  # (gamma - 1) (H - u^2 / 2) of the Roe average
    return torch.minimum(u_l - a_l, velocity - speed), torch.maximum(u_r + a_r, velocity + speed)
