"""sciml-diffusion generate: trajectories of an equation."""

import time
from collections.abc import Sequence
from pathlib import Path

from .build import instantiate
from .compose import compose
from .run_folder import RunFolder


def run(words: Sequence[str]) -> int:
    """Writes the trajectories with their record; returns the exit code."""
    config = compose("generate", words)
    from ..data.generators.blocks import solved_for
    from ..data.write import write_trajectories

    generator = instantiate(config.data)
    keys = ("samples", "seed", "start", "shard", "format", "workers", "progress")
    folder = RunFolder("generate", config, resumable=True)
    if folder.resume and folder.finished and (samples := whole(folder.out)):
        print(f"nothing was left to do: {folder.out} holds all {samples} samples of {generator.name}")
        return 0
    wanted = range(config.start, config.start + config.samples)
    if (solved := solved_for(generator, [wanted])) > len(wanted) > 0:
        print(f"{generator.name} comes in blocks of {generator.block}: {solved} samples are solved, {len(wanted)} kept")
    with folder:
        began = time.perf_counter()
        resume = folder.resuming and bool(config.resume)
        done = write_trajectories(generator, folder.partial, resume=resume, **{key: config[key] for key in keys})
        seconds = time.perf_counter() - began
        speed = {"samples": done.samples, "made": done.made, "seconds": seconds, "per_second": done.made / seconds}
        folder.metrics = {generator.name: {"generate": speed | {"bytes": done.bytes}}}
    files = f"{len(done.files)} files" if len(done.files) > 1 else done.files[0]
    print(f"{done.samples} samples of {generator.name} in {folder.out}: {files}, {done.bytes / 1e6:.3g} MB")
    print(f"{done.made} made in {seconds:.1f} s, {done.made / seconds:.3g} per second")
    return 0


def whole(folder: Path) -> int:
    """How many samples a folder of trajectories holds, all as its manifest says; 0 where something is to be mended."""
    from ..data.manifest import verify_trajectories

    try:
        return verify_trajectories(folder)
    except (ValueError, FileNotFoundError):
        return 0
