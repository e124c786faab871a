"""ERA5 2 m temperature over the British Isles from sensors that no linear method takes.

March 2019, hourly, every second point (17 x 25). Everything is fitted to 1-24 March; scores are of 26-31 March, over
several draws of the stations. Cases:

- `switch-40`: 40 stations say every hour whether it is above or below 8 degrees C (the switch errs by 0.2 K);
  windows of 8 hours;
- `maximum-20`: 20 stations report the highest temperature of each day alone (error 0.2 K); windows of a day.

Methods:

- mmps: the closed-form Gaussian of `fit_prior` with moment matching on the law of the sensors as it is;
- latent_readings (switches): the same prior, drawn with what the switches would have read, exact for it;
- optimal_interpolation: its own tuned covariance, exact draws, on a linear stand-in: a switch is a thermometer that
  reads 8 +- s degrees with an error r; a maximum is the temperature at one hour plus a mean difference, with an error
  r; s, r and the hour are those of the lowest CRPS on training days;
- prior: draws of `fit_prior` without any data.

Scores: fair CRPS and RMSE in K, area weighted, cells with a station left out. Ratios of CRPS are to optimal
interpolation and to the prior, the former with its 95 % interval from a paired bootstrap over days.
"""

import itertools
import time

import numpy as np
import torch
import xarray as xr
from common import ROOT, Report, parser
from era5_reconstruction import brief, daily_crps, exact, score_points

import sciml_diffusion as sd
from sciml_diffusion.baselines.optimal_interpolation import OptimalInterpolation
from sciml_diffusion.evaluate.diagnostics import paired_bootstrap
from sciml_diffusion.evaluate.scores import summarise
from sciml_diffusion.observations.nonlinear import Extreme
from sciml_diffusion.observations.operators import Weighted
from sciml_diffusion.observations.sensors import point_operator

LIMIT, STD, NAME = 281.15, 0.2, "t2m"
TRAIN, TEST = slice("2019-03-01", "2019-03-24"), slice("2019-03-26", "2019-03-31")
TUNING = ("2019-03-04", "2019-03-10", "2019-03-16", "2019-03-22")  # training days that choose the stand-ins
SHIFTS, ERRORS = (1.5, 2.0, 2.5, 3.0, 4.0), (2.0, 4.0, 6.0, 9.0, 13.0)  # s and r of a switch, K
HOURS, MISFITS = range(12, 16), (0.6, 1.0, 1.5, 2.5)  # hour and r of a maximum
PICTURE = ROOT / "benchmarks" / "results" / "era5_nonlinear.png"


def main() -> None:
    """Runs both cases and writes the table and the picture."""
    options = parser(__doc__.splitlines()[0]).parse_args()
    torch.set_num_threads(1)
    report = Report("era5_nonlinear", options.quick, options.seed)
    fields = sd.open_dataset("era5-uk-t2m").load()
    fields = fields.isel(latitude=slice(None, None, 2), longitude=slice(None, None, 2))
    train, test = fields.sel(time=TRAIN), fields.sel(time=TEST)
    draws, members, steps = (1, 16, 6) if options.quick else (2, 32, 8)
    test = test.isel(time=slice(0, 48)) if options.quick else test
    problems = [Switches(train), Maxima(train)]
    pools: dict[tuple[str, str], list[dict]] = {}
    for draw in range(draws):  # what is done is written, should the rest be interrupted
        shown = [one_draw(problem, test, options.seed + draw, members, steps, pools) for problem in problems]
        if draw == 0 and not options.quick:
            draw_picture(test, shown)
        report.rows = []
        for problem in problems:
            summarise_case(report, problem.case, pools)
        report.write()


def one_draw(problem: "Problem", test: xr.Dataset, seed: int, members: int, steps: int, pools: dict) -> tuple:
    """Scores every method on one draw of the stations; adds to the pools. Returns (problem, posteriors, places)."""
    seen, places = problem.observe(test, seed)
    posts = {}
    for name, method in problem.methods(seen, test, members, steps, seed).items():
        begun = time.process_time()  # of one thread: other work on the machine does not count
        posts[name] = method()
        scored = score_points(posts[name], test, places, seed) | {"seconds": time.process_time() - begun}
        pools.setdefault((problem.case, name), []).append(scored)
        print(f"{problem.case} seed {seed} {name}: CRPS {brief(scored)}, {scored['seconds']:.0f} s", flush=True)
    return problem, posts, places


