"""The sensor table: one row for each observation, read and checked from CSV, pandas or xarray.

It is an xarray.Dataset with the single dimension "observation": data variables `value` and `std`, the coordinates
`time`, one for each spatial dimension, `variable` and `station`, and attrs["units"], the JSON of {variable: units}.
Rows that are not plain readings have `sense` and `dof` beside them: see `senses`.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from .cleaning import (
    blank_marks,
    check_positions,
    drop_missing,
    fill_std,
    merge_duplicates,
    name_stations,
    name_variable,
    settle_units,
)
from .columns import assign_roles, numbers, plain, split_header, times
from .senses import settle_senses
from .units import convert_std, convert_units

__all__ = ["convert_std", "convert_units", "make_table", "read_table", "spatial_dims", "table_units"]
DIM = "observation"


def read_table(
    source: "str | Path | pd.DataFrame | xr.Dataset",
    std: float | dict[str, float] | None = None,
    variable: str | None = None,
    units: str | dict[str, str] | None = None,
    dims: tuple[str, ...] | None = None,
    limit: float | dict[str, float] | None = None,
    dof: float | None = None,
) -> xr.Dataset:
    """Reads a table of sensors: a row with time, position and value for each observation.

    Columns: time (ISO 8601; zones are converted to UTC, times without one are UTC; or model time as numbers), latitude
    and longitude (or x, y, z, ...), value, and optionally variable, std, station, units. Common other names (lat, lon,
    datetime, temp) and units in a header ("value [degC]") are understood. Rows without a value, a time or a position
    are dropped, exact duplicates too; a mark such as -9999, far outside of the other values, is no value. Rows of one
    station, position, time and variable that differ are merged, weighted by 1 / std^2. Each is a warning that counts.
    A row with a `sense` (above, below, > or <) says on which side of its value, or of a column `limit`, the field is.

    Arguments:
        source: path of a CSV file (comma, semicolon or tab), a DataFrame, or a Dataset with a single dimension.
        std: standard deviation of the noise, for the rows that state none; one number or {variable: number}.
        variable: name of the observed variable, where the table does not say it.
        units: units of the values, where the table does not state them; one name or {variable: name}.
        dims: spatial columns, where they are neither latitude and longitude nor x, y, z.
        limit: rows only report whether their value lies above or below it; one number or {variable: number}.
        dof: degrees of freedom of Student's t, for errors of heavy tails (4 is robust); a column may say it by row.

    Returns:
        A sensor table. A variable that nothing names is "", and stands for the only variable of a prior.
    Raises:
        FileNotFoundError: no such file. TypeError: not a table.
        ValueError: what cannot be read or makes no sense; the rows are named.
    """
    frame, stated = _load(source)
    roles, space = assign_roles(frame, variable, dims)
    unused = [c for c in frame.columns if c not in {*roles.values(), *space.values()}]
    if unused:
        warnings.warn(f"columns of the table that are not used: {unused}", stacklevel=2)
    rows = _typed(frame, roles, space)
    blank_marks(rows)
    rows = drop_missing(rows, list(space))
    check_positions(rows, list(space))
    name_variable(rows, roles["value"], variable)
    header = _header_units(rows, roles)
    fill_std(rows, std)
    known = settle_units(rows, units, {"": header} if header else stated)
    settle_senses(rows, limit, dof)
    rows["station"] = name_stations(rows, list(space))
    rows = merge_duplicates(rows, ["station", "time", "variable", *space])
    return make_table(rows, list(space), known)


def _header_units(rows: pd.DataFrame, roles: dict[str, str]) -> str:
    """Units in the header of the values, "" where it has none; std is converted to them in place."""
    header, std_header = (split_header(roles[role])[1] if role in roles else "" for role in ("value", "std"))
    if header and std_header:
        rows["std"] = convert_std(rows["std"], std_header, header)
    return header


def make_table(rows: pd.DataFrame, space: list[str], units: dict[str, str]) -> xr.Dataset:
    """Puts checked columns (value, std, time, variable, station, spatial dims, perhaps others) into a sensor table."""
    table = xr.Dataset(
        {name: (DIM, np.array(rows[name], np.float64)) for name in ("value", "std", "truth") if name in rows},
        coords={
            "time": (DIM, np.array(rows["time"])),
            **{dim: (DIM, np.array(rows[dim], np.float64)) for dim in space},
            "variable": (DIM, rows["variable"].to_numpy().astype(str)),
            "station": (DIM, rows["station"].to_numpy().astype(str)),
        },
        attrs={"units": json.dumps(units)},
    )
    if "sense" in rows and (rows["sense"] != "").any():
        table["sense"] = (DIM, rows["sense"].to_numpy().astype(str))
    if "dof" in rows and rows["dof"].notna().any():
        table["dof"] = (DIM, np.array(rows["dof"], np.float64))
    for dim, name in (("latitude", "degrees_north"), ("longitude", "degrees_east")):
        if dim in space:
            table[dim].attrs = {"units": name, "standard_name": dim}
    return table


def check_table(obs) -> None:
    """Raises TypeError where `obs` is not what `observe` returns."""
    if not {"value", "std"} <= set(getattr(obs, "data_vars", ())):
        got = f"a Dataset of {', '.join(map(str, obs.data_vars))}" if hasattr(obs, "data_vars") else type(obs).__name__
        raise TypeError(f"obs must be a table of sensors; got {got}. Make one with observe(...)")


def table_units(table: xr.Dataset) -> dict[str, str]:
    """The units of each variable of a sensor table, "" where they are not known."""
    stated = json.loads(table.attrs.get("units", "{}"))
    return {str(name): stated.get(str(name), "") for name in np.unique(table["variable"].values)}


def spatial_dims(table: xr.Dataset) -> tuple[str, ...]:
    """Names of the spatial coordinates of a sensor table."""
    return tuple(str(name) for name in table.coords if name not in ("time", "variable", "station", DIM))


def _load(source) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table, with an index that names the rows as the user counts them, and the units stated beside it."""
    if isinstance(source, str | Path):
        return _read_csv(Path(source)), {}
    if isinstance(source, pd.DataFrame):
        return _plain_frame(source), {}
    if not isinstance(source, xr.Dataset):
        kind = type(source).__name__
        raise TypeError(f"a table of sensors is a CSV path, a DataFrame or an xarray.Dataset; got {kind}")
    if len(source.sizes) != 1:
        raise ValueError(
            f"a table of sensors has one dimension; got {dict(source.sizes)}. Gridded fields are observed with "
            "stations= and std=; a set of station series becomes a table with .to_dataframe().reset_index()"
        )
    size = next(iter(source.sizes.values()))
    used = {str(name): v for name, v in source.variables.items() if name not in (DIM, "index")}
    columns = {name: np.broadcast_to(v.values, size) for name, v in used.items()}
    stated = str(source.attrs.get("units", "{}"))
    stated = json.loads(stated) if stated.startswith("{") else {"": stated}
    own = next((str(v.attrs.get("units", "")) for name, v in source.data_vars.items() if plain(name) == "value"), "")
    return pd.DataFrame(columns, index=pd.RangeIndex(size, name="row")), stated or {"": own}


