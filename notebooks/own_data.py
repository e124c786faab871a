# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own fields and stations
#
# From a NetCDF file of gridded fields and a CSV file of stations to full fields with an uncertainty, and to scores
# at stations held out. To use it on your own files, put their paths in the second cell and leave out the third.

# %%
# %matplotlib inline
from pathlib import Path

import numpy as np

import sciml_diffusion as sd

# %% tags=["parameters"]
fields_file = Path("runs/own_data/fields.nc")  # time and a regular grid; one variable or several
stations_file = Path("runs/own_data/stations.csv")  # time, latitude, longitude, value [, station, variable, std, units]
window = "8h"  # length of the windows that the prior speaks of
members, steps = 64, 8  # ensemble size; noise levels: few are enough for a Gaussian prior, take 32 for a trained one
coarsen = 1  # use every n-th grid point

# %% [markdown]
# ## Stand-ins for your files
#
# Here both are made from the shipped sample: 24 days of hourly temperature as the archive from which the prior learns,
# and 20 stations that report degrees Celsius on 26 March, which is not in the archive.

# %%
sample = sd.open_dataset("era5-uk-t2m").isel(latitude=slice(None, None, coarsen), longitude=slice(None, None, coarsen))
fields_file.parent.mkdir(parents=True, exist_ok=True)
sample.sel(time=slice("2019-03-01", "2019-03-24")).to_netcdf(fields_file, engine="h5netcdf")

truth = sample.sel(time="2019-03-26")
table = sd.observe(truth, stations=20, std=0.2, seed=1).to_dataframe().reset_index(drop=True)
table = table[["time", "station", "latitude", "longitude", "value"]]
table["value"] = (table["value"] - 273.15).round(1)
table["units"] = "degC"
table["time"] = table["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
table.iloc[np.arange(7, len(table), 50), 4] = np.nan  # some reports are missing, as they are in life
table.to_csv(stations_file, index=False)
table.head()

# %% [markdown]
# ## Fields to a prior
#
# `fit_prior` estimates a Gaussian law of all windows: the mean of every hour of the day, and a covariance in space and
# time, shrunk and localised so that a short archive does not make up correlations. `sciml-diffusion train` would add a
# network that learns what the Gaussian misses.

# %%
fields = sd.open_dataset(fields_file)
prior = sd.fit_prior(fields, window=window)
print(prior.grid.dims, prior.grid.sizes, prior.window, "frames of", prior.step)

# %% [markdown]
# ## Stations
#
# The table may bring its own noise in a column `std`; here it has none, so it is stated, in the units of the values.
# Every fifth station is held out: they will say whether the result can be trusted.

# %%
obs = sd.observe(stations_file, std=0.2)
stations = np.unique(obs["station"])
held_out = np.isin(obs["station"], stations[::5])
seen, unseen = obs.isel(observation=~held_out), obs.isel(observation=held_out)
print(f"{len(stations)} stations, {held_out.sum()} of {held_out.size} reports held out")

# %% [markdown]
# ## Posterior
#
# An ensemble of equally plausible fields given the stations: an `xarray.Dataset` with the dims realization, time,
# latitude, longitude, in the units of the stations.

# %%
post = sd.posterior(prior, seen, members=members, steps=steps, seed=0, progress=False)
post

# %%
sd.plot(post, seen)

# %% [markdown]
# ## Can it be trusted?
#
# At the stations held out: `crps` and `rmse` in the units of the stations, `coverage90` the share of reports inside the
# ensemble's 90 % interval (0.9 is right), `spread_skill` the spread over the error (1 is right).

# %%
scores = sd.score(post, unseen)
{name: round(scores[name], 3) for name in ("crps", "rmse", "spread_skill", "coverage90")}

# %% [markdown]
# Without stations to spare, each group of stations can be predicted from the others:

# %%
crossed = sd.leave_stations_out(prior, obs, folds=4, members=members, steps=steps, progress=False)
{name: round(crossed[name], 3) for name in ("crps", "rmse", "spread_skill", "coverage90")}

# %% [markdown]
# ## Take it home
#
# CF-NetCDF that every xarray tool reads. To use the prior again: `prior.save(folder)` and `sd.load_prior(folder)`, or
# `prior=folder` on the command line.

# %%
post.to_netcdf(fields_file.with_name("posterior.nc"), engine="h5netcdf")
prior.save(fields_file.with_name("prior"))
sd.load_prior(fields_file.with_name("prior")).grid.sizes
