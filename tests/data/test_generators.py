"""Generators of all equations. Truths: keyed samples, laws that are functions, conserved quantities, the equations.

One row for each leaf of configs/data; a row with tiny sizes inherits every test. Grids that are to keep a mean have
more than twice as many points as their law has modes (64 for Burgers, 32 on the torus): none has an alias there then.
"""

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import yaml

from sciml_diffusion import api
from sciml_diffusion.cli.build import instantiate
from sciml_diffusion.data.container import canonical, grid_of
from sciml_diffusion.data.generate import generate
from sciml_diffusion.physics.elliptic.darcy import Darcy

ROOT = Path(__file__).resolve().parents[2]
LEAVES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "configs" / "data").glob("*.yaml"))}
ROUNDING = 1e-6  # of float32, relative to numbers of size 1, with room for sums


def means(values, factor):
    """Means over blocks of the last axis."""
    return values.reshape(*values.shape[:-1], -1, factor).mean(-1)


def last_axis_constant(values, tolerance=ROUNDING):
    """Whether the means over space are the same at all times: shape (sample, time, ...)."""
    total = values.astype(np.float64).reshape(*values.shape[:2], -1).mean(-1)
    return np.abs(total - total[:, :1]).max() <= tolerance * max(1.0, np.abs(values).max())


def advection(ds, generator):
    """After each frame the field has moved by beta dt = 1/8: two of 16 cells."""
    for n in range(1, 3):
        assert np.allclose(ds.u[:, n], np.roll(ds.u[:, 0], 2 * n, -1), atol=ROUNDING)


def burgers(ds, generator):
    u = ds.u.values
    assert last_axis_constant(u)
    assert (np.diff((u.astype(np.float64) ** 2).mean(-1)) < 0).all()  # energy decays
    assert (np.diff(np.abs(u).max(-1)) <= ROUNDING).all()  # maximum principle


def walls(ds, generator):
    assert (ds.f[:, -1] == 0).all() and (np.abs(ds.f[:, :-1]).max() > 0.01)
    x = ds.x.values
    assert np.allclose(x, np.arange(1, len(x) + 1) / (len(x) + 1))


def gas(ds, generator):
    """Mass, momentum and energy of a periodic gas; energies are near 100."""
    assert last_axis_constant(ds.density.values) and last_axis_constant((ds.density * ds.velocity_x).values)
    energy = ds.pressure / (generator.facts["gamma"] - 1) + ds.density * ds.velocity_x**2 / 2
    assert last_axis_constant(energy.values)
    assert (ds.density > 0).all() and (ds.pressure > 0).all()


def mean_is_zero(ds, generator):
    assert np.abs(ds["u"].mean("x")).max() < ROUNDING


def flow(ds, generator):
    assert np.abs(ds.vorticity.mean(("y", "x"))).max() < ROUNDING * np.abs(ds.vorticity).max()
    phase = 2 * np.pi * (ds.x + ds.y)
    assert np.allclose(ds.f, 0.1 * (np.sin(phase) + np.cos(phase)).transpose("y", "x"), atol=ROUNDING)


def kolmogorov(ds, generator):
    assert np.abs(ds.vorticity.mean(("y", "x"))).max() < ROUNDING * np.abs(ds.vorticity).max()
    assert np.allclose(ds.f, (-4 * np.cos(4 * ds.y)).expand_dims(x=ds.x).transpose("y", "x"), atol=4 * ROUNDING)


def smoke(ds, generator):
    """Smoke is an 11 x 11 square of density 1 at first; walls hold none, what has left does not come back."""
    cell = (128 / ds.sizes["x"]) ** 2
    total = ds.density.sum(("y", "x")) * cell
    assert np.allclose(total[:, 0], 121, rtol=1e-5)
    assert (np.diff(total, axis=1) < 1e-3).all() and ds.density.min() > -1e-6
    assert (ds.density.where(ds.solid == 1, 0) == 0).all()
    assert ((ds.smoke >= 0) & (ds.smoke <= 1)).all() and (ds.smoke[:, 0] == 0).all()


