"""ERA5 2 m temperature over the British Isles from 16 and 80 stations: ours, fit_prior, optimal interpolation.

March 2019, hourly, 33 x 49 points; stations at random places, observing every hour with an error of 0.1 K; windows of
8 hours, each on its own. Cases `era5-16` and `era5-80`: five blocks of days, each predicted from the rest of the month
less a day on either side; every choice of every method is made inside the training days. Cases `split-16` and
`split-80`: trained on 1-24 March, tested on 26-31. Methods:

- ours: the Gaussian-anchored network of `train_prior`, moment-matched posterior sampling (mmps);
- fit_prior: the closed-form Gaussian, exact posterior draws;
- optimal_interpolation: separable covariance, tuned on the same inner folds, exact draws;
- single_frame: kriging of each hour alone with the localised covariance (splits only).

Scores: fair CRPS and RMSE in K, area weighted, cells with a sensor left out. crps_ratio is to optimal interpolation,
with its 95 % interval from a paired bootstrap over days.
"""

import time
from dataclasses import replace

import numpy as np
import torch
from common import Report, parser

import sciml_diffusion as sd
from sciml_diffusion.baselines.kriging import ClosedForm
from sciml_diffusion.baselines.optimal_interpolation import OptimalInterpolation
from sciml_diffusion.data.container import grid_of
from sciml_diffusion.data.splits import blocked_folds, by_dates
from sciml_diffusion.evaluate.diagnostics import paired_bootstrap
from sciml_diffusion.evaluate.places import coverage_by_distance, sensor_distance
from sciml_diffusion.evaluate.scores import summarise
from sciml_diffusion.evaluate.xarray_scores import field_points
from sciml_diffusion.prior import Prior, Variable
from sciml_diffusion.training.recipe import SERIES, train_prior

WINDOW, STD, NAME = "8h", 0.1, "t2m"
STEPS = 8  # of mmps; 16 score alike
SPLIT = (("2019-03-01", "2019-03-24"), ("2019-03-26", "2019-03-31"))
EDGES = [0.0, 50.0, 100.0, 200.0, float("inf")]  # km to the nearest sensor
METHODS = ["ours", "fit_prior", "optimal_interpolation", "single_frame"]


def main() -> None:
    """Runs all folds and writes the table."""
    arguments = parser(__doc__.splitlines()[0])
    arguments.add_argument("--methods", nargs="+", default=METHODS)
    options = arguments.parse_args()
    draws = {16: 2, 80: 1} if options.quick else {16: 3, 80: 2}
    report = Report("era5_reconstruction", options.quick, options.seed)
    fields = sd.open_dataset("era5-uk-t2m").load()
    times = fields["time"].values
    pools: dict[tuple[str, str], list[dict]] = {}
    for fold, (cases, train, test) in enumerate(folds_of(times)):
        names = [m for m in options.methods if "split" in cases or m != "single_frame"]
        methods = fit_all(fields.isel(time=train), options, names)
        run_fold(cases, fold, fields.isel(time=test), methods, draws, options.seed, pools)
    for case in ("era5", "split"):
        summarise_case(report, case, draws, pools, options.methods)
    report.write()


def folds_of(times: np.ndarray) -> list[tuple[tuple[str, ...], np.ndarray, np.ndarray]]:
    """(cases, train, test): five blocked folds, and the split by dates, which one of them may be."""
    split, out, known = by_dates(times, *SPLIT), [], False
    for train, test in blocked_folds(times, 5):
        same = np.array_equal(train, split[0]) and np.array_equal(test, split[1])
        out.append((("era5", "split") if same else ("era5",), train, test))
        known = known or same
    return out if known else [*out, (("split",), *split)]


def fit_all(fields, options, names: list[str]) -> dict:
    """Each method as a function (sensor table, seed) -> posterior, fitted to the training days alone."""
    members = 16 if options.quick else 32
    config = replace(SERIES, steps=150) if options.quick else SERIES
    made = {}
    for name in names:
        begun = time.perf_counter()
        if name == "ours":
            prior = as_prior(train_prior(fields, WINDOW, seed=options.seed, config=config, progress=False))
            print("beta by sigma", prior.card["beta"])
            made[name] = lambda obs, seed, p=prior: sd.posterior(p, obs, "mmps", members, STEPS, seed, progress=False)
        elif name == "fit_prior":
            prior = sd.fit_prior(fields, WINDOW)
            made[name] = lambda obs, seed, p=prior: exact(p, obs, members, seed)
            print("fit_prior", prior.card["law"])
        else:
            frames = WINDOW if name == "optimal_interpolation" else "1h"
            baseline = OptimalInterpolation.fit(fields, frames)
            made[name] = lambda obs, seed, b=baseline: b.posterior(obs, members, seed)
            print(name, baseline.choices)
        print(f"{name}: fitted in {time.perf_counter() - begun:.0f} s", flush=True)
    return made


