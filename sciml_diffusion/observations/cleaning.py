"""Checks and repairs of a sensor table's rows; whatever is dropped, merged or filled in is counted in a warning."""

import warnings

import numpy as np
import pandas as pd

from .columns import ALIASES, name_rows, plain, split_header
from .units import convert_std, convert_units, same_units

MARKS = (-999.0, -999.9, -9999.0, -9999.9, -99999.0, 9999.0, 99999.0)  # what tables write where a value is missing
FAR = 10.0  # times the largest of the other values


def blank_marks(rows: pd.DataFrame) -> None:
    """Turns marks of missing values, such as -9999 far outside of the other values, into missing ones."""
    value = rows["value"]
    mark = value.isin(MARKS) | (value.abs() >= 1e20)
    largest = value.abs().where(~mark).groupby(rows["variable"]).transform("max")
    mark &= value.abs() > FAR * largest
    if mark.any():
        marks = ", ".join(f"{v:g}" for v in sorted({*value[mark]}))
        warnings.warn(f"{int(mark.sum())} rows of the table hold {marks}, taken as missing values", stacklevel=3)
        rows.loc[mark, "value"] = np.nan


def drop_missing(rows: pd.DataFrame, space: list[str]) -> pd.DataFrame:
    """Drops rows without a value, a time or a position, and says how many."""
    missing = {"value": rows["value"].isna(), "time": rows["time"].isna(), "position": rows[space].isna().any(axis=1)}
    drop = np.logical_or.reduce([m.to_numpy() for m in missing.values()])
    if drop.all():
        raise ValueError(f"no observations are left of the {len(rows)} rows of the table")
    if drop.any():
        why = ", ".join(f"{int(m.sum())} without a {name}" for name, m in missing.items() if m.any())
        warnings.warn(f"{int(drop.sum())} of {len(rows)} rows of the table are dropped: {why}", stacklevel=3)
    return rows[~drop].copy()


def check_positions(rows: pd.DataFrame, space: list[str]) -> None:
    """Refuses latitudes outside [-90, 90] and longitudes outside [-360, 360]."""
    for dim, bound in (("latitude", 90), ("longitude", 360)):
        if dim in space and (bad := rows[dim].abs() > bound).any():
            first = rows.loc[bad, dim].iloc[0]
            raise ValueError(f"{dim} must lie in [-{bound}, {bound}]; {name_rows(rows, bad)}: {first}")


def name_variable(rows: pd.DataFrame, column: str, variable: str | None) -> None:
    """Fills the column `variable`: from the argument, else from the header of the values."""
    others = sorted({*rows["variable"]} - {variable, ""})
    if variable is not None and others:
        raise ValueError(f"variable={variable!r} was given, but the table also holds {others}; select its rows first")
    empty = rows["variable"] == ""
    if empty.any() and others:
        raise ValueError(f"the table names a variable in other rows, but not in {name_rows(rows, empty)}; fill it in")
    generic = plain(column) in ("value", "limit", *ALIASES["value"])
    rows.loc[empty, "variable"] = variable or ("" if generic else split_header(column)[0])


def fill_std(rows: pd.DataFrame, std: float | dict[str, float] | None) -> None:
    """Fills in the argument where the table has no std, and refuses what is not finite and > 0."""
    own = rows["std"].notna()
    if std is not None:
        if own.any():
            text = (
                f"{int(own.sum())} rows state their own std and keep it; std={std} is for the other {int((~own).sum())}"
            )
            warnings.warn(text, stacklevel=3)
        given = rows["variable"].map(std) if isinstance(std, dict) else pd.Series(float(std), index=rows.index)
        rows["std"] = rows["std"].where(own, given)
    bad = ~(np.isfinite(rows["std"]) & (rows["std"] > 0))
    if bad.any():
        todo = "give std=, or a column std" if rows["std"].isna().all() else "correct or drop these rows"
        first = rows.loc[bad, "std"].iloc[0]
        raise ValueError(f"std must be finite and > 0; {name_rows(rows, bad)}: {first}; {todo}")


