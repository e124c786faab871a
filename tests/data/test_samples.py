"""Shipped samples of public files. Truths: hydrostatic balance, westerlies, and what their cards state.

Thickness of a layer: z_500 - z_850 = R_d <T> ln(850 / 500), with the mean <T> over ln p, here of the two levels.
"""

import hashlib
import re

import numpy as np
import pytest

from sciml_diffusion.data.container import grid_of, to_tensor
from sciml_diffusion.data.open import open_path
from sciml_diffusion.resources import resource_folder

SAMPLES = resource_folder("datasets") / "samples"
DRY_AIR, RADIUS, OMEGA = 287.05, 6.371e6, 7.292e-5
NOTICE = "Neither the European Commission nor ECMWF is responsible for any use that may be made of the Copernicus"


@pytest.fixture(scope="module")
def upper_air():
    return open_path(SAMPLES / "cfgrib" / "derived_newcds_layout_z_t.nc")


@pytest.mark.parametrize("family", ["cfgrib", "WAM2layers", "the_well"])
def test_cards_name_source_terms_and_checksums(family):
    card = (SAMPLES / family / "README.md").read_text(encoding="utf-8")
    files = [path for path in (SAMPLES / family).iterdir() if path.suffix != ".md"]
    assert sum(path.stat().st_size for path in files) < 400_000
    for path in files:
        assert path.name in card and hashlib.sha256(path.read_bytes()).hexdigest() in card
        assert b"/home/" not in path.read_bytes()
    text = " ".join(card.replace(">", " ").split())
    if family == "the_well":
        assert "BSD 3-Clause" in text and "Polymathic AI" in text
    else:
        assert NOTICE in text and "doi:10.24381/cds.adbb2d47" in text and re.search(r"commit [0-9a-f]{12}", text)


def test_thickness_is_that_of_the_temperature(upper_air):
    """Within 2 %: moisture, up to 1 %, and the curve of T between the levels; one level mistaken is far outside."""
    z, t = upper_air.z.sel(level=[850, 500]).astype("f8"), upper_air.t.sel(level=[850, 500]).astype("f8")
    thickness = z.sel(level=500) - z.sel(level=850)
    expected = DRY_AIR * t.mean("level") * np.log(850 / 500)
    ratio = (thickness / expected).isel(latitude=slice(10, 51))
    assert abs(float(ratio.mean()) - 1) < 0.01
    assert float(abs(ratio - 1).quantile(0.99)) < 0.02


def test_westerlies_in_both_hemispheres(upper_air):
    """u_g = -(1/f) dz/dy at 500 hPa: eastward jets at 30 to 60 degrees north and south, so latitude runs as it says."""
    z = upper_air.z.sel(level=500).astype("f8").mean(["time", "longitude"])
    f = 2 * OMEGA * np.sin(np.radians(upper_air.latitude))
    u = -z.differentiate("latitude") * (180 / np.pi / RADIUS) / f
    for band in (slice(60, 30), slice(-30, -60)):
        jet = u.sel(latitude=band)
        assert 10 < float(jet.max()) < 40 and float(jet.mean()) > 5
    assert grid_of(upper_air).periods == (None, 360.0)


def test_layout_of_the_new_store(upper_air):
    assert upper_air.z.dims == ("time", "level", "latitude", "longitude")
    assert list(upper_air.level) == [850, 500] and upper_air.level.attrs["units"] == "hPa"
    np.testing.assert_array_equal(upper_air.latitude, np.arange(90, -91, -3))
    assert not {"number", "expver", "valid_time"} & set(upper_air.variables)
    assert to_tensor(upper_air).shape == (4, 4, 61, 120)


def test_temperature_from_grib():
    pytest.importorskip("cfgrib")
    path = SAMPLES / "cfgrib" / "era5-single-level-scalar-time.grib"
    ds = open_path(path)
    assert dict(ds.sizes) == {"latitude": 121, "longitude": 201, "time": 1}
    assert ds.time.values[0] == np.datetime64("2017-01-01T12") and ds.t2m.attrs["units"] == "K"
    south, alps = (ds.t2m[0].sel(latitude=lat, longitude=lon) for lat, lon in ((32, -9.75), (46.5, 9.5)))
    assert float(south) > 288 > 275 > float(alps)  # the Atlantic off Morocco, and the Alps, at noon in January
    assert sorted(entry.name for entry in path.parent.iterdir() if entry.suffix == ".idx") == []


def test_winds_of_the_legacy_store():
    u, v = (open_path(SAMPLES / "WAM2layers" / f"ERA5_2020-01-01_{name}.nc")[name] for name in ("u10", "v10"))
    assert u.attrs["units"] == v.attrs["units"] == "m s**-1" and u.shape == (24, 41, 41)
    speed = np.hypot(u, v)
    assert 0 < float(speed.mean()) < 6 and float(speed.max()) < 15  # a calm day; packed numbers would be thousands
    # stronger over the North Sea (54.5 N, 4 E) than over the Alps' foreland (47 N, 9 E)
    sea, land = speed.sel(latitude=54.5, longitude=4), speed.sel(latitude=47, longitude=9)
    assert float(sea.mean()) > 1.5 * float(land.mean())
    np.testing.assert_array_equal(u.latitude, np.arange(55, 44.9, -0.25))


def test_rain_is_marked_as_a_sum():
    ds = open_path(SAMPLES / "WAM2layers" / "ERA5_2020-01-01_tp.nc")
    assert ds.tp.attrs["cell_methods"] == "time: sum" and ds.tp.attrs["units"] == "m"
    step = 5.4e-8  # of the packing, which may leave zero a little below
    assert float(ds.tp.min()) > -step and 0 < float(ds.tp.sum("time").max()) < 0.02  # at most 2 cm in a day
    assert (np.diff(ds.tp.mean(["latitude", "longitude"])) < 0).any()  # not a running total


def test_the_layout_of_the_well():
    ds = open_path(SAMPLES / "the_well" / "dummy_well_data.hdf5")
    assert ds.field_x.dims == ("sample", "time", "x", "y") and ds.constant_field.dims == ("sample", "x", "y")
    assert ds.attrs["a"] == 0.25 and ds.time_varying_scalar.dims == ("time",)
    assert to_tensor(ds, ["field_x", "field_y"]).shape == (2, 10, 2, 32, 32)
