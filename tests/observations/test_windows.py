"""Binding a table to a prior's windows. Truths: fields linear in space and time, and layouts small enough to count."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from sciml_diffusion.observations.simulate import simulate
from sciml_diffusion.observations.table import read_table
from sciml_diffusion.observations.windows import bind
from sciml_diffusion.physics.grid import Grid

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2019-03-26T00", "ns")
LATITUDE, LONGITUDE = np.linspace(60, 50, 5), np.linspace(-10, 2, 4)


def variable(name, units):
    return SimpleNamespace(name=name, units=units)


PRIOR = SimpleNamespace(
    grid=Grid(("latitude", "longitude"), (LATITUDE, LONGITUDE), (None, None)),
    variables=(variable("t2m", "K"), variable("u10", "m s-1")),
    window=4,
    step=HOUR,
)
BURGERS = SimpleNamespace(
    grid=Grid.periodic((8,), (1.0,)), variables=(variable("u", "1"),), window=11, step=0.1
)  # fmt: skip


def field(name, hour, latitude, longitude):
    """Linear in time, latitude and longitude."""
    return np.where(name == "t2m", 280 + hour / 3 + latitude - longitude, latitude * longitude / 100 - hour)


def fields(frames):
    hour, latitude, longitude = np.meshgrid(np.arange(frames), LATITUDE, LONGITUDE, indexing="ij")
    dims = ("time", "latitude", "longitude")
    data = {v.name: (dims, field(v.name, hour, latitude, longitude), {"units": v.units}) for v in PRIOR.variables}
    return xr.Dataset(data, {"time": START + np.arange(frames) * HOUR, "latitude": LATITUDE, "longitude": LONGITUDE})


def window_of(times):
    """The truth on the frames of a window, shape (1, C, T, *S)."""
    hours = (times - START) / HOUR
    axes = np.meshgrid(["t2m", "u10"], hours, LATITUDE, LONGITUDE, indexing="ij")
    return torch.from_numpy(field(*axes))[None]


def table(hours, value=280.0, **columns):
    time = START + (np.asarray(hours, dtype=np.float64) * 3600e9).round().astype("timedelta64[ns]")
    base = {"latitude": 55.0, "longitude": 0.0, "value": value, "std": 0.1, "variable": "t2m", "units": "K"}
    return read_table(pd.DataFrame({"time": time} | base | columns))


def index(groups):
    return [group.index for group in groups]


def test_the_operator_of_each_window_returns_the_truth():
    obs = simulate(fields(12), 7, {"t2m": 1e-3, "u10": 2e-3}, seed=0)
    obs["value"] = obs["truth"]
    (group,) = bind(obs, PRIOR)
    assert group.index == (0, 1, 2) and group.observation.y.shape == (3, 7 * 2 * 4)
    assert group.observation.y.dtype == group.observation.std.dtype == torch.float64
    for times, y in zip(group.times, group.observation.y, strict=True):
        assert len(times) == 4 and times[1] - times[0] == HOUR
        # rounding at values near 300
        assert torch.allclose(group.observation.operator(window_of(times))[0], y, rtol=0, atol=1e-10)
    assert np.array_equal(np.concatenate(group.times), fields(12)["time"].values)


def test_between_frames_time_is_interpolated():
    rng = np.random.default_rng(0)
    hours = np.sort(rng.uniform(0, 3, 20))
    truth = field("t2m", hours, 55.0, 0.0)
    (group,) = bind(table(hours, truth), PRIOR)
    assert torch.allclose(group.observation.operator(window_of(group.times[0])), group.observation.y, rtol=0, atol=1e-9)


def test_the_first_window_starts_on_the_step():
    (group,) = bind(table([2.6, 3.1]), PRIOR)
    assert group.times[0][0] == START + 2 * HOUR
    six = SimpleNamespace(**vars(PRIOR) | {"step": 6 * HOUR})
    (group,) = bind(table([8.0, 23.0]), six)
    assert group.times[0][0] == START + 6 * HOUR and group.times[0][-1] == START + 24 * HOUR


def test_between_windows_an_observation_goes_to_the_nearest_frame():
    with pytest.warns(UserWarning, match="3 observations between two windows"):
        groups = bind(table([0, 3.25, 3.5, 3.75], [1.0, 2, 3, 4]), PRIOR)
    assert index(groups) == [(0,), (1,)]
    assert sorted(groups[0].observation.y[0].tolist()) == [1, 2, 3]
    assert groups[1].observation.y[0].tolist() == [4] and groups[1].times[0][0] == START + 4 * HOUR
    read = groups[1].observation.operator(window_of(groups[1].times[0])).item()
    assert np.isclose(read, field("t2m", 4, 55, 0), rtol=0, atol=1e-10)


def test_the_last_half_step_opens_no_window():
    with pytest.warns(UserWarning, match="1 observations"):
        assert index(bind(table([0, 3.5]), PRIOR)) == [(0,)]
    with pytest.warns(UserWarning, match="1 observations"):
        assert index(bind(table([0.25, 3.6]), PRIOR)) == [(0,), (1,)]


def test_windows_of_one_layout_are_one_group_whatever_the_order_of_rows():
    obs = simulate(fields(16), 3, 0.1, seed=0, variable="t2m")
    (group,) = bind(obs, PRIOR)
    shuffled = obs.isel(observation=np.random.default_rng(0).permutation(48))
    (same,) = bind(shuffled, PRIOR)
    assert group.index == same.index == (0, 1, 2, 3)
    assert torch.equal(group.observation.y, same.observation.y)
    assert torch.equal(group.observation.operator.index, same.observation.operator.index)


def test_missing_values_noise_and_variables_make_groups():
    obs = simulate(fields(20), 3, 0.1, seed=0, variable="t2m")
    window = ((obs["time"].values - START) / HOUR // 4).astype(int)
    obs["value"][np.flatnonzero(window == 1)[0]] = np.nan
    obs["std"][window == 3] = 0.2
    with pytest.warns(UserWarning, match="1 without a value"):
        groups = bind(read_table(obs), PRIOR)
    assert index(groups) == [(0, 2, 4), (1,), (3,)]
    assert [group.observation.y.shape for group in groups] == [(3, 12), (1, 11), (1, 12)]
    assert groups[2].observation.std.tolist() == [0.2] * 12


def test_windows_that_nothing_observes_form_a_group():
    groups = bind(table([0, 1, 12, 13], [1.0, 2, 3, 4]), PRIOR)
    assert index(groups) == [(0, 3), (1, 2)]
    assert groups[0].observation.y.tolist() == [[1, 2], [3, 4]] and groups[1].observation is None
    assert [t[0] for t in groups[1].times] == [START + 4 * HOUR, START + 8 * HOUR]


def test_every_window_is_in_one_group_and_every_row_in_one_window():
    obs = simulate(fields(40), 5, 0.1, seed=1)
    keep = np.random.default_rng(2).random(400) < 0.3
    groups = bind(obs.isel(observation=keep), PRIOR)
    assert sorted(i for group in groups for i in group.index) == list(range(10))
    values = torch.cat([g.observation.y.flatten() for g in groups if g.observation is not None])
    assert sorted(values.tolist()) == sorted(obs["value"].values[keep].tolist())


def test_values_come_in_the_units_of_the_prior():
    (group,) = bind(table([0, 1], [10.0, 11.0], units="degC"), PRIOR)
    assert torch.allclose(group.observation.y, torch.tensor([[283.15, 284.15]], dtype=torch.float64))
    assert group.observation.std.tolist() == [0.1, 0.1]
    (group,) = bind(table([0], [50.0], units="degF", std=1.8), PRIOR)
    assert torch.allclose(group.observation.y, torch.tensor([[283.15]], dtype=torch.float64))
    assert torch.allclose(group.observation.std, torch.tensor([1.0], dtype=torch.float64))


def test_unstated_units_are_taken_as_the_prior_s_with_a_warning():
    with pytest.warns(UserWarning, match="no units of t2m; .* 'K'"):
        (group,) = bind(table([0], [280.0], units=""), PRIOR)
    assert group.observation.y.item() == 280.0


def test_the_only_variable_needs_no_name():
    prior = SimpleNamespace(**vars(PRIOR) | {"variables": PRIOR.variables[:1]})
    (group,) = bind(table([0], [7.0], variable="", units="degC"), prior)
    assert group.observation.y.item() == 280.15


def test_starts_may_be_given():
    starts = START + np.array([0, 6]) * HOUR
    groups = bind(table([0.0, 1, 6, 7]), PRIOR, starts=starts)
    assert index(groups) == [(0, 1)] and groups[0].times[1][0] == starts[1]
    with pytest.raises(ValueError, match="1 observations lie in no window, the first at 2019-03-26T04:30.*s00"):
        bind(table([0.0, 4.5, 6]), PRIOR, starts=starts)
    with pytest.raises(ValueError, match="at least 4 steps"):
        bind(table([0.0]), PRIOR, starts=START + np.array([0, 3]) * HOUR)


def test_model_time_has_one_window_from_zero():
    time = np.repeat(np.arange(11) / 10, 2)
    x = np.tile([0.1, 0.95], 11)
    frame = pd.DataFrame({"time": time, "x": x, "value": 3 * time - 2, "std": 0.01, "variable": "u", "units": "1"})
    (group,) = bind(read_table(frame), BURGERS)
    assert group.index == (0,) and np.allclose(group.times[0], np.arange(11) / 10, rtol=0, atol=1e-15)
    truth = (3 * torch.from_numpy(group.times[0]) - 2).reshape(1, 1, 11, 1).expand(1, 1, 11, 8)
    assert torch.allclose(group.observation.operator(truth), group.observation.y, rtol=0, atol=1e-12)
    assert group.observation.operator.index.shape == (22, 2)  # on frames: no weight on a second one
    with pytest.raises(ValueError, match="in no window"):
        bind(read_table(frame.assign(time=time * 2)), BURGERS)


def test_adjoint_and_likelihood_of_a_bound_window():
    obs = simulate(fields(8), 7, 0.5, seed=0)
    (group,) = bind(obs, PRIOR)
    operator = group.observation.operator
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, *operator.event, dtype=torch.float64, generator=generator)
    y = torch.randn(2, operator.m, dtype=torch.float64, generator=generator)
    assert torch.allclose((operator(x) * y).sum(), (x * operator.adjoint(y)).sum(), rtol=1e-12, atol=0)
    truth = torch.cat([window_of(times) for times in group.times])
    z = (obs["value"] - obs["truth"]).values / 0.5
    expected = -0.5 * (z**2).sum() - len(z) * np.log(0.5 * np.sqrt(2 * np.pi))
    # residuals are differences of numbers near 300, divided by 0.5
    assert np.isclose(group.observation.log_likelihood(truth).sum().item(), expected, rtol=1e-9)


ERRORS = {
    "outside": ({"latitude": 48.0}, "station s00\\) lie outside the domain, the first at latitude 48"),
    "variable": ({"variable": "t3m"}, "of t3m \\(station s00\\).* t2m, u10"),
    "units": ({"units": "hPa"}, "'hPa' to 'K'"),
    "no name": ({"variable": ""}, "no name"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    columns, text = ERRORS[name]
    with pytest.raises(ValueError, match=text):
        bind(table([0, 1], **columns), PRIOR)


def test_dates_and_model_time_do_not_mix():
    frame = pd.DataFrame({"time": [0.0], "x": [0.1], "value": 1.0, "std": 1.0, "variable": "u"})
    prior = SimpleNamespace(**vars(BURGERS) | {"step": HOUR})
    with pytest.raises(ValueError, match="frames have dates, but the table has model time"):
        bind(read_table(frame), prior)
    with pytest.raises(ValueError, match="frames have model time, but the table has dates"):
        bind(read_table(frame.assign(time="2019-03-26")), BURGERS)
    with pytest.raises(ValueError, match="empty"):
        bind(read_table(frame).isel(observation=slice(0)), BURGERS)
