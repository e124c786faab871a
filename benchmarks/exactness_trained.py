"""Denoisers trained on samples of gmm-8, grf-64 and grfmix-64x64, on the same beds: whose error is it?

    python benchmarks/exactness_trained.py [--quick] [--seed SEED] [--jobs N] [--only BED]

For each bed: the denoising error over the exact denoiser's by noise level; posteriors of twisted SMC and MMPS with the
trained denoiser and with the exact one, its closed forms hidden, at K and 4K steps; and from these the parts of the
error: score, discretisation, Monte Carlo (see trained_parts.py). Priors of gmm-8: one mixture for all problems.
"""

import os
from concurrent.futures import ProcessPoolExecutor

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of every process

import common
import torch
import trained_gmm
import trained_grf
import trained_grfmix
from common import Report

BEDS = {"grfmix": trained_grfmix.rows, "gmm": trained_gmm.rows, "grf": trained_grf.rows}


class Rows:
    """What a bed in another process adds its rows to."""

    def __init__(self):
        self.rows: list[dict] = []

    def add(self, **row) -> None:
        """Keeps a row."""
        self.rows.append(row)


def trained(report: Report, quick: bool, seed: int) -> None:
    """Trains the networks of all beds, one bed after the other, and adds their rows."""
    for rows in BEDS.values():
        rows(report, quick, seed)


def collected(name: str, quick: bool, seed: int) -> list[dict]:
    """Rows of one bed."""
    torch.set_num_threads(1)
    kept = Rows()
    BEDS[name](kept, quick, seed)
    return kept.rows


def main() -> None:
    """Runs the beds, several at once where that is asked for, and writes the report."""
    asked = common.parser(__doc__.split("\n")[0])
    asked.add_argument("--jobs", type=int, default=1, help="beds that run at once, a core each")
    asked.add_argument("--only", choices=BEDS, help="one bed; writes no report")
    given = asked.parse_args()
    torch.set_num_threads(1)
    report = Report("exactness_trained", given.quick, given.seed)
    if given.only:
        BEDS[given.only](report, given.quick, given.seed)
        return
    with ProcessPoolExecutor(given.jobs) as pool:
        for future in [pool.submit(collected, name, given.quick, given.seed) for name in BEDS]:
            for row in future.result():
                report.add(**row)
    report.write()


if __name__ == "__main__":
    main()
