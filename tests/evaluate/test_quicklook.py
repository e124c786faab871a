"""First looks. Truth: what is drawn is the field itself, at the places and times that the labels say."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh

from sciml_diffusion.evaluate.quicklook import plot_fields


def field(*sizes: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(sizes)


@pytest.fixture
def flat() -> xr.Dataset:
    """Two fields on (x, y) with four times, one of them without time and with a missing value."""
    mask = field(2, 6, 4) + 10
    mask[0, 2, 1] = np.nan
    u = ("sample", "time", "x", "y"), field(2, 4, 6, 4), {"units": "m s**-1", "long_name": "speed"}
    coords = {"sample": [0, 1], "time": [0.0, 0.5, 1.0, 1.5], "x": np.arange(6.0), "y": np.arange(4) / 2}
    return xr.Dataset({"u": u, "mask": (("sample", "x", "y"), mask), "nu": ("sample", [1.0, 2.0])}, coords)


def images(figure) -> list[tuple]:
    """Axes that hold an image, with its values."""
    found = []
    for axis in figure.axes:
        meshes = [item for item in axis.collections if isinstance(item, QuadMesh)]
        if meshes and axis.get_xlabel():
            found.append((axis, np.ma.filled(meshes[0].get_array(), np.nan)))
    return found


def test_frames_of_two_dimensions(flat):
    figure = plot_fields(flat)
    drawn = images(figure)
    assert len(drawn) == 4  # three times of u, one image of the mask
    for (axis, values), time in zip(drawn[:3], (0, 2, 3), strict=True):
        np.testing.assert_allclose(values.reshape(4, 6), flat.u[0, time].values.T)  # x to the right, y upwards
        assert f"time {flat.time.values[time]:g}" in axis.get_title() and axis.get_xlabel() == "x"
    assert "speed" in drawn[0][0].get_title() and "at all times" in drawn[3][0].get_title()
    np.testing.assert_array_equal(np.isnan(drawn[3][1].reshape(4, 6)), np.isnan(flat["mask"][0].values.T))
    labels = [axis.get_ylabel() for axis in figure.axes]
    assert "u [m s**-1]" in labels and "sample 1 of 2" in figure.get_suptitle()


def test_colours_are_symmetric_only_for_both_signs(flat):
    meshes = [axis.collections[0] for axis, _ in images(plot_fields(flat))]
    assert meshes[0].norm.vmin == -meshes[0].norm.vmax and meshes[0].cmap.name == "RdBu_r"
    assert meshes[3].norm.vmin > 5 and meshes[3].cmap.name == "viridis"


def test_one_dimension_is_space_against_time():
    time = np.datetime64("2020-01-01", "ns") + np.arange(5) * np.timedelta64(1, "h")
    ds = xr.Dataset({"u": (("time", "x"), field(5, 7))}, {"time": time, "x": np.arange(7.0)}, {"title": "waves"})
    figure = plot_fields(ds)
    ((axis, values),) = images(figure)
    np.testing.assert_allclose(values.reshape(7, 5), ds.u.values.T)
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("time", "x") and figure.get_suptitle() == "waves"
    line = plot_fields(ds.isel(time=[2])).axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), ds.u[2])


def test_levels_members_and_three_dimensions():
    dims = ("realization", "time", "level", "latitude", "longitude")
    coords = {"time": [0.0, 1.0], "level": ("level", [850, 500], {"units": "hPa"}), "realization": [0, 1]}
    coords |= {"latitude": [60.0, 50.0, 40.0], "longitude": np.arange(4.0)}
    ((axis, values), _) = images(plot_fields(xr.Dataset({"z": (dims, field(2, 2, 2, 3, 4))}, coords)))
    np.testing.assert_allclose(values.reshape(3, 4), field(2, 2, 2, 3, 4)[0, 0, 0])
    assert "level 850 hPa" in axis.get_title() and axis.get_aspect() == pytest.approx(1 / np.cos(np.radians(50)))
    cube = xr.Dataset({"rho": (("time", "x", "y", "z"), field(2, 3, 4, 5))}, {"time": [0.0, 1.0]})
    ((axis, values), _) = images(plot_fields(cube))
    np.testing.assert_allclose(values.reshape(4, 5), cube.rho[0, 1].values)
    assert "x = 1" in axis.get_title()


def test_wrong_names_and_nothing_to_draw(flat):
    with pytest.raises(ValueError, match="no field 'v'; the fields are u, mask"):
        plot_fields(flat, ["v"])
    with pytest.raises(ValueError, match="no field at all"):
        plot_fields(flat[["nu"]])
    assert len(images(plot_fields(flat, ["u"], frames=2))) == 2


def test_a_field_of_missing_or_equal_values(flat, tmp_path):
    flat["u"] = flat.u * np.nan
    flat["mask"] = flat["mask"] * 0 + 3
    plot_fields(flat).savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 1000


def test_static_fields_share_a_row_and_times_have_units(flat):
    """Three times of u fill the first row, three static fields the second; nothing is drawn elsewhere."""
    flat["time"].attrs["units"] = "days"
    flat = flat.assign(other=flat["mask"] + 1, third=flat["mask"] + 2)
    figure = plot_fields(flat)
    drawn = [axis for axis, _ in images(figure)]
    assert len(drawn) == 6 and "time 1 days" in drawn[1].get_title()
    rows = [axis.get_subplotspec().rowspan.start for axis in drawn]
    assert rows == [0, 0, 0, 1, 1, 1]
    assert all(not axis.axison for axis in plot_fields(flat[["u", "mask"]]).axes[4:6])


def test_long_titles_stay_in_the_figure(flat):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    flat.attrs["title"] = "A long title of a data set " * 5
    flat["mask"].attrs["long_name"] = "a name of many words " * 5
    figure = plot_fields(flat[["mask"]])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for text in (figure._suptitle, figure.axes[0].title):
        box = text.get_window_extent(canvas.get_renderer())
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width
