"""The compressible Euler and Navier-Stokes equations of an ideal gas on a line."""

from numbers import Real

import torch
from torch import Tensor

from ..constants import Constants
from ..grid import Grid
from ..solver import _check_finite
from .base import FiniteVolume, per_sample, ssprk3
from .ghost import cells_of, pad
from .positivity import check_positive, positive_flux
from .riemann import conservative, hllc_flux, primitive, sound_speed
from .slopes import face_values, limiter

SIGNS = Constants(torch.tensor([[1.0], [-1.0], [1.0]]))  # of density, velocity and pressure in a mirror


class Compressible(FiniteVolume):
    """rho_t + (rho u)_x = 0, (rho u)_t + (rho u^2 + p - tau)_x = 0, E_t + (u (E + p) - u tau)_x = 0 on cells.

    E = p / (gamma - 1) + rho u^2 / 2 and tau = (4/3 eta + zeta) u_x, with the viscosities multiplied by the local
    density where viscosity="kinematic": so PDEBench's data were made (eta and zeta in its file names). Heat does not
    conduct, as there. With eta = zeta = 0 these are the Euler equations.

    Limited slopes of (rho, u, p), the HLLC flux, centred viscous stress, three-stage Runge-Kutta steps; where a flux
    would empty a cell it gives way to one that cannot. Of order 2 in the mean where the flow is smooth, 1 with shocks.
    Viscous stress is explicit: it limits the step to dx^2 / (2 nu), as `step_limit` says. Fields are cell means of
    (density, velocity, pressure); inside, the state is (rho, rho u, E), which periodic ends and walls conserve (walls:
    not the momentum).

    Sources: Toro, Riemann Solvers (2009), chapters 10 and 14; Takamoto et al., PDEBench (NeurIPS 2022), appendix D.

    Arguments:
        grid: one axis of equal cells; with a period if the boundary is periodic.
        gamma: ratio of specific heats > 1; PDEBench has 5/3.
        eta, zeta: shear and bulk viscosity >= 0, numbers or with shape (B,); length^2 / time where kinematic, and
            density length^2 / time where dynamic.
        viscosity: "kinematic" or "dynamic".
        boundary: "periodic", "outflow" (zero gradient, PDEBench's "trans") or "reflecting".
        limit: "mc", "van_leer" or "minmod".

    Raises:
        ValueError: a number is out of range, or the grid, the boundary or the limiter is not one of these; in `solve`,
            a density or pressure is not > 0 (with its sample and time).
    """

    fields = ("density", "velocity", "pressure")

    def __init__(
        self,
        grid: Grid,
        gamma: float = 5 / 3,
        eta: float | Tensor = 0.0,
        zeta: float | Tensor = 0.0,
        viscosity: str = "kinematic",
        boundary: str = "periodic",
        limit: str = "mc",
    ):
        self.width = cells_of(grid, boundary, ("periodic", "outflow", "reflecting"), "Compressible")
        _check_viscosities(eta, zeta)
        if not gamma > 1 or not all(bool((torch.as_tensor(value) >= 0).all()) for value in (eta, zeta)):
            raise ValueError(f"Compressible needs gamma > 1, eta >= 0 and zeta >= 0; got {gamma}, {eta} and {zeta}")
        if viscosity not in ("kinematic", "dynamic"):
            raise ValueError(f"the viscosity is 'kinematic' or 'dynamic'; got {viscosity!r}")
        self.grid, self.gamma, self.boundary, self.limiter = grid, gamma, boundary, limiter(limit)
        self.stress, self.kinematic = 4 / 3 * eta + zeta, viscosity == "kinematic"
        self.viscous = bool((torch.as_tensor(self.stress) > 0).any())

    def parameters_by_sample(self) -> tuple:
        """4/3 eta + zeta."""
        return (self.stress,)

    def start(self, u: Tensor) -> Tensor:
        """(rho, u, p) -> (rho, rho u, E), shape (B, 3, X)."""
        return conservative(u, self.gamma)

    def read(self, state: Tensor) -> Tensor:
        """(rho, rho u, E) -> (rho, u, p), shape (B, 3, X)."""
        return primitive(state, self.gamma)

    def rhs(self, u: Tensor, time: float = 0.0) -> Tensor:
        """Rates of (rho, u, p) with shape (B, 3, X), in their units / time; without the guard against empty cells."""
        density, velocity, _ = u.unbind(1)
        mass, momentum, energy = self._rate(conservative(u, self.gamma)).unbind(1)
        acceleration = (momentum - velocity * mass) / density
        heating = (self.gamma - 1) * (energy - velocity * momentum + 0.5 * velocity**2 * mass)
        return torch.stack([mass, acceleration, heating], 1)

    def advance(self, state: Tensor, dt: Tensor, time: Tensor) -> Tensor:
        """One step of length dt (B, 1, 1) of (rho, rho u, E), shape (B, 3, X)."""
        return ssprk3(lambda q: self._rate(q, dt), state, dt)

    def limits(self, state: Tensor) -> Tensor:
        """1 / (2 max(|u| + a) / dx + 2 max nu / dx^2) with shape (B,), for a state (B, 3, X); nu is that of momentum.

        Up to it the guard against empty cells holds.
        """
        w = primitive(state, self.gamma)
        rate = 2 * (w[:, 1].abs() + sound_speed(w, self.gamma)).amax(1) / self.width
        if self.viscous:
            faces = self._face_viscosity(self._pad(w)[..., 1:-1])[:, 0]
            rate = rate + ((faces[:, :-1] + faces[:, 1:]) / w[:, 0]).amax(1) / self.width**2
        return 1 / rate

    def check_fields(self, u: Tensor, time: float) -> None:
        """Raises ValueError where fields (B, 3, X) are not finite, or a density or pressure is not > 0."""
        _check_finite(u, time)
        check_positive(u, time)

    def _pad(self, w: Tensor) -> Tensor:
        """Two ghost cells on either side; walls turn the velocity round: (B, 3, X) -> (B, 3, X + 4)."""
        return pad(w, self.boundary, signs=SIGNS.like(w)[0])

    def _rate(self, q: Tensor, dt: Tensor | None = None) -> Tensor:
        """Rates of (rho, rho u, E), shape (B, 3, X); with dt (B, 1, 1) no step of that length empties a cell."""
        padded = self._pad(primitive(q, self.gamma))
        left, right = face_values(padded, self.limiter)
        flux, cells = hllc_flux(left, right, self.gamma), padded[..., 1:-1]
        if self.viscous:
            flux = flux - self._viscous_flux(cells)
        if dt is not None:
            flux = positive_flux(flux, cells, dt / self.width, self.gamma)
        return -flux.diff(dim=-1) / self.width

    def _face_viscosity(self, cells: Tensor) -> Tensor:
        """Dynamic viscosity 4/3 eta + zeta at the faces, from (rho, u, p) beside them: (B, 3, F + 1) -> (B, 1, F)."""
        density = 0.5 * (cells[:, :1, :-1] + cells[:, :1, 1:])
        return per_sample(self.stress, cells) * (density if self.kinematic else torch.ones_like(density))

    def _viscous_flux(self, cells: Tensor) -> Tensor:
        """(0, tau, u tau) at the faces: (B, 3, F + 1) -> (B, 3, F)."""
        velocity = cells[:, 1:2]
        tau = self._face_viscosity(cells) * velocity.diff(dim=-1) / self.width
        return torch.cat([torch.zeros_like(tau), tau, 0.5 * (velocity[..., :-1] + velocity[..., 1:]) * tau], 1)


def _check_viscosities(eta: float | Tensor, zeta: float | Tensor) -> None:
    """Raises ValueError unless each is a number or a tensor with shape () or (B,), with one B."""
    lengths = {}
    for name, value in (("eta", eta), ("zeta", zeta)):
        if not isinstance(value, Real | Tensor) or (isinstance(value, Tensor) and value.ndim > 1):
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
            raise ValueError(f"Compressible needs {name} as a number or a tensor of shape (B,); got {got}")
        lengths[name] = len(value) if isinstance(value, Tensor) and value.ndim else 1
    if 1 not in lengths.values() and lengths["eta"] != lengths["zeta"]:
        raise ValueError(
            f"eta has values for {lengths['eta']} samples and zeta for {lengths['zeta']}; give both for the same "
            "samples, or one of them as a number"
        )
