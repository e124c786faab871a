"""A nonlinear bed with a known answer: the initial state of Lorenz-63 from later, nonlinear, noisy readings.

    python benchmarks/exactness_lorenz.py [--quick] [--seed SEED]

x = (x, y, z)(0) ~ N((1, 1, 24), 9), carried by 20 steps of RK4 of length 0.04, and read at 0.16, 0.32, ..., 0.8.
lorenz-saturating: 6 tanh(x / 6) and 6 tanh(y / 6), std 1: a curved posterior. lorenz-square: x^2 / 10, std 3: the sign
is lost, as (x, y, z) -> (-x, -y, z) is a symmetry of the equations, so the posterior has two modes, which the prior
weighs. The reference is importance sampling: 2e6 draws of the prior, weighted by the likelihood; the dynamics are
deterministic, so a particle filter would do no better. Its row holds the difference of its two halves. mean_error is in
posterior std, rms over coordinates; error_ratio = sliced W1 over that of as many draws of the reference (mean of 20).
Members that are not finite (`finite` is the share of the others) count in no score.
"""

import time
import warnings
from dataclasses import dataclass

import common
import torch
from common import Report
from torch import Tensor

from sciml_diffusion.denoisers.basis import IdentityBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.inverse.catalogue import METHODS
from sciml_diffusion.leaves import leaf
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Function
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams

F64 = torch.float64
MEAN, STD, DT, STEPS, EVERY = (1.0, 1.0, 24.0), 3.0, 0.04, 20, 4
MEMBERS, EXACT, DIRECTIONS, BINS = 500, 20, 50, 2000
APART = {"unknown-noise"}  # answers another question


def lorenz(x: Tensor) -> Tensor:
    """dx/dt = 10 (y - x), dy/dt = x (28 - z) - y, dz/dt = x y - 8 z / 3; shape (N, 3)."""
    a, b, c = x.unbind(-1)
    return torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 * c / 3], -1)


def rk4(x: Tensor, dt: float = DT, steps: int = STEPS, every: int = EVERY) -> Tensor:
    """States after every so many steps of the classical Runge-Kutta method: shape (N, 3) -> (N, steps / every, 3)."""
    kept = []
    for n in range(steps):
        k1 = lorenz(x)
        k2 = lorenz(x + 0.5 * dt * k1)
        k3 = lorenz(x + 0.5 * dt * k2)
        k4 = lorenz(x + dt * k3)
        x = x + dt / 6 * (k1 + 2 * (k2 + k3) + k4)
        if (n + 1) % every == 0:
            kept.append(x)
    return torch.stack(kept, 1)


READINGS = {  # of trajectories (N, n, 3) -> (N, m), and the std of their noise
    "lorenz-saturating": (lambda path: (6 * torch.tanh(path[..., :2] / 6)).flatten(1), 1.0),
    "lorenz-square": (lambda path: path[..., 0] ** 2 / 10, 3.0),
}


def prior_draws(count: int, seed: int) -> Tensor:
    """x ~ N(mean, std^2), with shape (count, 3)."""
    z = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=F64)
    return torch.tensor(MEAN, dtype=F64) + STD * z


@dataclass(frozen=True)
class Weighted:
    """A posterior as points (N, 3) with normalised weights (N,)."""

    x: Tensor
    weights: Tensor

    @classmethod
    def of(cls, x: Tensor, log_likelihood: Tensor) -> "Weighted":
        """Prior draws weighted by their likelihood; what weighs less than 1e-12 is left out."""
        weights = log_likelihood.softmax(0)
        keep = weights > 1e-12
        return cls(x[keep], weights[keep] / weights[keep].sum())

    @property
    def mean(self) -> Tensor:
        """Shape (3,)."""
        return self.weights @ self.x

    @property
    def std(self) -> Tensor:
        """Shape (3,)."""
        return (self.weights @ (self.x - self.mean) ** 2).sqrt()

    @property
    def ess(self) -> float:
        """1 / sum w^2."""
        return float(1 / (self.weights**2).sum())

    def draw(self, members: int, generator: torch.Generator) -> Tensor:
        """Points by their weights, with shape (members, 3)."""
        return self.x[torch.multinomial(self.weights, members, replacement=True, generator=generator)]

    def cdf(self, direction: Tensor, at: Tensor) -> Tensor:
        """Distribution function of u . x at some points, shapes (3,), (n,) -> (n,)."""
        values, order = (self.x @ direction).sort()
        steps = torch.cat([torch.zeros(1, dtype=F64), self.weights[order].cumsum(0)])
        return steps[torch.searchsorted(values.contiguous(), at, right=True)]


class Projections:
    """Distribution functions of a reference along fixed directions, to measure sliced W1 from.

    Arguments:
        reference: the posterior.
    """

    def __init__(self, reference: Weighted):
        u = torch.randn(DIRECTIONS, 3, generator=torch.Generator().manual_seed(7), dtype=F64)
        self.parts = []
        for direction in u / u.norm(dim=1, keepdim=True):
            projected = reference.x @ direction
            at = torch.linspace(float(projected.min()) - 3, float(projected.max()) + 3, BINS, dtype=F64)
            self.parts.append((direction, at, reference.cdf(direction, at)))

    def sliced_w1(self, found: Weighted) -> float:
        """Mean over directions of the integral of |F - F_reference|."""
        gaps = [torch.trapezoid((found.cdf(u, at) - exact).abs(), at) for u, at, exact in self.parts]
        return float(sum(gaps)) / DIRECTIONS


