"""Every posterior method against reference posteriors of PDE problems whose Gaussian-field priors are exact.

    python benchmarks/posterior_bank.py [--quick] [--cases NAME ...] [--methods NAME ...] [--levels N ...] [--keep]

Needs the bank (datasets/posterior-bank, made by make_posterior_bank.py). 64 members. crps_ratio: expected CRPS of the
ensemble for draws of the reference, over the reference's own; error_ratio: sliced W1 over that of as many reference
draws; c2st: accuracy of a classifier that tells members from reference draws (0.5: it cannot); coverage90 of reference
draws. The rows `reference` are subsets of the reference itself: what exact draws would score, with the spread of
crps_ratio from subset to subset. seconds are those of the processor. A method that does not take a case is skipped in
words; one that takes longer than --limit is stopped. The full run draws error against seconds to
benchmarks/results/posterior_bank.png. --keep keeps the rows of an earlier run for what is not run again.
"""

import json
import time
import warnings
from functools import partial

import bank
import bank_scores
import common
import torch
from bank_cases import CASES, Case

from sciml_diffusion.baselines.enkf import EnsembleKalman
from sciml_diffusion.baselines.laplace import Reference as Gauss
from sciml_diffusion.baselines.laplace import WhitePosterior, minimise
from sciml_diffusion.baselines.mcmc import WhitenedMCMC
from sciml_diffusion.ensemble import WeightedEnsemble
from sciml_diffusion.inverse.catalogue import METHODS
from sciml_diffusion.leaves import leaf
from sciml_diffusion.resources import resource_folder
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams

F64 = torch.float64
MEMBERS, SUBSETS = 64, 20
LEVELS, QUICK_LEVELS = (8, 32), (8,)
VARIANTS = {"enkg-published": ("enkg", {"update": "published"})}  # name: leaf, options
QUICK = ("burgers-sparse", "darcy-16")


class TooLong(Exception):
    """A method has used up its time."""


def diffusion(name: str, case: Case, steps: int, streams: MemberStreams, limit: float) -> WeightedEnsemble:
    """An ensemble of a method of the catalogue, from its leaf."""
    begun = time.process_time()

    def watch(done: int) -> None:
        if time.process_time() - begun > limit:
            raise TooLong(f"stopped after {limit:.0f} s, at level {done} of {steps}")

    base, options = VARIANTS.get(name, (name, {}))
    target, arguments = leaf("posterior", base, "posterior method", "", options, ("sigmas",))
    method = target(karras_sigmas(steps, *case.sigma_range), **arguments)
    return method.sample(case.prior, case.observation, streams, watch)


def laplace(case: Case, streams: MemberStreams) -> WeightedEnsemble:
    """Draws of the Gaussian around the maximum a posteriori, with the Gauss-Newton Hessian."""
    problem = WhitePosterior(case.prior, case.observation)
    xi, _ = minimise(problem, torch.zeros(1, problem.parameters, dtype=F64))
    gauss = Gauss.laplace(xi[0], problem.linearise(xi)[1][0])
    x = problem.event(gauss(streams.normal((problem.parameters,))))
    return WeightedEnsemble(x[None], x.new_zeros(1, len(x)))


def kalman(case: Case, streams: MemberStreams) -> WeightedEnsemble:
    """Four rounds of the ensemble Kalman analysis, from draws of the prior."""
    draw = partial(case.prior.start, torch.zeros((), dtype=F64))
    return EnsembleKalman(draw, rounds=4).posterior(case.observation, streams)


def chains(case: Case, streams: MemberStreams) -> WeightedEnsemble:
    """The last states of short chains."""
    return WhitenedMCMC(case.prior, leaps=2, warmup=10, steps=4).posterior(case.observation, streams)


BASELINES = {"laplace": laplace, "ensemble-kalman": kalman, "mcmc-short": chains}


def row(make, found: bank.Reference, floor: dict) -> dict:
    """Scores and cost of one ensemble."""
    begun = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # collapse is in the row, as ess
        ensemble = make()
    seconds = time.process_time() - begun
    x, w, d = ensemble.x[0].double().flatten(1), ensemble.weights[0], ensemble.diagnostics
    if not x.isfinite().all():
        return {"skipped": f"{int((~x.isfinite().all(1)).sum())} of {len(x)} members are not finite"}
    made = bank_scores.scores(x, w, found.draws.flatten(1))
    return {
        **{k: made[k] for k in ("crps_ratio", "c2st", "coverage90", "bias", "std_ratio")},
        "error_ratio": made["sliced_w1"] / floor["sliced_w1"],
        "ess": float(ensemble.ess[0]),
        "network_calls": d.get("network_calls", 0),
        "operator_calls": d.get("operator_calls", 0),
        "seconds": seconds,
    }


