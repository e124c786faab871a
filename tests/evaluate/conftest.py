"""A calibrated posterior and its truth on a small region: members and truth are independent draws of one law."""

import json

import numpy as np
import pytest
import xarray as xr

TIME = np.datetime64("2019-03-26T00", "ns") + np.arange(6) * np.timedelta64(1, "h")
LATITUDE = np.array([58.0, 57.0, 56.0, 55.0, 54.0, 53.0, 52.0])  # descending, as ERA5 has it
LONGITUDE = np.arange(-4.0, 5.0)
DIMS = ("realization", "time", "latitude", "longitude")


@pytest.fixture
def pair():
    """(posterior in K with unequal weights, truth in K)."""
    rng = np.random.default_rng(0)
    shape = (len(TIME), len(LATITUDE), len(LONGITUDE))
    centre = 280 + 4 * rng.standard_normal(shape)
    coords = {"time": TIME, "latitude": LATITUDE, "longitude": LONGITUDE}
    logs = rng.standard_normal((12, len(TIME))) * 0.5
    weight = np.exp(logs) / np.exp(logs).sum(0)
    post = xr.Dataset(
        {
            "t2m": (DIMS, centre + 1.5 * rng.standard_normal((12, *shape)), {"units": "K"}),
            "log_weight": (DIMS[:2], logs),
            "weight": (DIMS[:2], weight),
            "ess": ("time", 1 / (weight**2).sum(0)),
        },
        coords | {"realization": np.arange(12)},
    )
    truth = centre + 1.5 * rng.standard_normal(shape)
    return post, xr.Dataset({"t2m": (DIMS[1:], truth, {"units": "K"})}, coords)


@pytest.fixture
def table():
    """Makes a sensor table: rows are every time at every place; values are zero unless given."""

    def make(places, time=TIME, value=0.0, std=0.1, variable="t2m", units="K", dims=("latitude", "longitude")):
        places = np.asarray(places, dtype=float).reshape(-1, len(dims))
        rows = len(places) * len(time)
        columns = {d: ("observation", np.tile(places[:, i], len(time))) for i, d in enumerate(dims)}
        return xr.Dataset(
            {
                "value": ("observation", np.broadcast_to(np.ravel(value), rows).astype(float)),
                "std": ("observation", np.full(rows, std)),
            },
            columns
            | {
                "time": ("observation", np.repeat(time, len(places))),
                "variable": ("observation", np.full(rows, variable)),
                "station": ("observation", np.tile([f"s{i}" for i in range(len(places))], len(time))),
            },
            {"units": json.dumps({variable: units})},
        )

    return make
