"""Options of formats. Truth: the signatures of the readers and the numbers given."""

import h5py
import numpy as np
import pytest

from sciml_diffusion.data.open import open_path


@pytest.fixture
def vorticity(tmp_path):
    """A file of the kind pino_npy, (N, T, X, Y)."""
    np.save(tmp_path / "w.npy", np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype("f4"))
    return tmp_path / "w.npy"


def test_numbers_of_every_kind_are_taken(vorticity):
    for dt in (0.5, np.float32(0.5), np.array(0.5)):
        ds = open_path(vorticity, format="pino_npy", dt=dt, length=1, duration=None)
        assert list(ds.time.values) == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 0.1}, "pino_npy files: there is no option step; the options are dt, duration"),
        ({"dt": "abc", "length": 1.0}, "the option dt of the format pino_npy is a number; got 'abc'"),
        ({"dt": [0.1], "length": 1.0}, r"the option dt of the format pino_npy is a number; got \[0.1\]"),
        ({"dt": 0.1, "length": 1.0, "axes": 3}, "the option axes of the format pino_npy is a text; got 3"),
        ({"dt": -0.1, "length": 1.0}, "w.npy: dt and duration are numbers > 0; got -0.1"),
    ],
)
def test_wrong_options_are_named_with_the_file(vorticity, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        open_path(vorticity, format="pino_npy", **options)
    assert "w.npy" in str(caught.value)


def test_readers_without_options_and_odd_values(tmp_path, vorticity):
    with pytest.raises(ValueError, match="apebench files: there is no option depth; the format has no options"):
        open_path(vorticity, format="apebench", depth=3)
    with h5py.File(tmp_path / "advection.h5", "w") as file:
        file["tensor"] = np.zeros((2, 3, 4), "f4")
        file["x-coordinate"], file["t-coordinate"] = np.arange(4.0), np.arange(4.0)
    with pytest.raises(ValueError, match="advection.h5, read as pdebench_scalar with parameters=3: "):
        open_path(tmp_path / "advection.h5", parameters=3)


@pytest.mark.parametrize("name", ["tensor", "x-coordinate", "t-coordinate"])
@pytest.mark.parametrize("kind", ["S3", complex])
def test_texts_and_complex_numbers_are_no_fields(tmp_path, name, kind):
    datasets = {"tensor": np.zeros((2, 3, 4)), "x-coordinate": np.arange(4.0), "t-coordinate": np.arange(4.0)}
    with h5py.File(tmp_path / "words.h5", "w") as file:
        for key, values in datasets.items():
            file[key] = values.astype(kind) if key == name else values
    with pytest.raises(ValueError, match=f"words.h5: {name} holds .*; real numbers are needed"):
        open_path(tmp_path / "words.h5")