def scores(found: Weighted, reference: Weighted, projections: Projections) -> dict[str, float]:
    """mean_error, std_ratio and sliced_w1 of an ensemble."""
    return {
        "mean_error": float((((found.mean - reference.mean) / reference.std) ** 2).mean().sqrt()),
        "std_ratio": float((found.std / reference.std).mean()),
        "sliced_w1": projections.sliced_w1(found),
    }


def flat(x: Tensor) -> Weighted:
    """Equal weights for points of shape (N, 3)."""
    return Weighted(x, torch.full((len(x),), 1 / len(x), dtype=F64))


def run(name: str, observation: Observation, members: int, steps: int, seed: int) -> tuple[Weighted, dict]:
    """One ensemble by a method of the catalogue with its usual options, and what it cost."""
    denoiser = GaussianDenoiser(torch.tensor(MEAN, dtype=F64), IdentityBasis(), torch.full((3,), STD**2, dtype=F64))
    target, options = leaf("posterior", name, "posterior method", "", {}, ("sigmas",))
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # collapse is in the row, as ess
        method = target(karras_sigmas(steps, 0.02, 5 * STD), **options)
        ensemble = method.sample(denoiser, observation, MemberStreams(seed, [0], range(members), F64))
    facts = {k: float(ensemble.diagnostics[k]) for k in ("network_calls", "operator_calls")}
    facts |= {"ess": float(ensemble.ess[0]), "seconds": time.perf_counter() - begun}
    x, weights = ensemble.x[0], ensemble.weights[0]
    finite = torch.isfinite(x).all(1)
    facts["finite"] = float(finite.double().mean())
    return Weighted(x[finite], weights[finite] / weights[finite].sum()), facts


def problem(read, std: float, seed: int) -> Observation:
    """Readings of one truth drawn from the prior."""
    truth = rk4(prior_draws(1, 10_000 + seed))
    m = read(truth).shape[1]
    noise = torch.randn(1, m, generator=torch.Generator().manual_seed(20_000 + seed), dtype=F64)
    operator = Function(lambda x: read(rk4(x)), (3,), m)
    return Observation(operator, read(truth) + std * noise, torch.full((m,), std, dtype=F64))


def reference(observation: Observation, read, draws: Tensor, paths: Tensor) -> tuple[Weighted, dict]:
    """The posterior from prior draws (N, 3) and their trajectories (N, n, 3), and how far its two halves are apart."""
    log_likelihood = observation.noise.log_prob(observation.y, read(paths)).sum(1)
    halves = [Weighted.of(x, part) for x, part in zip(draws.chunk(2), log_likelihood.chunk(2), strict=True)]
    whole = Weighted.of(draws, log_likelihood)
    return whole, scores(halves[0], halves[1], Projections(halves[1])) | {"ess": whole.ess}


def rows(report: Report, quick: bool, seed: int) -> None:
    """Adds the rows of both beds for each method of the catalogue that takes nonlinear readings."""
    count, seeds, steps = (200_000, 1, 20) if quick else (2_000_000, 3, 30)
    begun, draws = time.perf_counter(), prior_draws(count, seed + 1)
    paths = torch.cat([rk4(part) for part in draws.split(20_000)])  # parts that fit a processor's cache
    spent = time.perf_counter() - begun
    names = [name for name, needs in METHODS.items() if needs != "linear" and name not in APART]
    for case, (read, std) in READINGS.items():
        beds = [problem(read, std, n) for n in range(seeds)]
        truths, apart = zip(*(reference(bed, read, draws, paths) for bed in beds), strict=True)
        projections, g = [Projections(truth) for truth in truths], torch.Generator().manual_seed(30_000)
        exact = [
            mean_row([scores(flat(truth.draw(MEMBERS, g)), truth, known) for _ in range(EXACT)])
            for truth, known in zip(truths, projections, strict=True)
        ]
        head, limit = {"case": case, "problems": seeds}, mean_row(exact)["sliced_w1"]

        def add(method: str, members: int, several: list[dict], head=head, limit=limit) -> None:
            row = mean_row(several)
            report.add(**head, method=method, members=members, error_ratio=row["sliced_w1"] / limit, **row)

        add("reference", count, [row | {"seconds": spent} for row in apart])
        add("exact", MEMBERS, exact)
        for name in names:
            several = []
            try:
                for n, (bed, truth, known) in enumerate(zip(beds, truths, projections, strict=True)):
                    ensemble, facts = run(name, bed, MEMBERS, steps, seed + 50 + n)
                    several.append(scores(ensemble, truth, known) | facts)
            except ValueError as error:  # a method may find more to refuse than its `needs` says
                report.add(case=case, method=name, refused=str(error))
                continue
            add(name, MEMBERS, several)


def mean_row(several: list[dict]) -> dict[str, float]:
    """Means of rows with the same keys."""
    return {k: sum(row[k] for row in several) / len(several) for k in several[0]}


def main() -> None:
    """Runs both beds and writes the report."""
    given = common.parser(__doc__.split("\n")[0]).parse_args()
    report = Report("exactness_lorenz", given.quick, given.seed)
    rows(report, given.quick, given.seed)
    report.write()


if __name__ == "__main__":
    main()
