"""What conditioning costs: guided, moment-matched and weighted sampling beside unguided sampling of the same prior.

    python benchmarks/posterior_speed.py [--quick] [--seed SEED] [--members 64] [--steps 2]

A prior of 64 x 64 points with a U-Net of more than 5 M parameters (untrained: its cost is the same), 205 point sensors,
and for the weighted method with moments 2 of them. `ratio` is the time of a posterior over that of as many unguided
samples at the same noise levels (the ancestral sampler, the least of the repeats of each), `limit` the most that it
should be: 2.2 for one backward pass a step, 1 + 1.2 for each product with the derivative, 1.15 times its own guidance
for weights. `vjps`: backward passes for each step and member. On a GPU also the members from 1 to 4096, doubling, with
`share` = members per second over the best; on a CPU a few. Seconds on a CPU are those of the process, so that other
work on the machine counts little; OMP_NUM_THREADS=1 is meant.
"""

import time
from functools import partial

import torch
from common import Report, parser
from torch import Tensor

from sciml_diffusion.denoisers.anchored import AnchoredDenoiser
from sciml_diffusion.denoisers.backbones.unet import UNet
from sciml_diffusion.denoisers.base import Denoiser
from sciml_diffusion.denoisers.basis import FourierBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.denoisers.precondition import PreconditionedDenoiser
from sciml_diffusion.ensemble import WeightedEnsemble
from sciml_diffusion.inverse.base import PosteriorMethod
from sciml_diffusion.inverse.dps import DPS
from sciml_diffusion.inverse.low_rank_smc import GaussianSurrogateSMC
from sciml_diffusion.inverse.mmps import MMPS
from sciml_diffusion.inverse.pigdm import PiGDM
from sciml_diffusion.inverse.smc import MomentMatchedSMC
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Weighted
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.sde import Ancestral
from sciml_diffusion.samplers.streams import MemberStreams

EVENT, SENSORS, FEW = (1, 64, 64), 205, 2
GUIDED, PRODUCT, WEIGHED = 2.2, 1.2, 1.15  # limits


def network(channels: int) -> UNet:
    """A U-Net of 5.5 M parameters, with numbers in its last layer."""
    g = torch.Generator().manual_seed(0)
    made = UNet(channels, 1, width=52, multipliers=(1, 2, 4, 4), patch=2, blocks=1)
    for parameter in made.parameters():
        if not parameter.any():
            parameter.data.normal_(generator=g).mul_(0.02)
    return made.requires_grad_(False)


def priors(device: torch.device) -> dict:
    """The same network as an EDM denoiser, and anchored at a Gaussian field."""
    k = torch.fft.fftfreq(64, d=1 / 64)
    spectrum = (1 + (k[:, None] ** 2 + k**2) / 4) ** -2
    anchor = GaussianDenoiser(torch.zeros(EVENT), FourierBasis(2), (spectrum / spectrum.mean())[None])
    nodes = torch.tensor([-5.0, 5.0])
    made = {"edm": PreconditionedDenoiser(network(1), EVENT)}
    made["anchored"] = AnchoredDenoiser.untrained(anchor, network(2), nodes)
    return {name: prior.to(device).eval() for name, prior in made.items()}


def sensors(count: int, device: torch.device) -> Observation:
    """Point sensors of std 0.1 at random cells."""
    g = torch.Generator().manual_seed(1)
    index = torch.randperm(64 * 64, generator=g)[:count, None]
    operator = Weighted(index.to(device), torch.ones(count, 1, device=device), EVENT)
    y = torch.randn(1, count, generator=g).to(device)
    return Observation(operator, y, torch.full((count,), 0.1, device=device))


def timed(work, repeats: int, device: torch.device) -> tuple:
    """Least time of some repeats, and what the work returned: on a GPU by the clock, on a CPU of this process alone."""
    best = torch.inf
    for _ in range(repeats):
        began = _now(device)
        found = work()
        best = min(best, _now(device) - began)
    return best, found