def settle_units(rows: pd.DataFrame, units: str | dict[str, str] | None, stated: dict[str, str]) -> dict[str, str]:
    """One unit for each variable: rows in other units are converted to the first one.

    Arguments:
        rows: with the column `units`, "" where the table has none; value and std are converted in place.
        units: argument of `read_table`.
        stated: units beside the rows, {variable: units}; the key "" holds for every variable.

    Returns:
        {variable: units}, "" where nothing states them.

    Raises:
        ValueError: where two places disagree, only some rows of a variable state units, or they cannot be converted.
    """
    units = {"": units} if isinstance(units, str) else units or {}
    for source, given in (("the table's header or attributes", stated), ("the argument units", units)):
        column = rows["variable"].map(lambda v, given=given: given.get(v, given.get("", "")))
        for own, other in sorted({*zip(rows["units"], column, strict=True)}):
            if own and other and not same_units(own, other):
                raise ValueError(
                    f"the table states units {own!r}, {source} {other!r}; correct or leave out one of them"
                )
        rows["units"] = rows["units"].where(rows["units"] != "", column)
    settled = {}
    for name, group in rows.groupby("variable", sort=False):
        settled[name] = target = next((u for u in group["units"] if u), "")
        for own in set(group["units"]) - {target}:
            here = (rows["variable"] == name) & (rows["units"] == own)
            if not own:
                raise ValueError(
                    f"{name_rows(rows, here)}: no units are stated, but {target!r} in other rows; fill them in"
                )
            for column in {"value", "truth", "limit"} & set(rows):
                rows.loc[here, column] = convert_units(rows.loc[here, column].to_numpy(), own, target)
            rows.loc[here, "std"] = convert_std(rows.loc[here, "std"].to_numpy(), own, target)
    return settled


def name_stations(rows: pd.DataFrame, space: list[str]) -> pd.Series:
    """The stations' names; rows without one are named s00, s01, ... by their distinct positions."""
    missing = rows["station"] == ""
    if not missing.any():
        return rows["station"]
    number = rows[missing].groupby(space, sort=False).ngroup()
    width = max(2, len(str(number.max())))
    prefix = "s" if missing.all() else "unnamed"
    names = rows["station"].copy()
    names[missing] = [f"{prefix}{k:0{width}d}" for k in number]
    return names


def merge_duplicates(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Drops exact duplicates, and merges rows of one key that differ: the mean weighted by 1 / std^2.

    v = sum_i (v_i / s_i^2) / sum_i (1 / s_i^2) and s^2 = 1 / sum_i (1 / s_i^2), as for independent errors. Rows that
    say above or below a limit are never merged.
    """
    same = rows.duplicated([*keys, "sense", "value", "std"])
    if same.any():
        warnings.warn(f"{int(same.sum())} rows of the table repeat another one exactly and are dropped", stacklevel=3)
        rows = rows[~same]
    alone = np.where(rows["sense"] == "", -1, np.arange(len(rows)))
    rows, keys = rows.assign(alone=alone), [*keys, "alone"]
    repeated = rows.duplicated(keys, keep=False)
    if not repeated.any():
        return rows.drop(columns="alone")
    group = rows[repeated].groupby(keys, sort=False).ngroup()
    precision = rows.loc[repeated, "std"] ** -2.0
    total = precision.groupby(group).transform("sum")
    rows.loc[repeated, "value"] = (rows.loc[repeated, "value"] * precision).groupby(group).transform("sum") / total
    rows.loc[repeated, "std"] = total**-0.5
    warnings.warn(
        f"{int(repeated.sum())} rows of the table share position, time and variable with another, but differ: they are "
        f"merged into {group.nunique()}, weighted by 1 / std^2",
        stacklevel=3,
    )
    return rows[~rows.duplicated(keys)].drop(columns="alone")
