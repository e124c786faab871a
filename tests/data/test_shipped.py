"""The shipped ERA5 sample and the catalogue. Truth: what the card of the dataset states."""

import time
from pathlib import Path

import numpy as np
import pytest

from sciml_diffusion.data.catalogue import dataset_path, names, resolve
from sciml_diffusion.data.container import grid_of, to_tensor, variables_of
from sciml_diffusion.data.open import open_path

NOTICE = "Contains modified Copernicus Climate Change Service information"
RESPONSIBLE = "Neither the European Commission nor ECMWF is responsible"


def test_the_file_is_what_its_card_says():
    path = dataset_path("era5-uk-t2m")
    assert path.stat().st_size <= 2_000_000
    ds = open_path(path)
    assert dict(ds.sizes) == {"time": 744, "latitude": 33, "longitude": 49}
    assert ds.time.values[0] == np.datetime64("2019-03-01T00") and ds.time.values[-1] == np.datetime64("2019-03-31T23")
    assert (np.diff(ds.time.values) == np.timedelta64(1, "h")).all()
    np.testing.assert_array_equal(ds.latitude, np.arange(58, 49.9, -0.25))
    np.testing.assert_array_equal(ds.longitude, np.arange(-10, 2.1, 0.25))
    t2m = ds.t2m.values.astype("f8")
    assert not np.isnan(t2m).any()
    # figures of the card; steps of packing are 0.01 K
    np.testing.assert_allclose([t2m.min(), t2m.max(), t2m.mean()], [265.68, 291.56, 280.77], atol=0.01)
    assert variables_of(ds) == (
        {"name": "t2m", "units": "K", "standard_name": "air_temperature", "long_name": "2 metre temperature"},
    )
    assert grid_of(ds).periods == (None, None)
    assert to_tensor(ds).shape == (744, 1, 33, 49)


def test_notice_licence_and_no_machine_path():
    path = dataset_path("era5-uk-t2m")
    attributes = open_path(path).attrs
    card = (path.parent / "README.md").read_text()
    for text in (attributes["comment"], " ".join(card.replace("> ", "").split())):
        assert NOTICE in text and RESPONSIBLE in text
    assert "10.24381/cds.adbb2d47" in attributes["references"] and "10.24381/cds.adbb2d47" in card
    assert "CC-BY" in attributes["license"] and "CC-BY" in card
    assert b"/home/" not in path.read_bytes() and str(path.parents[2]).encode() not in path.read_bytes()


def test_opening_takes_less_than_a_second():
    open_path(dataset_path("era5-uk-t2m"))  # imports of the readers are not counted
    start = time.perf_counter()
    open_path(dataset_path("era5-uk-t2m"))
    assert time.perf_counter() - start < 1.0  # 0.02 s where it was measured


def test_names_and_suggestions(tmp_path):
    assert "era5-uk-t2m" in names()
    with pytest.raises(ValueError, match="did you mean 'era5-uk-t2m'"):
        dataset_path("era5-uk-tm2")
    with pytest.raises(ValueError, match="shipped are .*era5-uk-t2m"):
        resolve("qqq")
    assert resolve("era5-uk-t2m") == dataset_path("era5-uk-t2m")
    assert resolve("mine.nc") == Path("mine.nc")  # a suffix: a file of one's own
    assert resolve(f"{tmp_path}/fields") == tmp_path / "fields"
    assert resolve(tmp_path) == tmp_path


def test_an_installed_package_finds_its_own_copy(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "sciml_diffusion"
    (package / "_datasets" / "demo").mkdir(parents=True)
    (package / "_datasets" / "demo" / "demo.nc").write_bytes(b"x")
    monkeypatch.setattr("importlib.resources.files", lambda name: package)
    assert names() == ["demo"]
    assert dataset_path("demo") == package / "_datasets" / "demo" / "demo.nc"
