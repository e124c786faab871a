"""Parts of pictures: figures without pyplot, images on a grid, colour bars, sensors, labels.

Colours are safe for colour-blind eyes: viridis for fields, magma for spread, red to blue for errors, and for lines the
palette of Okabe and Ito.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .places import rows_of
from .scores import normalise
from .stations import sensor_values, space_of, weights_of
from .xarray_scores import aligned_truth

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
GREY, BLACK = "#666666", "#222222"
AXES = {"latitude": "latitude [°N]", "longitude": "longitude [°E]"}
MAPS = {"field": "viridis", "spread": "magma", "error": "RdBu_r"}


def new_figure(rows: int, columns: int, size: tuple[float, float]) -> "tuple[Figure, np.ndarray]":
    """A figure of rows x columns axes, made without pyplot: no screen, and nothing global is kept."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06, wspace=0.03, hspace=0.05)
    return figure, figure.subplots(rows, columns, squeeze=False)


@dataclass
class View:
    """One frame of a field of two space dimensions, or all frames of one space dimension, as images (Y, X).

    Arguments:
        mean, spread: images. members: images by title. truth: image, or None.
        y, x: coordinates of the images. dims: names of the space axes.
        moment: the time of the frame, or None where time is the axis x.
    """

    mean: np.ndarray
    spread: np.ndarray
    members: dict[str, np.ndarray]
    truth: np.ndarray | None
    y: np.ndarray
    x: np.ndarray
    dims: tuple[str, ...]
    moment: object

    @property
    def error(self) -> np.ndarray:
        """Mean minus truth."""
        return self.mean - self.truth

    @property
    def labels(self) -> tuple[str, str]:
        """Names of the axes y and x."""
        names = (self.dims[0], "time") if self.moment is None else self.dims
        return tuple(AXES.get(name, name) for name in names)

    @property
    def aspect(self) -> str | float:
        """Height over width of one unit: that of the region's middle latitude on the sphere."""
        if self.moment is None:
            return "auto"
        return 1 / np.cos(np.radians(np.mean(self.y))) if self.dims == ("latitude", "longitude") else "equal"


def view_of(post: "xr.Dataset", name: str, truth: "xr.Dataset | None", time, members: int = 3) -> View:
    """Takes what is drawn out of a posterior; weights are honoured in mean, spread and in which members are shown.

    Arguments:
        time: time of the frame, at most half a step from one of them; None takes the middle one.
    """
    import torch

    grid = space_of(post, name)
    whole = len(grid.dims) == 1
    frames = np.arange(post.sizes["time"]) if whole else np.array([_frame(post["time"].values, time)])
    x = post[name].transpose("time", "realization", *grid.dims).values[frames].astype(np.float64)
    w = normalise(weights_of(post)[torch.from_numpy(frames)], x.shape, 1).numpy()
    column = w.reshape(*w.shape, *(1,) * len(grid.dims))
    mean = (column * x).sum(1)
    spread = np.sqrt((column * (x - mean[:, None]) ** 2).sum(1) / np.maximum(1 - (column**2).sum(1), 1e-12))
    levels = (np.arange(members) + 0.5) / members  # members that stand for equal shares of the weight
    shown = np.searchsorted(w.mean(0).cumsum(), levels).clip(max=x.shape[1] - 1)
    shown = [*dict.fromkeys(shown), *np.setdiff1d(np.arange(x.shape[1]), shown)][:members]
    target = None
    if truth is not None:
        known, ours = aligned_truth(post, truth, name)
        target = np.full((post.sizes["time"], *grid.sizes), np.nan)
        target[np.ix_(*ours.values())] = known
        target = target[frames]
    image = (lambda v: v.T) if whole else (lambda v: v[0])
    return View(
        mean=image(mean),
        spread=image(spread),
        members={f"member {k + 1}": image(x[:, k]) for k in shown},
        truth=None if target is None else image(target),
        y=grid.coordinates[0],
        x=post["time"].values if whole else grid.coordinates[1],
        dims=grid.dims,
        moment=None if whole else post["time"].values[frames[0]],
    )


def draw_image(axis: "Axes", view: View, values: np.ndarray, kind: str, limits: tuple[float, float]):
    """An image on the view's axes; `kind` is field, spread or error."""
    from matplotlib.ticker import MaxNLocator

    image = axis.pcolormesh(
        view.x, view.y, values, shading="nearest", cmap=MAPS[kind], vmin=limits[0], vmax=limits[1], rasterized=True
    )
    axis.set_aspect(view.aspect)
    if np.asarray(view.x).dtype.kind == "M":
        date_axis(axis)
    else:
        axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.yaxis.set_major_locator(MaxNLocator(5))
    return image


