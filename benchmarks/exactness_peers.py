"""Peers of posterior_exactness.py on its own problems: azula's methods, run by the interpreter of their environment.

`peer_rows` writes the problems as numbers, has azula_peers.py draw the members, and scores them as ours are scored. The
environment: `--make-peers` creates benchmarks/.peers-azula with pip, or `--azula PYTHON` names an interpreter that has
azula; without either there are no rows of peers. What each method runs with is stated in azula_peers.py.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

import exactness
import numpy as np
import torch
from analytic import F64, Kriging, MixturePosterior, Problem
from common import ROOT

from sciml_diffusion.denoisers.basis import Basis, FourierBasis, IdentityBasis, MatrixBasis
from sciml_diffusion.denoisers.gaussian import GaussianDenoiser
from sciml_diffusion.denoisers.mixture import MixtureDenoiser

PEERS = ROOT / "benchmarks" / ".peers-azula"
AZULA = "azula==0.11.1"
MANY_SENSORS = (  # those that differ, or end in a minute, where hundreds of points of a large field are observed
    "azula-mmps", "azula-mmps-solved", "azula-dps-1", "azula-dps-0.3-each", "azula-pgdm", "azula-tmpd", "azula-tds",
    "azula-jfps", "azula-diffpir",
)  # fmt: skip
Score = Callable[[torch.Tensor, torch.Tensor], dict[str, float]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --azula and --make-peers to a script's arguments."""
    parser.add_argument("--azula", metavar="PYTHON", help="an interpreter that has azula")
    parser.add_argument("--make-peers", action="store_true", help="make that environment in benchmarks/.peers-azula")


def interpreter_of(arguments: argparse.Namespace) -> Path | None:
    """The interpreter of the peers' environment, made where that is asked for; None where there is none.

    Raises:
        FileNotFoundError: where `--azula` names nothing.
    """
    if arguments.azula:
        if not Path(arguments.azula).is_file():
            raise FileNotFoundError(f"--azula {arguments.azula}: no such interpreter; --make-peers makes one")
        return Path(arguments.azula)
    python = PEERS / "bin" / "python"
    if arguments.make_peers and not (PEERS / ".installed").exists():
        torch_version = metadata.version("torch").split("+")[0]
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
        subprocess.run([PEERS / "bin" / "pip", "install", "-q", f"torch=={torch_version}", AZULA], check=True)
        (PEERS / ".installed").touch()
    return python if (PEERS / ".installed").exists() else None


def peer_rows(
    problems: dict[str, list[Problem]],
    members: dict[str, int],
    steps: int,
    interpreter: Path | str,
    methods: Sequence[str] = (),
    seed: int = 0,
    scorer: Callable[[Problem], Score] | None = None,
) -> list[dict]:
    """One row for each case, problem and method of azula.

    Arguments:
        problems: by case.
        members: by case.
        steps: noise levels, as many as denoiser calls.
        interpreter: of the peers' environment.
        methods: names in azula_peers.py; all where empty. `MANY_SENSORS` leaves out the slow ones.
        seed: of problem n is seed + 10 + n.
        scorer: makes, once for a problem, the function of members x (K, *event) and weights (K,) that scores them;
            `score_of` where not given.
    Returns rows with case, method, problem, members, steps, weighted (False: azula returns equal weights), seconds,
    network_calls (forward and backward) and the scores; a method that fails has `error`, its message, in their place.

    Raises:
        RuntimeError: where the interpreter cannot run azula_peers.py.
    """
    rows, scorer = [], scorer or score_of
    for case, given in problems.items():
        score, scored = None, -1
        for n, method, x, facts in peer_draws(given, members[case], steps, interpreter, methods, seed):
            row = {"case": case, "method": method, "problem": n, "members": members[case], "steps": steps}
            row |= {"weighted": False, **facts}
            if x is not None:
                if scored != n:
                    score, scored = scorer(given[n]), n
                row |= score(x, torch.full((len(x),), 1 / len(x), dtype=F64))
            rows.append(row)
    return rows


