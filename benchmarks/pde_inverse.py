"""DiffusionPDE's task at 64 x 64, not the published resolution: 3 % of one field is seen, the other is asked for.

    python benchmarks/pde_inverse.py [--quick] [--seed SEED] [--cases darcy-forward ...] [--members 8] [--steps 32]

`darcy-forward` sees the coefficient at 123 random cells and estimates the pressure, `darcy-inverse` the reverse;
`navier-stokes-forward` sees the vorticity at t = 0 and estimates that at t = 7, `-inverse` the reverse (DiffusionPDE
has t = 1). Noise is 1 % of the seen field's standard deviation; truths are of a seed that nothing was trained on; all
methods get the same data. rel_l2 is the error of the ensemble's mean over the norm of the truth, rel_l2_members that of
single members, both means over truths with the 95 % interval of the first by bootstrap; error_rate is the share of
cells where the mean lies on the wrong side of a = 7.5; crps in units of the asked field's standard deviation.

`ours`: the shipped prior with the default method, which takes the anchor's covariance for guidance where the network is
close to it (Navier-Stokes); `ours_jacobian` takes the network's own there. `kriging`: the prior's Gaussian anchor, with
one variance for each wave; `sample_oi`: the whole covariance of 1024 training samples; `enkf`: one analysis of 512 of
them, no localisation. `masked_unet`: trained here on the same 1024 and their symmetries, with the processor seconds of
training in the row; its spread is point by point. They know nothing of the equation. `exact_law_solver` (forward: draws
the input from its exact law given the data, then solves: the floor), `level_set_enki` (Darcy inverse: ensemble Kalman
inversion through the solver; Gauss-Newton has no derivative where the coefficient has two values) and `4d_var`
(Navier-Stokes inverse: Gauss-Newton through the solver) know the equation and the law of its input. Published, at
128 x 128 with 500 points, as context only: Darcy forward 2.5 % (a re-run by others: 6.1 %), Darcy inverse 3.2 % of
cells wrong (7.9 %); operators trained on whole inputs, 28 % to 49 %. The full run draws the first truth of each case
and the mean of each method to benchmarks/results/pde_inverse-CASE.png; rows of cases that are not run stay.
"""

import json
import os
import time

import common
import numpy as np
import torch
from pde_inverse_cases import PHYSICAL, SENSORS, TASKS, TEST, Layout, fields, layouts
from plane_reconstruction import gaussian
from torch import Tensor

import sciml_diffusion as sd
from sciml_diffusion.api import posterior_method
from sciml_diffusion.baselines.enkf import EnsembleKalman
from sciml_diffusion.baselines.kriging import ClosedForm
from sciml_diffusion.baselines.linear_gaussian import LinearGaussian
from sciml_diffusion.baselines.masked_unet import MaskedUNet
from sciml_diffusion.evaluate import scores
from sciml_diffusion.evaluate.figures import new_figure
from sciml_diffusion.prior import Prior
from sciml_diffusion.samplers.streams import MemberStreams
from sciml_diffusion.training.augment import compose_augment

MANY = 64  # members of methods that cost nothing
KALMAN = 512
SYMMETRIES = {"darcy": ["square"], "navier-stokes": ["turn", "diagonal-shift"]}
BOUNDARY = {"darcy": "reflect", "navier-stokes": "periodic"}


