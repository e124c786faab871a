"""A first look at fields: the first sample at a few times, or space against time in one dimension."""

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from .figures import AXES, date_axis, moment_text, new_figure, title_of, unit_label

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPACE = ("z", "y", "x", "latitude", "longitude")
LEADS = ("sample", "realization", "lead_time")
FRAMES = 3
SMALL, LARGE = 8, 9  # letters to an inch, of titles of panels (with room for labels) and of figures
ROWS = 6


def plot_fields(ds: "xr.Dataset", variables: list[str] | None = None, frames: int = FRAMES) -> "Figure":
    """The first sample of fields: images at a few times in two dimensions, space against time in one.

    Of three dimensions the middle of the first spatial axis is cut; of several levels the first is shown. Only what is
    drawn is read.

    Arguments:
        ds: a container of fields.
        variables: names of those that are drawn; by default the first six.
        frames: times for fields of two dimensions, the first and the last among them.

    Raises:
        ValueError: an unknown variable, or nothing to draw.
    """
    known = [str(name) for name, field in ds.data_vars.items() if set(SPACE) & set(field.dims)]
    names = known[:ROWS] if variables is None else list(variables)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(
            f"no field {', '.join(map(repr, unknown)) or 'at all'}; the fields are {', '.join(known) or 'none'}"
        )
    cuts = {name: _cut(ds[name]) for name in names}
    flat = all(len(_space(field)) == 1 and "time" in field.dims for field, _ in cuts.values())
    columns = 1 if flat else max(_count(field, frames) for field, _ in cuts.values())
    shape = max((_shape(field) for field, _ in cuts.values()), default=1.0) if not flat else 0.45
    width = 10.0 if flat else 3.6 * columns + 1.2
    height = width * shape / columns if flat else 3.4 * min(max(shape, 0.45), 1.6) + 0.7
    places, rows = _places({name: 1 if flat else _count(field, frames) for name, (field, _) in cuts.items()}, columns)
    heading = fill(_heading(ds), int(LARGE * width))
    titles = {name: _title(ds, name, words, width / columns) for name, (_, words) in cuts.items()}
    extra = 0.25 * heading.count("\n") + 0.2 * sum(title.count("\n") for title in titles.values())
    figure, axes = new_figure(rows, columns, (width, height * rows * (0.7 if flat else 1) + extra))
    for axis in axes.ravel()[[number for number in range(axes.size) if number not in sum(places.values(), [])]]:
        axis.set_axis_off()
    for name, (field, _) in cuts.items():
        title, label = titles[name], unit_label(ds, name)
        own = axes.ravel()[places[name]]
        if len(_space(field)) == 1:
            _one_dimension(figure, own[0], field, title, label)
        else:
            _two_dimensions(figure, own, field, title, label)
    figure.suptitle(heading, fontsize=13)
    return figure


def _title(ds: "xr.Dataset", name: str, words: list[str], width: float) -> str:
    """Name of a field and what was cut, in lines for a panel of some inches."""
    return fill(title_of(ds, name) + (f" ({', '.join(words)})" if words else ""), int(SMALL * width))


def _heading(ds: "xr.Dataset") -> str:
    """Title of the data, and which of the samples is drawn."""
    heading = str(ds.attrs.get("title", ""))
    lead = [dim for dim in ("sample", "realization") if dim in ds.dims]
    if lead:
        heading += f"{' - ' if heading else ''}{lead[0]} 1 of {ds.sizes[lead[0]]}"
    return heading