def peer_draws(
    problems: list[Problem], members: int, steps: int, interpreter: Path | str, methods: Sequence[str], seed: int
) -> Iterator[tuple[int, str, torch.Tensor | None, dict]]:
    """Number of the problem, method, members with shape (K, *event) or None after an error, and facts, of every run."""
    with tempfile.TemporaryDirectory() as folder:
        for n, problem in enumerate(problems):
            arrays = packed(problem) | {"sigmas": problem.sigmas(steps).numpy(), "members": members}
            np.savez(Path(folder) / f"{n:04d}.npz", seed=seed + 10 + n, methods=np.array(methods, dtype=str), **arrays)
        command = [interpreter, Path(__file__).with_name("azula_peers.py"), folder]
        run = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
        if run.returncode:
            lines = "\n".join(run.stderr.splitlines()[-5:])
            raise RuntimeError(f"{interpreter} could not run azula_peers.py; --make-peers makes one that can:\n{lines}")
        for facts in json.loads((Path(folder) / "facts.json").read_text())["rows"]:
            n, method = int(facts.pop("problem")), facts.pop("method")
            yield n, method, *_read(Path(folder) / f"{n:04d}.samples.npz", method, problems[n], facts)


def _read(path: Path, method: str, problem: Problem, facts: dict) -> tuple[torch.Tensor | None, dict]:
    """Members of one method, or None and the reason."""
    if "error" in facts:
        return None, facts
    with np.load(path) as samples:
        x = torch.from_numpy(samples[method]).reshape(-1, *problem.denoiser.event)
    lost = int((~x.flatten(1).isfinite().all(1)).sum())
    return (None, facts | {"error": f"{lost} of {len(x)} members are not finite"}) if lost else (x, facts)


def packed(problem: Problem) -> dict[str, np.ndarray]:
    """A problem as the arrays of `peer_prior.Prior` (one mode where the prior is Gaussian), A as a matrix, y and std.

    Raises:
        TypeError: where the denoiser is neither a Gaussian nor a mixture, or the basis is not one that azula_peers.py
            knows.
    """
    prior, data = problem.denoiser, problem.observation
    if isinstance(prior, GaussianDenoiser):
        law = torch.zeros(1, dtype=F64), prior.mean[None], prior.variance[None]
    elif isinstance(prior, MixtureDenoiser):
        law = prior.log_weights, prior.means, prior.variances
    else:
        raise TypeError(f"peers need the law of a Gaussian or mixture denoiser; got {type(prior).__name__}")
    log_weights, means, variances = (a.to(F64).flatten(1) if a.ndim > 1 else a.to(F64) for a in law)
    axes, basis = _basis(prior.basis)
    arrays = {"log_weights": log_weights, "means": means, "variances": variances, "basis": basis}
    arrays |= {"matrix": data.operator.rows(F64).flatten(1), "y": data.y[0].to(F64), "std": data.std.to(F64)}
    return {k: v.numpy() for k, v in arrays.items()} | {"event": np.array(prior.event), "axes": np.array(axes)}


def _basis(basis: Basis) -> tuple[int, torch.Tensor]:
    """Number of Hartley axes, and the matrix with shape (d, d), or (0, 0) where none is needed."""
    if isinstance(basis, FourierBasis):
        return basis.axes, torch.zeros(0, 0, dtype=F64)
    if isinstance(basis, MatrixBasis):
        return 0, basis.matrix.to(F64)
    if isinstance(basis, IdentityBasis):
        return 0, torch.zeros(0, 0, dtype=F64)
    raise TypeError(f"peers know the Fourier, matrix and identity bases; got {type(basis).__name__}")


def score_of(problem: Problem) -> Score:
    """The scores of exactness.py for one problem, what does not depend on the members being computed once.

    Raises:
        TypeError: where the posterior is of another kind.
    """
    posterior = problem.posterior
    if isinstance(posterior, Kriging):
        std = posterior.stationary_std()
        return lambda x, w: exactness.field_scores(x, w, posterior, std)
    if isinstance(posterior, MixturePosterior):
        cells = problem.denoiser.means.flatten(1)
        weights = exactness.cell_weights(posterior, cells)
        return lambda x, w: {
            "sw": exactness.sliced_w1(x.flatten(1), w, posterior),
            "mode_tv": exactness.mode_tv(x.flatten(1), w, cells, weights),
        }
    raise TypeError(f"there is no score for a posterior of type {type(posterior).__name__}; give peer_rows a scorer")