def as_prior(parts) -> Prior:
    """A `Prior` from what the training returns."""
    denoiser, codec, grid, variables, window, step, sigma_range, card = parts
    return Prior(denoiser, codec, grid, tuple(Variable(**v) for v in variables), window, step, sigma_range, card)


def exact(prior: Prior, obs, members: int, seed: int):
    """Exact draws from the posterior of a Gaussian prior."""
    return sd.posterior(prior, obs, ClosedForm(), members, seed=seed, progress=False)


def run_fold(cases: tuple[str, ...], fold: int, truth, methods: dict, draws: dict, seed: int, pools: dict) -> None:
    """Scores every method on the same sensors, for every density and draw of stations; adds to the pools."""
    for stations, count in draws.items():
        for draw in range(count):
            key = seed + 100 * fold + draw
            obs = sd.observe(truth, stations=stations, std=STD, seed=key)
            for name, method in methods.items():
                begun = time.perf_counter()
                post = method(obs, key)
                seconds = time.perf_counter() - begun
                scored = score_points(post, truth, obs, key) | {"seconds": seconds, "fold": fold, "draw": draw}
                for case in cases:
                    if case == "split" or name != "single_frame":
                        pools.setdefault((f"{case}-{stations}", name), []).append(scored)
                print(f"{cases} {stations} draw {draw} {name}: CRPS {brief(scored)}, {seconds:.0f} s", flush=True)


def score_points(post, truth, obs, seed: int) -> dict:
    """Scores, areas, days and distances to the nearest sensor of the points that hold no sensor, each a vector."""
    points, area, mask = field_points(post, truth, NAME, obs, np.random.default_rng(seed))
    shape = points["crps"].shape
    days = torch.from_numpy(post["time"].values.astype("datetime64[D]").astype(np.int64))
    distance = sensor_distance(grid_of(truth), obs)
    extra = {"area": area, "distance": distance, "day": days[:, None, None]}
    return {k: v.expand(shape)[mask.expand(shape)] for k, v in (points | extra).items()}


def summarise_case(report: Report, case: str, draws: dict, pools: dict, methods: list[str]) -> None:
    """One row for each density and method, over all folds, draws and points."""
    for stations in draws:
        name = f"{case}-{stations}"
        baseline = daily_crps(pools[name, "optimal_interpolation"])
        for method in methods:
            if (name, method) not in pools:
                continue
            parts = pools[name, method]
            joined = {k: torch.cat([p[k] for p in parts]) for k in parts[0] if torch.is_tensor(parts[0][k])}
            scores = summarise(joined, joined["area"])
            mine = daily_crps(parts)
            ratio, low, high = paired_bootstrap(mine[1], baseline[1], mine[0], np.random.default_rng(0), ratio=True)
            row = {"case": name, "method": method} | {
                k: scores[k] for k in ("crps", "rmse", "coverage90", "spread_skill")
            }
            row |= {"crps_ratio": ratio, "ci_low": low, "ci_high": high}
            near = coverage_by_distance(joined["pit"], joined["distance"], EDGES, area=joined["area"])
            row |= {f"coverage90_from_{bin['from']:.0f}_km": bin["coverage"] for bin in near}
            report.add(**row, draws=len(parts), seconds=round(float(np.mean([p["seconds"] for p in parts])), 1))


def daily_crps(parts: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Days, and the mean CRPS of each day over points and draws."""
    day, area, crps = (torch.cat([p[k] for p in parts]).numpy() for k in ("day", "area", "crps"))
    days, index = np.unique(day, return_inverse=True)
    return days, np.bincount(index, area * crps) / np.bincount(index, area)


def brief(scored: dict) -> str:
    """CRPS of one draw, for the log."""
    return f"{float((scored['area'] * scored['crps']).sum() / scored['area'].sum()):.4f} K"


if __name__ == "__main__":
    main()
