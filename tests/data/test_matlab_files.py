"""MATLAB files before v7.3, read without SciPy. Truth: what SciPy reads from files that SciPy wrote."""

import numpy as np
import pytest
import scipy.sparse
from data.matlab_files import save_matlab
from scipy.io import loadmat, savemat

from sciml_diffusion.data.matlab_v5 import arrays
from sciml_diffusion.data.open import open_path


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_are_found_where_scipy_finds_them(tmp_path, packed):
    """Types, sizes and short names of every kind, among things that are no arrays of real numbers."""
    rng = np.random.default_rng(0)
    given = {"visc": np.array([[0.01]]), "x": rng.random(7), "mask": rng.random((3, 4)) > 0.5, "text": "abc"}
    given |= {
        "k": np.arange(-5, 7, dtype="i2"),
        "big": np.array([[1 << 40]]),
        "f": rng.random((2, 3, 4, 5)).astype("f4"),
    }
    given |= {"c": np.ones(3) * 1j, "s": {"a": 1}, "cells": np.array(["a", 1], object), "empty": np.zeros((0, 3))}
    given |= {"sparse": scipy.sparse.eye_array(4).tocsc(), "a_name_of_more_than_eight_letters": np.arange(3.0)}
    savemat(tmp_path / "m", given, do_compression=packed)
    truth = {name: values for name, values in loadmat(tmp_path / "m").items() if name[0] != "_"}
    found = arrays(tmp_path / "m")
    assert set(found) == set(given) - {"text", "c", "s", "cells", "sparse"}
    for name, stored in found.items():
        values = stored.open(tmp_path / "m")
        np.testing.assert_array_equal(values, truth[name], err_msg=name)
        assert isinstance(values, np.memmap) != packed or not values.size


def test_packed_values_that_are_damaged(tmp_path):
    u = np.random.default_rng(0).random((3, 16, 16, 4))
    path = save_matlab(tmp_path / "m", "v5-packed", a=u[..., 0], u=u, t=np.arange(1.0, 5))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 50] = bytes(50)
    (tmp_path / "bad").write_bytes(whole)
    with pytest.raises(ValueError, match="damaged or incomplete"):
        open_path(tmp_path / "bad", axes="xy").compute()
