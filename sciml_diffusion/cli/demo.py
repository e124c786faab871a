"""sciml-diffusion demo: the whole path, from shipped data to a report page."""

from collections.abc import Sequence

from .compose import compose
from .run_folder import RunFolder
from .show import table


def run(words: Sequence[str]) -> int:
    """Writes posteriors, pictures, scores and report.html; returns the exit code."""
    config = compose("demo", words)
    from ..demo import run_demo

    with RunFolder("demo", config) as folder:
        folder.metrics = run_demo(folder.partial, members=config.members, steps=config.steps, seed=config.seed)
    print(table(folder.metrics))
    print(f"report: {folder.out / 'report.html'}")
    return 0
