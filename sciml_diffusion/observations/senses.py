"""Rows of a sensor table that are not plain readings: above or below a limit, or with errors of heavy tails.

Beside `value` and `std` such a table has the variables `sense` ("above" or "below" the value, which is then a limit; ""
elsewhere) and `dof` (degrees of freedom of Student's t; NaN elsewhere).
"""

import numpy as np
import pandas as pd
import torch

from .censored import Censored
from .columns import name_rows
from .noise import Gaussian, Noise
from .noise_laws import StudentT
from .stacked import join

WORDS = {
    "above": ("above", ">", ">=", "at or above"),
    "below": ("below", "<", "<=", "at or below"),
    "": ("", "=", "exact"),
}
READING, HEAVY, SWITCH = 0, 1, 2  # kinds of rows


def settle_senses(rows: pd.DataFrame, limit: float | dict[str, float] | None = None, dof: float | None = None) -> None:
    """Fills the columns `sense` and `dof` of checked rows in place, and puts the limit in the place of the value.

    Arguments:
        rows: with value, variable and, where the table has them, sense, limit and dof.
        limit: rows without a sense and a limit only say on which side of it their value lies; one number or
            {variable: number}, in the units of the values.
        dof: of the errors of plain readings that state none; None is Gaussian.

    Raises:
        ValueError: a sense that is no known word, a value that equals its limit, a dof that is not > 0, or one for a
            row with a sense; the rows are named.
    """
    words = {word: sense for sense, known in WORDS.items() for word in known}
    text = rows["sense"].str.lower() if "sense" in rows else pd.Series("", index=rows.index)
    unknown = ~text.isin(list(words))
    if unknown.any():
        raise ValueError(f"sense is 'above', 'below' or empty; {name_rows(rows, unknown)}: {text[unknown].iloc[0]!r}")
    sense = text.map(words)
    own = rows["limit"] if "limit" in rows else pd.Series(np.nan, index=rows.index)
    if limit is not None:
        given = rows["variable"].map(limit) if isinstance(limit, dict) else float(limit)
        own = own.where(own.notna() | (sense != ""), given)
    asked = own.notna() & (sense == "")
    equal = asked & (rows["value"] == own)
    if equal.any():
        raise ValueError(
            f"values that equal their limit say neither above nor below; {name_rows(rows, equal)}: "
            f"{own[equal].iloc[0]:g}. Give a column sense, or drop these rows"
        )
    side = np.where(rows["value"] > own, "above", "below")
    rows["sense"] = sense.where(~asked, side)
    rows["value"] = own.where(own.notna(), rows["value"])
    stated = rows["dof"] if "dof" in rows else pd.Series(np.nan, index=rows.index)
    both = stated.notna() & (rows["sense"] != "")
    if both.any():
        raise ValueError(f"dof is for readings, not for rows that say above or below; {name_rows(rows, both)}")
    if dof is not None:
        stated = stated.where(stated.notna() | (rows["sense"] != ""), float(dof))
    bad = stated.notna() & ~(stated > 0)
    if bad.any():
        raise ValueError(f"dof must be > 0; {name_rows(rows, bad)}: {stated[bad].iloc[0]:g}")
    rows["dof"] = stated.replace(np.inf, np.nan)


def kinds(table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kind of each row of a sensor table, its dof (0 where there is none) and its side (-1, 0, 1); all (m,)."""
    size = table["value"].size
    sense = table["sense"].values.astype(str) if "sense" in table else np.full(size, "")
    dof = np.nan_to_num(np.array(table["dof"].values, np.float64)) if "dof" in table else np.zeros(size)
    side = (sense == "above") * 1.0 - (sense == "below")
    return np.where(side != 0, SWITCH, np.where(dof > 0, HEAVY, READING)), dof, side


def exact_rows(table) -> np.ndarray:
    """Which rows of a sensor table are readings, rather than sides of a limit; boolean, shape (m,)."""
    return kinds(table)[0] != SWITCH


def readings(value: np.ndarray, std: np.ndarray, side: np.ndarray) -> np.ndarray:
    """y of each row, shape (m,): the value, or where it is a limit a number on the side that was reported."""
    return value + side * np.maximum(std, 1e-3 * np.abs(value))  # not lost in float32


def law_of(kind: np.ndarray, limit: np.ndarray, std: np.ndarray, dof: np.ndarray) -> Noise:
    """The law of rows that are sorted by kind; arguments with shape (m,)."""
    laws = []
    for one in (READING, HEAVY, SWITCH):
        here = kind == one
        if here.any():
            s, c, nu = (torch.from_numpy(part[here]) for part in (std, limit, dof))
            laws.append(Gaussian(s) if one == READING else StudentT(s, nu) if one == HEAVY else Censored(s, c, c))
    return laws[0] if len(laws) == 1 else join(laws)
