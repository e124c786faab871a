"""One-dimensional compressible flow on a stencil of its own."""

import torch
from torch import Tensor

from ..grid import Grid
from .equation import Equation, Values


class CompressibleEquation(Equation):
    """Euler or Navier-Stokes of an ideal gas in one dimension, conservative, for density, velocity and pressure.

    rho_t = -(rho u)_x, (rho u)_t = -(rho u^2 + p - tau)_x, E_t = -(u (E + p) - u tau - kappa theta_x)_x with
    E = p / (gamma - 1) + rho u^2 / 2, tau = mu u_x and theta = p / rho, the temperature times the gas constant.
    mu = 4/3 eta + zeta, times the local density where the viscosity is kinematic. The rates are returned for the
    stored fields: with m = rho u, u_t = (m_t - u rho_t) / rho and p_t = (gamma - 1) (E_t - u m_t + u^2 rho_t / 2).
    For smooth flow; measure shocks with a finite-volume solver.

    Use a residual scaled by `nondimensional`: its three channels have units of their own.

    Arguments:
        grid: one axis.
        gamma: ratio of heat capacities > 1, parameter "gamma".
        eta: shear viscosity, parameter "eta".
        zeta: bulk viscosity, parameter "zeta".
        kappa: heat conductivity over the gas constant, parameter "kappa". PDEBench has none.
        viscosity: "kinematic" (as PDEBench) or "dynamic".
        scheme: of `Derivatives`.
        edges: of `Derivatives`.

    Raises:
        ValueError: another word for the viscosity.
    """

    def __init__(
        self,
        grid: Grid,
        gamma=5 / 3,
        eta=0.0,
        zeta=0.0,
        kappa=0.0,
        viscosity: str = "kinematic",
        scheme="fd2",
        edges=None,
    ):
        if viscosity not in ("kinematic", "dynamic"):
            raise ValueError(f"the viscosity is 'kinematic' or 'dynamic'; got {viscosity!r}")
        parameters = {"gamma": gamma, "eta": eta, "zeta": zeta, "kappa": kappa}
        super().__init__(grid, ("density", "velocity", "pressure"), scheme, parameters, edges)
        self.kinematic = viscosity == "kinematic"

    def tendency(self, u: Tensor, values: Values) -> Tensor:
        """Rates of density, velocity and pressure: shape (B, 3, X) -> (B, 3, X)."""
        (x,) = self.grid.dims
        rho, v, p = u.split(1, 1)
        gamma, momentum = values["gamma"], rho * v
        energy = p / (gamma - 1) + momentum * v / 2
        rates = self.along(torch.cat([momentum, momentum * v + p, v * (energy + p)], 1), x)
        mass, push, heat = (-r for r in rates.split(1, 1))
        mu = (values["zeta"] + 4 / 3 * values["eta"]) * (rho if self.kinematic else torch.ones_like(rho))
        shear = self.along(v, x)
        friction = mu * self.along(v, x, 2) + self.along(mu, x) * shear
        work = v * friction + mu * shear**2 + values["kappa"] * self.along(p / rho, x, 2)
        push, heat = push + friction, heat + work
        pressure = (gamma - 1) * (heat - v * push + v**2 / 2 * mass)
        return torch.cat([mass, (push - v * mass) / rho, pressure], 1)
