"""Weighted particles that follow q_tau = prod_i p_i(x, tau)^{b_i} exp(-mu_tau) down the noise levels, tau = sigma^2.

With S_i = grad log p_i, B = sum_i b_i S_i and u = -tau, the moves and the log-weight rate that keep q are, for every g,
c and field h,

    dX = (a B + h - c grad mu) du + g dW,   a = (1 + g^2) / 2,
    V = d_tau mu + (c - g^2/2) (|grad mu|^2 - Lap mu) + (g^2 - a - c) <B, grad mu>
        + 1/2 (|B|^2 - sum_i b_i |S_i|^2) + div h + <h, B - grad mu>:

the probability flow B / 2, g^2 / 2 of Langevin dynamics on q, h, and c - g^2/2 more guidance. With c = g^2/2 no second
derivative is needed; no divergence and no Jacobian of a network ever is. Where b = sum_i b_i is not 1,
h = (1/b - 1) / 2 times the B of Gaussian models of the p_i, whose divergence is known: V is then constant for powers
of one Gaussian.

Sources: Chen et al., arXiv:2506.03979 (AFDPS: one prior, g = c = 1, mu constant); Skreta et al., Feynman-Kac
correctors, 2025 (powers and products). The general form, h and the integrator are this package's own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ..samplers.streams import MemberStreams
from .gaussian_model import dot
from .potentials import Held, Potential, Reading
from .power_prior import Force, PowerPrior
from .resample import Population

LANGEVIN = 0.5  # step of the corrector in units of tau
MIXING = 0.6  # g^2 times the share of tau that a step removes: what the integrator takes without a visible error


@dataclass(frozen=True)
class Moves:
    """g^2 (noise), c (guidance), and the number of Langevin steps at each level.

    Arguments:
        g2, c: >= 0.
        langevin: >= 0; each costs one more pass through the prior.
    """

    g2: float
    c: float
    langevin: int = 0

    def __post_init__(self):
        if not (self.g2 >= 0 and self.c >= 0 and self.langevin >= 0):
            raise ValueError(f"g2, c and the Langevin steps must be >= 0; got {self.g2}, {self.c} and {self.langevin}")

    @property
    def a(self) -> float:
        """(1 + g^2) / 2."""
        return 0.5 * (1 + self.g2)

    @property
    def curved(self) -> bool:
        """Whether V holds the Laplacian of mu."""
        return self.c != 0.5 * self.g2


def moves_for(sigmas: Tensor, g2: float | None, c: float | None, langevin: int) -> Moves:
    """Moves for a grid: g^2 as large as its steps allow, at most 16, where g2 is None; c = g^2/2 where c is None.

    Arguments:
        sigmas: noise grid, ending in 0, with shape (n + 1,).
    """
    if g2 is None:
        share = 1 - (sigmas[1:-1] / sigmas[:-2]) ** 2
        g2 = MIXING / float(share.median()) if len(share) else 1.0
        g2 = min(max(g2, 1.0), 16.0)
    return Moves(g2, 0.5 * g2 if c is None else c, langevin)


def log_weight_rate(moves: Moves, reading: Reading, laplacian: Tensor | float, force: Force) -> Tensor:
    """V, float64, with shape (N,).

    Arguments:
        moves: g^2 and c.
        reading: of mu at x.
        laplacian: of mu at x, with shape (N,); any number where `moves.curved` is false.
        force: of the prior at x.
    """
    along = (moves.g2 - moves.a - moves.c) * force.pooled - force.lead
    rate = force.rate + reading.rate + dot(along, reading.gradient)
    if moves.curved:
        rate = rate + (moves.c - 0.5 * moves.g2) * (dot(reading.gradient, reading.gradient) - laplacian)
    return rate


@dataclass
class State:
    """Particles at one level: x, B and h with shape (N, *event), V (N,), and `raw` and `stiffness` of the potential."""

    x: Tensor
    pooled: Tensor
    lead: Tensor
    rate: Tensor
    raw: Tensor
    stiffness: Tensor

    def select(self, rows: Tensor) -> "State":
        """The particles of some rows, shape (N,)."""
        return State(*(getattr(self, part.name)[rows] for part in fields(self)))


class WeightedFlow:
    """The particles' way from the first noise level to the last; iterate over `path`.

    A step holds the model -k (x - M) / (v + tau), k = (1 + g^2 b) / 2, of the prior's force exactly (M from the force
    itself), the potential as that offers, and the rest at its value before the step. Once the force is known at the new
    level, x is moved by half the error of the model: second order for one pass through the prior a step. V is summed by
    the trapezoidal rule over the states at which the force was evaluated.

    Arguments:
        prior, potential, moves: what q is, and how particles move.
        levels: pairs of a float and a tensor (), without the last level 0; see `PosteriorMethod.levels`.
        population: log-weights.
        streams: one row for each particle.
    """

    def __init__(
        self,
        prior: PowerPrior,
        potential: Potential,
        moves: Moves,
        levels: list[tuple[float, Tensor]],
        population: Population,
        streams: MemberStreams,
    ):
        self.prior, self.potential, self.moves, self.levels = prior, potential, moves, levels
        self.population, self.streams = population, streams
        self.lost = torch.zeros(streams.rows, dtype=torch.bool, device=streams.device)
        self.losses = torch.zeros(population.shape[0], dtype=torch.int64, device=streams.device)

    def path(self) -> Iterator[State]:
        """Yields the weighted particles at every level; the weights are those of `population`."""
        sigma = self.levels[0][1]
        centre, variance, mass = self.prior.base(sigma, self.streams)
        x, log_weight = self.potential.start(centre, variance, sigma**2, self.streams)
        self.population.reweight(log_weight + mass.double())
        state = self._read(x, sigma)
        yield state
        for n in range(1, len(self.levels)):
            keep = self.population.resample(self.streams)
            self.lost = self.lost[keep]
            state = self._step(state.select(keep), n)
            for _ in range(self.moves.langevin):
                state = self._langevin(state, n)
            yield state

    def run(self, callback: Callable[[int], None]) -> State:
        """Walks the path, calls back with the number of levels done, and returns the particles at the last level."""
        for n, particles in enumerate(self.path()):
            callback(n + 1)
            state = particles
        return state

    def reweight(self, increment: Tensor) -> None:
        """Adds to the log-weights, with shape (N,); particles that have left the finite numbers get weight 0."""
        self._lose(torch.isnan(increment))
        self.population.reweight(torch.where(self.lost, torch.nan, increment))

    def diagnostics(self) -> dict[str, Tensor]:
        """Those of the population, and how many particles have left the finite numbers, with shape (B,).

        Raises:
            ValueError: where all particles of a window have weight 0.
        """
        dead = torch.isneginf(self.population.log_weights).all(1)
        if dead.any():
            raise ValueError(
                f"all {self.population.shape[1]} particles of window {int(dead.nonzero()[0])} have weight 0: A(x) or "
                "the likelihood is not finite, or the data are impossible, wherever the prior has put them"
            )
        return self.population.diagnostics() | {"non_finite": self.losses}

    def _lose(self, bad: Tensor) -> None:
        self.losses = self.losses + (bad & ~self.lost).reshape(self.population.shape).sum(1)
        self.lost = self.lost | bad

    def _read(self, x: Tensor, sigma: Tensor) -> State:
        """Forces and V at x."""
        force, reading = self.prior.at(x, sigma), self.potential.read(x, sigma**2)
        laplacian = self.potential.laplacian(x, sigma**2, self.streams) if self.moves.curved else 0.0
        rate = log_weight_rate(self.moves, reading, laplacian, force)
        return State(x, force.pooled, force.lead, rate, reading.raw, reading.stiffness)

    def _step(self, state: State, n: int) -> State:
        """From level n - 1 to level n, weights included."""
        (first, sigma), (last, sigma_s) = self.levels[n - 1], self.levels[n]
        tau, tau_s, b = sigma**2, sigma_s**2, self.prior.total
        a, k = self.moves.a, 0.5 * (1 + self.moves.g2 * b)  # a B + h = -k (x - M) / (v + tau) in the model
        v, time = self._scale(tau, k * (1 - (last / first) ** 2)), tau - tau_s
        pull = self.moves.c * self.potential.pull(tau, tau_s)
        held = Held(k * torch.log((v + tau) / (v + tau_s)), pull, state.raw, state.stiffness)
        force = a * state.pooled + state.lead
        x = self._move(state, time * force, held, self.moves.g2 * time if self.moves.g2 > 0 else None)
        new = self._read(x, sigma_s)
        self.reweight(0.5 * time.double() * (state.rate + new.rate))
        if n == len(self.levels) - 1:
            return new  # where D is asked for
        foreseen = (force * (v + tau) - k * (x - state.x)) / (v + tau_s)
        dx = self.potential.damp(0.5 * time * (a * new.pooled + new.lead - foreseen), held)
        slope = dx / (v + tau_s)
        return replace(new, x=x + dx, pooled=new.pooled - b * slope, lead=new.lead - 0.5 * (1 - b) * slope)

    def _langevin(self, state: State, n: int) -> State:
        """One Langevin step on q at level n, which leaves the weights."""
        tau, time = self.levels[n][1] ** 2, LANGEVIN * self.levels[n][1] ** 2
        v = self._scale(tau, LANGEVIN * self.prior.total)
        held = Held(self.prior.total * time / (v + tau), self.potential.hold(tau, time), state.raw, state.stiffness)
        return self._read(self._move(state, time * state.pooled, held, 2 * time), self.levels[n][1])

    def _move(self, state: State, push: Tensor, held: Held, variance: Tensor | None) -> Tensor:
        """x after a step with a force's integral and noise; a particle that is lost stays."""
        x = state.x + self.potential.damp(push, held) + self.potential.force(state.x, held)
        if variance is not None:
            x = x + self.potential.noise(self.streams.normal(self.prior.event), variance, held)
        finite = torch.isfinite(x).flatten(1).all(1)
        self._lose(~finite)
        return torch.where(finite.reshape(-1, *(1,) * (x.ndim - 1)), x, state.x)

    def _scale(self, tau: Tensor, rate: float) -> Tensor:
        """v of the model, no wider than keeps the fastest direction (rate / (0 + tau)) stable; shape ()."""
        v = self.prior.scale
        return v if rate <= 1 else torch.minimum(v, tau / (rate - 1))
