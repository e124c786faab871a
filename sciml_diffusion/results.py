"""What follows a posterior, as functions of the facade: scores, held-out stations, pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from .prior import Prior


def score(post: "xr.Dataset", truth: "xr.Dataset", obs: "xr.Dataset | None" = None, seed: int = 0) -> dict:
    """CRPS, RMSE, spread-skill, coverage and rank histogram of a posterior; every score honours the weights.

    Arguments:
        truth: gridded fields, or a table of held-out sensors that report values.
        obs: sensors that the posterior saw: their cells are left out.
    """
    from .data.container import canonical
    from .evaluate.xarray_scores import score_dataset
    from .observations.senses import exact_rows

    table = len(truth.dims) == 1
    if table and not exact_rows(truth).all():
        raise ValueError("rows that only say above or below a limit cannot serve as truth; leave them out")
    return score_dataset(post, truth if table else canonical(truth), obs, seed)


def leave_stations_out(
    prior: "Prior | str | Path", obs: "xr.Dataset", folds: int = 4, seed: int = 0, **options
) -> dict:
    """Scores a posterior without a truth: each fold of stations is predicted from the others.

    Rows that only say above or below a limit inform the other folds, and are not predicted.

    Arguments:
        folds: number of groups into which the stations are dealt.
        seed: of the deal and of the ensembles.
        options: of `posterior`.
    Returns:
        Scores as `score` gives them; where several variables are observed, each name is followed by _VARIABLE.
    """
    import sciml_diffusion as sd

    from .evaluate.diagnostics import held_out_scores
    from .observations.senses import exact_rows
    from .observations.table import check_table

    prior = sd.load_prior(prior) if isinstance(prior, str | Path) else prior
    check_table(obs)
    exact = exact_rows(obs)
    stations = np.unique(obs["station"].values[exact])
    if not 2 <= folds <= len(stations):
        raise ValueError(
            f"folds must lie between 2 and the number of stations that report values, {len(stations)}; got {folds}"
        )
    deal = np.random.default_rng(seed).permutation(len(stations)) % folds
    results = []
    for fold in range(folds):
        out = np.isin(obs["station"].values, stations[deal == fold])
        post = sd.posterior(prior, obs.isel(observation=~out), seed=seed, **options)
        results.append((post, obs.isel(observation=out & exact)))
    scores = held_out_scores(results, seed)
    if len(scores) == 1:
        return next(iter(scores.values()))
    return {f"{key}_{name}": value for name, found in scores.items() for key, value in found.items()}


def plot(
    post: "xr.Dataset",
    obs: "xr.Dataset | None" = None,
    truth: "xr.Dataset | None" = None,
    time=None,
    variable: str | None = None,
) -> "Figure":
    """A picture of a posterior: mean, spread, members, sensors, and the truth where it is known.

    Arguments:
        time: which time is drawn, at most half a step from one of the posterior; by default the middle one.
        variable: name of the field; by default the first.
    Raises:
        ValueError: a time outside the posterior, an unknown variable.
    """
    from .data.container import canonical
    from .evaluate.plots import plot_posterior

    return plot_posterior(post, obs, None if truth is None else canonical(truth), time, variable)
