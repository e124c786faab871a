"""Rows that say above or below, and heavy tails. Truths: the rows that were written, and scipy's normal and t laws."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from scipy import stats

from sciml_diffusion.observations.noise import Gaussian
from sciml_diffusion.observations.noise_laws import Mixed, StudentT
from sciml_diffusion.observations.simulate import simulate
from sciml_diffusion.observations.table import read_table
from sciml_diffusion.observations.windows import bind
from sciml_diffusion.physics.grid import Grid

HOUR, START = np.timedelta64(1, "h"), np.datetime64("2019-03-26T00", "ns")
GRID = Grid(("latitude", "longitude"), (np.linspace(60, 50, 5), np.linspace(-10, 2, 4)), (None, None))
PRIOR = SimpleNamespace(grid=GRID, variables=(SimpleNamespace(name="t2m", units="K"),), window=4, step=HOUR)


def frame(**columns) -> pd.DataFrame:
    """Rows of t2m in degrees Celsius, an hour apart, at one place."""
    size = len(next(iter(columns.values())))
    time = START + np.arange(size) * HOUR
    base = {"time": time, "latitude": 55.0, "longitude": 0.0, "variable": "t2m", "units": "degC", "std": 0.5}
    return pd.DataFrame(base | columns)


def test_a_sense_is_read_in_words_and_signs():
    table = read_table(frame(value=[1.0, 2.0, 3.0, 4.0], sense=[">", "", "at or below", "Above"]))
    assert table["sense"].values.tolist() == ["above", "", "below", "above"]
    assert table["value"].values.tolist() == [1, 2, 3, 4]
    assert "sense" not in read_table(frame(value=[1.0, 2.0], sense=["", "="]))


def test_a_limit_turns_values_into_senses():
    found = read_table(frame(value=[7.0, 9.0, 3.0], limit=[8.0, 8.0, np.nan]))
    assert found["sense"].values.tolist() == ["below", "above", ""]
    assert found["value"].values.tolist() == [8, 8, 3]
    found = read_table(frame(value=[7.0, 9.0]), limit=8.0)
    assert found["sense"].values.tolist() == ["below", "above"] and (found["value"] == 8).all()
    found = read_table(frame(limit=[8.0, 7.0], sense=["<", ">"]))  # switches have no value
    assert found["value"].values.tolist() == [8, 7] and found["variable"].values.tolist() == ["t2m", "t2m"]


def test_units_of_limits_are_converted():
    rows = frame(value=[7.0, 280.0], limit=[8.0, 281.0]).assign(units=["degC", "K"])
    assert read_table(rows)["value"].values.tolist() == pytest.approx([8.0, 281.0 - 273.15])


def test_rows_with_a_sense_are_never_merged():
    rows = frame(value=[1.0, 5.0, 5.0], sense=[">", "<", "<"]).assign(time=START)
    with pytest.warns(UserWarning, match="1 rows of the table repeat"):
        found = read_table(rows)
    assert sorted(found["sense"].values.tolist()) == ["above", "below"]


def test_a_table_survives_being_read_again(tmp_path):
    table = read_table(frame(value=[1.0, 2.0], sense=[">", ""]), dof=4.0)
    xr.testing.assert_equal(read_table(table), table)
    table.to_dataframe().to_csv(tmp_path / "table.csv", index=False)
    again = read_table(tmp_path / "table.csv", units="degC")
    assert again["sense"].values.tolist() == ["above", ""]
    np.testing.assert_array_equal(again["dof"], [np.nan, 4.0])


def test_bound_likelihood_is_scipy_s():
    rows = frame(value=[1.0, 2.0, 30.0, 4.0], sense=["", ">", "", "<"], dof=[np.nan, np.nan, 3.0, np.nan])
    (group,) = bind(read_table(rows), PRIOR)
    law = group.observation.noise
    assert isinstance(law, Mixed) and [type(part).__name__ for part in law.laws] == ["Gaussian", "StudentT", "Censored"]
    x = torch.full((1, 1, 4, 5, 4), 275.65, dtype=torch.float64)  # 2.5 degrees Celsius everywhere
    truth = (
        stats.norm.logpdf(1.0, 2.5, 0.5)
        + stats.norm.logsf(2.0, 2.5, 0.5)
        + stats.t.logpdf(30.0, 3.0, 2.5, 0.5)
        + stats.norm.logcdf(4.0, 2.5, 0.5)
    )
    assert float(group.observation.log_likelihood(x)) == pytest.approx(truth, rel=1e-9)  # 273.15 of a kelvin's rounding


def test_windows_of_one_layout_share_it_whatever_side_is_reported():
    time = START + np.arange(8) * HOUR
    rows = frame(value=np.full(8, 8.0), sense=[">"] * 5 + ["<"] * 3).assign(time=time)
    (group,) = bind(read_table(rows), PRIOR)
    assert group.index == (0, 1) and group.observation.noise.m == 4
    below, above = group.observation.noise.sides(group.observation.y)
    assert below.tolist() == [[False] * 4, [False, True, True, True]] and torch.equal(above, ~below)


def test_one_law_stays_one_law():
    (group,) = bind(read_table(frame(value=[1.0, 2.0])), PRIOR)
    assert type(group.observation.noise) is Gaussian and group.observation.linear_gaussian
    (group,) = bind(read_table(frame(value=[1.0, 2.0]), dof=4), PRIOR)
    assert type(group.observation.noise) is StudentT and group.observation.noise.dof.tolist() == [4, 4]


def test_simulated_switches_and_heavy_tails():
    hour, latitude, _ = np.meshgrid(np.arange(60), *GRID.coordinates, indexing="ij")
    field = 280 + 0.0 * hour + (latitude - 55)
    coords = {"time": START + np.arange(60) * HOUR} | dict(zip(GRID.dims, GRID.coordinates, strict=True))
    fields = xr.Dataset({"t2m": (("time", *GRID.dims), field, {"units": "K"})}, coords)
    table = simulate(fields, 20, 1.0, seed=0, limit=281.0)
    assert (table["value"] == 281).all() and set(table["sense"].values) == {"above", "below"}
    share = float((table["sense"] == "above").mean())
    truth = stats.norm.sf(281.0, table["truth"].values, 1.0).mean()
    assert share == pytest.approx(truth, abs=4 * 0.5 / np.sqrt(1200))
    table = simulate(fields, 20, 1.0, seed=0, dof=3.0)
    assert stats.kstest((table["value"] - table["truth"]).values, stats.t(3.0).cdf).pvalue > 1e-3  # fixed seed
    assert (table["dof"] == 3).all()


@pytest.mark.parametrize(
    ("columns", "options", "text"),
    [
        ({"value": [1.0], "sense": ["up"]}, {}, "sense is 'above', 'below' or empty; row 0: 'up'"),
        ({"value": [8.0, 9.0], "limit": [8.0, 8.0]}, {}, "equal their limit.*row 0: 8"),
        ({"value": [8.0], "sense": [">"], "dof": [4.0]}, {}, "dof is for readings"),
        ({"value": [8.0]}, {"dof": 0.0}, "dof must be > 0"),
    ],
)
def test_rows_that_say_nothing_are_named(columns, options, text):
    with pytest.raises(ValueError, match=text):
        read_table(frame(**columns), **options)
