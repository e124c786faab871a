"""Point sensors. Truth: linear interpolation is exact for functions that are linear in each axis."""

import numpy as np
import pandas as pd
import pytest
import torch

from sciml_diffusion.observations.sensors import drop_outside, point_operator
from sciml_diffusion.observations.table import read_table
from sciml_diffusion.physics.grid import Grid

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2019-03-26T00", "ns")
TIMES = START + np.arange(4) * HOUR
EXACT = 1e-11  # float64 arithmetic on values up to about 100


def table(dims=None, **columns):
    return read_table(pd.DataFrame({"value": 0.0, "std": 1.0} | columns), dims=dims)


def random_table(seed, m, low, high, dims, variables=("a", "b"), frames=4):
    rng = np.random.default_rng(seed)
    columns = {d: rng.uniform(a, b, m) for d, a, b in zip(dims, low, high, strict=True)}
    seconds = (rng.uniform(0, frames - 1, m) * 3600e9).astype(int)
    return table(**columns, time=START + seconds.astype("timedelta64[ns]"), variable=rng.choice(variables, m))


def hours(t):
    return (t - START) / HOUR


LATITUDES = {
    "ascending": np.linspace(50, 60, 9),
    "descending": np.linspace(60, 50, 9),
    "uneven": np.array([50, 50.3, 51, 53, 53.2, 57, 60.0]),
    "uneven and descending": np.array([60, 57.5, 57, 53, 50.3, 50.1, 50.0]),
}


@pytest.mark.parametrize("name", LATITUDES)
def test_exact_for_multilinear_fields(name):
    latitude, longitude = LATITUDES[name], np.linspace(-10, 2, 7)
    grid = Grid(("latitude", "longitude"), (latitude, longitude), (None, None))
    rows = random_table(0, 200, (50, -10), (60, 2), grid.dims)

    def field(variable, t, y, x):
        return np.where(variable == "a", 1.0, -2.0) * (3 + y / 60) * (1 + x / 10) * (t - 1.3)

    axes = np.meshgrid(["a", "b"], np.arange(4.0), latitude, longitude, indexing="ij")
    operator = point_operator(grid, ("a", "b"), TIMES, rows)
    assert operator.event == (2, 4, len(latitude), 7) and operator.index.shape == (200, 8)
    got = operator(torch.from_numpy(field(*axes))[None])[0].numpy()
    truth = field(
        rows["variable"].values, hours(rows["time"].values), rows["latitude"].values, rows["longitude"].values
    )
    assert np.allclose(got, truth, rtol=0, atol=EXACT)


def test_adjoint_and_weights():
    grid = Grid(("latitude", "longitude"), (np.linspace(60, 50, 9), np.linspace(-10, 2, 7)), (None, None))
    operator = point_operator(grid, ("a", "b"), TIMES, random_table(1, 50, (50, -10), (60, 2), grid.dims))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, *operator.event, dtype=torch.float64, generator=generator)
    y = torch.randn(3, 50, dtype=torch.float64, generator=generator)
    forward, backward = (operator(x) * y).sum(), (x * operator.adjoint(y)).sum()
    assert torch.allclose(forward, backward, rtol=0, atol=EXACT)
    assert (operator.weight >= 0).all()
    assert torch.allclose(operator.weight.sum(1), torch.ones(50, dtype=torch.float64), rtol=0, atol=1e-14)


@pytest.mark.parametrize("dims", [("x",), ("x", "y"), ("x", "y", "z")])
def test_any_number_of_axes(dims):
    coordinates = tuple(np.linspace(0, 1, 3 + k) for k in range(len(dims)))
    grid = Grid(dims, coordinates, (None,) * len(dims))
    rng = np.random.default_rng(2)
    rows = table(**{d: rng.uniform(0, 1, 40) for d in dims}, time=rng.uniform(0, 2, 40), variable="u")
    axes = np.meshgrid(np.arange(3.0), *coordinates, indexing="ij")
    x = torch.from_numpy(np.prod([1 + (k + 1) * a for k, a in enumerate(axes)], axis=0))
    got = point_operator(grid, ("u",), np.arange(3.0), rows)(x[None, None])[0].numpy()
    points = [rows["time"].values, *(rows[d].values for d in dims)]
    assert np.allclose(got, np.prod([1 + (k + 1) * p for k, p in enumerate(points)], axis=0), rtol=0, atol=EXACT)


def test_on_grid_points_each_sensor_reads_one_value():
    grid = Grid(("latitude", "longitude"), (np.array([60.0, 55, 50]), np.array([0.0, 1, 2])), (None, None))
    rows = table(latitude=[60.0, 50, 55], longitude=[0.0, 2, 1], time=TIMES[[0, 3, 1]], variable="a")
    operator = point_operator(grid, ("a",), TIMES, rows)
    assert operator.index.shape == (3, 1)
    assert operator.index[:, 0].tolist() == [0, 3 * 9 + 8, 9 + 4]
    assert operator.weight.tolist() == [[1.0], [1.0], [1.0]]


