"""sciml-diffusion generate: trajectories of an equation."""

from collections.abc import Sequence

from .build import instantiate
from .compose import compose
from .run_folder import RunFolder


def run(words: Sequence[str]) -> int:
    """Writes fields.nc; returns the exit code."""
    config = compose("generate", words)
    with RunFolder("generate", config) as folder:
        fields = instantiate(config.data, samples=config.samples, seed=config.seed)
        fields.to_netcdf(folder.path("fields.nc"), engine="h5netcdf")
    print(f"{dict(fields.sizes)} written to {folder.out / 'fields.nc'}")
    return 0