def _now(device: torch.device) -> float:
    """Seconds, once the device has done all it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def cases(sigmas: Tensor) -> list[tuple]:
    """Name, prior, method, sensors; what the limit is: a number, "products" or the name of the guidance."""
    return [
        ("dps", "edm", DPS(sigmas), SENSORS, GUIDED),
        ("pigdm", "edm", PiGDM(sigmas), SENSORS, GUIDED),
        ("mmps 4 products", "edm", MMPS(sigmas, "jacobian", 0.0, 3), SENSORS, "products"),
        ("mmps 2 products", "edm", MMPS(sigmas, "jacobian", 0.0, 1), SENSORS, "products"),
        ("mmps surrogate", "anchored", MMPS(sigmas, "surrogate"), SENSORS, 1.0 + 0.15),
        ("gs-smc", "anchored", GaussianSurrogateSMC(sigmas), SENSORS, "mmps surrogate"),
        ("smc 2 sensors", "edm", MomentMatchedSMC(sigmas), FEW, "mmps 2 products"),
    ]


def unguided(sigmas: Tensor, prior: Denoiser, members: int, device: torch.device) -> Tensor:
    """Draws of the prior, with shape (members, *event)."""
    return Ancestral(sigmas)(prior, MemberStreams(0, [0], range(members), device=device))


def sample(method: PosteriorMethod, prior: Denoiser, data: Observation, members: int) -> WeightedEnsemble:
    """Members of one window."""
    return method.sample(prior, data, MemberStreams(0, [0], range(members), device=data.y.device))


def costs(report: Report, members: int, steps: int, repeats: int, device: torch.device) -> None:
    """Every method beside unguided sampling of its prior at the same levels."""
    sigmas, made, base, times = karras_sigmas(steps, 0.02, 40.0), priors(device), {}, {}

    with torch.no_grad():
        for name, prior in made.items():
            base[name], _ = timed(partial(unguided, sigmas, prior, members, device), repeats, device)
            size = sum(p.numel() for p in prior.parameters()) / 1e6
            about = {"members": members, "steps": steps, "parameters_million": round(size, 2)}
            report.add(case=f"unguided {name}", method="ancestral", ratio=1.0, seconds=base[name], **about)
    for name, kind, method, count, limit in cases(sigmas):
        data, prior = sensors(count, device), made[kind]
        work = partial(sample, method, prior, data, members)
        times[name], ensemble = timed(work, repeats, device)
        vjps = ensemble.diagnostics["network_calls"] / steps - 1
        if limit == "products":
            limit = 1 + PRODUCT * vjps
        elif isinstance(limit, str):
            limit = WEIGHED * times[limit] / base[kind]
        ratio = times[name] / base[kind]
        report.add(
            case=f"posterior {kind}", method=name, ratio=ratio, limit=limit, vjps=vjps, sensors=count,
            seconds=times[name], within=ratio <= limit, members=members, steps=steps,
        )  # fmt: skip


def scaling(report: Report, counts: list[int], steps: int, device: torch.device) -> None:
    """Members per second of one guided method from one member to many."""
    sigmas, prior, data = karras_sigmas(steps, 0.02, 40.0), priors(device)["edm"], sensors(SENSORS, device)
    found = {}
    for members in counts:
        found[members], _ = timed(partial(sample, PiGDM(sigmas), prior, data, members), 2, device)
    best = max(members / taken for members, taken in found.items())
    for members, taken in found.items():
        row = {"seconds": taken, "members_per_second": members / taken, "share": members / taken / best}
        report.add(case="members", method="pigdm", members=members, steps=steps, **row)


def main() -> None:
    """Costs, then scaling."""
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument("--members", type=int, default=64)
    arguments.add_argument("--steps", type=int, default=2)
    options = arguments.parse_args()
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    name = torch.cuda.get_device_name() if gpu else None
    report = Report("posterior_speed", options.quick, options.seed, name)
    costs(report, 8 if options.quick else options.members, options.steps, 2, device)
    most = 12 if gpu else (2 if options.quick else 4)
    scaling(report, [2**i for i in range(most + 1)], options.steps, device)
    report.write()


if __name__ == "__main__":
    main()
