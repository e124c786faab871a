"""Rows in pieces and rows over processes. Truth: the same denoiser in one piece, in one process, and its calls."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from analytic import F64, gmm2
from registry import DENOISERS, METHODS

from sciml_diffusion.cli.main import main
from sciml_diffusion.denoisers.wrapped import Chunked
from sciml_diffusion.inverse.spread import SpreadDenoiser, join, spread
from sciml_diffusion.observations.observation import Observation
from sciml_diffusion.observations.operators import Matrix
from sciml_diffusion.samplers.grids import karras_sigmas
from sciml_diffusion.samplers.streams import MemberStreams

ROOT = Path(__file__).resolve().parents[2]
SAME = {"rtol": 0, "atol": 1e-10}  # float64; products of other batch sizes round differently
NAMES = ("mmps", "mmps-jacobian", "smc", "gs-smc")


def image() -> tuple:
    """An anchored network on 8 x 8 and five observations of each of two windows."""
    g = torch.Generator().manual_seed(0)
    operator = Matrix(torch.randn(5, 64, generator=g, dtype=F64) / 8, (1, 8, 8))
    y = torch.randn(2, 5, generator=g, dtype=F64)
    denoiser = DENOISERS["anchored"]().requires_grad_(False)
    return denoiser, Observation(operator, y, torch.full((5,), 0.3, dtype=F64))


def ensembles(wrap) -> dict[str, torch.Tensor]:
    """Members of some methods with the denoiser in a wrapper: 2 windows of 7, which no number of processes divides."""
    denoiser, observation = image()
    found = {}
    for name in NAMES:
        method, streams = METHODS[name].make(karras_sigmas(4, 0.05, 4.0)), MemberStreams(2, [0, 1], range(7), F64)
        ensemble = method.sample(wrap(denoiser), observation, streams)
        found[name] = torch.cat([ensemble.x.flatten(2), ensemble.log_weights[..., None]], 2)
    return found


def _work(rank: int, folder: str) -> None:
    """One of two processes: the ensembles with rows spread, written by each."""
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(ensembles(spread), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("rows", [1, 3, 5, 100])
def test_pieces_give_the_same_numbers(rows):
    denoiser, _ = image()
    g = torch.Generator().manual_seed(1)
    x_t, u = torch.randn(2, 5, 1, 8, 8, generator=g, dtype=F64)
    for sigma in (torch.tensor(0.7, dtype=F64), torch.rand(5, generator=g, dtype=F64) + 0.1):
        chunked = Chunked(denoiser, rows)
        torch.testing.assert_close(chunked(x_t, sigma), denoiser(x_t, sigma), **SAME)
        (mean, pull), (known, known_pull) = chunked.vjp(x_t, sigma), denoiser.vjp(x_t, sigma)
        torch.testing.assert_close(mean, known, **SAME)
        torch.testing.assert_close(pull(u), known_pull(u), **SAME)
    mixture = gmm2().denoiser
    x_t, sigma = torch.randn(5, 2, generator=g, dtype=F64), torch.tensor(2.0, dtype=F64)
    chunked = Chunked(mixture, rows)
    torch.testing.assert_close(chunked.within_variance(x_t, sigma), mixture.within_variance(x_t, sigma), **SAME)


def test_no_more_rows_pass_at_once_than_asked_for():
    denoiser, _ = image()
    seen = []
    denoiser.backbone.register_forward_pre_hook(lambda module, arguments: seen.append(len(arguments[0])))
    mean, pull = Chunked(denoiser, 3).vjp(torch.zeros(8, 1, 8, 8, dtype=F64), torch.tensor(0.5, dtype=F64))
    pull(mean)
    assert seen == [3, 3, 2, 3, 3, 2]  # forward, and again for the one product
    with pytest.raises(ValueError, match="at least 1 row"):
        Chunked(denoiser, 0)


def test_methods_do_not_notice_pieces():
    whole, pieces = ensembles(lambda denoiser: denoiser), ensembles(lambda denoiser: Chunked(denoiser, 4))
    for name in NAMES:
        torch.testing.assert_close(pieces[name], whole[name], **SAME)


def test_two_processes_give_the_ensemble_of_one(tmp_path):
    code = (
        f"import sys; sys.path[:0] = ['tests', 'tests/inverse']; from test_spread import _work; _work(%d, '{tmp_path}')"
    )
    started = [subprocess.Popen([sys.executable, "-c", code % rank], cwd=ROOT) for rank in range(2)]
    assert [process.wait(timeout=100) for process in started] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    alone = ensembles(lambda denoiser: denoiser)
    for name in NAMES:
        torch.testing.assert_close(
            first[name], second[name], rtol=0, atol=0
        )  # what was gathered is the same everywhere
        torch.testing.assert_close(first[name], alone[name], **SAME)


def test_one_process_alone_spreads_nothing():
    denoiser, _ = image()
    assert spread(denoiser) is denoiser and join() == (0, None)
    with pytest.raises(RuntimeError, match="accelerate launch"):
        SpreadDenoiser(denoiser)


def test_the_command_under_a_launcher_writes_once(tmp_path):
    (tmp_path / "obs.csv").write_text("time,x,value,std,variable\n0.2,0.3,0.5,0.1,u\n0.4,0.7,-0.2,0.1,u\n")
    words = ["posterior", "prior=burgers", f"obs={tmp_path}/obs.csv", "members=3", "steps=3", "method=auto"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [*launch, "sciml_diffusion.cli.main", *words, f"out={tmp_path}/two"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("members written to") == 1 and "own derivative" in done.stdout
    assert main([*words, f"out={tmp_path}/one", "batch_rows=2"]) == 0
    one, two = (xr.open_dataset(tmp_path / name / "posterior.nc") for name in ("one", "two"))
    # float32 through three steps of a network, whose batches round differently
    np.testing.assert_allclose(two["u"], one["u"], atol=1e-3)