def darcy(ds, generator):
    """0 < u (maximum principle), and the equation itself; float32 of u costs eps a u / h^2."""
    a, u = (torch.from_numpy(ds[name].values[:, 0]).double()[:, None] for name in ("a", "u"))
    assert (u > 0).all() and set(np.unique(a)) == {3.0, 12.0}
    residual = Darcy(generator.grid, generator.f).residual(a, u)
    assert residual.abs().max() < 8 * 12 * float(u.max()) * 6e-8 * ds.sizes["x"] ** 2


def elliptic(ds, generator):
    f, u = (torch.from_numpy(ds[name].values[:, 0]).double()[:, None] for name in ("f", "u"))
    assert (u[..., 0, :] == 0).all() and (u[..., -1] == 0).all()
    residual = generator.equation_on(generator.grid).residual(f, u)
    assert residual.abs().max() < 1e-6 * float(f.abs().max()) + 8 * float(u.abs().max()) * 6e-8 * ds.sizes["x"] ** 2


def shallow_water(ds, generator):
    assert last_axis_constant(ds.h.values, 1e-7) and (ds.h > 0).all()
    assert (ds.v.isel(y=0) == 0).all()


def tracer(ds, generator):
    """Clean air at first; never negative; never more than was emitted."""
    assert (ds.concentration[:, 0] == 0).all() and ds.concentration.min() >= -1e-6 * ds.concentration.max()
    emitted = ds.source.mean(("y", "x")) * ds.time
    assert (ds.concentration.mean(("y", "x")) <= emitted * (1 + 1e-5)).all()
    assert ds.concentration[:, -1].max() > 0


@dataclass(frozen=True)
class Case:
    """How to make a generator small, what holds for its data, and how a finer grid holds the same functions."""

    small: dict
    holds: Callable
    finer: tuple[dict, str, Callable] | None = None  # settings, an array at time 0, from the finer array to the usual
    bad: tuple[dict, str] = ({"points": 1}, "points >= ")


CASES = {
    "advection": Case(
        {"points": 16, "frames": 3, "beta": 0.5, "duration": 0.5},
        advection,
        ({"points": 48}, "u", lambda u: u[..., 1::3]),
    ),
    "burgers": Case({"points": 130, "frames": 3, "nu": 0.1}, burgers, ({"points": 260}, "u", lambda u: u[..., ::2])),
    "burgers-shock": Case(
        {"points": 16, "frames": 3, "duration": 0.2, "solver_points": 64},
        burgers,
        ({"points": 32}, "u", lambda u: means(u, 2)),
        ({"points": 17}, "solver_points, a multiple of 17"),
    ),
    "burgers-dirichlet": Case(
        {"points": 15, "frames": 5, "duration": 0.4, "nu": 0.1}, walls, ({"points": 31}, "u", lambda u: u[..., 1::2])
    ),
    "compressible": Case(
        {"points": 16, "frames": 3, "duration": 0.02, "solver_points": 32},
        gas,
        ({"points": 32}, "density", lambda u: means(u, 2)),
        ({"initial": "calm"}, "initial, one of random, shock"),
    ),
    "kuramoto-sivashinsky": Case(
        {"points": 16, "frames": 3, "length": 16.0, "duration": 1.0, "spin_up": 0.0},
        mean_is_zero,
        ({"points": 32}, "u", lambda u: u[..., ::2]),
    ),
    "navier-stokes": Case(
        {"points": 66, "frames": 3, "nu": 0.01, "duration": 0.5},
        flow,
        ({"points": 132}, "vorticity", lambda w: w[..., ::2, ::2]),
        ({"solver_points": 100}, "solver_points, a multiple of 66"),
    ),
    "kolmogorov": Case(
        {"points": 66, "frames": 2, "reynolds": 10.0, "duration": 0.2, "spin_up": 0.0},
        kolmogorov,
        ({"points": 132}, "vorticity", lambda w: w[..., ::2, ::2]),
    ),
    "smoke": Case({"points": 32, "frames": 3}, smoke, None, ({"points": 31}, "points >= 32")),
    "darcy": Case({"points": 8}, darcy, ({"points": 24}, "a", lambda a: a[..., 1::3, 1::3])),
    "poisson": Case({"points": 9}, elliptic, ({"points": 17}, "f", lambda f: f[..., ::2, ::2])),
    "helmholtz": Case(
        {"points": 9}, elliptic, ({"points": 17}, "f", lambda f: f[..., ::2, ::2]), ({"k": 0.0}, "k > 0")
    ),
    "shallow-water": Case(
        {"points": 8, "frames": 3, "days": 0.1}, shallow_water, ({"points": 24}, "h", lambda h: h[..., 1::3, 1::3])
    ),
    "tracer": Case(
        {"points": 8, "frames": 3, "duration": 600.0},
        tracer,
        ({"points": 24}, "source", lambda s: s[..., 1::3, 1::3]),
    ),
}  # fmt: skip