def _places(counts: dict[str, int], columns: int) -> tuple[dict[str, list[int]], int]:
    """Numbers of the panels of each field, those of one field in one row, and how many rows that takes."""
    places, begin = {}, 0
    for name, count in counts.items():
        if begin % columns + count > columns:
            begin += columns - begin % columns
        places[name] = list(range(begin, begin + count))
        begin += count
    return places, -(-begin // columns)


def _cut(field: "xr.DataArray") -> "tuple[xr.DataArray, list[str]]":
    """A field of one sample with one or two spatial axes, and what was chosen."""
    words = []
    field = field.isel({dim: 0 for dim in LEADS if dim in field.dims})
    if "level" in field.dims:
        level = field["level"]
        words.append(f"level {float(level[0]):g} {level.attrs.get('units', '')}".strip())
        field = field.isel(level=0)
    space = _space(field)
    if len(space) > 2:
        place = field.sizes[space[0]] // 2
        at = f"{float(field[space[0]][place]):g}" if space[0] in field.coords else str(place)
        words.append(f"{space[0]} = {at}")
        field = field.isel({space[0]: place})
    return field, words


def _space(field: "xr.DataArray") -> tuple[str, ...]:
    """Spatial dims, in the field's order."""
    return tuple(str(dim) for dim in field.dims if dim in SPACE)


def _upright(field: "xr.DataArray") -> tuple[str, str]:
    """Which of two dims goes upwards and which to the right."""
    first, second = _space(field)
    return (second, first) if first in ("x", "longitude") else (first, second)


def _shape(field: "xr.DataArray") -> float:
    """Height over width of an image."""
    if len(_space(field)) == 1:
        return 0.6
    up, right = (np.ptp(_positions(field, dim)) or 1.0 for dim in _upright(field))
    return float(up / right) / (np.cos(_middle(field)) if "latitude" in field.dims else 1.0)


def _middle(field: "xr.DataArray") -> float:
    """Middle latitude in radians, at most 60 degrees, which widens images of the whole sphere too little to matter."""
    return float(np.radians(min(abs(np.mean(field["latitude"].values)), 60.0)))


def _positions(field: "xr.DataArray", dim: str) -> np.ndarray:
    """Coordinates of an axis, or numbers of its points."""
    return (
        np.asarray(field[dim].values, dtype=np.float64) if dim in field.coords else np.arange(float(field.sizes[dim]))
    )


def _count(field: "xr.DataArray", frames: int) -> int:
    """How many images a field fills."""
    return min(frames, field.sizes["time"]) if "time" in field.dims else 1


def _moment(image: "xr.DataArray") -> str:
    """When an image is, with the units of model time."""
    if "time" not in image.coords:
        return "at all times"
    units = str(image["time"].attrs.get("units", ""))
    dated = image["time"].dtype.kind == "M" or units in ("", "1")
    return moment_text(image["time"].values) + ("" if dated else f" {units}")


def _two_dimensions(figure, axes, field: "xr.DataArray", title: str, label: str) -> None:
    """A row of images, one for each of the axes, with one colour scale."""
    up, right = _upright(field)
    chosen = np.linspace(0, field.sizes.get("time", 1) - 1, len(axes)).round().astype(int)
    images = [field.isel(time=n) if "time" in field.dims else field for n in chosen]
    values = [image.transpose(up, right).values.astype(np.float64) for image in images]
    low, high, colours = _scale(np.stack(values))
    y, x = _positions(field, up), _positions(field, right)
    for axis, image, array in zip(axes, images, values, strict=False):
        drawn = axis.pcolormesh(x, y, array, shading="nearest", cmap=colours, vmin=low, vmax=high, rasterized=True)
        axis.set_facecolor("#cccccc")  # missing values
        axis.set_aspect(1 / np.cos(_middle(field)) if "latitude" in field.dims else "equal")
        moment = _moment(image)
        axis.set_title(f"{title}\n{moment}" if axis is axes[0] else moment, fontsize=10)
        axis.set(xlabel=AXES.get(right, right), ylabel=AXES.get(up, up) if axis is axes[0] else "")
    figure.colorbar(drawn, ax=list(axes), location="right", shrink=0.85, pad=0.02).set_label(label)


def _one_dimension(figure, axis: "Axes", field: "xr.DataArray", title: str, label: str) -> None:
    """Space against time as an image; a line where there is one time only."""
    (dim,) = _space(field)
    x = _positions(field, dim)
    if field.sizes.get("time", 1) == 1:
        axis.plot(x, field.values.ravel())
        axis.set(xlabel=AXES.get(dim, dim), ylabel=label)
    else:
        values = field.transpose(dim, "time").values.astype(np.float64)
        low, high, colours = _scale(values)
        time = field["time"].values
        drawn = axis.pcolormesh(time, x, values, shading="nearest", cmap=colours, vmin=low, vmax=high, rasterized=True)
        axis.set_facecolor("#cccccc")
        if time.dtype.kind == "M":
            date_axis(axis)
        units = field["time"].attrs.get("units", "")
        axis.set(xlabel=f"time [{units}]" if units not in ("", "1") else "time", ylabel=AXES.get(dim, dim))
        figure.colorbar(drawn, ax=axis, location="right", pad=0.02).set_label(label)
    axis.set_title(title, fontsize=10)


def _scale(values: np.ndarray) -> tuple[float, float, str]:
    """Limits and colours: those of differences, symmetric about zero, where a field has both signs to a like extent."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return 0.0, 1.0, "viridis"
    low, high = float(known.min()), float(known.max())
    if low < 0 < high and min(-low, high) > 0.25 * max(-low, high):
        most = max(-low, high)
        return -most, most, "RdBu_r"
    return (low, high, "viridis") if high > low else (low - 0.5, high + 0.5, "viridis")
