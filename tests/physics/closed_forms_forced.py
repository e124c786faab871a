"""A manufactured solution of forced Burgers between walls."""

from torch import Tensor


def manufactured_burgers(x: Tensor, time: Tensor, nu: float) -> tuple[Tensor, Tensor]:
    """u = (1 + sin(3 t) / 2) x (1 - x) e^x on (0, 1) and f = u_t + u u_x - nu u_xx, not 0 at the walls.

    Arguments:
        x: positions, with shape (X,).
        time: with shape () or (T, 1).
        nu: viscosity.

    Returns u and f, each with shape (X,) or (T, X).
    """
    grow, rate = 1 + 0.5 * (3 * time).sin(), 1.5 * (3 * time).cos()
    bump, first, second = x * (1 - x) * x.exp(), (1 - x - x**2) * x.exp(), -(x**2 + 3 * x) * x.exp()
    return grow * bump, rate * bump + grow**2 * bump * first - nu * grow * second