class Task:
    """One row of TASKS with its prior, truths and training windows.

    Arguments:
        name: of the task.
        prior: shipped.
        train: standardised windows, with shape (N, C, H, W).
        truth: standardised windows, with shape (B, C, H, W).
        options: of the command line.
    """

    def __init__(self, name: str, prior: Prior, train: Tensor, truth: Tensor, options):
        self.name, self.prior, self.train, self.options = name, prior, train, options
        self.law, self.seen, self.asked = TASKS[name]
        self.layouts = layouts(name, truth, 1 if options.quick else 2, options.seed)

    def scale(self, values: Tensor, channel: int) -> Tensor:
        """Standardised values of one channel in physical units; any shape."""
        std, mean = (self._constant(c, channel) for c in (self.prior.codec.std, self.prior.codec.mean))
        return values * std + mean

    def _constant(self, stated: Tensor, channel: int) -> float:
        return float(stated.flatten()[channel if stated.numel() > 1 else 0])

    def ours(self, layout: Layout) -> Tensor:
        """Members of the learned prior, with shape (B, K, H, W), standardised."""
        method = posterior_method("mmps", self.prior, self.options.steps)
        return self._sampled(self.prior, method, layout, self.options.members)

    def ours_jacobian(self, layout: Layout) -> Tensor:
        """The same with the network's own covariance, in half the steps."""
        method = posterior_method("mmps", self.prior, self.options.steps // 2, covariance="jacobian")
        return self._sampled(self.prior, method, layout, self.options.members)

    def kriging(self, layout: Layout) -> Tensor:
        """Members of its Gaussian anchor."""
        return self._sampled(gaussian(self.prior), ClosedForm(), layout, MANY)

    def _sampled(self, prior: Prior, method, layout: Layout, members: int) -> Tensor:
        streams = MemberStreams(self.options.seed, range(len(layout.y)), range(members), prior.dtype)
        found = method.sample(prior.denoiser, layout.observation.to(prior.dtype, "cpu"), streams)
        return found.x[:, :, self.asked]

    def sample_oi(self, layout: Layout) -> Tensor:
        """Members of the Gaussian with the mean and covariance of the training windows."""
        streams = MemberStreams(self.options.seed, range(len(layout.y)), range(MANY))
        return LinearGaussian.from_samples(self.train).posterior(layout.observation, streams).x[:, :, self.asked]

    def enkf(self, layout: Layout) -> Tensor:
        """Members of one ensemble Kalman analysis, which begins at training windows."""
        data, parts = layout.observation, []
        method = EnsembleKalman(lambda streams: self.train[:KALMAN], rounds=1)
        for n in range(len(layout.y)):
            streams = MemberStreams(self.options.seed, [n], range(min(KALMAN, len(self.train))))
            parts.append(method.posterior(data.select(slice(n, n + 1)), streams).x[:, :, self.asked])
        return torch.cat(parts)

    def unet(self, steps: int):
        """The trained regression, as a method, and the processor seconds that training took."""
        begun, sides = time.process_time(), 2 * [BOUNDARY[self.law]]
        points, symmetries = (SENSORS, self.seen, [self.asked]), compose_augment(SYMMETRIES[self.law])
        std = self.layouts[0].std
        model = MaskedUNet.fit(self.train, points, std, steps, self.options.seed, symmetries, {"boundary": sides})
        spent = time.process_time() - begun

        def members(layout: Layout) -> Tensor:
            streams = MemberStreams(self.options.seed, range(len(layout.y)), range(MANY))
            return model.posterior(layout.y, layout.index, streams).x[:, :, 0]

        return members, spent

    def physical(self, layout: Layout) -> Tensor:
        """Members of the method that knows the equation, standardised."""
        made = PHYSICAL[self.name][1](layout, self.scale, 16 if "forward" in self.name else 48, self.options.seed)
        zero, one = (float(self.scale(torch.tensor(v), self.asked)) for v in (0.0, 1.0))
        return (made - zero) / (one - zero)


def score(task: Task, drawn: list[Tensor]) -> dict:
    """Errors of the ensembles of all layouts, each with shape (B, K, H, W), standardised."""
    x = [task.scale(part.double(), task.asked) for part in drawn]
    truth = [task.scale(layout.truth[:, task.asked].double(), task.asked) for layout in task.layouts]
    norm = torch.cat([t.flatten(1).norm(dim=1) for t in truth])
    error = torch.cat([(p.mean(1) - t).flatten(1).norm(dim=1) for p, t in zip(x, truth, strict=True)]) / norm
    single = torch.cat([(p - t[:, None]).flatten(2).norm(dim=2).mean(1) for p, t in zip(x, truth, strict=True)]) / norm
    picked = np.random.default_rng(0).integers(len(error), size=(2000, len(error)))
    low, high = np.quantile(error.numpy()[picked].mean(1), [0.025, 0.975])
    found = [scores.points(p, t, torch.Generator().manual_seed(0)) for p, t in zip(x, truth, strict=True)]
    summary = scores.summarise({key: torch.cat([f[key] for f in found]) for key in found[0]})
    row = {"rel_l2": error.mean(), "ci_low": low, "ci_high": high, "rel_l2_members": single.mean()}
    row |= {"crps": summary["crps"] / float(torch.cat(truth).std())}
    row |= {key: summary[key] for key in ("coverage90", "spread_skill")}
    if task.name == "darcy-inverse":
        wrong = [((p.mean(1) > 7.5) != (t > 7.5)).double().flatten(1).mean(1) for p, t in zip(x, truth, strict=True)]
        row["error_rate"] = torch.cat(wrong).mean()
    return row


def run(task: Task, report: common.Report, steps: int) -> dict[str, Tensor]:
    """Adds the rows of one task; returns the members of the first truth, by method."""
    trained, spent = task.unet(steps)
    name = PHYSICAL[task.name][0]
    methods = {"ours": task.ours, "kriging": task.kriging, "sample_oi": task.sample_oi, "enkf": task.enkf}
    if task.prior.denoiser.nearly_linear:
        methods = {"ours_jacobian": task.ours_jacobian} | methods
    methods["masked_unet"] = trained
    shown = {"truth": task.layouts[0].truth[:1, task.asked]}
    for method, make in (methods | {name: task.physical}).items():
        begun = time.process_time()
        drawn = [make(layout) for layout in task.layouts]
        count = sum(len(part) for part in drawn)
        facts = {"samples": count, "members": drawn[0].shape[1], "seconds": (time.process_time() - begun) / count}
        training = spent if method == "masked_unet" else 0.0
        knows = method == name
        head = {"case": task.name, "method": method, "resolution": "64 x 64, not the published 128 x 128"}
        report.add(**head, knows_equation=knows, **score(task, drawn), **facts, training_seconds=training)
        shown[method] = drawn[0][0]
    return {key: task.scale(value, task.asked) for key, value in shown.items()}


def draw(name: str, fields_of: dict[str, Tensor]) -> None:
    """The first truth of a task, and the mean of each method, fields with shape (K, H, W)."""
    figure, axes = new_figure(1, len(fields_of), (2.3 * len(fields_of), 2.7))
    low, high = float(fields_of["truth"].min()), float(fields_of["truth"].max())
    for axis, (method, x) in zip(axes[0], fields_of.items(), strict=True):
        axis.imshow(x.mean(0), origin="lower", vmin=low, vmax=high, cmap="viridis")
        axis.set(title=method.replace("_", " "), xticks=[], yticks=[])
    axes[0, 0].set_ylabel(name)
    path = common.RESULTS / f"pde_inverse-{name}.png"
    figure.savefig(path.with_suffix(".partial"), format="png", dpi=80)
    os.replace(path.with_suffix(".partial"), path)


def kept(cases: list[str]) -> list[dict]:
    """Committed rows of the cases that are not run this time."""
    path = common.RESULTS / "pde_inverse.json"
    return [r for r in json.loads(path.read_text())["rows"] if r["case"] not in cases] if path.is_file() else []


def main() -> None:
    """Runs the tasks that were asked for and writes the report."""
    arguments = common.parser(__doc__.split("\n")[0])
    arguments.add_argument("--cases", nargs="*", choices=list(TASKS), default=list(TASKS))
    arguments.add_argument("--members", type=int, default=8)
    arguments.add_argument("--steps", type=int, default=32)
    arguments.add_argument("--unet-steps", type=int, default=700)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    report = common.Report("pde_inverse", options.quick, options.seed)
    train_count, count, steps = (600, 2, 40) if options.quick else (1024, 6, options.unet_steps)
    if options.quick:
        options.members, options.steps = 4, 8
    for name in dict.fromkeys(TASKS[case][0] for case in options.cases):
        prior = sd.load_prior(name)
        train, truth = (encoded(prior, fields(name, n, s)) for n, s in ((train_count, 0), (count, TEST + options.seed)))
        for case in options.cases:
            if TASKS[case][0] == name:
                means = run(Task(case, prior, train, truth, options), report, steps)
                if not options.quick:
                    draw(case, means)
    if not options.quick:
        report.rows = kept(options.cases) + report.rows
    report.write()


def encoded(prior: Prior, windows: Tensor) -> Tensor:
    """Physical windows (N, C, 64, 64) in the space of a prior, the same shape."""
    return prior.codec.encode(windows.float().reshape(len(windows), *prior.shape))


if __name__ == "__main__":
    main()
