"""Pictures of posteriors: fields, rank histograms, calibration, time series. Every function returns a Figure."""

from typing import TYPE_CHECKING

import numpy as np

from .figures import (
    BLACK,
    COLOURS,
    GREY,
    View,
    colour_bar,
    cycle,
    date_axis,
    draw_histogram,
    draw_image,
    draw_sensors,
    moment_text,
    new_figure,
    title_of,
    unit_label,
    view_of,
)
from .places import rows_of, station_positions
from .scores import interval, rank_histogram
from .stations import at_sensors, fields_of, sensor_values, space_of, with_time
from .xarray_scores import MAX_BINS, field_points

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


def plot_posterior(
    post: "xr.Dataset",
    obs: "xr.Dataset | None" = None,
    truth: "xr.Dataset | None" = None,
    time=None,
    variable: str | None = None,
) -> "Figure":
    """A posterior at one time: mean with sensors, members, spread; with a truth also truth, error, rank histogram.

    Fields of one space dimension are drawn whole, as images over time and x with the sensors as lines. Truth, mean and
    members share one colour scale, in which sensors are filled with what they observed within half a step of the time.

    Arguments:
        post: fields (realization, time, *space) of one or two space dimensions; weights are honoured.
        obs: sensor table. truth: gridded fields; for a table of held-out sensors there is `plot_series`.
        time: of the frame that is shown, at most half a step from one of the posterior; by default the middle one.
        variable: name of the field; by default the first.

    Raises:
        ValueError: an unknown variable or time; more than two space dimensions; a truth that does not fit.
    """
    post = with_time(post)
    name = _field(post, variable)
    if len(dims := space_of(post, name).dims) > 2:
        raise ValueError(f"{name!r} has the space dimensions {dims}; select one level first, with post.isel(...)")
    view = view_of(post, name, truth, time)
    panels = _panels(view, "mean" if obs is None else "mean and sensors")
    limits, known = _limits(view), truth is not None
    figure, axes = new_figure(2, 4, (14, 8.6)) if known else new_figure(1, 5, (16, 4.4))
    images = []
    for axis, (title, kind, values) in zip(axes.ravel(), panels, strict=False):
        images.append(draw_image(axis, view, values, kind, limits[kind]))
        first = axis.get_subplotspec().is_first_col()
        axis.set(title=title, xlabel=view.labels[1], ylabel=view.labels[0] if first else "")
        axis.tick_params(labelleft=first)
        if obs is not None and "member" not in title:
            draw_sensors(axis, view, post, name, obs, images[-1] if title.startswith("mean") else None)
    label, flat = unit_label(post, name), list(axes.ravel())
    for columns in ([0, 2], [2, 3], [3, 4], [4, 7]) if known else ([0, 4], [4, 5]):
        colour_bar(figure, images[columns[0]], flat[slice(*columns)], label)
    if known:
        result, area, mask = field_points(post, truth, name, obs, np.random.default_rng(0))
        shares = rank_histogram(result["pit"], min(post.sizes["realization"] + 1, MAX_BINS), area, mask)
        draw_histogram(flat[7], {"": shares.numpy()})
        flat[7].set_title("rank histogram, all times")
        flat[7].set_box_aspect(1)
    moment = "" if view.moment is None else f", {moment_text(view.moment)}"
    figure.suptitle(f"{title_of(post, name)}{moment}", fontsize=14)
    return figure


def plot_rank_histogram(histograms: "dict[str, list] | list", title: str = "Rank histogram") -> "Figure":
    """Shares of the truth's rank among the members: flat where calibrated, U-shaped where the spread is too small.

    Arguments:
        histograms: `rank_histogram` of a score, or several by name.
    """
    figure, axes = new_figure(1, 1, (6, 4))
    draw_histogram(axes[0, 0], histograms if isinstance(histograms, dict) else {"": histograms})
    axes[0, 0].set_title(title)
    return figure


def plot_calibration(pits: dict, title: str = "Calibration of central intervals") -> "Figure":
    """Observed against nominal coverage of central intervals: below the diagonal the spread is too small.

    Arguments:
        pits: PIT of the points that count (see `scores.points`), by name of the method; arrays of any shape.
    """
    figure, axes = new_figure(1, 1, (5, 5.2))
    axis, levels = axes[0, 0], np.linspace(0.02, 0.98, 49)
    axis.plot([0, 1], [0, 1], color=BLACK, linewidth=1, linestyle="--", label="calibrated")
    for colour, (name, u) in zip(cycle(len(pits)), pits.items(), strict=True):
        distance = np.sort(np.abs(np.asarray(u, dtype=np.float64).ravel() - 0.5))
        shares = np.searchsorted(distance, levels / 2, side="right") / len(distance)
        axis.plot(levels, shares, color=colour, linewidth=2, label=name)
    axis.text(0.96, 0.04, "spread too small", ha="right", color=GREY, transform=axis.transAxes)
    axis.text(0.04, 0.60, "spread too large", color=GREY, transform=axis.transAxes)
    axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=title)
    axis.set(xlabel="nominal level of the interval", ylabel="share of the truth inside")
    axis.legend(frameon=False, loc="upper left")
    return figure


