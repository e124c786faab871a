"""Names of dimensions and variables: what public files call them, and what this package calls them."""

import xarray as xr

SAMPLES = ("sample", "realization")
SPACE = ("z", "y", "x", "latitude", "longitude")
DIMS = (*SAMPLES, "time", "lead_time", "level", *SPACE)

DIM_ALIASES = {
    "valid_time": "time",
    "pressure_level": "level",
    "model_level": "level",
    "isobaricinhpa": "level",
    "isobaricinpa": "level",
    "hybrid": "level",
    "plev": "level",
    "lev": "level",
    "lat": "latitude",
    "lon": "longitude",
    "long": "longitude",
    "number": "realization",
    "member": "realization",
    "projection_x_coordinate": "x",
    "projection_y_coordinate": "y",
    "easting": "x",
    "northing": "y",
}

# ECMWF long names and MARS short names -> short names of CDS and cfgrib
VARIABLE_ALIASES = {
    "2m_temperature": "t2m",
    "2m_dewpoint_temperature": "d2m",
    "10m_u_component_of_wind": "u10",
    "10m_v_component_of_wind": "v10",
    "100m_u_component_of_wind": "u100",
    "100m_v_component_of_wind": "v100",
    "10m_wind_speed": "si10",
    "mean_sea_level_pressure": "msl",
    "surface_pressure": "sp",
    "total_precipitation": "tp",
    "total_cloud_cover": "tcc",
    "total_column_water": "tcw",
    "total_column_water_vapour": "tcwv",
    "sea_surface_temperature": "sst",
    "skin_temperature": "skt",
    "surface_solar_radiation_downwards": "ssrd",
    "surface_thermal_radiation_downwards": "strd",
    "toa_incident_solar_radiation": "tisr",
    "total_precipitation_6hr": "tp_6h",
    "total_precipitation_24hr": "tp_24h",
    "evaporation": "e",
    "snow_depth": "sd",
    "sea_ice_cover": "siconc",
    "boundary_layer_height": "blh",
    "land_sea_mask": "lsm",
    "geopotential_at_surface": "z_surface",
    "soil_type": "slt",
    "standard_deviation_of_orography": "sdor",
    "volumetric_soil_water_layer_1": "swvl1",
    "potential_vorticity": "pv",
    "geopotential": "z",
    "temperature": "t",
    "u_component_of_wind": "u",
    "v_component_of_wind": "v",
    "specific_humidity": "q",
    "relative_humidity": "r",
    "vertical_velocity": "w",
    "2t": "t2m",
    "2d": "d2m",
    "10u": "u10",
    "10v": "v10",
}

# Coordinates of GRIB and CDS that say how a field was made; the container does without them
PROVENANCE = (
    "number",
    "step",
    "surface",
    "expver",
    "valid_time",
    "heightAboveGround",
    "meanSea",
    "entireAtmosphere",
    "depthBelowLandLayer",
    "forecast_reference_time",
    "forecast_period",
)


def canonical_dim(name) -> str:
    """What this package calls a dim or coordinate; a name that it does not know comes back in lower case."""
    return DIM_ALIASES.get(str(name).lower(), str(name).lower())


def rename(ds: xr.Dataset) -> xr.Dataset:
    """Dims, coordinates and variables under this package's names; single members lose their dim."""
    if "number" in ds.dims and ds.sizes["number"] == 1:
        ds = ds.squeeze("number", drop=True)
    if "number" in ds.coords and "number" not in ds.dims:
        ds = ds.drop_vars("number")
    if "valid_time" in ds.dims and "time" in ds.variables:
        ds = ds.drop_vars("time")
    mapping = {}
    for name in dict.fromkeys([*ds.dims, *ds.coords]):
        target = canonical_dim(name)
        if name == "valid_time" and "valid_time" not in ds.dims and "time" in ds.variables:
            continue
        taken = target in ds.variables or target in ds.dims or target in mapping.values()
        if target in DIMS and target != name and not taken:
            mapping[name] = target
    for name in ds.data_vars:
        target = VARIABLE_ALIASES.get(str(name))
        if target and target not in ds.variables:
            mapping[name] = target
    return ds.rename(mapping)


def fields_only(ds: xr.Dataset) -> xr.Dataset:
    """The dataset without cell bounds, grid mappings and texts: what CF files hold beside their fields."""
    bounds = {v.attrs.get("bounds", v.encoding.get("bounds")) for v in ds.variables.values()}
    texts = {name for name, v in ds.data_vars.items() if v.dtype.kind not in "iufb"}
    mappings = {name for name, v in ds.data_vars.items() if not v.dims}
    return ds.drop_vars([name for name in ds.data_vars if name in bounds | texts | mappings])
