"""Reference posteriors of the bank: chains until they agree, stored compactly in datasets/posterior-bank.

    python benchmarks/make_posterior_bank.py [--cases NAME ...] [--chains N] [--seed SEED] [--out FOLDER]

Each case runs in blocks until R-hat <= 1.01 and bulk ESS >= 1000 for the value at every point and for every direction
of x that the data inform. State and draws are kept in runs/posterior-bank after each block, so that an interrupted run
goes on where it was; each block has random numbers of its own, so the result does not depend on interruptions.
"""

import argparse
import os
import platform
import time
from importlib import metadata
from pathlib import Path

import bank
import common
import torch
from bank_cases import CASES, Case
from torch import Tensor

from sciml_diffusion.baselines.convergence import bulk_ess, rhat
from sciml_diffusion.baselines.laplace import Reference, WhitePosterior
from sciml_diffusion.baselines.mcmc import Chains, WhitenedMCMC
from sciml_diffusion.samplers.streams import MemberStreams

RHAT, ESS = 1.01, 1000
LEAPS, WARMUP, BLOCK, STARTS = 4, 250, 250, 4
CHAINS = {"burgers": 32, "darcy": 8}  # steps of many Burgers chains cost little more than those of few
DRAWS = {"burgers": 512, "darcy": 256}  # kept in the bank
WORK = common.ROOT / "runs" / "posterior-bank"


class Run:
    """The chains of one case, block by block, kept in one file.

    Arguments:
        case: the problem.
        chains: number of chains.
        seed: of the run.
    """

    def __init__(self, case: Case, chains: int, seed: int):
        self.case, self.count, self.seed = case, chains, seed
        self.path = WORK / f"{case.name}-{chains}-{seed}.pt"
        if self.path.exists():
            self._load(torch.load(self.path, weights_only=True))
        else:
            begun = time.perf_counter()
            method = WhitenedMCMC(case.prior, LEAPS, WARMUP, starts=STARTS)
            self.chains = method.warm(case.observation, self._streams(0))
            self.blocks, self.acceptance = [], []
            self.seconds = time.perf_counter() - begun
            self._save()

    def advance(self) -> None:
        """One more block, written at once."""
        begun = time.perf_counter()
        xi, acceptance = self.chains.run(self._streams(1 + len(self.blocks)), BLOCK)
        x = self.chains.problem.event(xi.flatten(0, 1)).reshape(*xi.shape[:2], -1)
        informed = (xi - self.chains.reference.centre) @ self.chains.reference.directions
        self.blocks.append(torch.cat([x, informed], 2).float())
        self.acceptance.append(acceptance)
        self.seconds += time.perf_counter() - begun
        self._save()

    @property
    def draws(self) -> Tensor:
        """Values at the points, then the informed directions: shape (T, N, d + r), float32."""
        return torch.cat(self.blocks)

    def _streams(self, block: int) -> MemberStreams:
        return MemberStreams(self.seed, [block], range(self.count), torch.float64)

    def _save(self) -> None:
        reference = self.chains.reference
        state = {
            "reference": [reference.centre, reference.directions, reference.root],
            "xi": self.chains.xi,
            "angle": self.chains.angle,
            "blocks": self.blocks,
            "acceptance": self.acceptance,
            "seconds": self.seconds,
        }
        WORK.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.path)

    def _load(self, state: dict) -> None:
        problem = WhitePosterior(self.case.prior, self.case.observation)
        self.chains = Chains(problem, Reference(*state["reference"]), state["xi"], LEAPS, state["angle"])
        self.blocks, self.acceptance, self.seconds = state["blocks"], state["acceptance"], state["seconds"]


def reference(case: Case, chains: int, seed: int) -> tuple[Tensor, dict]:
    """All draws (S, *event) of converged chains, step after step, and the log."""
    run = Run(case, chains, seed)
    while True:
        if run.blocks:
            worst, least = float(rhat(run.draws).max()), float(bulk_ess(run.draws).min())
            steps = len(run.blocks) * BLOCK
            print(f"{case.name}: {steps} steps, R-hat {worst:.4f}, ESS {least:.0f}, {run.seconds:.0f} s", flush=True)
            if worst <= RHAT and least >= ESS:
                break
        run.advance()
    points = case.truth.numel()
    log = {
        "command": f"python benchmarks/make_posterior_bank.py --cases {case.name} --chains {chains} --seed {seed}",
        "seed": seed,
        "chains": chains,
        "leaps": LEAPS,
        "warmup": 2 * WARMUP,
        "steps": steps,
        "acceptance": sum(run.acceptance) / len(run.acceptance),
        "rhat": worst,
        "bulk_ess": least,
        "solver_gradients": chains * (LEAPS * (steps + 2 * WARMUP)),
        "seconds": round(run.seconds, 1),
        "versions": f"python {platform.python_version()}, torch {metadata.version('torch')}",
    }
    return run.draws[..., :points].flatten(0, 1).double().reshape(-1, *case.prior.event), log


def main() -> None:
    """Makes the cases that were asked for; those in the bank are kept."""
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    asked.add_argument("--chains", type=int, help="32 for Burgers, 8 for Darcy unless given")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--out", type=Path, default=bank.FOLDER)
    given = asked.parse_args()
    for name in given.cases:
        if bank.path(name, given.out).exists():
            print(f"{name}: in the bank already; remove {bank.path(name, given.out)} to make it again")
            continue
        case, equation = CASES[name](), name.split("-")[0]
        x, log = reference(case, given.chains or CHAINS[equation], given.seed)
        bank.write(case, x, log, DRAWS[equation], given.out)


if __name__ == "__main__":
    main()