@pytest.mark.parametrize("sign", [1, -1])
def test_periodic_axes_close(sign):
    c = np.arange(8) / 8
    grid = Grid(("x",), (c[::sign].copy(),), (1.0,))
    x = torch.arange(8, dtype=torch.float64).flip(0) if sign < 0 else torch.arange(8, dtype=torch.float64)
    rows = table(x=[15 / 16, -1 / 16, 1.0, 2.25, 0.875], time=0.0, variable="u", station=list("abcde"))
    got = point_operator(grid, ("u",), np.zeros(1), rows)(x.reshape(1, 1, 1, 8))[0]
    # between 7 at x = 7/8 and 0 at x = 1; the field is 8 x at the other points
    assert torch.allclose(got, torch.tensor([3.5, 3.5, 0.0, 2.0, 7.0], dtype=torch.float64), rtol=0, atol=EXACT)


@pytest.mark.parametrize("longitude", [np.linspace(-10, 2, 13), np.linspace(350, 362, 13), np.linspace(2, -10, 13)])
def test_longitudes_match_modulo_360(longitude):
    grid = Grid(("longitude",), (longitude,), (None,))
    field = torch.from_numpy((longitude + 180) % 360 - 180).reshape(1, 1, 1, -1)
    rows = table(("longitude",), longitude=[-10, 350, 355.5, -4.5, 1.75, -358, 2], time=0.0, variable="u")
    got = point_operator(grid, ("u",), np.zeros(1), rows)(field)[0]
    truth = torch.tensor([-10, -10, -4.5, -4.5, 1.75, 2, 2], dtype=torch.float64)
    assert torch.allclose(got, truth, rtol=0, atol=EXACT)


def test_the_globe_closes_between_359_and_0():
    longitude = np.arange(0.0, 360)
    grid = Grid(("longitude",), (longitude,), (360.0,))
    rows = table(("longitude",), longitude=[359.5, -0.5, 0.0], time=0.0, variable="u")
    x = torch.zeros(1, 1, 1, 360, dtype=torch.float64)
    x[..., 359], x[..., 0] = 2.0, 4.0
    got = point_operator(grid, ("u",), np.zeros(1), rows)(x)[0]
    assert got.tolist() == [3.0, 3.0, 4.0]


def test_coordinates_rounded_to_float32_still_hold_their_edge():
    edge = np.linspace(49.9, 59.1, 24).astype(np.float32).astype(np.float64)
    grid = Grid(("x",), (edge,), (None,))
    rows = table(x=[49.9, 59.1], time=0.0, variable="u", station=["a", "b"])
    got = point_operator(grid, ("u",), np.zeros(1), rows)(torch.from_numpy(edge).reshape(1, 1, 1, -1))[0]
    assert got.tolist() == [edge[0], edge[-1]]


def test_the_variable_without_a_name_is_the_only_one():
    grid = Grid(("x",), (np.arange(3.0),), (None,))
    rows = table(x=[1.0], time=0.0)
    assert rows["variable"].values.tolist() == [""]
    assert point_operator(grid, ("u",), np.zeros(1), rows).m == 1
    with pytest.raises(ValueError, match=r"\(no name\).*u, v"):
        point_operator(grid, ("u", "v"), np.zeros(1), rows)


GRID = Grid(("latitude", "longitude"), (np.linspace(60, 50, 9), np.linspace(-10, 2, 7)), (None, None))


@pytest.mark.parametrize(
    ("latitude", "longitude", "hour", "variable", "words"),
    [
        (49.0, 0.0, 0, "a", ["the domain", "station bad", "latitude 49", "50 to 60", "drop_outside"]),
        (55.0, 3.0, 0, "a", ["outside the domain", "station bad", "longitude 3", "-10 to 2"]),
        (55.0, 176.0, 0, "a", ["outside the domain", "longitude 176"]),
        (55.0, 0.0, 4, "a", ["outside the window", "station bad", "2019-03-26T04", "2019-03-26T03"]),
        (55.0, 0.0, -1, "a", ["outside the window", "2019-03-25T23"]),
        (55.0, 0.0, 0, "c", ["of c", "station bad", "a, b", "drop_outside", "fit_prior or train"]),
    ],
)
def test_sensors_that_do_not_fit_are_named(latitude, longitude, hour, variable, words):
    time = [START, START + hour * HOUR]
    rows = table(
        latitude=[55.0, latitude],
        longitude=[0.0, longitude],
        time=time,
        variable=["a", variable],
        station=["good", "bad"],
    )
    with pytest.raises(ValueError) as error:
        point_operator(GRID, ("a", "b"), TIMES, rows)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_tables_of_other_axes_or_times_are_refused():
    with pytest.raises(ValueError, match="axis 'latitude'"):
        point_operator(GRID, ("a",), TIMES, table(x=[1.0], time=TIMES[:1], variable="a"))
    with pytest.raises(ValueError, match="dates but the table has model time"):
        point_operator(GRID, ("a",), TIMES, table(latitude=[55.0], longitude=[0.0], time=0.0, variable="a"))


def test_drop_outside_keeps_the_rest_and_counts():
    rows = table(
        latitude=[55.0, 49, 56, 57], longitude=[0.0, 0, 3, 1], time=TIMES[0], variable=["a", "a", "a", "c"],
        station=list("pqrs"),
    )  # fmt: skip
    with pytest.warns(UserWarning, match="3 of 4 .* 2 outside .* 1 of other variables"):
        left = drop_outside(rows, GRID, ("a", "b"))
    assert left["station"].values.tolist() == ["p"]
    with pytest.warns(UserWarning, match="2 of 4"):
        assert drop_outside(rows, GRID)["station"].values.tolist() == ["p", "s"]