def draw_sensors(axis: "Axes", view: View, post: "xr.Dataset", name: str, obs: "xr.Dataset", image=None) -> None:
    """Sensors on an image: dots, or with `image` circles filled with what they saw at that time; over time, lines."""
    rows = np.flatnonzero(rows_of(obs, name))
    if not len(rows):  # another variable was observed
        return
    places = np.stack([np.asarray(obs[d].values, np.float64)[rows] for d in view.dims], -1)
    times = obs["time"].values[rows]
    if view.moment is None:
        for place in np.unique(places, axis=0):
            seen = times[(places == place).all(-1)]
            axis.plot([seen.min(), seen.max()], [place[0]] * 2, color="black", linewidth=2.2, alpha=0.6)
            axis.plot([seen.min(), seen.max()], [place[0]] * 2, color="white", linewidth=1.0)
        return
    if "longitude" in view.dims:
        axis_x = view.dims.index("longitude")
        middle = (view.x[0] + view.x[-1]) / 2
        places[:, axis_x] -= 360 * np.round((places[:, axis_x] - middle) / 360)
    values = sensor_values(obs, name, post[name].attrs.get("units", ""))[0][rows]
    frames = post["time"].values
    half = np.abs(np.diff(frames)).min() / 2 if len(frames) > 1 else np.abs(times - view.moment).max()
    now = np.abs(times - view.moment) <= half
    all_places = np.unique(places, axis=0)
    dot = {"s": 14, "facecolors": "black", "edgecolors": "white", "linewidths": 0.8, "zorder": 3}
    if image is None:
        axis.scatter(all_places[:, 1], all_places[:, 0], **dot)
        return
    axis.scatter(all_places[:, 1], all_places[:, 0], **dot | {"s": 90, "facecolors": "white"})
    filled = {"s": 46, "cmap": image.cmap, "norm": image.norm, "edgecolors": "black", "linewidths": 1.0, "zorder": 4}
    axis.scatter(places[now, 1], places[now, 0], c=values[now], **filled)


def draw_histogram(axis: "Axes", histograms: dict[str, list]) -> None:
    """Rank histograms as steps, relative to what a calibrated ensemble shows."""
    for colour, (name, shares) in zip(cycle(len(histograms)), histograms.items(), strict=True):
        shares = np.asarray(shares, dtype=np.float64)
        edges, height = np.linspace(0, 1, len(shares) + 1), shares * len(shares)
        axis.stairs(height, edges, fill=len(histograms) == 1, color=colour, linewidth=2, label=name or None, alpha=0.85)
    axis.axhline(1, color=BLACK, linewidth=1, linestyle="--", label="calibrated")
    axis.set(xlim=(0, 1), xlabel="rank of the truth (0 lowest, 1 highest)", ylabel="frequency / expected")
    axis.set_ylim(0, max(2.0, 1.25 * axis.dataLim.ymax))
    axis.legend(frameon=False, loc="upper center", ncols=2)


def colour_bar(figure: "Figure", image, axes: list, label: str) -> None:
    """A horizontal colour bar below some axes."""
    from matplotlib.ticker import MaxNLocator

    share = {1: 0.9, 2: 0.7}.get(len(axes), 0.5)
    bar = figure.colorbar(image, ax=axes, location="bottom", shrink=share, aspect=18 * len(axes) * share, pad=0.03)
    bar.set_label(label)
    bar.locator = MaxNLocator(5 if len(axes) == 1 else 7)
    bar.update_ticks()


def date_axis(axis: "Axes") -> None:
    """Few ticks along the axis x, in UTC: hours with their day, or days with their year."""
    from matplotlib.dates import AutoDateLocator, DateFormatter

    low, high = axis.get_xlim()  # in days
    axis.xaxis.set_major_locator(AutoDateLocator(minticks=2, maxticks=5))
    axis.xaxis.set_major_formatter(DateFormatter("%H:%M\n%d %b %Y" if high - low < 3 else "%d %b\n%Y"))


def title_of(post: "xr.Dataset", name: str) -> str:
    """What a field is called: its long name, else its short one."""
    return str(post[name].attrs.get("long_name") or name)


def unit_label(post: "xr.Dataset", name: str) -> str:
    """Short name and units of a field, for axes and colour bars."""
    units = str(post[name].attrs.get("units", ""))
    return f"{name} [{units}]" if units not in ("", "1") else name


def moment_text(moment) -> str:
    """A time in words: dates to the minute in UTC, or model time."""
    if np.asarray(moment).dtype.kind == "M":
        return f"{np.datetime_as_string(moment, 'm').replace('T', ' ')} UTC"
    return f"time {float(moment):g}"


def cycle(n: int) -> list[str]:
    """n colours for lines."""
    return [COLOURS[i % len(COLOURS)] for i in range(n)]


def _frame(times: np.ndarray, time) -> int:
    """Position of the frame nearest to a time, at most half a step away; the middle one for None.

    Raises:
        ValueError: no frame is as near.
    """
    if time is None:
        return len(times) // 2
    wanted = np.datetime64(time, "ns") if times.dtype.kind == "M" else float(time)
    distance = np.abs(times - wanted)
    if len(times) > 1 and distance.min() > 0.5 * np.diff(times).max():
        raise ValueError(f"the posterior has no frame near {time}; it reaches from {times[0]} to {times[-1]}")
    return int(distance.argmin())
