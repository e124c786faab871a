"""Which column of a sensor table means what, and columns of text read as numbers and UTC times."""

import re

import numpy as np
import pandas as pd

ALIASES = {
    "time": ("datetime", "date", "timestamp", "valid_time", "date_time"),
    "latitude": ("lat",),
    "longitude": ("lon", "long", "lng"),
    "value": ("observation", "obs", "measurement", "temp", "temperature"),
    "variable": ("parameter", "quantity"),
    "std": ("stdev", "stddev", "sigma", "uncertainty"),
    "station": ("station_id", "station_name", "site", "sensor", "id"),
    "units": ("unit",),
    "truth": (),
    "sense": (),
    "limit": (),
    "dof": (),
}
CARTESIAN = ("x", "y", "z")
ROLES = ("time", "value", "variable", "std", "station", "units", "truth", "sense", "limit", "dof")
DATES_ONLY = ("datetime", "date", "timestamp", "date_time")


def split_header(name: str) -> tuple[str, str]:
    """Name and units of a header such as "value [degC]" or "std (K)"; the units are "" where it states none."""
    match = re.fullmatch(r"\s*(.*?)\s*(?:\[([^\]]*)\]|\(([^)]*)\))?\s*", str(name), flags=re.DOTALL)
    return match[1], (match[2] or match[3] or "").strip()


def plain(name: str) -> str:
    """A header's name in lower case, without units and with underscores for blanks."""
    return re.sub(r"[\s\-]+", "_", split_header(name)[0].lower())


def assign_roles(
    frame: pd.DataFrame, variable: str | None, dims: tuple[str, ...] | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Says which column plays which role, and which columns are spatial coordinates.

    Arguments:
        frame: the table as it came.
        variable: name of the observed variable, which may also be the header of the values.
        dims: headers of the spatial columns; by default latitude and longitude, else those of x, y, z that are there,
            else every other column of numbers.

    Returns:
        {role: column} and {dim: column}.

    Raises:
        ValueError: where a role is missing, or several columns could play it.
    """
    left = list(frame.columns)
    roles = {role: column for role in ROLES if (column := _take(role, left)) is not None}
    if "time" not in roles:
        raise ValueError(f"the table has no time column; its columns are {list(frame.columns)}. Name one 'time'")
    if "value" not in roles and variable is not None:
        matches = [c for c in left if split_header(c)[0] == variable]
        if matches:
            roles["value"] = matches[0]
            left.remove(matches[0])
    if "value" not in roles and {"limit", "sense"} <= set(roles):
        roles["value"] = roles["limit"]  # a switch: the side of its limit is all that it reports
    space = _spatial(frame, left, dims, known_value="value" in roles)
    left = [c for c in left if c not in space.values()]
    if "value" not in roles:
        numbers = [c for c in left if _is_numeric(frame[c])]
        if len(numbers) != 1:
            found = numbers or left
            raise ValueError(f"which column holds the values? Candidates: {found}; name it 'value', or give variable=")
        roles["value"] = numbers[0]
    return roles, space


def _take(role: str, left: list[str]) -> str | None:
    """Takes the column that plays a role out of `left`: its own name first, else its only alias."""
    own = [c for c in left if plain(c) == role]
    others = [c for c in left if plain(c) in ALIASES[role]]
    candidates = own + others if role == "time" else own or others
    if len(candidates) > 1:
        raise ValueError(f"the columns {candidates} could all be the {role}; drop or join them, and name one {role!r}")
    if candidates:
        left.remove(candidates[0])
    return candidates[0] if candidates else None


def _spatial(frame: pd.DataFrame, left: list[str], dims: tuple[str, ...] | None, known_value: bool) -> dict[str, str]:
    """The spatial columns, {dim: column}, in the order of the table (latitude before longitude)."""
    if dims is not None:
        space = {str(dim): c for dim in dims for c in left if split_header(c)[0] == dim}
        if len(space) != len(dims):
            raise ValueError(f"dims={tuple(dims)} are not all columns of the table; left for them are {left}")
        return space
    rest = list(left)
    latitude, longitude = _take("latitude", rest), _take("longitude", rest)
    if (latitude is None) != (longitude is None):
        one, other = ("longitude", "latitude") if latitude is None else ("latitude", "longitude")
        raise ValueError(f"the table has a {one} but no {other}; its other columns are {rest}")
    if latitude is not None:
        return {"latitude": latitude, "longitude": longitude}
    space = {plain(c): c for c in left if plain(c) in CARTESIAN}
    if not space and known_value:
        space = {split_header(c)[0]: c for c in left if _is_numeric(frame[c])}
    if not space:
        wanted = "latitude and longitude, or x, y, z"
        raise ValueError(f"the table has no positions ({wanted}); other columns: {left}. Name them, or give dims=")
    return space


def _is_numeric(column: pd.Series) -> bool:
    """Whether a column holds numbers, and at least one."""
    present = column.dropna()
    return len(present) > 0 and bool(pd.to_numeric(present, errors="coerce").notna().all())


def name_rows(frame: pd.DataFrame, bad: np.ndarray) -> str:
    """Names the rows where `bad` is true, as the user counts them: "lines 3, 8 and 12 more"."""
    labels = frame.index[np.asarray(bad)]
    shown = ", ".join(str(label) for label in labels[:5])
    more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return f"{frame.index.name or 'row'}{'s' if len(labels) > 1 else ''} {shown}{more}"


def numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    """A column as float64, NaN where it is missing.

    Raises:
        ValueError: where an entry is not a number, or is infinite; it names the rows.
    """
    entries = frame[column]
    entries = entries.mask(entries.map(lambda v: isinstance(v, str) and not v.strip()).astype(bool))
    values = pd.to_numeric(entries, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = (np.isnan(values) & entries.notna().to_numpy()) | np.isinf(values)
    if bad.any():
        first = entries[bad].iloc[0]
        raise ValueError(f"the column {column!r} must hold finite numbers; {name_rows(frame, bad)}: {first!r}")
    return values


def times(frame: pd.DataFrame, column: str) -> np.ndarray:
    """A column as UTC times (datetime64[ns], naive), or as float64 model time where all entries are numbers.

    Times with a zone are converted; times without one are taken as UTC.

    Raises:
        ValueError: where an entry is not ISO 8601; it names the rows.
    """
    entries = frame[column]
    if pd.api.types.is_datetime64_any_dtype(entries):
        stamps = entries
    elif _is_numeric(entries):
        if plain(column) in DATES_ONLY:
            first = entries.dropna().iloc[0]
            raise ValueError(f"the column {column!r} holds numbers such as {first}; write dates as 2019-03-26T12:00Z")
        return numbers(frame, column)
    else:
        stamps = pd.to_datetime(entries, utc=True, format="ISO8601", errors="coerce")
        bad = (stamps.isna() & entries.notna()).to_numpy()
        if bad.any():
            raise ValueError(
                f"the column {column!r} must hold ISO 8601 times such as 2019-03-26T12:00Z or 2019-03-26 13:00+01:00; "
                f"{name_rows(frame, bad)}: {entries[bad].iloc[0]!r}"
            )
    if stamps.dt.tz is not None:
        stamps = stamps.dt.tz_convert("UTC").dt.tz_localize(None)
    return stamps.to_numpy().astype("datetime64[ns]")
