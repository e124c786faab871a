"""The facade end to end on a Gaussian prior, whose posterior is kriging: mean, spread, units, orientation, windows."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import sciml_diffusion as sd
from sciml_diffusion.codecs.standardise import Climatology, Standardise
from sciml_diffusion.denoisers.basis import MatrixBasis, SpaceTimeBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.physics.grid import Grid
from sciml_diffusion.prior import Prior, Variable

LATITUDE, LONGITUDE = np.linspace(54.0, 52.0, 5), np.linspace(-2.0, 1.0, 6)  # descending, as ERA5 comes
MEAN, STD, WINDOW = 280.0, 3.0, 4


def kernel() -> tuple[np.ndarray, np.ndarray]:
    """Covariances of standardised space (30 x 30) and time (4 x 4)."""
    a, b = np.meshgrid(LATITUDE, LONGITUDE, indexing="ij")
    d2 = (a.ravel()[:, None] - a.ravel()) ** 2 + (b.ravel()[:, None] - b.ravel()) ** 2
    hours = np.arange(WINDOW)
    return np.exp(-d2 / 2), np.exp(-np.abs(hours[:, None] - hours) / 6)


@pytest.fixture(scope="module")
def prior() -> Prior:
    space, time = kernel()
    values, vectors = (torch.from_numpy(m) for m in np.linalg.eigh(space))
    rates, modes = (torch.from_numpy(m) for m in np.linalg.eigh(time))
    event = (WINDOW, len(LATITUDE), len(LONGITUDE))
    basis = SpaceTimeBasis(
        MatrixBasis(vectors, (1, *event[1:])), modes.expand(30, -1, -1).contiguous(), (1, *event[1:]), event
    )
    denoiser = GaussianDenoiser(torch.zeros(event, dtype=torch.float64), basis, rates[:, None] * values.clamp_min(1e-9))
    codec = Standardise(torch.tensor(MEAN).double(), torch.tensor(STD).double(), (1, *event), frames_as_channels=True)
    grid = Grid(("latitude", "longitude"), (LATITUDE, LONGITUDE), (None, None))
    card = {"name": "kriging", "start": "2020-01-01"}
    return Prior(
        denoiser,
        codec,
        grid,
        (Variable("t2m", "K", "air_temperature"),),
        WINDOW,
        np.timedelta64(1, "h"),
        (0.01, 10.0),
        card,
    )


def table(value_in: str = "K") -> pd.DataFrame:
    """Three stations on grid points, 8 hours: two windows."""
    rng, rows = np.random.default_rng(0), []
    for station, (i, j) in enumerate([(0, 0), (2, 3), (4, 5)]):
        for hour in range(8):
            rows.append(
                (
                    f"s{station}",
                    pd.Timestamp("2020-01-01") + pd.Timedelta(hours=hour),
                    LATITUDE[i],
                    LONGITUDE[j],
                    MEAN + 4 * rng.normal(),
                )
            )
    frame = pd.DataFrame(rows, columns=["station", "time", "latitude", "longitude", "t2m"])
    frame["std"] = 0.5
    if value_in == "degC":
        frame["t2m"] -= 273.15
    return frame.rename(columns={"t2m": "value"}).assign(variable="t2m", units=value_in)


def kriging(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Exact mean and standard deviation, each with shape (8, 5, 6)."""
    space, time = kernel()
    c = STD**2 * np.kron(time, space)
    means, stds = [], []
    for first in (0, WINDOW):
        hour = (frame["time"] - pd.Timestamp("2020-01-01")) / pd.Timedelta("1h") - first
        part, hour = frame[(hour >= 0) & (hour < WINDOW)], hour[(hour >= 0) & (hour < WINDOW)].astype(int).to_numpy()
        i = [int(np.argmin(abs(LATITUDE - v))) for v in part["latitude"]]
        j = [int(np.argmin(abs(LONGITUDE - v))) for v in part["longitude"]]
        rows = hour * 30 + np.array(i) * 6 + np.array(j)
        gain = np.linalg.solve(c[np.ix_(rows, rows)] + 0.25 * np.eye(len(rows)), c[rows]).T
        means.append(MEAN + gain @ (part["value"].to_numpy() - MEAN))
        stds.append(np.sqrt(np.diag(c - gain @ c[rows])))
    return np.concatenate(means).reshape(8, 5, 6), np.concatenate(stds).reshape(8, 5, 6)


