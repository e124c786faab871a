"""The demonstration: Britain's temperature from 16 stations, a Burgers trajectory from 5 sensors, and their scores."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from . import api
from .prior import Prior

PERIOD = ("2019-03-26T00", "2019-03-27T23")  # two of the test days
TRAINING = ("2019-03-01", "2019-03-24")
STATIONS, STD = 16, 0.1
SENSORS = (0.1, 0.3, 0.5, 0.7, 0.9)


def run_demo(folder: Path, members: int = 32, steps: int = 32, seed: int = 0, progress: bool = True) -> dict:
    """Writes posteriors, pictures and report.html to a folder; returns {case: {method: {metric: value}}}.

    Arguments:
        folder: exists, and is written whole by the caller (`cli.run_folder`).
        members: ensemble size.
        steps: noise levels.
        seed: of the sensors' places and noise, and of the ensembles.
    """
    from .evaluate.report import write_report

    options = {"members": members, "steps": steps, "seed": seed, "progress": progress}
    era5, era5_pictures = _era5(folder, options)
    burgers, burgers_pictures = _burgers(folder, options)
    sections = [
        {
            "heading": "2 m temperature over the British Isles",
            "text": f"ERA5, 26 and 27 March 2019, hourly. {STATIONS} stations with an error of {STD} K, nothing else "
            "is known. The prior was trained on 1-24 March. Cells that hold a station are left out of the scores.",
            "table": era5,
            "pictures": era5_pictures,
        },
        {
            "heading": "Burgers' equation from 5 sensors",
            "text": "One unseen trajectory of u_t + u u_x = 0.01 u_xx, observed at x = 0.1, 0.3, 0.5, 0.7 and 0.9 at "
            "all times with an error of 1 % of the field's standard deviation.",
            "table": burgers,
            "pictures": burgers_pictures,
        },
    ]
    write_report(folder, "sciml_diffusion: what sensors tell, and how sure we can be", sections)
    return {"era5": era5, "burgers": burgers}


def _era5(folder: Path, options: dict) -> tuple[dict, list[str]]:
    """Scores of four methods on the same sensors, and the pictures of ours."""
    from .baselines.optimal_interpolation import OptimalInterpolation

    fields = api.open_dataset("era5-uk-t2m").load()
    truth = fields.sel(time=slice(*PERIOD))
    obs = api.observe(truth, stations=STATIONS, std=STD, seed=options["seed"])
    prior = api.load_prior("era5-uk-t2m")
    ours, seconds = _timed(api.posterior, prior, obs, "mmps", **options)
    rows = {"ours": api.score(ours, truth, obs) | seconds}
    smc, seconds = _timed(api.posterior, prior, obs, "smc", **options)
    rows["smc"] = api.score(smc, truth, obs) | {"roots": float(smc["roots"].mean())} | seconds
    baseline, seconds = _timed(OptimalInterpolation.fit, fields.sel(time=slice(*TRAINING)), window=prior.window)
    post = baseline.posterior(obs, members=options["members"], seed=options["seed"])
    rows["optimal_interpolation"] = api.score(post, truth, obs) | seconds
    rows["prior_mean"] = api.score(_climatology(prior, truth, options), truth, obs)
    ours.to_netcdf(folder / "era5_posterior.nc", engine="h5netcdf")
    obs.to_netcdf(folder / "era5_sensors.nc", engine="h5netcdf")
    return rows, _pictures(folder, "era5", ours, obs, truth, rows["ours"], truth.time.values[14])


def _burgers(folder: Path, options: dict) -> tuple[dict, list[str]]:
    """Scores of four methods on one unseen trajectory, and the pictures of ours."""
    fields = api.generate("burgers", samples=1, seed=1_000_000 + options["seed"], progress=False).isel(
        sample=0, drop=True
    )
    std = 0.01 * float(fields["u"].std())
    obs = api.observe(fields, stations=np.array(SENSORS)[:, None], std=std, seed=options["seed"])
    prior = api.load_prior("burgers")
    ours, seconds = _timed(api.posterior, prior, obs, "mmps", **options)
    rows = {"ours": _with_relative(ours, fields, obs) | seconds}
    smc, seconds = _timed(api.posterior, prior, obs, "smc", **options)
    rows["smc"] = _with_relative(smc, fields, obs) | {"roots": float(smc["roots"].mean())} | seconds
    linear = replace(prior, denoiser=prior.denoiser.anchor)  # the Gaussian of the training trajectories
    post, seconds = _timed(api.posterior, linear, obs, "mmps", **(options | {"steps": 2}))
    rows["optimal_interpolation"] = _with_relative(post, fields, obs) | seconds
    blind = api.sample(prior, members=options["members"], steps=options["steps"], seed=options["seed"])
    rows["prior_mean"] = _with_relative(blind, fields, obs)
    ours.to_netcdf(folder / "burgers_posterior.nc", engine="h5netcdf")
    return rows, _pictures(folder, "burgers", ours, obs, fields, rows["ours"], None)


def _climatology(prior: Prior, truth, options: dict):
    """An ensemble that has seen no sensor: windows drawn from the prior over the whole period."""
    import xarray as xr

    starts = truth.time.values[:: prior.window]
    windows = [
        api.sample(prior, options["members"], options["steps"], options["seed"] + 1 + n, start)
        for n, start in enumerate(starts)
    ]
    return xr.concat(windows, "time")


def _with_relative(post, truth, obs) -> dict:
    """The scores, and the relative L2 error ||mean - truth|| / ||truth||."""
    members = post["u"].weighted(post["weight"].fillna(0)) if "weight" in post else post["u"]
    error = members.mean("realization") - truth["u"].values
    error = float((error**2).sum() ** 0.5 / (truth["u"] ** 2).sum() ** 0.5)
    return api.score(post, truth, obs) | {"rel_l2": error}


def _pictures(folder: Path, name: str, post, obs, truth, scores: dict, time) -> list[str]:
    """Writes the picture of the fields and the rank histogram; returns their file names."""
    import matplotlib

    matplotlib.use("Agg")
    from .evaluate.plots import plot_rank_histogram

    figures = {
        f"{name}_posterior.png": api.plot(post, obs, truth, time),
        f"{name}_ranks.png": plot_rank_histogram(scores["rank_histogram"]),
    }
    for file, figure in figures.items():
        figure.savefig(folder / file, dpi=110, bbox_inches="tight")
    return list(figures)


def _timed(function, *args, **options) -> tuple:
    """The result of a call and {"seconds": wall time}."""
    start = time.perf_counter()
    result = function(*args, **options)
    return result, {"seconds": time.perf_counter() - start}
