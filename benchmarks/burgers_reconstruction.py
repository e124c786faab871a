"""A Burgers trajectory from five sensors: posterior ensembles beside linear and variational baselines.

    python benchmarks/burgers_reconstruction.py [--quick] [--seed SEED] [--prior burgers] [--members 8] [--steps 32]

64 x 64 space-time (t x x), sensors at x = 0.1, 0.3, 0.5, 0.7, 0.9 at all times (linear interpolation between grid
points), noise of 1 % of the field's standard deviation, 50 trajectories (--quick: 8) of a seed that no method was
trained on. rel_l2 = mean over trajectories of ||mean - truth|| / ||truth||, rel_l2_members the same of single members,
both over the whole field; the other scores leave out the cells that hold a sensor. `gauss_newton` knows the equation
and the law of the initial field and solves for it (MAP, then the Laplace ensemble through the solver); `linear_oi` has
the covariance of 8192 training trajectories (--quick: 2048). The others have the learned prior alone: `ours` is MMPS
with four products with the denoiser's Jacobian in each step, `ours_surrogate` with the covariance shared by all members
(no further network calls), `ours_smc` (--methods ours_smc --members 64) the twisted particle filter, which collapses.
"""

import time

import numpy as np
import torch
import xarray as xr
from common import Report, parser
from torch import Tensor

from sciml_diffusion import api
from sciml_diffusion.baselines.gauss_newton import GaussNewton, burgers_forward
from sciml_diffusion.baselines.linear_gaussian import LinearGaussian
from sciml_diffusion.data.container import grid_of
from sciml_diffusion.ensemble import WeightedEnsemble
from sciml_diffusion.evaluate import scores
from sciml_diffusion.evaluate.places import sensor_cells
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.sensors import point_operator
from sciml_diffusion.observations.simulate import simulate
from sciml_diffusion.physics.random_fields import PeriodicRandomField
from sciml_diffusion.samplers.streams import MemberStreams

SENSORS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])[:, None]
TRAINING, VALIDATION, TEST = 0, 1, 1_000_000  # seeds
NOISE = 0.01  # of the field's standard deviation
RIDGES = (0.0, 1e-3, 3e-3, 1e-2, 3e-2)
MODES = 16
METHODS = {
    "ours": ("mmps", {}),
    "ours_surrogate": ("mmps", {"covariance": "surrogate"}),
    "ours_smc": ("smc", {}),
}
ROWS = 64  # members of all trajectories in memory at once


class Case:
    """Truths, the data that sensors report of them, and the cells to score.

    Arguments:
        count: trajectories.
        seed: of the trajectories.
        std: of the noise, in the units of u.
        noise_seed: of the noise.
    """

    def __init__(self, count: int, seed: int, std: float, noise_seed: int):
        fields = api.generate("burgers", samples=count, seed=seed, progress=False)
        table = simulate(fields.isel(sample=0), SENSORS, std, 0)
        self.truth = _tensor(fields)
        operator = point_operator(grid_of(fields), ["u"], fields.time.values, table)
        noise = MemberStreams(noise_seed, range(count), [0], torch.float64).normal((operator.m,))
        stds = torch.full((operator.m,), std, dtype=torch.float64)
        self.observation = Observation(operator, operator(self.truth) + std * noise, stds)
        self.mask = ~sensor_cells(grid_of(fields), table)

    def part(self, rows: slice) -> Observation:
        """The data of some trajectories."""
        return Observation(self.observation.operator, self.observation.y[rows], self.observation.std)


def relative(x: Tensor, truth: Tensor) -> Tensor:
    """||x - truth|| / ||truth|| over the last three axes: shapes (..., C, T, X) -> (...)."""
    return (x - truth).flatten(-3).norm(dim=-1) / truth.flatten(-3).norm(dim=-1)


