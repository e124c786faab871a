"""Darcy flow and Navier-Stokes from 120 sensors on a 64 x 64 grid: the learned priors beside their Gaussian anchors.

`darcy` sees the solution u at 120 random places (3 % of the cells) with noise of 1 % of its standard deviation, and is
asked for u and for the coefficient a, of which it sees nothing. `navier-stokes` sees the vorticity at 120 places of the
last frame (t = 7), and is asked for that frame and for the first one. Rows: `rel_l2` of the mean of the ensemble, over
that of the anchor's in `ratio`; `error_rate` is the share of cells on the wrong side of a = 7.5 (for a only), and
`coverage90` that of the 90 % intervals. The truths are samples of a seed that nothing was trained on. `gaussian` is the
posterior of the anchor alone: optimal interpolation with the covariance of all training samples.

    python benchmarks/plane_reconstruction.py [--quick] [--seed SEED] [--members 8] [--steps 32]
"""

import time

import numpy as np
import torch
import xarray as xr
import yaml
from common import ROOT, Report, parser

import sciml_diffusion as sd
from sciml_diffusion.api import ZOO
from sciml_diffusion.denoisers.anchored import AnchoredDenoiser
from sciml_diffusion.evaluate.xarray_scores import score_dataset
from sciml_diffusion.prior import Prior

TEST, SENSORS, NOISE = 1_000_000, 120, 0.01  # seed, number, share of the standard deviation
CASES = {  # what is seen, its frame; what is asked for: name of the row, variable, frame
    "darcy": (("u", 0), (("u", "u", 0), ("a", "a", 0))),
    "navier-stokes": (("vorticity", -1), (("last", "vorticity", -1), ("first", "vorticity", 0))),
}


def truths(name: str, samples: int, seed: int) -> xr.Dataset:
    """Samples of the law on which a prior was trained, of another seed."""
    leaf = yaml.safe_load((ROOT / "configs" / "train" / f"{name}.yaml").read_text())["fields"]
    options = {k: v for k, v in leaf["generator"].items() if k != "_target_"}
    return sd.generate(name, samples, TEST + seed, **options)


def gaussian(prior: Prior) -> Prior:
    """The prior with its anchor alone."""
    anchor = prior.denoiser.anchor if isinstance(prior.denoiser, AnchoredDenoiser) else prior.denoiser
    rest = (prior.codec, prior.grid, prior.variables, prior.window, prior.step, prior.sigma_range)
    return Prior(anchor, *rest)


def scores(post: xr.Dataset, truth: xr.Dataset, variable: str, frame: int, obs: xr.Dataset) -> dict:
    """Errors of one sample in one variable and frame."""
    known, drawn = truth[variable].isel(time=frame).values, post[variable].isel(time=frame).values
    mean = drawn.mean(0)
    found = {"rel_l2": float(np.linalg.norm(mean - known) / np.linalg.norm(known))}
    part = [ds[[variable]].isel(time=[frame]) for ds in (post, truth)]
    found["coverage90"] = score_dataset(part[0], part[1], obs)["coverage90"]
    if variable == "a":
        found["error_rate"] = float(((mean > 7.5) != (known > 7.5)).mean())
    return found


def run(name: str, options, report: Report) -> None:
    """Adds the rows of one prior."""
    (seen, moment), asked = CASES[name]
    count, prior = 4 if options.quick else 20, sd.load_prior(name)
    fields = truths(name, count, options.seed)
    std = NOISE * float(fields[seen].isel(time=moment).std())
    results: dict[tuple, list] = {}
    for method, law in (("ours", prior), ("gaussian", gaussian(prior))):
        begun = time.perf_counter()
        for index in range(count):
            truth = fields.isel(sample=index, drop=True)
            last = truth.isel(time=[moment])
            obs = sd.observe(last, stations=SENSORS, std=std, seed=index, variable=seen)
            run_of = {"members": options.members, "steps": options.steps, "seed": index, "progress": False}
            post = sd.posterior(law, obs, **run_of)
            for row, variable, frame in asked:
                results.setdefault((method, row), []).append(scores(post, truth, variable, frame, obs))
        results[method, "seconds"] = (time.perf_counter() - begun) / count
    for row, *_ in asked:
        for method in ("ours", "gaussian"):
            values = results[method, row]
            mean = {key: float(np.mean([v[key] for v in values])) for key in values[0]}
            ratio = mean["rel_l2"] / np.mean([v["rel_l2"] for v in results["gaussian", row]])
            facts = {"samples": count, "members": options.members, "seconds": results[method, "seconds"]}
            report.add(case=f"{name}: {row}", method=method, ratio=float(ratio), **mean, **facts)


def main() -> None:
    """Prints the rows and a table."""
    arguments = parser(__doc__)
    arguments.add_argument("--members", type=int, default=8)
    arguments.add_argument("--steps", type=int, default=32)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    report = Report("plane_reconstruction", options.quick, options.seed)
    for name in CASES:
        if (ZOO / name / "prior.json").is_file():
            run(name, options, report)
    report.write()


if __name__ == "__main__":
    main()
