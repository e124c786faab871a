"""Pictures and the report page: what is drawn, with which labels, and that nothing global is touched."""

import re
import sys

import numpy as np
import pytest
import xarray as xr

from sciml_diffusion.evaluate import figures
from sciml_diffusion.evaluate.plots import plot_calibration, plot_posterior, plot_rank_histogram, plot_series
from sciml_diffusion.evaluate.report import Section, write_report


def titles(figure):
    return [axis.get_title() for axis in figure.axes if axis.get_title()]


def saved(figure, folder):
    path = folder / "picture.png"
    figure.savefig(path, dpi=40)
    return path.stat().st_size > 1000


@pytest.fixture
def burgers(table):
    """Posterior, sensors and truth of one space dimension, in model time."""
    rng = np.random.default_rng(0)
    time, x = np.linspace(0, 1, 9), np.arange(16) / 16
    coords = {"time": time, "x": x}
    truth = xr.Dataset({"u": (("time", "x"), np.sin(2 * np.pi * x) * np.exp(-time[:, None]))}, coords)
    noise = ("realization", "time", "x"), 0.1 * rng.standard_normal((6, 9, 16))
    post = xr.Dataset({"u": truth["u"] + xr.DataArray(noise[1], dims=noise[0])}, coords)
    return post.transpose(*noise[0]), table([0.1, 0.5], time=time, dims=("x",), variable="u", units=""), truth


def test_posterior_with_truth_on_a_map(pair, table, tmp_path):
    post, truth = pair
    obs = table([(56.0, 0.0), (53.0, 362.0)], value=280.0)
    figure = plot_posterior(post, obs, truth)
    assert titles(figure)[:4] == ["truth", "mean and sensors", "spread (standard deviation)", "error (mean - truth)"]
    assert len([t for t in titles(figure) if re.fullmatch(r"member \d+", t)]) == 3
    assert len(figure.axes) == 8 + 4  # panels and colour bars
    bars = [axis.get_xlabel() for axis in figure.axes[8:]]
    assert bars == ["t2m [K]"] * 4
    truth_panel, mean_panel = figure.axes[:2]
    assert truth_panel.get_ylabel() == "latitude [°N]" and truth_panel.get_xlabel() == "longitude [°E]"
    assert np.isclose(truth_panel.get_aspect(), 1 / np.cos(np.radians(55)))
    assert truth_panel.collections[0].get_clim() == mean_panel.collections[0].get_clim()
    assert sorted(mean_panel.collections[-1].get_offsets()[:, 0]) == [0.0, 2.0]  # longitudes of the map
    assert "2019-03-26 03:00 UTC" in figure.get_suptitle()
    assert saved(figure, tmp_path)


def test_posterior_without_truth_and_at_a_given_time(pair, tmp_path):
    post, _ = pair
    figure = plot_posterior(post, time="2019-03-26T01:10")
    assert titles(figure)[0] == "mean" and titles(figure)[-1] == "spread (standard deviation)"
    assert len(figure.axes) == 5 + 2 and "01:00 UTC" in figure.get_suptitle()
    with pytest.raises(ValueError, match="no frame near 2019-04-02; it reaches from 2019-03-26"):
        plot_posterior(post, time="2019-04-02")
    assert saved(figure, tmp_path)


def test_images_hold_the_weighted_mean_in_the_orientation_of_the_fields(pair):
    post, truth = pair
    panel = plot_posterior(post, None, truth, time=post["time"].values[2]).axes[1]
    mean = (post["t2m"] * post["weight"]).sum("realization").isel(time=2)
    assert np.allclose(panel.collections[0].get_array(), mean.values)
    assert panel.get_ylim()[0] < panel.get_ylim()[1]  # north is up although latitudes descend


def test_members_that_are_shown_carry_weight(pair):
    post, _ = pair
    heavy = xr.zeros_like(post["weight"]) + (post["realization"] == 7) * 0.9 + (post["realization"] == 2) * 0.1
    view = figures.view_of(post.assign(weight=heavy.transpose(*post["weight"].dims)), "t2m", None, None)
    assert list(view.members)[0] == "member 8" and len(view.members) == 3


def test_space_time_fields_are_images_with_sensors_as_lines(burgers, tmp_path):
    post, obs, truth = burgers
    figure = plot_posterior(post, obs, truth)
    mean = figure.axes[1]
    assert mean.get_xlabel() == "time" and figure.axes[0].get_ylabel() == "x"
    assert {line.get_ydata()[0] for line in mean.lines} == {0.1, 0.5}
    assert mean.collections[0].get_array().shape == (16, 9)
    assert saved(figure, tmp_path) and saved(plot_posterior(post, obs), tmp_path)


def test_truth_of_a_part_of_the_domain(pair, tmp_path):
    post, truth = pair
    assert saved(plot_posterior(post, None, truth.isel(latitude=slice(0, 4))), tmp_path)