def row(case: Case, ensemble: WeightedEnsemble, seed: int) -> dict:
    """The scores of one method."""
    x, truth, weights = ensemble.x.double(), case.truth, ensemble.weights
    single = (weights * relative(x, truth[:, None])).sum(1)
    errors = relative(ensemble.mean.double(), truth)
    draws = errors[torch.randint(len(errors), (2000, len(errors)), generator=torch.Generator().manual_seed(seed))]
    low, high = draws.mean(1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    generator = torch.Generator().manual_seed(seed)
    summary = scores.summary(x, truth, generator, weights, mask=case.mask)
    return {
        "rel_l2": errors.mean(),
        "ci_low": low,
        "ci_high": high,
        "rel_l2_median": errors.median(),
        "rel_l2_members": single.mean(),
        **{k: summary[k] for k in ("crps", "rmse", "coverage90", "spread_skill")},
        "ess": ensemble.ess.mean(),
    }


def linear(train: Tensor, std: float) -> tuple[LinearGaussian, float]:
    """Optimal interpolation, its ridge chosen on validation trajectories."""
    check = Case(64, VALIDATION, std, VALIDATION)
    best = None
    for ridge in RIDGES:
        model = LinearGaussian.from_samples(train, ridge)
        error = float(relative(model.mean(check.observation).double(), check.truth).mean())
        if best is None or error < best[0]:
            best = (error, model, ridge)
    return best[1:]


def gauss_newton(case: Case, start: Tensor, members: int, seed: int) -> WeightedEnsemble:
    """The Laplace ensemble, begun from the first frame of an estimate (B, 1, T, X)."""
    points = start.shape[-1]
    waves = torch.fft.rfft(start[:, 0, 0].double())[:, 1 : MODES + 1] * (2 / points)
    xi = torch.stack([waves.real, -waves.imag], -1) / PeriodicRandomField().amplitudes[:MODES, None]
    solver = GaussNewton(burgers_forward(points, start.shape[2], MODES), 2 * MODES)
    streams = MemberStreams(seed, range(len(start)), range(members), torch.float64)
    return solver.posterior(case.observation, streams, xi.flatten(1).clamp(-3, 3))


def ours(prior, case: Case, method: str, members: int, steps: int, seed: int, **options) -> WeightedEnsemble:
    """A posterior method on the learned prior, some trajectories at a time."""
    sampler, codec = api.posterior_method(method, prior, steps, **options), prior.codec
    parts, count, share = [], len(case.truth), max(1, ROWS // members)
    for first in range(0, count, share):
        index = range(first, min(first + share, count))
        streams = MemberStreams(seed, index, range(members), prior.dtype, prior.device)
        data = case.part(slice(first, first + share)).to(prior.dtype, prior.device).through([codec] * len(index))
        parts.append(sampler.sample(prior.denoiser, data, streams))
        print(f"  {method} {options}: {index.stop} of {count} trajectories", flush=True)
    x = torch.cat([codec.decode(p.x.flatten(0, 1)).reshape(*p.x.shape[:2], *prior.shape).cpu() for p in parts])
    calls = {"network_calls": float(np.mean([p.diagnostics["network_calls"] for p in parts]))}
    return WeightedEnsemble(x, torch.cat([p.log_weights.cpu() for p in parts]), calls)


def _tensor(fields: xr.Dataset) -> Tensor:
    """Trajectories as (N, C, T, X), float64."""
    return torch.from_numpy(fields.u.values[:, None]).double()


def main() -> None:
    """Runs all methods on the same data and writes the report."""
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument("--prior", default="burgers", help="a shipped prior or the folder of one")
    arguments.add_argument("--members", type=int, default=8)
    arguments.add_argument("--steps", type=int, default=32)
    arguments.add_argument("--methods", nargs="*", choices=list(METHODS), default=["ours", "ours_surrogate"])
    options = arguments.parse_args()
    count, train_count = (8, 2048) if options.quick else (50, 8192)
    members, seed = options.members, options.seed
    report = Report("burgers_reconstruction", options.quick, seed)
    train = _tensor(api.generate("burgers", samples=train_count, seed=TRAINING, progress=False)).float()
    std = NOISE * float(train.std())
    case = Case(count, TEST + seed, std, TEST + seed)
    print(f"64 x 64 space-time, {case.observation.operator.m} observations of std {std:.3g}, {count} trajectories\n")

    def add(method: str, ensemble: WeightedEnsemble, begun: float, **more) -> None:
        fixed = {"case": "burgers-64x64-5", "method": method, "trajectories": count, "members": members}
        spent = {"network_calls": ensemble.diagnostics.get("network_calls", 0), "seconds": time.perf_counter() - begun}
        report.add(**fixed, **row(case, ensemble, seed), **spent, **more)

    drawn = torch.randint(train_count, (count, members), generator=torch.Generator().manual_seed(seed))
    add("prior_mean", WeightedEnsemble(train[drawn].double(), torch.zeros(count, members)), time.perf_counter())
    begun = time.perf_counter()
    model, ridge = linear(train, std)
    print(f"linear_oi: ridge {ridge}")
    streams = MemberStreams(seed, range(count), range(members))
    add("linear_oi", model.posterior(case.observation, streams), begun)
    begun = time.perf_counter()
    estimate = gauss_newton(case, model.mean(case.observation), members, seed)
    add("gauss_newton", estimate, begun)
    errors = relative(estimate.diagnostics["map"], case.truth)
    report.add(case="burgers-64x64-5", method="gauss_newton_map", rel_l2=errors.mean(), rel_l2_median=errors.median())
    try:
        prior = api.load_prior(options.prior)
    except FileNotFoundError as error:
        print(f"ours is left out: {error}")
    else:
        for name in options.methods:
            (method, extra), begun = METHODS[name], time.perf_counter()
            add(name, ours(prior, case, method, members, options.steps, seed, **extra), begun)
    report.write()


if __name__ == "__main__":
    main()
