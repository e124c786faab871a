"""A folder with files for each variable. Truth: the numbers written, on axes that agree or do not."""

import numpy as np
import pytest
import xarray as xr
from reader_checks import on_disk

from sciml_diffusion.data.folder import open_folder


@pytest.fixture
def variables(tmp_path):
    """Writes t2m and u10 of one region, each in `pieces` files of two days, as the Climate Data Store sends them."""

    def write(pieces=1, change=lambda ds: ds):
        axes = {"latitude": [53.0, 52.5, 52.0], "longitude": [0.0, 0.5, 1.0, 1.5]}
        for number, (name, units) in enumerate({"t2m": "K", "u10": "m s**-1"}.items()):
            for i in range(pieces):
                time = np.datetime64("2020-01-01", "ns") + np.arange(2 * i, 2 * i + 2) * np.timedelta64(1, "D")
                values = 10.0 * number + i + np.arange(24, dtype="f4").reshape(2, 3, 4)
                ds = xr.Dataset({name: (("time", *axes), values, {"units": units})}, {"time": time, **axes})
                ds = change(ds.assign_attrs(history=name, source="ERA5")) if number else ds.assign_attrs(source="ERA5")
                ds.to_netcdf(tmp_path / f"ERA5_{name}_{i}.nc", engine="h5netcdf")
        return tmp_path

    return write


@pytest.mark.parametrize("pieces", [1, 3])
def test_files_of_several_variables_are_merged(variables, pieces):
    place = variables(pieces)
    ds = open_folder(place)
    assert set(ds.data_vars) == {"t2m", "u10"} and ds.sizes["time"] == 2 * pieces and "sample" not in ds.dims
    expected = np.concatenate([i + np.arange(24).reshape(2, 3, 4) for i in range(pieces)])
    np.testing.assert_array_equal(ds.t2m, expected)
    np.testing.assert_array_equal(ds.u10, 10 + expected)
    assert ds.u10.attrs["units"] == "m s**-1" and on_disk(ds.u10) and on_disk(ds.t2m)
    assert ds.attrs["source"] == "ERA5"
    np.testing.assert_array_equal(open_folder(place, pattern="*t2m*").t2m, expected)


@pytest.mark.parametrize(
    ("change", "odd"),
    [
        (lambda ds: ds.isel(time=slice(1)), "time"),
        (lambda ds: ds.assign_coords(longitude=ds.longitude + 0.25), "longitude"),
        (lambda ds: ds.rename(latitude="y"), "latitude, y"),
    ],
)
def test_variables_on_other_axes_are_not_merged(variables, change, odd):
    with pytest.raises(ValueError, match=rf"_u10_0.nc holds u10, .* two kinds .* in {odd}; .*pattern=\"\*t2m\*\""):
        open_folder(variables(change=change))