def test_rank_histogram_and_calibration(tmp_path):
    figure = plot_rank_histogram({"ours": [0.1] * 10, "theirs": [0.2, 0.1, 0.05, 0.05, 0.1] * 2})
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == ["ours", "theirs", "calibrated"]
    assert saved(figure, tmp_path) and saved(plot_rank_histogram([0.25] * 4), tmp_path)
    u = (np.arange(1000) + 0.5) / 1000
    figure = plot_calibration({"exact": u})
    line = next(line for line in figure.axes[0].lines if line.get_label() == "exact")
    assert np.allclose(line.get_ydata(), line.get_xdata(), atol=2e-3)  # a grid of 1000 values
    assert saved(figure, tmp_path)


def test_series_say_which_stations_were_held_out(pair, table, burgers, tmp_path):
    post, _ = pair
    both = table([(56.0, 0.0), (53.5, 2.5), (80.0, 0.0)], value=280.0)
    figure = plot_series(post, both, obs=table([(56.0, 0.0)]))
    assert [t.split(" (")[0] for t in titles(figure)] == ["s0, seen", "s1, held out"]  # the third lies outside
    assert figure.axes[0].get_ylabel() == "t2m [K]" and len(figure.legends[0].get_texts()) == 4
    assert saved(figure, tmp_path)
    assert titles(plot_series(post, both, stations=["s1"])) == ["s1 (latitude 53.50, longitude 2.50)"]
    assert saved(plot_series(burgers[0], burgers[1]), tmp_path)


def test_a_field_that_no_sensor_saw_is_drawn_without_them(pair, table, tmp_path):
    both = pair[0].assign(d2m=pair[0]["t2m"] - 5)
    figure = plot_posterior(both, table([(56.0, 0.0)]), variable="d2m")
    assert titles(figure)[0] == "mean and sensors" and not figure.axes[0].collections[1:]
    assert saved(figure, tmp_path)


def test_errors_of_pictures(pair, table, burgers):
    post, _ = pair
    with pytest.raises(ValueError, match="no variable 'z'; it has t2m"):
        plot_posterior(post, variable="z")
    with pytest.raises(ValueError, match="here gridded fields are needed"):
        plot_posterior(post, truth=table([(56.0, 0.0)]))
    with pytest.raises(ValueError, match="the truth has no variable t2m; it has z"):
        plot_posterior(post, truth=pair[1].rename(t2m="z"))
    with pytest.raises(ValueError, match="select one level first"):
        plot_posterior(post.expand_dims(level=[500, 850]))
    with pytest.raises(ValueError, match="no station nowhere observes 't2m'; the table has s0"):
        plot_series(post, table([(56.0, 0.0)]), stations=["nowhere"])
    with pytest.raises(ValueError, match="no station of 't2m' lies inside"):
        plot_series(post, table([(80.0, 0.0)]))


def test_pictures_leave_pyplot_alone(pair):
    before = "matplotlib.pyplot" in sys.modules
    plot_posterior(pair[0])
    if "matplotlib.pyplot" in sys.modules and before:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_report_is_one_whole_file(tmp_path):
    figure = plot_rank_histogram([0.5, 0.5])
    figure.savefig(tmp_path / "p.png", dpi=30)
    rows = {"ours": {"crps": 0.21612, "points": 12345, "rank_histogram": [0.5, 0.5]}, "<b>": {"crps": 0.43, "w": True}}
    sections = [
        Section(
            "Scores & more", "One.\n\nTwo.", rows, "in K", {"as a figure": figure, "from a file": tmp_path / "p.png"}
        )
    ]
    path = write_report(tmp_path / "run" / "demo", "A <title>", sections)
    text = path.read_text()
    assert path == tmp_path / "run" / "demo" / "report.html" and list(path.parent.iterdir()) == [path]
    assert "A &lt;title&gt;" in text and "<td>&lt;b&gt;</td>" in text and "Scores &amp; more" in text
    assert "<td>0.2161</td><td>12345</td><td></td>" in text and "rank_histogram" not in text
    assert text.count("data:image/png;base64,iVBOR") == 2 and "http" not in text and text.count("<p>") == 2


def test_sections_may_be_dictionaries_with_pictures_in_the_folder(tmp_path):
    plot_rank_histogram([0.5, 0.5]).savefig(tmp_path / "era5_ranks.png", dpi=30)
    text = write_report(tmp_path, "t", [{"heading": "Britain", "pictures": ["era5_ranks.png"]}]).read_text()
    assert "Britain" in text and "era5 ranks" in text and text.count("data:image/png;base64,iVBOR") == 1


def test_a_report_that_fails_leaves_the_old_one(tmp_path):
    path = write_report(tmp_path, "old", [])
    with pytest.raises(FileNotFoundError, match="gone.png"):
        write_report(tmp_path, "new", [Section("s", pictures={"c": tmp_path / "gone.png"})])
    with pytest.raises(TypeError, match="Section objects; got str"):
        write_report(tmp_path, "new", ["text"])
    with pytest.raises(TypeError, match="a Figure or the path of a PNG"):
        write_report(tmp_path, "new", [Section("s", pictures={"c": 3})])
    assert "old" in path.read_text() and list(tmp_path.iterdir()) == [path]
