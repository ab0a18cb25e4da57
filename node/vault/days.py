"""Days and months held to their declaration."""

import re
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.schema import DateColumn
from node.fields import ISO
from node.vault.cells import (
    FINE,
    Held,
    Note,
    Problem,
    as_texts,
    coded,
    fine,
    mark,
    mark_spoiled,
    missing_texts,
    note,
)
from node.vault.chunks import Cells
from node.vault.local_days import local_days

_NOTHING = np.datetime64("NaT", "D")
_SPLIT = re.compile("(%.)")
_PARTS = {"%Y": "(?P<year>[0-9]{4})", "%m": "(?P<month>[0-9]{2})", "%d": "(?P<day>[0-9]{2})"}
_MONTH = "%Y-%m"


def column(cells: Cells, declared: DateColumn, *, form: str) -> Held:
    """Give a column's days as datetime64[D]; of a month, its first; NaT for what is missing.

    Where a row has a problem, its value says nothing.

    Args:
        cells: texts, days or points in time.
        declared: what they promise.
        form: how a text writes a day: %Y, %m and %d (four, two and two digits) and signs.
    """
    monthly = declared.type == "yearmonth"
    pattern = _pattern(_MONTH if monthly else form)
    notes = fine(len(cells.values))
    if pa.types.is_temporal(cells.values.type):
        days, elsewhere = local_days(cells.values)
        note(notes, elsewhere, Note.OTHER_DAY)
        empty = np.isnat(days)
        missing = empty & (declared.missing is not None) | np.isin(days, _codes(declared, pattern))
    else:
        texts = coded(cells.values)
        found = [_day(text, pattern) for text in texts.texts]
        days = np.array(found, dtype="datetime64[D]")[texts.rows]
        trimmed = pc.utf8_trim_whitespace(as_texts(cells.values))
        missing = missing_texts(trimmed, declared)
        empty = pc.equal(pc.fill_null(trimmed, ""), "").to_numpy(zero_copy_only=False)
    if monthly:
        days = days.astype("datetime64[M]").astype("datetime64[D]")
    problems = fine(len(days))
    mark(problems, empty, Problem.MISSING)
    mark(problems, np.isnat(days), Problem.NOT_A_MONTH if monthly else Problem.NOT_A_DAY)
    outside = (days < np.datetime64(declared.first)) | (days > np.datetime64(declared.last))
    mark(problems, outside, Problem.OUT_OF_BOUNDS)
    problems[missing] = FINE
    mark_spoiled(problems, cells)
    return Held(values=np.where(missing, _NOTHING, days), problems=problems, notes=notes)


def is_day(text: str, *, form: str) -> bool:
    """Tell whether a text is a day that exists; `form` as in `column`."""
    return not np.isnat(_day(text, _pattern(form)))


def _pattern(form: str) -> re.Pattern[str]:
    return re.compile("".join(_PARTS.get(part, re.escape(part)) for part in _SPLIT.split(form)))


def _day(text: str, pattern: re.Pattern[str]) -> np.datetime64:
    """Give the day of a text; no day where it is none."""
    match = pattern.fullmatch(text.strip())
    if match is None:
        return _NOTHING
    parts = {name: int(value) for name, value in match.groupdict().items()}
    try:
        return np.datetime64(date(parts["year"], parts["month"], parts.get("day", 1)), "D")
    except ValueError:
        return _NOTHING


def _codes(declared: DateColumn, pattern: re.Pattern[str]) -> list[np.datetime64]:
    """Give the declared missing texts that are days, such as 9999-12-31, for native cells."""
    texts = declared.missing.values if declared.missing else ()
    days = [_day(text, known) for text in texts for known in (pattern, _pattern(ISO))]
    return [day for day in days if not np.isnat(day)]