def exact(found: bank.Reference) -> dict:
    """What subsets of the reference score against its other draws: means, and the spread of crps_ratio."""
    y, g = found.draws.flatten(1), torch.Generator().manual_seed(3)
    flat, rows = torch.full((MEMBERS,), 1 / MEMBERS, dtype=F64), []
    for _ in range(SUBSETS):
        order = torch.randperm(len(y), generator=g)
        rows.append(bank_scores.scores(y[order[:MEMBERS]], flat, y[order[MEMBERS:]]))
    mean = {k: sum(r[k] for r in rows) / SUBSETS for k in rows[0]}
    return mean | {"crps_ratio_std": float(torch.tensor([r["crps_ratio"] for r in rows]).std())}


def run(report: common.Report, name: str, methods: list[str], steps: tuple[int, ...], limit: float) -> None:
    """All rows of one case."""
    found = bank.load(name)
    case, floor = found.case, exact(found)
    shown = ("crps_ratio", "c2st", "coverage90", "bias", "std_ratio")
    spread = {"error_ratio": 1.0, "crps_ratio_std": floor["crps_ratio_std"]}
    report.add(case=name, method="reference", steps=0, members=MEMBERS, **{k: floor[k] for k in shown}, **spread)
    for method in methods:
        for count in (0,) if method in BASELINES else steps:
            streams = MemberStreams(report.seed + 1, [0], range(MEMBERS), F64)
            head = {"case": name, "method": method, "steps": count, "members": MEMBERS}
            if method in BASELINES:
                make = partial(BASELINES[method], case, streams)
            else:
                make = partial(diffusion, method, case, count, streams, limit)
            try:
                report.add(**head, **row(make, found, floor))
            except (TooLong, ValueError, TypeError, RuntimeError) as error:
                report.add(**head, skipped=f"{type(error).__name__}: {error}".split(". Methods that take it")[0])
                break


def merged(report: common.Report) -> list[dict]:
    """The rows of this run and those of the file that is there, but for what this run has done again."""
    path = common.RESULTS / f"{report.name}{'-quick' if report.quick else ''}.json"
    old = json.loads(path.read_text())["rows"] if path.exists() else []
    done = {(r["case"], r["method"], r["steps"]) for r in report.rows}
    rows = [r for r in old if (r["case"], r["method"], r["steps"]) not in done] + report.rows
    order = {name: n for n, name in enumerate(CASES)}
    return sorted(rows, key=lambda r: (order[r["case"]], r["steps"], r.get("crps_ratio", 1e9)))


def draw(rows: list[dict], path) -> None:
    """Error against seconds, one panel for each case; the grey band ends at 1.1."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FixedLocator, NullLocator

    names = list(dict.fromkeys(r["case"] for r in rows))
    done = [r for r in rows if "seconds" in r]
    methods = list(dict.fromkeys(r["method"] for r in done))
    across = min(3, len(names))
    down = -(-len(names) // across)
    figure, axes = plt.subplots(down, across, figsize=(3.6 * across, 3.2 * down), squeeze=False, layout="constrained")
    for axis, name in zip(axes.flat, names, strict=False):
        axis.axhspan(0.5, 1.1, color="0.9", zorder=0)
        for n, method in enumerate(methods):
            own = sorted((r["seconds"], r["crps_ratio"]) for r in done if (r["case"], r["method"]) == (name, method))
            if own:
                style = {"marker": "osD^vPX"[n % 7], "color": f"C{n % 10}", "ms": 6}
                axis.loglog(*zip(*own, strict=True), label=method, **style)
        axis.set(
            title=name,
            xlabel="processor seconds",
            ylabel="CRPS over the reference's",
            ylim=(0.9, None),
            xlim=(0.02, 100),
        )
        axis.yaxis.set_major_locator(FixedLocator([1, 1.1, 1.3, 2, 4, 8, 16]))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_locator(NullLocator())
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    lines = {m: h for axis in axes.flat for h, m in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=6, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Runs what was asked for and writes the report."""
    asked = common.parser(__doc__.split("\n")[0])
    asked.add_argument("--cases", nargs="*", choices=list(CASES))
    asked.add_argument("--methods", nargs="*")
    asked.add_argument("--levels", nargs="*", type=int, help="of noise; 8 and 32 unless given, 8 in the quick run")
    asked.add_argument("--keep", action="store_true", help="keep earlier rows of other cases and methods")
    asked.add_argument("--limit", type=float, default=60.0, help="seconds of the processor for one ensemble")
    given = asked.parse_args()
    leaves = {path.stem for path in (resource_folder("configs") / "posterior").glob("*.yaml")}
    methods = given.methods or [*BASELINES, *METHODS, *VARIANTS, *sorted(leaves - set(METHODS))]
    report = common.Report("posterior_bank", given.quick, given.seed)
    for name in given.cases or (QUICK if given.quick else CASES):
        run(report, name, methods, given.levels or (QUICK_LEVELS if given.quick else LEVELS), given.limit)
        own = report.rows
        report.rows = merged(report) if given.keep else own
        path = report.write()
        draw(report.rows, path.with_suffix(".png"))
        report.rows = own


if __name__ == "__main__":
    main()
