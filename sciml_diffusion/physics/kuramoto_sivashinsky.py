"""The Kuramoto-Sivashinsky equation u_t + u u_x + u_xx + nu u_xxxx = f on a periodic axis."""

import torch
from torch import Tensor

from .burgers import SelfAdvected
from .grid import Grid
from .semilinear import Forcing, advective_limit

ATTRACTOR_SPEED = 4.0  # above the largest |u| nu^(1/2) of long runs: small initial states grow to it


class KuramotoSivashinsky(SelfAdvected):
    """u_t + (u^2 / 2)_x = -u_xx - nu u_xxxx + f, pseudo-spectral and dealiased, ETDRK4. The mean of u is conserved.

    Waves k < nu^(-1/2) grow, shorter ones decay; for L > 2 pi nu^(1/2) the flow is soon chaotic: errors double in
    about 8 time units (nu = 1), so single trajectories agree to T near 30, later statistics alone.
    Source: Kassam & Trefethen, SIAM J. Sci. Comput. 26 (2005), section 4.

    Arguments:
        grid: one periodic axis; 128 points for L = 32 pi resolve nu = 1.
        nu: hyperviscosity > 0, in units of length^4 / time: a number, or one for each sample with shape (B,).
        forcing: f, in units of u / time: a field that broadcasts to (B, 1, X), or a function of time that returns one.

    Raises:
        ValueError: where the grid has not one periodic, equispaced axis, or nu is not > 0.
    """

    def __init__(self, grid: Grid, nu: float | Tensor = 1.0, forcing: Forcing = None):
        super().__init__(grid, forcing)
        self.nu = self._parameter("the hyperviscosity nu", nu, strict=True)

    def symbol(self, waves: tuple[Tensor, ...]) -> Tensor:
        """k^2 - nu k^4, with shape (K,) or (B, 1, K)."""
        return waves[0] ** 2 - self._spread(self.nu) * waves[0] ** 4

    def step_limit(self, u: Tensor) -> float:
        """1.3 dx over the larger of max |u| and the speed that the flow will reach; u has the shape (B, 1, X)."""
        speed = ATTRACTOR_SPEED / float(torch.as_tensor(self.nu).detach().min()) ** 0.5
        return min(super().step_limit(u), advective_limit(speed / self.spacing))
