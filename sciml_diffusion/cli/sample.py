"""sciml-diffusion sample: draws from a prior."""

from collections.abc import Sequence

from .build import instantiate
from .compose import compose
from .run_folder import RunFolder


def run(words: Sequence[str]) -> int:
    """Writes samples.nc; returns the exit code."""
    config = compose("sample", words)
    from .. import api
    from ..samplers.grids import karras_sigmas

    with RunFolder("sample", config) as folder:
        prior = api.load_prior(config.prior)
        sampler = instantiate(config.sampler, karras_sigmas(config.steps, *prior.sigma_range))
        fields = api.sample(prior, config.members, seed=config.seed, start=config.start, sampler=sampler)
        fields.to_netcdf(folder.path("samples.nc"), engine="h5netcdf")
    print(f"{dict(fields.sizes)} written to {folder.out / 'samples.nc'}")
    return 0
