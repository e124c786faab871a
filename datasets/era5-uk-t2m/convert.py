"""Converts the ERA5 GRIB of 2 m temperature to a compact NetCDF-4: convert.py SOURCE.grib [TARGET.nc]

The source is era5-2mt-2019-03-uk.grib of the repository pydata/xarray-data (commit ad8beddce86c). Needs cfgrib.
"""

import os
import sys
from pathlib import Path

import numpy as np
import xarray as xr

SCALE = 0.01  # K; rounding to a multiple of it errs by at most 0.005 K
NOTICE = (
    "Contains modified Copernicus Climate Change Service information 2019. Neither the European Commission nor ECMWF "
    "is responsible for any use that may be made of the Copernicus information or data it contains."
)
ATTRIBUTES = {
    "Conventions": "CF-1.8",
    "title": "ERA5 hourly 2 m temperature, British Isles, March 2019",
    "institution": "European Centre for Medium-Range Weather Forecasts",
    "source": "ERA5 reanalysis, hourly data on single levels; era5-2mt-2019-03-uk.grib of pydata/xarray-data, "
    "commit ad8beddce86c",
    "history": f"GRIB to NetCDF-4 with cfgrib and xarray; packed as int16 in steps of {SCALE} K, with no other change",
    "references": "Hersbach et al. (2023): ERA5 hourly data on single levels from 1940 to present, "
    "doi:10.24381/cds.adbb2d47",
    "license": "CC-BY 4.0 (Copernicus Climate Change Service)",
    "comment": NOTICE,
}


def convert(source: Path, target: Path) -> float:
    """Writes the NetCDF, whole or not at all, and returns the largest packing error in K."""
    grib = xr.open_dataset(source, engine="cfgrib", backend_kwargs={"indexpath": ""})
    original = grib["t2m"].transpose("time", "latitude", "longitude").load()
    packed = xr.Dataset(
        {"t2m": (original.dims, original.values)},
        coords={name: (name, original[name].values) for name in original.dims},
        attrs=ATTRIBUTES,
    )
    packed["t2m"].attrs = {"units": "K", "standard_name": "air_temperature", "long_name": "2 metre temperature"}
    packed["time"].attrs = {"standard_name": "time", "long_name": "time (UTC)", "axis": "T"}
    packed["latitude"].attrs = {"units": "degrees_north", "standard_name": "latitude", "axis": "Y"}
    packed["longitude"].attrs = {"units": "degrees_east", "standard_name": "longitude", "axis": "X"}
    offset = round(float(original.min() + original.max()) / 2)
    packing = {"dtype": "int16", "scale_factor": SCALE, "add_offset": float(offset), "_FillValue": -32768}
    storage = {"zlib": True, "complevel": 9, "shuffle": True, "chunksizes": (186, 33, 49)}
    encoding = {
        "t2m": packing | storage,
        "time": {"units": "hours since 2019-03-01", "calendar": "standard", "dtype": "int32", "_FillValue": None},
        "latitude": {"_FillValue": None},
        "longitude": {"_FillValue": None},
    }
    partial = target.with_name(target.name + ".partial")
    packed.to_netcdf(partial, engine="h5netcdf", encoding=encoding)
    with xr.open_dataset(partial, engine="h5netcdf") as written:
        error = float(np.abs(written["t2m"].values.astype("float64") - original.values.astype("float64")).max())
    if error > SCALE:
        raise ValueError(f"the packing error is {error:.4f} K, more than {SCALE} K; nothing was written")
    os.replace(partial, target)
    return error


if __name__ == "__main__":
    output = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).with_name("era5-uk-t2m.nc")
    largest = convert(Path(sys.argv[1]), output)
    print(f"{output.name}: {output.stat().st_size} bytes, largest packing error {largest:.4f} K")
