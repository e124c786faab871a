"""sciml-diffusion evaluate: scores of a posterior."""

from collections.abc import Sequence
from pathlib import Path

from .compose import compose
from .fields import is_sensor_table, open_fields, open_sensors
from .run_folder import RunFolder
from .show import table


def run(words: Sequence[str]) -> int:
    """Prints the scores and writes metrics.json; returns the exit code."""
    config = compose("evaluate", words)
    import xarray as xr

    from .. import api

    source = Path(config.run)
    file = source / "posterior.nc" if source.is_dir() else source
    if not file.is_file():
        raise FileNotFoundError(f"{source} holds no posterior.nc; run= is a run folder of `posterior`, or such a file")
    with RunFolder("evaluate", config) as folder:
        try:
            post = xr.load_dataset(file, engine="h5netcdf")
        except OSError as error:
            raise ValueError(f"{file} cannot be read ({error}); it is damaged, or not from `posterior`") from error
        seen = file.with_name("sensors.nc")
        obs = xr.open_dataset(seen, engine="h5netcdf").load() if seen.is_file() else None
        if is_sensor_table(config.truth):
            truth = open_sensors(config.truth, config.std, config.units)
        else:
            truth = open_fields(config.truth, sample=config.sample)
        scores = api.score(post, truth, obs, config.seed)
        case, method = str(post.attrs.get("prior") or source), str(post.attrs.get("method", "posterior")).lower()
        folder.metrics = {case: {method: scores}}
    print(table(folder.metrics))
    print(f"written to {folder.out / 'metrics.json'}")
    return 0