class Problem:
    """A kind of sensor: what it reports, the law that says so, and its linear stand-in.

    Arguments:
        train: training fields.
    """

    case: str
    window: str
    title: str
    when: int  # hour of the test days that is drawn
    ours: tuple[str, ...]  # names of posterior methods, the best one first
    candidates: list[tuple]

    def __init__(self, train: xr.Dataset):
        self.train = train
        self.prior, self.linear = sd.fit_prior(train, self.window), OptimalInterpolation.fit(train, self.window)
        days = [train.sel(time=day) for day in TUNING]
        seen = [self.observe(day, 1000 + i) for i, day in enumerate(days)]

        def crps(choice: tuple) -> float:
            total = 0.0
            for day, (data, places) in zip(days, seen, strict=True):
                scored = score_points(exact(self.linear.prior, self.stand_in(data, *choice), 16, 0), day, places, 0)
                total += float((scored["area"] * scored["crps"]).sum() / scored["area"].sum())
            return total / len(days)

        self.choice = min(self.candidates, key=crps)
        print(f"{self.case}: stand-in {self.choice}", flush=True)

    def methods(self, seen, test: xr.Dataset, members: int, steps: int, seed: int) -> dict:
        """{name: function that makes the posterior}."""
        frames, count = self.prior.window, test.sizes["time"]

        def draws():
            starts = test["time"].values[:count:frames]
            return xr.concat([sd.sample(self.prior, members, 2, seed + i, t) for i, t in enumerate(starts)], "time")

        def ours(method: str):
            return lambda: sd.posterior(self.prior, self.law(seen), method, members, steps, seed, progress=False)

        return {name.replace("-", "_"): ours(name) for name in self.ours} | {
            "optimal_interpolation": lambda: exact(self.linear.prior, self.stand_in(seen, *self.choice), members, seed),
            "prior": draws,
        }


class Switches(Problem):
    """40 stations that say every hour whether it is above or below a limit; the law of a censored reading."""

    case, window, title = "switch-40", "8h", "40 stations:\nabove or below 8 degrees C?"
    ours, when = ("latent-readings", "mmps"), 75
    candidates = list(itertools.product(SHIFTS, ERRORS))

    def observe(self, fields: xr.Dataset, seed: int):
        """What the stations report, and where they are."""
        table = sd.observe(fields, stations=40, std=STD, seed=seed, limit=LIMIT)
        return table, table

    def law(self, table: xr.Dataset) -> xr.Dataset:
        """The table as it is: it says which rows are sides of a limit."""
        return table

    def stand_in(self, table: xr.Dataset, shift: float, error: float) -> xr.Dataset:
        """Thermometers that read LIMIT +- shift with an error."""
        side = np.where(table["sense"] == "above", 1.0, -1.0)
        value, std = LIMIT + shift * side, np.full(len(side), error)
        return table.drop_vars("sense").assign(value=("observation", value), std=("observation", std))


class Maxima(Problem):
    """20 stations that report the highest temperature of each day alone."""

    case, window, title = "maximum-20", "24h", "20 stations:\nthe day's maximum"
    ours, when = ("mmps",), 62
    candidates = list(itertools.product(HOURS, MISFITS))

    def observe(self, fields: xr.Dataset, seed: int):
        """(values by hour at the stations, maxima with shape (days, 20), first frames), and where they are."""
        table = sd.observe(fields, stations=20, std=STD, seed=seed)
        hourly = table["truth"].values.reshape(-1, 24, 20)
        noise = STD * np.random.default_rng([seed, 5]).standard_normal((len(hourly), 20))
        starts = fields["time"].values[::24]
        return (table.isel(observation=slice(24 * 20)), hourly.max(1) + noise, starts), table

    def points(self, table: xr.Dataset) -> Weighted:
        """The stations at all hours of a day: station by station."""
        order = np.arange(24 * 20).reshape(24, 20).T.ravel()
        times = np.unique(table["time"].values)
        return point_operator(self.prior.grid, self.prior.variables, times, table.isel(observation=order))

    def law(self, seen):
        """The largest of 24 values."""
        table, maxima, starts = seen
        return sd.measure(self.prior, Extreme(self.points(table), 24), maxima, std=STD, start=starts)

    def stand_in(self, seen, hour: int, error: float):
        """The temperature at one hour, less the mean difference from the day's maximum over training days."""
        table, maxima, starts = seen
        days = self.train[NAME].values.reshape(-1, 24, *self.prior.grid.sizes)
        offset = float((days.max(1) - days[:, hour]).mean())
        points = self.points(table)
        at = Weighted(points.index[hour::24], points.weight[hour::24], points.event)
        return sd.measure(self.linear.prior, at, maxima - offset, std=error, start=starts)


