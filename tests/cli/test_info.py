"""sciml-diffusion info on files of fields. Truth: what the cards of the shipped samples state."""

from pathlib import Path

import numpy as np
import pytest

from sciml_diffusion.cli import main as command
from sciml_diffusion.resources import resource_folder

SAMPLES = sorted(p for p in (resource_folder("datasets") / "samples").rglob("*") if p.is_file() and p.suffix != ".md")
SAYS = {
    "era5-single-level-scalar-time.grib": ("GRIB", "t2m: [K]", "60 ... 30 degrees_north (121 values, step -0.25"),
    "derived_newcds_layout_z_t.nc": ("NetCDF-4", "850 ... 500 hPa (2 values", "period 360", "Copernicus"),
    "ERA5_2020-01-01_u10.nc": ("u10: [m s**-1]", "2020-01-01 00:00 ... 2020-01-01 23:00 (24 values, step 1 h)"),
    "ERA5_2020-01-01_v10.nc": ("Licence: Generated using Copernicus Climate Change Service information [2023].",),
    "ERA5_2020-01-01_tp.nc": ("time: sum", "none missing"),
    "dummy_well_data.hdf5": ("The Well", "sample: 2", "x: periodic, y: periodic", "period", "a: 0.25"),
}


@pytest.fixture
def info(capsys, monkeypatch, tmp_path):
    """Runs the verb in an empty folder: words -> (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        code = command.main(["info", *words])
        return code, *capsys.readouterr()

    return call


def test_samples_of_every_family_are_there():
    assert {path.name for path in SAMPLES} >= set(SAYS)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_sample_is_opened_described_and_drawn(info, tmp_path, path):
    if path.suffix == ".grib":
        pytest.importorskip("cfgrib")
    code, out, err = info(str(path), f"plot={tmp_path}/new/picture.png")
    assert (code, err) == (0, "")
    for words in (
        "format:",
        "axes:",
        "variables:",
        "mean",
        f"card: {path.parent / 'README.md'}",
        *SAYS.get(path.name, ()),
    ):
        assert words in out, words
    picture = tmp_path / "new" / "picture.png"
    assert picture.read_bytes()[:4] == b"\x89PNG" and f"picture: {picture}" in out
    assert [entry.name for entry in picture.parent.iterdir()] == ["picture.png"]


def test_format_and_options_reach_the_reader(info, tmp_path):
    np.save(tmp_path / "waves.npy", np.random.default_rng(0).standard_normal((2, 5, 8, 8)).astype("f4"))
    code, _, err = info("waves.npy", "format=apebench")
    assert code == 2 and "needs the JSON" in err
    code, _, err = info("waves.npy", "format=apebensh")
    assert code == 2 and "there is no format 'apebensh'" in err
    code, _, err = info("waves.npy", "format=apebench", "options={depth: 3}")
    assert code == 2 and "depth" in err
    code, _, err = info("waves.npy", "options=3")
    assert code == 2 and "options={dt: 0.1}" in err


def test_missing_values_parameters_and_long_texts(info, tmp_path):
    import xarray as xr

    u = np.arange(24.0).reshape(2, 3, 4)
    u[0, 0, 0] = u[1, 1, 1] = np.nan
    u[1, 0, 2] = np.inf
    fields = {"u": (("sample", "time", "x"), u, {"units": "K"}), "nu": ("sample", [0.1, 0.3], {"units": "m2 s-1"})}
    coords = {
        "sample": [0, 1],
        "time": ("time", [0.0, 1.0, 3.0], {"units": "s"}),
        "x": ("x", np.arange(4.0), {"period": 4.0}),
    }
    ds = xr.Dataset(fields, coords, {"equation": "u_t = nu u_xx", "license": "CC0", "notes": "long " * 200, "Re": 5.0})
    ds.to_netcdf(tmp_path / "heat.nc", engine="h5netcdf")
    code, out, _ = info("heat.nc")
    assert code == 0
    for words in (
        "equation: u_t = nu u_xx",
        "time: 0 ... 3 s (3 values, uneven steps)",
        "x: 0 ... 3 (4 values, step 1, period 4)",
        "u: [K] (sample, time, x): all 2 samples from 1 to 23, mean 11.667, 2 missing and 1 infinite of 24",
        "nu: 0.1 to 0.3, mean 0.2 m2 s-1",
        "Re: 5",
        "license: CC0",
    ):
        assert words in out, out
    assert max(map(len, out.splitlines())) < 350


def test_it_says_what_it_has_looked_at(info, tmp_path, monkeypatch):
    import xarray as xr

    from sciml_diffusion.cli import describe

    u = np.arange(10 * 3 * 4.0).reshape(10, 3, 4)
    u[7] = np.nan
    coords = {"time": [0.0, 1.0, 2.0], "x": np.arange(4.0)}
    xr.Dataset({"u": (("sample", "time", "x"), u)}, coords).to_netcdf(tmp_path / "u.nc", engine="h5netcdf")
    for enough, words in (
        (10**6, "all 10 samples from 0 to 119, mean 56.167, 12 missing of 120"),
        (100, "the first 8 of 10 samples from 0 to 83, mean 41.5, 12 missing of 96"),
        (20, "the first of 10 samples from 0 to 11, mean 5.5, none missing"),
        (9, "the first of 10 samples in 2 of 3 frames from 0 to 11, mean 5.5, none missing"),
    ):
        monkeypatch.setattr(describe, "ENOUGH", enough)
        code, out, _ = info("u.nc")
        assert code == 0 and words in out, out
    xr.Dataset({"u": (("time", "x"), u[0] * 0 + np.inf)}, coords).to_netcdf(tmp_path / "v.nc", engine="h5netcdf")
    assert "(time, x): in 2 of 3 frames no finite value: 0 missing and 8 infinite of 8" in info("v.nc")[1]


def test_a_prior_has_no_fields_to_draw(info):
    code, _, err = info("burgers", "plot=x.png")
    assert code == 2 and "plot= draws fields" in err and not Path("x.png").exists()


def test_one_thing_is_described_and_a_picture_needs_a_path(info):
    code, _, err = info("burgers", "era5")
    assert code == 2 and "one thing at a time; got burgers, era5" in err
    code, _, err = info("burgers", "plot=")
    assert code == 2 and "plot= needs the path of a picture" in err


def test_a_series_of_time_is_a_variable(info):
    import xarray as xr

    share = ("sample", "time"), np.ones((2, 3)), {"long_name": "share"}
    fields = {"u": (("sample", "time", "x"), np.ones((2, 3, 4))), "share": share, "nu": ("sample", [1.0, 2.0])}
    xr.Dataset(fields, {"time": [0.0, 1.0, 2.0], "x": np.arange(4.0)}).to_netcdf("a.nc", engine="h5netcdf")
    code, out, _ = info("a.nc")
    variables, parameters = out.split("variables:")[1].split("parameters:")
    assert code == 0 and "share (sample, time): " in variables and "nu" in parameters
    assert "share" not in parameters
