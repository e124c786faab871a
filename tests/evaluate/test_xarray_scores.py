"""Scores of xarray posteriors. Truths: the tensor scores computed by hand on aligned arrays; invariance to orientation,
units and longitude convention; and calibrated ensembles."""

import numpy as np
import pytest
import torch
import xarray as xr

from sciml_diffusion.evaluate.places import latitude_weights
from sciml_diffusion.evaluate.scores import average, crps
from sciml_diffusion.evaluate.stations import at_sensors
from sciml_diffusion.evaluate.xarray_scores import score_dataset

PLAIN = ("crps", "rmse", "spread_skill", "coverage90", "mae", "bias")


def same(a, b, tolerance=1e-9):
    """All scores agree; 1e-9 leaves room for rounding in a change of units."""
    assert a.keys() == b.keys()
    assert all(np.allclose(a[key], b[key], rtol=0, atol=tolerance) for key in a), (a, b)


def test_scores_are_those_of_the_tensors(pair, table):
    post, truth = pair
    obs = table([(56.0, 0.0), (53.2, 3.1)])
    result = score_dataset(post, truth, obs)
    x = torch.from_numpy(post["t2m"].transpose("time", "realization", ...).values)
    y, w = torch.from_numpy(truth["t2m"].values), torch.from_numpy(post["weight"].values.T)
    mask = torch.ones(7, 9, dtype=torch.bool)
    mask[2, 4] = mask[5, 7] = False
    area = torch.from_numpy(latitude_weights(truth["latitude"].values))[:, None]
    error = torch.einsum("tk,tkij->tij", w, x) - y
    assert np.isclose(result["crps"], float(average(crps(x, y, w), area, mask)), rtol=1e-12)
    assert np.isclose(result["rmse"], float(average(error**2, area, mask).sqrt()), rtol=1e-12)
    assert np.isclose(result["bias"], float(average(error, area, mask)), rtol=1e-12)
    assert result["points"] == 6 * 61 and result["members"] == 12
    assert np.isclose(result["ess"], post["ess"].mean())
    assert len(result["rank_histogram"]) == 13 and np.isclose(sum(result["rank_histogram"]), 1)
    assert all(isinstance(result[name], float) for name in PLAIN)


def test_a_calibrated_posterior_scores_as_one(pair):
    result = score_dataset(*pair)
    # 378 independent points: four standard errors
    assert abs(result["coverage90"] - 0.9) < 0.06 and abs(result["spread_skill"] - 1) < 0.15
    assert abs(result["crps"] - 1.5 * 0.5642) < 0.15


def test_orientation_units_longitudes_and_surplus_do_not_matter(pair, table):
    post, truth = pair
    obs = table([(56.0, 0.0)])
    reference = score_dataset(post, truth, obs)
    celsius = truth.assign(t2m=(truth["t2m"] - 273.15).assign_attrs(units="degC"))
    others = [
        truth.isel(latitude=slice(None, None, -1)),
        celsius.transpose("longitude", "time", "latitude"),
        truth.assign_coords(longitude=truth["longitude"] % 360).sortby("longitude"),
        truth.assign(u10=truth["t2m"]).expand_dims(level=[1000]),
        truth.assign_coords(latitude=truth["latitude"].astype("f4") + np.float32(1e-6)),
    ]
    for other in others:
        same(score_dataset(post, other, obs), reference)
    same(score_dataset(post.drop_vars("weight"), truth, obs), reference)  # from log_weight
    turned = post.isel(latitude=slice(None, None, -1))
    assert np.isclose(score_dataset(turned, truth, obs)["crps"], reference["crps"], rtol=1e-12)


def test_only_common_times_and_places_count(pair):
    post, truth = pair
    part = truth.isel(time=[1, 3], latitude=slice(2, 5))
    same(
        score_dataset(post, part),
        score_dataset(post.isel(time=[1, 3], latitude=slice(2, 5)), part) | {"ess": score_dataset(post, truth)["ess"]},
    )
    one = score_dataset(post.isel(time=2), truth)
    assert one["points"] == 63


def test_missing_truth_is_left_out(pair):
    """Its random numbers fall on other points, so the randomised scores are left out of the comparison."""
    post, truth = pair
    holes = truth.where(truth["longitude"] < 2)
    got, expected = score_dataset(post, holes), score_dataset(post, truth.isel(longitude=slice(0, 6)))
    for key in ("crps", "rmse", "spread_skill", "mae", "bias", "points"):
        assert np.isclose(got[key], expected[key], rtol=1e-12)


def test_one_dimensional_fields_and_model_time():
    rng = np.random.default_rng(0)
    time, x = np.linspace(0, 1, 5), np.arange(16) / 16
    post = xr.Dataset({"u": (("realization", "time", "x"), rng.standard_normal((8, 5, 16)))}, {"time": time, "x": x})
    truth = xr.Dataset({"u": (("x", "time"), rng.standard_normal((16, 5)))}, {"time": time, "x": x})
    assert score_dataset(post, truth)["points"] == 80


