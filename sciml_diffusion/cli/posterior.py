"""sciml-diffusion posterior: fields from sensors."""

from collections.abc import Sequence

from .build import instantiate
from .compose import compose
from .fields import open_fields, open_sensors
from .run_folder import RunFolder
from .show import table


def run(words: Sequence[str]) -> int:
    """Writes posterior.nc, sensors.nc, posterior.png and the scores; returns the exit code."""
    config = compose("posterior", words)
    if config.obs is None and config.data is None:
        raise ValueError("posterior needs obs=<table of sensors>, or data=<gridded fields> to draw sensors in")
    from .. import api
    from ..samplers.grids import karras_sigmas

    with RunFolder("posterior", config) as folder:
        prior = api.load_prior(config.prior)
        truth, obs = inputs(config, prior)
        method = instantiate(config.method, karras_sigmas(config.steps, *prior.sigma_range))
        options = {"method": method, "members": config.members, "seed": config.seed}
        name, case = type(method).__name__.lower(), str(prior.card.get("name") or config.prior)
        if truth is None and config.folds:
            folder.metrics = {case: {name: api.leave_stations_out(prior, obs, config.folds, **options)}}
        post = api.posterior(prior, obs, **options)
        if truth is not None:
            folder.metrics = {case: {name: api.score(post, truth, obs)}}
        post.to_netcdf(folder.path("posterior.nc"), engine="h5netcdf")
        obs.to_netcdf(folder.path("sensors.nc"), engine="h5netcdf")
        api.plot(post, obs, truth).savefig(folder.path("posterior.png"), dpi=120)
    if "choice" in post.attrs:
        print(post.attrs["choice"])
    if folder.metrics:
        print(table(folder.metrics))
    print(f"{config.members} members written to {folder.out / 'posterior.nc'}")
    return 0


def inputs(config, prior) -> tuple:
    """The fields to score against (or None), and the table of sensors: read, or drawn in the fields of the prior."""
    from .. import api

    truth = None if config.data is None else open_fields(config.data, config.period, config.sample)
    names = [variable.name for variable in prior.variables]
    if truth is not None and set(names) <= set(truth.data_vars):
        truth = truth[names]
    if config.obs is not None:
        return truth, open_sensors(config.obs, config.std, config.units)
    if config.std is None:
        raise ValueError("sensors drawn in data need std=<noise in the units of the values>")
    return truth, api.observe(truth, stations=config.stations, std=config.std, seed=config.seed)
