"""Peers of solver_speed.py: exponax and jax-cfd, run by the interpreter of their own environment.

    PYTHON benchmarks/speed_peers.py PROBLEMS.npz RESULTS.json

PROBLEMS.npz holds what `solver_speed.py` writes: initial fields, parameters, steps. Everything is float64 on the cores
that the calling script allows. jax-cfd has x as its first axis, ours is y: its flows are
transposed on their way.
"""

import json
import sys
import time

import jax

jax.config.update("jax_enable_x64", True)

import exponax as ex  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402


def repeated(step, steps: int):
    """One compiled call that makes `steps` steps."""
    return jax.jit(lambda u: jax.lax.fori_loop(0, steps, lambda _, v: step(v), u))


def seconds_per_step(step, u, steps: int, repeats: int = 3) -> float:
    """The fastest of some timed calls over their steps, compilation left out."""
    call = repeated(step, steps)
    call(u).block_until_ready()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        call(u).block_until_ready()
        times.append(time.perf_counter() - begun)
    return min(times) / steps


def exponax_navier_stokes(points: int, nu: float, dt: float, order: int):
    """One step of the vorticity equation, from physical to physical space: shape (1, N, N)."""
    return ex.stepper.NavierStokesVorticity(2, 2 * np.pi, points, dt, diffusivity=nu, order=order)


def exponax_burgers(points: int, nu: float, dt: float, order: int):
    """One step of Burgers' equation in its conservative form: shape (1, N)."""
    return ex.stepper.Burgers(1, 1.0, points, dt, diffusivity=nu, order=order, conservative=True)


def jax_cfd_navier_stokes(points: int, nu: float, dt: float, order: int):
    """One step of jax-cfd's pseudo-spectral solver, in Fourier space; order 4 is its Crank-Nicolson RK4."""
    import jax_cfd.base as cfd
    from jax_cfd import spectral

    grid = cfd.grids.Grid((points, points), domain=((0, 2 * np.pi), (0, 2 * np.pi)))
    equation = spectral.equations.NavierStokes2D(nu, grid, smooth=True)
    scheme = {2: spectral.time_stepping.crank_nicolson_rk2, 4: spectral.time_stepping.crank_nicolson_rk4}[order]
    return scheme(equation, dt)


METHODS = {
    "navier-stokes": {
        "exponax ETDRK4": (exponax_navier_stokes, 4, False),
        "exponax ETDRK2": (exponax_navier_stokes, 2, False),
        "jax-cfd CN-RK4": (jax_cfd_navier_stokes, 4, True),
    },
    "burgers": {"exponax ETDRK4": (exponax_burgers, 4, False), "exponax ETDRK2": (exponax_burgers, 2, False)},
}


def run(problem: str, u0: np.ndarray, reference: np.ndarray, nu: float, all_steps: list[int], timed: int) -> list[dict]:
    """Rows of every method and number of steps: its error at T = 1, and its seconds for each batch."""
    rows = []
    for name, (make, order, spectral) in METHODS[problem].items():
        for steps in all_steps:
            step = make(u0.shape[-1], nu, 1.0 / steps, order)
            one = jnp.asarray(u0[0] if not spectral else np.fft.rfft2(u0[0, 0].T))
            end = np.asarray(repeated(step, steps)(one))
            end = np.fft.irfft2(end).T[None] if spectral else end
            error = float(np.linalg.norm(end - reference[0]) / np.linalg.norm(reference[0]))
            row = {"case": problem, "method": name, "steps": steps, "error": error}
            many = jnp.asarray(u0 if not spectral else np.fft.rfft2(u0[:, 0].swapaxes(1, 2)))
            batched = {1: (step, one), len(u0): (jax.vmap(step), many)}
            for batch, (call, states) in batched.items():
                count = max(2, timed // batch)
                rows.append(row | {"batch": batch, "seconds": steps * seconds_per_step(call, states, count)})
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Reads the problems, writes the rows."""
    data, rows = np.load(sys.argv[1]), []
    for problem in METHODS:
        u0, reference, nu = data[f"{problem}/u0"], data[f"{problem}/reference"], float(data[f"{problem}/nu"])
        rows += run(problem, u0, reference, nu, data[f"{problem}/steps"].tolist(), int(data["timed"]))
    with open(sys.argv[2], "w") as file:
        json.dump({"versions": {"jax": jax.__version__, "exponax": ex.__version__}, "rows": rows}, file)


if __name__ == "__main__":
    main()