@pytest.mark.parametrize("method", ["mmps", "smc"])
def test_posterior_is_kriging(prior, method):
    obs = sd.observe(table())
    post = sd.posterior(prior, obs, method, members=400, steps=4, seed=1, progress=False)
    mean, std = kriging(table())
    assert post["t2m"].dims == ("realization", "time", "latitude", "longitude")
    np.testing.assert_array_equal(post["latitude"], LATITUDE)
    z = (post["t2m"].mean("realization").values - mean) / (std / np.sqrt(400))
    # 240 correlated standard normals: the largest stays below 4.5 but for one seed in a thousand
    assert np.abs(z).max() < 4.5
    # the standard deviation of 400 draws has a relative error of 1 / sqrt(800) = 3.5 %
    ratio = post["t2m"].std("realization", ddof=1).values / std
    assert abs(ratio.mean() - 1) < 0.03 and np.abs(ratio - 1).max() < 0.18
    # a Gaussian prior leaves nothing for weights to correct
    np.testing.assert_allclose(post["weight"], 1 / 400, rtol=1e-6)
    np.testing.assert_allclose(post["ess"], 400, rtol=1e-6)


def test_units_of_the_sensors_come_back(prior):
    kelvin = sd.posterior(prior, sd.observe(table()), members=4, steps=4, progress=False)
    celsius = sd.posterior(prior, sd.observe(table("degC")), members=4, steps=4, progress=False)
    assert celsius["t2m"].attrs["units"] == "degC" and kelvin["t2m"].attrs["units"] == "K"
    # float32 fields near 280 K have a resolution of 3e-5
    np.testing.assert_allclose(celsius["t2m"] + 273.15, kelvin["t2m"], atol=2e-4)
    assert sd.score(celsius, kelvin.isel(realization=0, drop=True))["crps"] < 3


def test_a_window_does_not_depend_on_the_other_windows(prior):
    frame = table()
    both = sd.posterior(prior, sd.observe(frame), members=3, steps=4, seed=3, progress=False)
    first = sd.posterior(
        prior, sd.observe(frame[frame["time"] < "2020-01-01T04"]), members=3, steps=4, seed=3, progress=False
    )
    # the linear algebra is batched over windows: equal to rounding, not bit for bit
    np.testing.assert_allclose(both["t2m"].isel(time=slice(0, 4)), first["t2m"], atol=1e-3)


def test_result_is_cut_to_the_observed_period(prior):
    frame = table()
    post = sd.posterior(prior, sd.observe(frame[frame["time"] < "2020-01-01T06"]), members=2, steps=3, progress=False)
    assert post.sizes["time"] == 6


def test_save_and_load(prior, tmp_path):
    prior.save(tmp_path / "mine")
    loaded = sd.load_prior(tmp_path / "mine")
    obs = sd.observe(table())
    a, b = (sd.posterior(p, obs, members=2, steps=3, progress=False) for p in (prior, loaded))
    xr.testing.assert_identical(a, b)


