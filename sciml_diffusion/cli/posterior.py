"""sciml-diffusion posterior: fields from sensors."""

from collections.abc import Sequence

from .build import instantiate
from .compose import compose
from .fields import open_fields, open_sensors
from .run_folder import RunFolder
from .show import table


def run(words: Sequence[str]) -> int:
    """Writes posterior.nc, sensors.nc, posterior.png and the scores; returns the exit code.

    Under `accelerate launch` the processes share the network's work, and the first one writes.
    """
    config = compose("posterior", words)
    if config.obs is None and config.data is None:
        raise ValueError("posterior needs obs=<table of sensors>, or data=<gridded fields> to draw sensors in")
    from ..inverse.spread import join

    number, device = join()
    if number:
        compute(config, device, progress=False)
        return 0
    from .. import api

    with RunFolder("posterior", config) as folder:
        post, obs, truth, folder.metrics = compute(config, device)
        post.to_netcdf(folder.path("posterior.nc"), engine="h5netcdf")
        obs.to_netcdf(folder.path("sensors.nc"), engine="h5netcdf")
        api.plot(post, obs, truth).savefig(folder.path("posterior.png"), dpi=120)
    if "choice" in post.attrs:
        print(post.attrs["choice"])
    if folder.metrics:
        print(table(folder.metrics))
    print(f"{config.members} members written to {folder.out / 'posterior.nc'}")
    return 0


def compute(config, device=None, progress: bool = True) -> tuple:
    """The posterior, the sensors, the truth (or None) and the metrics that a configuration asks for."""
    from .. import api
    from ..samplers.grids import karras_sigmas

    prior = api.load_prior(config.prior)
    prior = prior if device is None else prior.to(device)
    truth, obs = inputs(config, prior)
    method = instantiate(config.method, karras_sigmas(config.steps, *prior.sigma_range))
    options = {"method": method, "members": config.members, "seed": config.seed}
    options |= {"progress": progress, "batch_rows": config.batch_rows}
    name, case = type(method).__name__.lower(), str(prior.card.get("name") or config.prior)
    metrics = {}
    if truth is None and config.folds:
        metrics = {case: {name: api.leave_stations_out(prior, obs, config.folds, **options)}}
    post = api.posterior(prior, obs, **options)
    if truth is not None:
        metrics = {case: {name: api.score(post, truth, obs)}}
    return post, obs, truth, metrics


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
