"""InverseBench's LMDB. Truth: vorticity w = cos(3 x) + sin(2 y), whose energy is known, in the stated layout."""

import sys

import numpy as np
import pytest
from reader_checks import check_refusal, on_disk

from sciml_diffusion.data.container import grid_of
from sciml_diffusion.data.open import open_path

lmdb = pytest.importorskip("lmdb")


@pytest.fixture
def database(tmp_path):
    """Writes arrays under their numbers as text, raw."""

    def write(values, keys=None, name="data"):
        with lmdb.open(str(tmp_path / name), map_size=1 << 22) as environment, environment.begin(write=True) as file:
            for number, value in enumerate(values):
                file.put((keys[number] if keys else str(number)).encode(), value.tobytes())
        return tmp_path / name

    return write


@pytest.fixture
def vorticity():
    x = 2 * np.pi * np.arange(128) / 128
    return [(s * (np.cos(3 * x)[:, None] + np.sin(2 * x)))[None].astype("<f4") for s in (1.0, -2.0)]


def test_vorticity_on_its_grid(database, vorticity):
    path = database(vorticity)
    ds = open_path(path)
    assert ds.vorticity.dims == ("sample", "time", "x", "y") and on_disk(ds.vorticity) and list(ds.time) == [5.0]
    assert grid_of(ds).periods == (pytest.approx(2 * np.pi),) * 2
    assert ds.vorticity.attrs["units"] == "1" and "comment" not in ds.attrs
    assert ds.attrs["Re"] == 200 and "cos(4 y)" in ds.attrs["forcing"]
    expected = np.cos(3 * ds.x) + np.sin(2 * ds.y)  # says which axis is which
    np.testing.assert_allclose(ds.vorticity[0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(
        ds.vorticity.isel(sample=[1, 0, 1], time=0, x=[5, 3], y=7)[:, 1],
        np.array([-2, 1, -2]) * float(expected[3, 7]),
        rtol=1e-5,
    )
    ds.vorticity.values[0] = 0  # a copy, not the memory of the file
    assert float(open_path(path).vorticity[0, 0, 0, 0]) == 1.0
    assert sorted(entry.name for entry in path.iterdir()) == ["data.mdb", "lock.mdb"]
    (path / "lock.mdb").unlink()
    np.testing.assert_array_equal(open_path(path / "data.mdb").vorticity, ds.vorticity)
    assert not (path / "lock.mdb").exists()  # reading writes nothing


def test_other_shapes_are_given(database):
    images = [np.full((1, 8, 6), float(i), "<f8") for i in range(12)]  # "10" sorts before "2" in the file
    path = database(images)
    check_refusal(path, "384 bytes", "shape=")
    ds = open_path(path, shape=(1, 8, 6), dtype="<f8", name="image")
    np.testing.assert_array_equal(ds.image.mean(["time", "x", "y"]), np.arange(12))
    assert list(ds.time) == [0.0] and "nu" not in ds.attrs and ds.image.attrs["units"] == ""
    assert ds.attrs["comment"] == "shape and dtype as given" and grid_of(ds).periods == (None, None)
    check_refusal(path, "one channel of two axes", shape=(8, 6))


def test_wrong_databases(database, vorticity, monkeypatch):
    check_refusal(database(vorticity, keys=["1", "2"], name="keys"), "not the keys 0 to 1")
    short = database([vorticity[0], vorticity[1][:, :5]], name="short")
    check_refusal(short, "value 1 is missing or has another size")
    check_refusal(database([], name="none"), "0 entries")
    path = database(vorticity, name="changed")
    ds = open_path(path)
    database([vorticity[1]], name="changed")
    with pytest.raises(ValueError, match="has changed"):
        ds.vorticity.load()
    cut = path / "data.mdb"
    cut.write_bytes(cut.read_bytes()[:6000])
    check_refusal(cut, "damaged")


def test_without_the_extra(database, vorticity, monkeypatch):
    path = database(vorticity)
    monkeypatch.setitem(sys.modules, "lmdb", None)
    monkeypatch.setattr("sciml_diffusion.data.readers.inversebench.find_spec", lambda name: None)
    check_refusal(path, "pip install 'sciml_diffusion[lmdb]'", kind=ImportError)