def _plain_frame(source: pd.DataFrame) -> pd.DataFrame:
    """The frame with row numbers as its index; an index that holds data (a name or dates) becomes columns."""
    frame = source
    if isinstance(frame.index, pd.DatetimeIndex) and frame.index.name is None:
        frame = frame.rename_axis("time")
    named = [name is not None and name not in frame.columns for name in frame.index.names]
    frame = frame.reset_index(drop=not all(named))
    frame.columns = [str(c) for c in frame.columns]
    if frame.columns.has_duplicates:
        raise ValueError(f"the table has two columns of one name: {list(frame.columns)}")
    frame.index = pd.RangeIndex(len(frame), name="row")
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    """A CSV file as text; the index holds line numbers."""
    if not path.is_file():
        raise FileNotFoundError(f"no table of sensors at {path}")
    options = {"dtype": str, "encoding": "utf-8-sig", "skipinitialspace": True, "skip_blank_lines": False}
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(path, sep=max(",;\t", key=header.count), index_col=False, **options)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        expected = "expected one header line, then one row for each observation"
        raise ValueError(f"{path} cannot be read as CSV ({error}); {expected}") from error
    frame.index = pd.RangeIndex(2, len(frame) + 2, name="line")
    return frame.dropna(how="all")


def _typed(frame: pd.DataFrame, roles: dict[str, str], space: dict[str, str]) -> pd.DataFrame:
    """The columns by role, as times, numbers and text."""
    rows = pd.DataFrame({"time": times(frame, roles["time"])}, index=frame.index)
    for name, column in (
        {k: v for k, v in roles.items() if k in ("value", "std", "truth", "limit", "dof")} | space
    ).items():
        rows[name] = numbers(frame, column)
    if "std" not in roles:
        rows["std"] = np.nan
    if "sense" in roles:
        rows["sense"] = _text(frame[roles["sense"]])
    for role in ("variable", "station", "units"):
        rows[role] = _text(frame[roles[role]]) if role in roles else ""
    return rows


def _text(column: pd.Series) -> pd.Series:
    """Text without blanks around it; "" where it is missing."""

    def one(value) -> str:
        return "" if pd.isna(value) else (value.decode() if isinstance(value, bytes) else str(value)).strip()

    return column.map(one).astype(object)