def test_several_variables_are_named(pair):
    post, truth = pair
    post, truth = (d.assign(u10=(d["t2m"] * 2).assign_attrs(units="m s-1")) for d in (post, truth))
    result = score_dataset(post, truth)
    assert np.isclose(result["crps_u10"], 2 * result["crps_t2m"]) and "crps" not in result
    assert result["members"] == 12 and "rank_histogram_u10" in result


def test_interpolation_to_sensors_is_exact_for_linear_fields(pair, table):
    post, _ = pair
    hours = xr.DataArray(np.arange(6.0), dims="time")
    field = post["latitude"] * 2 + post["longitude"] - 3 * hours + post["realization"]
    post = post.assign(t2m=field.transpose(*post["t2m"].dims))
    half = post["time"].values[:-1] + np.timedelta64(30, "m")
    rows, x, weights = at_sensors(post, "t2m", table([(56.3, 359.5), (70.0, 0.0)], time=half))
    assert rows.tolist() == [0, 2, 4, 6, 8]  # the second station lies outside
    expected = 2 * 56.3 - 0.5 - 3 * (np.arange(5) + 0.5)[:, None] + np.arange(12)
    assert np.allclose(x, expected, atol=1e-9) and weights.shape == (5, 12)


def test_held_out_sensors_are_predicted_with_their_noise(pair, table):
    """Members and truth share a law at every grid point; with noise added to both, scores stay calibrated."""
    post, truth = pair
    rng = np.random.default_rng(1)
    places = [(lat, lon) for lat in truth["latitude"].values for lon in truth["longitude"].values]
    value = truth["t2m"].values.reshape(6, -1) + 2.0 * rng.standard_normal((6, 63))
    held = table(places, value=value, std=2.0)
    result = score_dataset(post, held)
    assert abs(result["coverage90"] - 0.9) < 0.06 and abs(result["spread_skill"] - 1) < 0.15  # four standard errors
    assert abs(result["crps"] - 2.5 * 0.5642) < 0.25  # std sqrt(1.5^2 + 2^2)
    assert result == score_dataset(post, held) != score_dataset(post, held, seed=1)
    celsius = table(places, value=value - 273.15, std=2.0, units="degC")
    same(score_dataset(post, celsius), result)
    seen = score_dataset(post, held, held.isel(observation=slice(0, 5)))
    assert result["points"] == 6 * 63 and seen["points"] == 6 * 58


def test_errors_say_what_is_wrong(pair, table):
    post, truth = pair
    with pytest.raises(ValueError, match="no variable t2m; it has z"):
        score_dataset(post, truth.rename(t2m="z"))
    with pytest.raises(ValueError, match="no time in common: the posterior covers 2019"):
        score_dataset(post, truth.assign_coords(time=truth["time"] + np.timedelta64(30, "D")))
    with pytest.raises(ValueError, match="no longitude in common"):
        score_dataset(post, truth.assign_coords(longitude=truth["longitude"] + 0.3))
    with pytest.raises(ValueError, match="dates"):
        score_dataset(post, truth.assign_coords(time=np.arange(6.0)))
    with pytest.raises(ValueError, match="no finite value"):
        score_dataset(post, truth * np.nan)
    with pytest.raises(ValueError, match="1 of 12 members of 't2m' are not finite"):
        score_dataset(post.where(post["realization"] != 3), truth)
    with pytest.raises(ValueError, match="12 of 12 members"):
        score_dataset(post.assign(t2m=post["t2m"] * np.nan), truth)
    with pytest.raises(ValueError, match="given as the truth"):
        score_dataset(post, post)
    with pytest.raises(ValueError, match="no field with the dim 'realization'"):
        score_dataset(truth, truth)
    with pytest.raises(ValueError, match="no coordinate 'time'"):
        score_dataset(post, truth.isel(time=0, drop=True))
    with pytest.raises(ValueError, match="nothing is left to score"):
        score_dataset(post, truth, table([(a, b) for a in post["latitude"].values for b in post["longitude"].values]))
    with pytest.raises(ValueError, match="cannot convert units 'm'"):
        score_dataset(post, truth.assign(t2m=truth["t2m"].assign_attrs(units="m")))


def test_errors_of_held_out_sensors(pair, table):
    post, _ = pair
    with pytest.raises(ValueError, match="no variable t2m; it has u10"):
        score_dataset(post, table([(56.0, 0.0)], variable="u10"))
    with pytest.raises(ValueError, match="no sensor lies inside the posterior .*latitude 52.0 .. 58.0"):
        score_dataset(post, table([(20.0, 0.0)]))
    held = table([(56.0, 0.0)])
    with pytest.raises(ValueError, match="all 6 held-out values of 't2m' are at stations that the posterior saw"):
        score_dataset(post, held, held)