def make(name: str, block: int = 2, **more):
    """A small generator of an equation, with small blocks of samples."""
    generator = instantiate(LEAVES[name] | CASES[name].small | more)
    object.__setattr__(generator, "block", 1 if name == "smoke" else block)
    return generator


@pytest.fixture(scope="module")
def known():
    """Three small samples of each equation, made once."""
    made = {}

    def get(name: str) -> xr.Dataset:
        if name not in made:
            made[name] = generate(make(name), 3 if name != "smoke" else 2, seed=1)  # smoke takes seconds
        return made[name]

    return get


each = pytest.mark.parametrize("name", LEAVES)


def test_every_leaf_has_its_row_and_its_card():
    assert set(CASES) == set(LEAVES)
    for name in LEAVES:
        assert (ROOT / "datasets" / name / "README.md").is_file(), name


@each
def test_the_leaf_states_the_defaults(name):
    generator = instantiate(LEAVES[name])
    assert generator == type(generator)() and generator.name == name


def test_generators_of_training_presets_can_be_made():
    found = []
    for path in sorted((ROOT / "configs" / "train").glob("*.yaml")):
        preset = yaml.safe_load(path.read_text())
        for part in (preset.get("fields"), preset.get("validation")):
            if isinstance(part, dict) and "generator" in part:
                found.append(instantiate(part["generator"]).name)
    assert {"burgers", "darcy", "navier-stokes"} <= set(found)


@each
def test_fields_are_finite_and_keep_what_the_equation_keeps(known, name):
    ds = known(name)
    assert all(np.isfinite(v).all() for v in ds.data_vars.values())
    CASES[name].holds(ds, make(name))


@each
def test_a_sample_depends_on_its_key_alone(known, name):
    """Bit for bit, whatever else is asked for; another seed gives others."""
    whole = known(name)
    if name != "smoke":  # seconds for each sample
        xr.testing.assert_identical(whole.isel(sample=[2]), generate(make(name), 1, seed=1, start=2))
        first, other = (ds[next(iter(ds.data_vars))].values for ds in (whole, generate(make(name), 1, seed=2)))
        assert not np.allclose(first[0], other[0])
    values = next(iter(whole.data_vars.values())).values
    assert not np.allclose(values[0], values[1])


@each
def test_a_finer_grid_holds_the_same_functions(known, name):
    if CASES[name].finer is None:
        pytest.skip("the scene is tested where it is made")
    settings, variable, restrict = CASES[name].finer
    fine = generate(make(name, **settings), 1, seed=1)[variable]
    usual = known(name)[variable].isel(sample=[0])
    first = {"time": 0} if "time" in usual.dims else {}
    scale = float(np.abs(usual).max())
    assert np.allclose(restrict(fine.isel(first).values), usual.isel(first), rtol=0, atol=ROUNDING * scale)


