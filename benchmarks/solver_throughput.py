"""Trajectories per second of the spectral solvers, and their share of the memory bandwidth, on a GPU or a CPU.

The problems of solver_speed.py to T = 1 by ETDRK4 with the fewest steps listed there (`steps`): two-dimensional
Navier-Stokes at 128^2 and Burgers at 1024 points, in float64 and float32, for batches that grow fourfold until the next
would fill the memory or take too long. Seconds are `steps` times those of a step: the fastest of three timed calls of
several steps, after one that is not timed, with the device waited for at both ends. On a GPU nothing in the timed steps
may wait for the device: where something does, the run ends with an error.

`bandwidth_share` is the least that a step has to move over the seconds it takes, over the bandwidth of a large copy in
the same run (bytes read and written). The least counts each array of the algorithm once where it is read and once where
it is written, a transform over all axes as one of either, constants and what is shared by the batch not at all. With
N = points and K = coefficients of the modes below n / 3, in one sample:

    Navier-Stokes, one tendency of four: v -> (u_hat, v_hat) 3 K; two transforms back 2 K + 2 N; the products u v and
    u^2 - v^2 4 N; two transforms forward 2 N + 2 K; their combination 3 K: 10 K + 8 N.
    Burgers, one tendency of four: a transform back K + N; the square 2 N; a transform forward N + K; the flux 2 K:
    4 K + 4 N.
    ETDRK4, once a step: E2 v 2 K, the three inner states 3 K + 3 K + 4 K, the new state 6 K: 18 K.

A coefficient has twice the bytes of a point. The calls of torch that make a step move up to three times this count
(tests/test_benchmarks.py adds them up), so that the share stays near 1/3 at most unless they are fused; on a CPU it can
be more where arrays stay in the cache.

    python benchmarks/solver_throughput.py [--quick] [--device cuda]
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from common import Report, parser
from speed_problems import problems

MOVED = {"navier-stokes": (10, 8), "burgers": (4, 4)}  # (K, N) of one tendency
STAGES, COMBINED = 4, 18  # tendencies of a step, and K of what ETDRK4 does besides
WORKSPACE = 40  # bytes that a step may need at once over those of its initial fields, generously
LONGEST = {True: 2.0, False: 20.0}  # seconds of a timed call, by quick
TYPES = (torch.float64, torch.float32)


def rows(device: str, quick: bool, most: int | None = None) -> Iterator[dict]:
    """Rows of both problems in both precisions.

    Arguments:
        device: "cuda" or "cpu".
        quick: small problems and batches.
        most: largest batch; by default 4 where quick, 64 on a CPU, else as many as there is room and time for.
    """
    most = most or (4 if quick else 1 << 20 if device == "cuda" else 64)
    bandwidth = copy_bandwidth(device, 1 << (26 if quick or device == "cpu" else 31))
    yield {"case": "throughput copy", "device": device_name(device), "bytes_per_second": bandwidth}
    for name, problem in problems(quick).items():
        for dtype in TYPES:
            yield from growing(name, problem, dtype, device, most, LONGEST[quick], bandwidth)


def growing(
    name: str, problem: dict, dtype: torch.dtype, device: str, most: int, longest: float, bandwidth: float
) -> Iterator[dict]:
    """Rows of one problem for batches 1, 4, 16, ... until memory, time or `most` says stop."""
    solver, steps, batch = problem["make"]("etdrk4"), problem["steps"][0], 1
    moved = bytes_per_step(name, solver.grid.sizes, solver.modes.kept, dtype)
    while batch <= most:
        u0 = repeated(problem["u0"], batch, dtype, device)
        per_step, took = seconds_per_step(solver, u0, 1 / steps, device, longest)
        seconds = steps * per_step
        yield {
            "case": f"throughput {name}",
            "device": device_name(device),
            "dtype": str(dtype).removeprefix("torch."),
            "batch": batch,
            "steps": steps,
            "seconds": seconds,
            "trajectories_per_second": batch / seconds,
            "bandwidth_share": moved * batch / per_step / bandwidth,
        }
        batch *= 4
        if 4 * took > longest or WORKSPACE * 4 * u0.nbytes > free_memory(device):
            return


def bytes_per_step(name: str, sizes: tuple[int, ...], kept: tuple[int, ...], dtype: torch.dtype) -> int:
    """The least that one step of one sample moves; see the head of this file.

    Arguments:
        name: of the problem.
        sizes: points of the axes.
        kept: modes of each axis below n / 3, of either sign where it is not the last.
        dtype: of the fields.
    """
    points = math.prod(sizes)
    modes = kept[-1] * math.prod(2 * k - 1 for k in kept[:-1])
    in_modes, in_points = MOVED[name]
    return dtype.itemsize * (2 * modes * (STAGES * in_modes + COMBINED) + points * STAGES * in_points)


@torch.no_grad()
def seconds_per_step(solver, u0: torch.Tensor, dt: float, device: str, longest: float) -> tuple[float, float]:
    """Seconds of a step from fields of shape (B, C, *S), and of a timed call of several steps."""
    state, step = solver.start(u0), solver.stepper(dt)

    def call(steps: int) -> float:
        moving, begun = state, clock(device)
        with no_waiting(device):
            for n in range(steps):
                moving = step(moving, n)
        return clock(device) - begun

    step(step(state, 0), 1)  # plans of transforms, kernels, constants: these may wait
    steps = max(2, min(64, int(longest / 8 / max(call(2) / 2, 1e-9))))
    fastest = min(call(steps) for _ in range(3))
    return fastest / steps, fastest


@contextmanager
def no_waiting(device: str) -> Iterator[None]:
    """Within it, an operation on a GPU that makes the host wait is an error; nothing on a CPU."""
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")


def clock(device: str) -> float:
    """Seconds, once the device has done all it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def copy_bandwidth(device: str, size: int) -> float:
    """Bytes read and written a second by the fastest of ten copies of `size` bytes."""
    source = torch.zeros(size // 8, dtype=torch.float64, device=device)
    target, times = torch.empty_like(source), []
    for _ in range(11):
        begun = clock(device)
        target.copy_(source)
        times.append(clock(device) - begun)
    return 2 * source.nbytes / min(times[1:])


def repeated(u0: torch.Tensor, batch: int, dtype: torch.dtype, device: str) -> torch.Tensor:
    """As many initial fields as asked for, (B, C, *S), those given over and over."""
    return u0.to(device, dtype)[torch.arange(batch, device=device) % len(u0)]


def free_memory(device: str) -> float:
    """Bytes that a GPU has left, with what torch keeps for itself; on a CPU the batch is bounded instead."""
    if device != "cuda":
        return math.inf
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info()[0]


def device_name(device: str) -> str:
    """The GPU's name, or "cpu"."""
    return torch.cuda.get_device_name() if device == "cuda" else device


def main() -> None:
    """Prints the rows and a table."""
    arguments = parser(__doc__.splitlines()[0])
    here = ("cuda", "cpu") if torch.cuda.is_available() else ("cpu",)
    arguments.add_argument("--device", default=here[0], choices=here)
    arguments = arguments.parse_args()
    on = device_name(arguments.device) if arguments.device == "cuda" else None
    report = Report("solver_throughput", arguments.quick, arguments.seed, on)
    for row in rows(arguments.device, arguments.quick):
        report.add(**row)
    report.write()


if __name__ == "__main__":
    main()
