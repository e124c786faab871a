"""Equations applied exactly to functions of (t, x) or (t, x, y): derivatives by forward differentiation in float64.

Each operator takes the functions of its fields and its parameters, and returns the functions of its residual.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp

Function = Callable[..., Tensor]
T, X, Y = 0, 1, 2
TURN = 2 * math.pi


def d(f: Function, *axes: int) -> Function:
    """The partial derivative of a function along its arguments, one after another."""
    for axis in axes:
        f = _slope(f, axis)
    return f


def _slope(f: Function, axis: int) -> Function:
    def slope(*at):
        return jvp(f, at, tuple(torch.ones_like(a) if i == axis else torch.zeros_like(a) for i, a in enumerate(at)))[1]

    return slope


def advection(fields, c):
    (u,) = fields
    return [lambda *at: d(u, T)(*at) + c * d(u, X)(*at)]


def burgers(fields, nu):
    (u,) = fields
    return [lambda *at: d(u, T)(*at) + u(*at) * d(u, X)(*at) - nu * d(u, X, X)(*at)]


def kuramoto_sivashinsky(fields, nu):
    (u,) = fields
    return [lambda *at: d(u, T)(*at) + u(*at) * d(u, X)(*at) + d(u, X, X)(*at) + nu * d(u, X, X, X, X)(*at)]


def vorticity(psi=None):
    """The equation for w = -lap psi of one stream function; without it, for w proportional to its stream function."""

    def exact(fields, nu, drag):
        (w,) = fields

        def residual(*at):
            diffusion = nu * (d(w, X, X)(*at) + d(w, Y, Y)(*at))
            carried = 0.0 if psi is None else d(psi, Y)(*at) * d(w, X)(*at) - d(psi, X)(*at) * d(w, Y)(*at)
            return d(w, T)(*at) + carried - diffusion + drag * w(*at)

        return [residual]

    return exact


def tracer(fields, diffusivity, decay):
    s, u, v = fields

    def residual(*at):
        flux = [lambda *at, c=c: c(*at) * s(*at) for c in (u, v)]
        spread = d(flux[0], X)(*at) + d(flux[1], Y)(*at)
        return d(s, T)(*at) + spread + decay * s(*at) - diffusivity * (d(s, X, X)(*at) + d(s, Y, Y)(*at))

    return [residual]


def divergence(fields):
    u, v = fields
    return [lambda *at: d(u, X)(*at) + d(v, Y)(*at)]


def helmholtz(fields, k=0.0):
    f, u = fields
    return [lambda *at: d(u, X, X)(*at) + d(u, Y, Y)(*at) + k**2 * u(*at) - f(*at)]


def darcy(fields, forcing):
    a, u = fields

    def residual(*at):
        flux = [lambda *at, i=i: a(*at) * d(u, i)(*at) for i in (X, Y)]
        return -d(flux[0], X)(*at) - d(flux[1], Y)(*at) - forcing

    return [residual]


def compressible(kinematic: bool):
    """Rates of (rho, u, p) in their own, non-conservative form."""

    def exact(fields, gamma, eta, kappa):
        rho, u, p = fields

        def tau(*at):
            return 4 / 3 * eta * (rho(*at) if kinematic else 1.0) * d(u, X)(*at)

        def heat(*at):
            return kappa * d(lambda *at: p(*at) / rho(*at), X, X)(*at) + tau(*at) * d(u, X)(*at)

        return [
            lambda *at: d(rho, T)(*at) + d(lambda *at: rho(*at) * u(*at), X)(*at),
            lambda *at: d(u, T)(*at) + u(*at) * d(u, X)(*at) + (d(p, X)(*at) - d(tau, X)(*at)) / rho(*at),
            lambda *at: d(p, T)(*at) + u(*at) * d(p, X)(*at) + gamma * p(*at) * d(u, X)(*at) - (gamma - 1) * heat(*at),
        ]

    return exact


def shallow_water(fields, gravity, f0, beta, viscosity):
    h, u, v = fields

    def carried(c):
        return lambda *at: d(c, T)(*at) + u(*at) * d(c, X)(*at) + v(*at) * d(c, Y)(*at) - viscosity * lap(c)(*at)

    def lap(c):
        return lambda *at: d(c, X, X)(*at) + d(c, Y, Y)(*at)

    def coriolis(*at):
        return f0 + beta * at[Y]

    return [
        lambda *at: d(h, T)(*at) + sum(d(lambda *at, c=c: h(*at) * c(*at), i)(*at) for c, i in ((u, X), (v, Y))),
        lambda *at: carried(u)(*at) - coriolis(*at) * v(*at) + gravity * d(h, X)(*at),
        lambda *at: carried(v)(*at) + coriolis(*at) * u(*at) + gravity * d(h, Y)(*at),
    ]


def travelling(t, x):
    """Cole-Hopf: u = m + 2 nu k e sin(k (x - m t)) / (1.5 + e cos(k (x - m t))), e = exp(-nu k^2 t); nu = 0.02."""
    e, angle = torch.exp(-0.02 * TURN**2 * t), TURN * (x - 0.5 * t)
    return 0.5 + 2 * 0.02 * TURN * e * angle.sin() / (1.5 + e * angle.cos())


def wave(t, x):
    return torch.sin(TURN * (x - 0.7 * t)) + 0.3 * torch.cos(2 * TURN * (x - 0.7 * t))


def bumps(*at):
    """A smooth periodic function on the torus of period 2 pi, without symmetries."""
    t, x, y = at
    return torch.exp(torch.sin(x + 0.4 * t)) * torch.sin(2 * y) + 0.5 * torch.cos(x - y + t)


def taylor_green(t, x, y):
    """Vorticity of a vortex array, 5 times its stream function; solves Navier-Stokes with nu = 0.05 and drag 0.1."""
    return 5 * torch.cos(x) * torch.cos(2 * y) * torch.exp(-(5 * 0.05 + 0.1) * t)


def stream(t, x, y):
    """A stream function of waves of different length, which no flow keeps."""
    return torch.sin(x + 0.4 * t) * torch.sin(2 * y) + 0.5 * torch.cos(x - y + t)


def stream_vorticity(t, x, y):
    """-lap of `stream`."""
    return 5 * torch.sin(x + 0.4 * t) * torch.sin(2 * y) + torch.cos(x - y + t)


def drifting_u(t, x, y):
    """Velocity of a Taylor-Green array that drifts with (0.3, -0.2), at nu = 0.05."""
    return 0.3 + torch.cos(x - 0.3 * t) * torch.sin(y + 0.2 * t) * torch.exp(-2 * 0.05 * t)


def drifting_v(t, x, y):
    return -0.2 - torch.sin(x - 0.3 * t) * torch.cos(y + 0.2 * t) * torch.exp(-2 * 0.05 * t)


def smooth(shift: float) -> Function:
    """A smooth function on the unit square without symmetries, different for each shift."""
    return lambda t, x, y: torch.sin(2 * x + shift) * torch.exp(y / 2) + 0.2 * torch.cos(3 * y - x + shift)


def positive(shift: float) -> Function:
    return lambda t, x, y: 2 + torch.sin(2 * x + shift) * torch.cos(3 * y - shift)


def sines(t, x, y):
    """Zero with its second derivatives on the walls of the unit square."""
    return torch.sin(math.pi * x) * torch.sin(2 * math.pi * y)


GAS = [
    lambda t, x: 1 + 0.2 * torch.sin(TURN * (x - t)),
    lambda t, x: 0.5 + 0.3 * torch.cos(TURN * (x + 0.5 * t)),
    lambda t, x: 1.5 + 0.2 * torch.sin(2 * TURN * x + t),
]
ENTROPY_WAVE = [
    lambda t, x: 1 + 0.2 * torch.sin(TURN * (x - 0.8 * t)),
    lambda t, x: 0.8 + 0 * x,
    lambda t, x: 1 + 0 * x,
]
WATER = [
    lambda t, x, y: 2 + 0.3 * torch.sin(x + t) * torch.cos(y),
    lambda t, x, y: 0.5 * bumps(t, x, y),
    lambda t, x, y: 0.4 * torch.cos(2 * x - y) + 0.2 * torch.sin(t + y),
]
