"""Areas, sensor cells and distances. Truths: the area of a spherical zone, great circles along meridians and the
equator, and nearest points found by eye."""

import math

import numpy as np
import pytest
import torch

from sciml_diffusion.evaluate.places import (
    EARTH_RADIUS,
    area_weights,
    coverage_by_distance,
    latitude_weights,
    sensor_cells,
    sensor_distance,
)
from sciml_diffusion.physics.grid import Grid

DEGREE = math.pi / 180 * EARTH_RADIUS


def region(latitude=(58.0, 57.0, 56.0), longitude=(-1.0, 0.0, 1.0, 2.0)):
    return Grid(("latitude", "longitude"), (np.array(latitude), np.array(longitude)), (None, None))


def test_latitude_weights_are_areas_of_zones():
    latitude = np.array([60.0, 50.0, 40.0, 30.0])
    edges = np.sin(np.radians([65.0, 55.0, 45.0, 35.0, 25.0]))
    area = edges[:-1] - edges[1:]
    assert np.allclose(latitude_weights(latitude), area / area.mean(), rtol=1e-14)
    assert np.allclose(latitude_weights(latitude[::-1])[::-1], latitude_weights(latitude), rtol=1e-14)


def test_latitude_weights_of_the_globe_give_half_cells_to_the_poles_and_sum_to_the_sphere():
    latitude = np.linspace(-90, 90, 19)
    weights = latitude_weights(latitude)
    cap, belt = 1 - math.sin(math.radians(85)), 2 * math.sin(math.radians(5))
    assert math.isclose(weights[0] / weights[9], cap / belt, rel_tol=1e-12)
    assert math.isclose(weights.mean(), 1, rel_tol=1e-14)
    # the mean of sin^2(latitude) over the sphere is 1/3; cells of 10 degrees miss it by the error of the midpoint rule
    assert abs((weights * np.sin(np.radians(latitude)) ** 2).mean() - 1 / 3) < 0.01


def test_area_weights_have_the_shape_of_the_grid_and_are_one_off_the_sphere():
    area = area_weights(region())
    assert area.shape == (3, 4) and torch.equal(area[:, 0], area[:, 3])
    assert torch.allclose(area[:, 0], torch.from_numpy(latitude_weights(np.array([58.0, 57.0, 56.0]))))
    assert torch.equal(area_weights(Grid.periodic((8,), (1.0,))), torch.ones(8, dtype=torch.float64))


def test_sensor_cells_are_the_nearest_grid_points(table):
    cells = sensor_cells(region(), table([(57.2, 0.4), (57.2, 0.3), (56.0, 2.0), (30.0, 0.0)]))
    expected = torch.zeros(3, 4, dtype=torch.bool)
    expected[1, 1] = expected[2, 3] = True  # the fourth lies far outside
    assert torch.equal(cells, expected)


def test_sensor_cells_know_longitudes_periods_and_variables(table):
    around = sensor_cells(region(longitude=(358.0, 359.0, 360.0, 361.0)), table([(57.0, -1.0)]))
    assert around.nonzero().tolist() == [[1, 1]]
    ring = sensor_cells(Grid.periodic((10,), (1.0,)), table([0.98], dims=("x",), variable="u"))
    assert ring.nonzero().tolist() == [[0]]
    assert not sensor_cells(region(), table([(57.0, 0.0)], variable="u10"), "t2m").any()
    assert sensor_cells(region(), table([(57.0, 0.0)], variable=""), "t2m").any()


def test_distances_are_great_circles_on_the_sphere(table):
    distance = sensor_distance(region((1.0, 0.0), (178.0, 180.0)), table([(0.0, -179.0)]))
    assert math.isclose(distance[1, 1], DEGREE, rel_tol=1e-12)  # along the equator, across the date line
    assert math.isclose(distance[1, 0], 3 * DEGREE, rel_tol=1e-12)
    pole = sensor_distance(region((80.0, 70.0), (0.0, 10.0)), table([(80.0, 180.0)]))
    assert math.isclose(pole[0, 0], 20 * DEGREE, rel_tol=1e-12)  # over the pole


def test_distances_are_euclidean_elsewhere_and_through_the_boundary(table):
    grid = Grid.periodic((10, 10), (1.0, 1.0))
    distance = sensor_distance(grid, table([(0.9, 0.0), (0.5, 0.5)], dims=("x", "y")))
    assert math.isclose(distance[1, 0], 0.2, rel_tol=1e-12) and math.isclose(distance[5, 6], 0.1, rel_tol=1e-12)


def test_coverage_by_distance_counts_in_bins():
    u = torch.tensor([[0.5, 0.5, 0.01, 0.99, 0.5]])
    rows = coverage_by_distance(u, torch.tensor([0.0, 9.0, 10.0, 11.0, 12.0]), [0, 10, 20, 30])
    assert [(r["from"], r["to"], r["points"]) for r in rows] == [(0.0, 10.0, 2), (10.0, 20.0, 3)]
    assert rows[0]["coverage"] == 1 and math.isclose(rows[1]["coverage"], 1 / 3)


def test_errors(table):
    with pytest.raises(ValueError, match="degrees between -90 and 90"):
        latitude_weights(np.array([0.0, 4e5]))
    with pytest.raises(ValueError, match="no coordinate latitude, longitude; it has .*x"):
        sensor_cells(region(), table([0.5], dims=("x",)))
    with pytest.raises(ValueError, match="no sensor of 'z'"):
        sensor_distance(
            region(),
            table([(57.0, 0.0)]).assign_coords(variable=("observation", ["t2m"] * 6)).isel(observation=slice(0, 0)),
            "z",
        )