def summarise_case(report: Report, case: str, pools: dict[tuple[str, str], list[dict]]) -> None:
    """One row for each method, over all draws and points."""
    daily = {name: daily_crps(parts) for (of, name), parts in pools.items() if of == case}
    for name, (days, mine) in daily.items():
        parts = pools[case, name]
        joined = {k: torch.cat([p[k] for p in parts]) for k in parts[0] if torch.is_tensor(parts[0][k])}
        scores = summarise(joined, joined["area"])
        rng = np.random.default_rng(0)
        ratio, low, high = paired_bootstrap(mine, daily["optimal_interpolation"][1], days, rng, ratio=True)
        row = {"case": case, "method": name}
        row |= {k: scores[k] for k in ("crps", "rmse", "coverage90", "spread_skill")}
        row |= {"crps_ratio": ratio, "ci_low": low, "ci_high": high}
        row["crps_ratio_to_prior"] = float(mine.mean() / daily["prior"][1].mean())
        report.add(**row, draws=len(parts), seconds=round(float(np.mean([p["seconds"] for p in parts])), 1))


def draw_picture(test: xr.Dataset, shown: list) -> None:
    """Truth with the stations, optimal interpolation, ours and its spread, at one hour, for both cases."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 4, figsize=(13, 6.4), layout="constrained", sharex=True, sharey=True)
    for row, (problem, posts, places) in zip(axes, shown, strict=True):
        when = test["time"].values[problem.when]
        fields = [test[NAME].sel(time=when)]
        best = posts[problem.ours[0].replace("-", "_")][NAME].sel(time=when)
        fields += [posts["optimal_interpolation"][NAME].sel(time=when).mean("realization"), best.mean("realization")]
        for axis, field in zip(row, fields, strict=False):
            warm = axis.pcolormesh(
                field["longitude"], field["latitude"], field - 273.15, cmap="RdYlBu_r", vmin=0, vmax=16
            )
            axis.contour(field["longitude"], field["latitude"], field - 273.15, [8.0], colors="k", linewidths=0.8)
        spread = best.std("realization")
        wide = row[3].pcolormesh(spread["longitude"], spread["latitude"], spread, cmap="viridis", vmin=0, vmax=2.5)
        here = places.isel(observation=places["time"].values == when)
        colours = "w"
        if "sense" in here:
            colours = np.where(here["sense"] == "above", "tab:red", "tab:blue")
        for axis in (row[0], row[3]):
            axis.scatter(here["longitude"], here["latitude"], c=colours, edgecolors="k", s=28, linewidths=0.8)
        row[0].set_ylabel(f"{problem.title}\n{str(when)[:16].replace('T', ' ')} UTC")
    titles = ("truth (ERA5) and stations", "optimal interpolation, mean", "ours, mean", "ours, spread")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    figure.colorbar(warm, ax=axes[:, :3], label="temperature, degrees C (line: 8)", shrink=0.7)
    figure.colorbar(wide, ax=axes[:, 3], label="standard deviation, K", shrink=0.7)
    figure.suptitle("Britain's 2 m temperature from sensors that no linear method takes")
    figure.savefig(PICTURE, dpi=90)
    print(PICTURE.relative_to(ROOT))


if __name__ == "__main__":
    main()