def plot_series(
    post: "xr.Dataset",
    table: "xr.Dataset",
    obs: "xr.Dataset | None" = None,
    variable: str | None = None,
    stations: int | list[str] = 4,
) -> "Figure":
    """Time series at stations: the posterior's 50 % and 90 % intervals and mean, and what the stations observed.

    Arguments:
        post: posterior. table: sensor table of the stations to show, held out or not.
        obs: the sensors that the posterior saw; the titles then say which stations were held out.
        variable: name of the field; by default the first.
        stations: names of the stations, or how many (the first ones inside the domain).

    Raises:
        ValueError: an unknown variable or station, or no station inside the domain.
    """
    post = with_time(post)
    name = _field(post, variable)
    dims, label = space_of(post, name).dims, unit_label(post, name)
    shown = _stations(post, name, table, stations)
    seen = None if obs is None else station_positions(dims, obs, name)
    columns = min(len(shown), 2)
    rows = -(-len(shown) // columns)
    figure, axes = new_figure(rows, columns, (6.5 * columns, 2.6 * rows + 0.9))
    for axis, (station, x, weights, mine) in zip(axes.ravel(), shown, strict=False):
        for level, alpha in ((0.9, 0.25), (0.5, 0.4)):
            low, high = interval(x, weights, 1, level)
            band = f"{100 * level:.0f} % of the posterior"
            axis.fill_between(post["time"].values, low, high, color=COLOURS[0], alpha=alpha, linewidth=0, label=band)
        axis.plot(post["time"].values, (weights * x).sum(1), color=COLOURS[0], linewidth=1.8, label="posterior mean")
        value, std = sensor_values(mine, name, post[name].attrs.get("units", ""))
        style = {"fmt": "o", "color": COLOURS[1], "markersize": 3.5, "elinewidth": 1, "label": "observed (± 1 std)"}
        axis.errorbar(mine["time"].values, value, std, **style)
        place = np.array([float(mine[d].values[0]) for d in dims])
        kind = "" if seen is None else ", seen" if (np.abs(seen - place) < 1e-9).all(-1).any() else ", held out"
        where = ", ".join(f"{d} {v:.2f}" for d, v in zip(dims, place, strict=True))
        axis.set_title(f"{station}{kind} ({where})", fontsize=11)
        axis.set_ylabel(label)
        if post["time"].dtype.kind == "M":
            date_axis(axis)
        else:
            axis.set_xlabel("time")
    for axis in axes.ravel()[len(shown) :]:
        axis.set_visible(False)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(f"{title_of(post, name)} at stations", fontsize=13)
    return figure


def _field(post: "xr.Dataset", variable: str | None) -> str:
    names = fields_of(post)
    if variable is not None and variable not in names:
        raise ValueError(f"the posterior has no variable {variable!r}; it has {', '.join(names)}")
    return variable or names[0]


def _panels(view: View, mean: str) -> list[tuple[str, str, np.ndarray]]:
    """(title, kind, image) of every panel, in reading order."""
    members = [(title, "field", image) for title, image in view.members.items()]
    centre, spread = (mean, "field", view.mean), ("spread (standard deviation)", "spread", view.spread)
    if view.truth is None:
        return [centre, *members, spread]
    return [("truth", "field", view.truth), centre, spread, ("error (mean - truth)", "error", view.error), *members]


def _limits(view: View) -> dict[str, tuple[float, float]]:
    """Limits of the colour scales; a few extreme pixels may lie beyond."""
    fields = [view.mean, *view.members.values(), *([] if view.truth is None else [view.truth])]
    low, high = np.nanpercentile(np.stack(fields), [0.2, 99.8])
    bound = 1.0 if view.truth is None else float(np.nanpercentile(np.abs(view.error), 99.8))
    deep = float(np.nanpercentile(view.spread, 99.8))
    return {"field": (low, high), "spread": (0.0, deep or 1.0), "error": (-(bound or 1.0), bound or 1.0)}


def _stations(post, name: str, table, stations) -> list[tuple]:
    """(name, members (time, K), weights (time, K), rows of the table) of the stations to show."""
    table = table.isel(observation=np.flatnonzero(rows_of(table, name)))
    labels = np.asarray(table["station"].values).astype(str)
    known = list(dict.fromkeys(labels))
    wanted = known if isinstance(stations, int) else [str(s) for s in stations]
    if missing := [s for s in wanted if s not in known]:
        raise ValueError(f"no station {', '.join(missing)} observes {name!r}; the table has {', '.join(known)}")
    out, times, count = [], post["time"].values, post.sizes["time"]
    for station in wanted:
        mine = table.isel(observation=np.flatnonzero(labels == station)).sortby("time")
        probe = mine.isel(observation=np.zeros(count, dtype=int)).assign_coords(time=("observation", times))
        rows, x, weights = at_sensors(post, name, probe)
        span = (mine["time"].values >= times.min()) & (mine["time"].values <= times.max())
        if len(rows) == count and span.any():
            out.append((station, x, weights, mine.isel(observation=np.flatnonzero(span))))
    if not out:
        raise ValueError(f"no station of {name!r} lies inside the posterior's domain and times")
    return out[:stations] if isinstance(stations, int) else out