def test_posterior_survives_netcdf(prior, tmp_path):
    post = sd.posterior(prior, sd.observe(table()), members=2, steps=3, progress=False)
    post.to_netcdf(tmp_path / "post.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "post.nc", engine="h5netcdf") as back:
        xr.testing.assert_allclose(back.load(), post)


def test_a_prior_shows_itself_in_one_line(prior):
    line = "Prior(t2m [K]; latitude 54 ... 52 (5), longitude -2 ... 1 (6); windows of 4 frames; GaussianDenoiser)"
    assert repr(prior) == line


def test_a_picture_takes_the_truth_under_the_users_own_names(prior):
    post = sd.posterior(prior, sd.observe(table()), members=4, steps=3, progress=False)
    truth = post[["t2m"]].mean("realization").assign(t2m=lambda d: d["t2m"].assign_attrs(units="K"))
    figure = sd.plot(post, truth=truth.rename(latitude="lat", longitude="lon"))
    assert len(figure.axes) > 1


def test_samples_have_the_law_of_the_prior(prior):
    draws = sd.sample(prior, members=500, steps=4, seed=0)["t2m"]
    # mean of 500 draws: standard error STD / sqrt(500) = 0.13; std: relative error 3.2 %, averaged over 120 points
    assert abs(float(draws.mean()) - MEAN) < 0.4
    assert abs(float(draws.std("realization").mean()) / STD - 1) < 0.04


def test_leave_stations_out_predicts_each_station_once(prior):
    scores = sd.leave_stations_out(prior, sd.observe(table()), folds=3, members=8, steps=3, progress=False)
    assert scores["points"] == 24 and 0 < scores["crps"] < 2 * STD


def test_fit_prior_from_small_fields():
    rng = np.random.default_rng(0)
    time = pd.date_range("2020-01-01", periods=240, freq="1h")
    space = np.linalg.cholesky(kernel()[0] + 1e-9 * np.eye(30))
    noise = np.zeros((240, 30))
    for n in range(1, 240):
        noise[n] = 0.9 * noise[n - 1] + np.sqrt(1 - 0.81) * space @ rng.normal(size=30)
    values = MEAN + 2 * np.sin(2 * np.pi * np.arange(240) / 24)[:, None] + STD * noise
    fields = xr.Dataset(
        {"t2m": (("time", "latitude", "longitude"), values.reshape(240, 5, 6), {"units": "K"})},
        {"time": time, "latitude": LATITUDE, "longitude": LONGITUDE},
    )
    mine = sd.fit_prior(fields.isel(time=slice(0, 192)), window="4h")
    truth = fields.isel(time=slice(192, 240))
    obs = sd.observe(truth, stations=6, std=0.2, seed=0)
    post = sd.posterior(mine, obs, members=24, steps=6, progress=False)
    exact = sd.posterior(true_law(mine), obs, members=24, steps=6, progress=False)
    ours, best = (sd.score(p, truth, obs)["crps"] for p in (post, exact))
    # 192 hours that forget within 10 are some 20 fields: enough to come within 30 % of the law that made them
    assert ours < 1.3 * best


def true_law(like: Prior) -> Prior:
    """The law of the fields of `test_fit_prior_from_small_fields`, on the axes of another prior."""
    hours = np.arange(WINDOW)
    values, vectors = (torch.from_numpy(m) for m in np.linalg.eigh(kernel()[0]))
    rates, modes = (torch.from_numpy(m) for m in np.linalg.eigh(0.9 ** np.abs(hours[:, None] - hours)))
    frame, event = (1, 5, 6), (WINDOW, 5, 6)
    basis = SpaceTimeBasis(MatrixBasis(vectors, frame), modes.expand(30, -1, -1).contiguous(), frame, event)
    denoiser = GaussianDenoiser(torch.zeros(event).double(), basis, rates[:, None] * values.clamp_min(1e-9))
    cycle = MEAN + 2 * torch.sin(2 * torch.pi * torch.arange(24).double() / 24).reshape(1, 24, 1, 1).expand(1, 24, 5, 6)
    codec = Climatology(cycle, torch.full((1, 1, 1, 1), STD).double(), (1, *event), frames_as_channels=True)
    return Prior(denoiser, codec, like.grid, like.variables, WINDOW, like.step, (0.01, 10.0))


def test_celsius_taken_for_kelvin_is_noticed(prior):
    wrong = table().assign(value=lambda t: t["value"] - 273.15)
    with pytest.warns(UserWarning, match="Check their units"):
        sd.posterior(prior, sd.observe(wrong), members=2, steps=3, progress=False)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda prior: sd.load_prior("era5-uk-tm2"), "era5-uk-t2m|no prior named"),
        (lambda prior: sd.open_dataset("era5-uk-t2n"), "era5-uk-t2m"),
        (lambda prior: sd.posterior(prior, sd.observe(table()), "mmsp", progress=False), "mmps"),
        (lambda prior: sd.posterior(prior, sd.observe(table()), members=1, progress=False), "at least 2 members"),
        (lambda prior: sd.posterior(prior, sd.observe(table().assign(latitude=10.0)), progress=False), "52"),
        (lambda prior: sd.posterior(prior, sd.observe(table().assign(variable="u10")), progress=False), "t2m"),
        (lambda prior: sd.observe(table().assign(std=0.0)), "std"),
        (lambda prior: sd.generate("burger"), "did you mean burgers"),
        (lambda prior: sd.posterior(prior, table()), "table of sensors; got DataFrame.*observe"),
        (lambda prior: sd.leave_stations_out(prior, "stations.csv"), "table of sensors; got str"),
        (lambda prior: sd.posterior(prior, sd.observe(table()), "mmps", covarience="auto"), "options are covariance"),
    ],
)
def test_errors_say_what_to_do(prior, call, words):
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=words):
        call(prior)
