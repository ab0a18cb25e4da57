"""Rows that come twice: exact duplicates, and corrections of an earlier row."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from demo.city.dirt.kinds import Kind
from demo.city.dirt.soil import Bools, Mark, Positions, Soil, Soiled

DUPLICATE_RATE: Final = 0.008
CORRECTION_RATE: Final = 0.002

_AMOUNTS: Final = MappingProxyType({"sof_utbetalning": "belopp_kr", "vof_beslut": "timmar_man"})
"""Tables in which a row can be corrected, and the column that was wrong."""
_DAYS_EARLIER = np.timedelta64(14, "D")
_DATED_SINCE = np.datetime64("2012-01-01")


def repeat(soil: Soil, table: str) -> Soiled:
    """Give the table with some rows twice: the second directly after the first.

    Only rows without a defect come twice. Of an exact duplicate, the first is marked; of a
    correction, the first has the wrong amount (and an earlier date, where the table has one for
    it) and is marked, and the second is the row as it should be.
    """
    duplicates = soil.draw_rows(DUPLICATE_RATE)
    corrections = _corrected(soil, table, duplicates)
    copies = np.ones(len(soil.frame), dtype=np.int64)
    copies[duplicates] = 2
    copies[corrections] = 2
    first = np.cumsum(copies) - copies
    frame = soil.frame.iloc[np.repeat(np.arange(len(copies)), copies)].reset_index(drop=True)
    _make_wrong(frame, table, first[corrections])
    soil_marks = [replace(mark, positions=first[mark.positions]) for mark in soil.marks]
    for kind, rows in ((Kind.EXACT_DUPLICATE, duplicates), (Kind.CORRECTION, corrections)):
        if len(rows):
            soil_marks.append(
                Mark(kind=kind, column="", positions=first[rows], details=("",) * len(rows))
            )
    return Soiled(frame=frame, marks=tuple(soil_marks), file_marks=tuple(soil.file_marks))


def _corrected(soil: Soil, table: str, duplicates: Positions) -> Positions:
    if table not in _AMOUNTS:
        return np.array([], dtype=np.int64)
    possible: Bools = soil.frame[_AMOUNTS[table]].notna().to_numpy(dtype=np.bool_, copy=True)
    possible[duplicates] = False
    if table == "vof_beslut":
        possible &= (soil.frame["start"] >= _DATED_SINCE).to_numpy(dtype=np.bool_)
    return soil.draw_rows(CORRECTION_RATE, where=possible)


def _make_wrong(frame: pd.DataFrame, table: str, rows: Positions) -> None:
    """Put wrong amounts in rows: half of the right ones, in the same number of decimals."""
    if table not in _AMOUNTS:
        return
    amount = _AMOUNTS[table]
    amounts: pd.Series[Any] = frame[amount].iloc[rows]
    if table == "sof_utbetalning":
        frame.loc[rows, amount] = amounts // 2
        return
    frame.loc[rows, amount] = (amounts / 2).round(1)
    starts: pd.Series[Any] = frame["start"].iloc[rows]
    frame.loc[rows, "start"] = starts - _DAYS_EARLIER