@each
def test_the_record_is_complete(known, name):
    ds, generator = known(name), make(name)
    wanted = {"Conventions", "title", "equation", "boundary", "initial_law", "solver", "source", "license", "seed"}
    assert wanted <= set(ds.attrs) and all(ds.attrs[key] != "" for key in wanted)
    assert ds.attrs["source"].startswith("sciml_diffusion ") and ds.attrs["license"] == "Apache-2.0"
    for key, value in CASES[name].small.items():
        assert ds.attrs[key] == value
    for variable in (*ds.data_vars.values(), *(ds[d] for d in ds.dims if d != "sample")):
        assert variable.attrs["long_name"] and variable.attrs["units"]
    for variable in ds.data_vars.values():
        assert variable.dtype == np.float32 and ("sample" in variable.dims) != (variable.name in ("solid",) or (
            variable.name == "f" and "time" not in variable.dims
        ))  # fmt: skip
    assert ds.nbytes >= ds.sizes["sample"] * generator.bytes_per_sample
    grid = grid_of(canonical(ds))
    assert tuple(grid.dims) == tuple(d for d in ("y", "x") if d in ds.dims)
    assert all(
        (period is not None) == ("period" in ds[d].attrs) for d, period in zip(grid.dims, grid.periods, strict=True)
    )


@each
def test_a_generator_travels_to_other_processes_and_into_json(name):
    generator = make(name)
    assert generator.axes and generator.facts is not None  # some make their solver here, which must not travel
    assert len(pickle.dumps(generator)) < 1000
    assert pickle.loads(pickle.dumps(generator)) == generator and hash(generator) == hash(make(name))
    assert json.loads(json.dumps(generator.settings)) == generator.settings
    assert generator.settings["generator"] == name


@each
def test_bad_settings_are_named(name):
    settings, words = CASES[name].bad
    with pytest.raises(ValueError, match=words):
        make(name, **settings)


@each
def test_half_the_step_is_a_smaller_step(name):
    """The second try of a block: results agree to the solver's error, and are not the same where there are steps."""
    if name in ("advection", "darcy", "poisson", "helmholtz", "smoke"):
        pytest.skip("no steps, or too long for a test")
    generator = make(name)
    with torch.no_grad():
        usual, second = (generator.solve(1, range(2), refine) for refine in (1, 2))
    variable = generator.variables[0].name
    one, two = (torch.as_tensor(solved[variable]) for solved in (usual, second))
    assert not torch.equal(one, two)
    assert (one - two).abs().max() < 0.02 * one.abs().max()  # coarse grids; a halved duration would be far off


def test_the_facade_makes_every_equation_and_names_what_it_does_not_know():
    ds = api.generate("darcy", samples=2, seed=3, points=8, coefficient="lognormal")
    assert ds.sizes == {"sample": 2, "time": 1, "y": 8, "x": 8} and ds.attrs["coefficient"] == "lognormal"
    with pytest.raises(FileNotFoundError, match="did you mean navier-stokes"):
        api.generate("navier-stoke")
    with pytest.raises(TypeError, match="darcy has no option pints; its options are points, coefficient"):
        api.generate("darcy", pints=8)
    with pytest.raises(ValueError, match="samples >= 1"):
        api.generate("darcy", samples=0)


def test_spin_up_is_left_out():
    """The first frame after a spin-up of 1 is the last of a run to 1 without it."""
    run = generate(make("kuramoto-sivashinsky"), 2, 0).u[:, -1]
    later = generate(make("kuramoto-sivashinsky", spin_up=1.0), 2, 0).u[:, 0]
    assert np.abs(run - later).max() < 1e-4  # the two take different steps


def test_shock_tubes_have_open_ends_and_darcy_its_laws():
    shock = make("compressible", initial="shock")
    assert shock.attributes["boundary"] == "outflow" and "period" not in shock.axes["x"][1]
    assert make("compressible", initial="shock", boundary_kind="periodic").attributes["boundary"] == "periodic"
    bumps = generate(make("darcy", coefficient="bumps", faces="arithmetic"), 2, 0)
    assert set(np.unique(bumps.a)) == {np.float32(0.1), np.float32(1.0)}
