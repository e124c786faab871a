"""Generated trajectories. Truth: keyed draws, the initial law, and the solver on a finer grid."""

import numpy as np
import pytest
import torch

from sciml_diffusion.data.generate import generate_burgers
from sciml_diffusion.physics.random_fields import PeriodicRandomField


def test_container_and_first_frame():
    ds = generate_burgers(3, seed=0, points=32, frames=9)
    assert ds.u.dims == ("sample", "time", "x") and ds.u.dtype == np.float32 and ds.u.shape == (3, 9, 32)
    assert np.allclose(ds.x, np.arange(32) / 32) and ds.x.attrs["period"] == 1.0
    assert np.allclose(ds.time, np.linspace(0, 1, 9))
    assert ds.attrs["nu"] == 0.01 and ds.u.attrs["units"] == "1"
    field = PeriodicRandomField()
    u0 = field.evaluate(field.coefficients(0, range(3)), torch.tensor(ds.x.values))
    assert np.allclose(ds.u[:, 0], u0, atol=1e-7)  # float32


def test_samples_are_keyed_whatever_the_batch():
    """Bit for bit: the float64 differences between batches vanish in float32, up to a last digit."""
    whole = generate_burgers(5, seed=4, points=16, frames=5)
    parts = generate_burgers(2, seed=4, points=16, frames=5, start=3)
    assert list(parts.sample) == [3, 4]
    assert np.allclose(whole.u[3:], parts.u, rtol=0, atol=1e-7)
    assert not np.allclose(whole.u, generate_burgers(5, seed=5, points=16, frames=5).u)


def test_resolution_of_the_solver_is_enough():
    """The default grid against twice as many points: below float32's own rounding of 6e-8 times a few."""
    usual = generate_burgers(8, seed=0, points=32, frames=17)
    fine = generate_burgers(8, seed=0, points=32, frames=17, solver_points=512)
    assert usual.attrs["solver_points"] == 256
    assert abs(usual.u - fine.u).max() < 3e-7


def test_grids_sample_the_same_trajectories():
    """Every second point and frame of a finer set is the coarser set; the solver's own error is 3e-8."""
    coarse = generate_burgers(2, seed=1, points=32, frames=9)
    fine = generate_burgers(2, seed=1, points=64, frames=17)
    assert abs(fine.u.values[:, ::2, ::2] - coarse.u.values).max() < 3e-7


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="samples >= 1"):
        generate_burgers(0, seed=0)
    with pytest.raises(ValueError, match="choose 256"):
        generate_burgers(1, seed=0, solver_points=200)
