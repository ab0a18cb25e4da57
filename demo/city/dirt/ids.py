"""What happens to ids: typing errors, the departments' own forms, spreadsheets, temporary ids."""

from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from demo.city.dirt.kinds import Kind
from demo.city.dirt.soil import FileMark, Positions, Soil

ID_COLUMNS: Final = ("pnr", "sokande_pnr", "vh1_pnr", "vh2_pnr")
"""Columns that hold a resident's id, in any table."""

WRONG_DIGIT_RATE: Final = 0.003
SWAPPED_RATE: Final = 0.001
BLANKS_RATE: Final = 0.002
FLOAT_RATE: Final = 0.005

TEMPORARY: Final = "TF"
"""What temporary ids begin with."""

_SEPARATED: Final = MappingProxyType({"amf": 2, "skf": 0})
"""Departments that write a separator, and the first digit they write."""
_HUNDRED_YEARS_OLD: Final = "1924"  # birth year, when the records were taken out
_FIRST_CHECKED = 2  # the check digit covers the last ten digits
_LAST = 11
_MONTH = 4

Digits = npt.NDArray[np.int64]


def spoil(soil: Soil, *, department: str) -> None:
    """Make typing errors in the ids of a table, then write them in the department's form.

    Temporary ids that are there already stay as they are.
    """
    for column in ID_COLUMNS:
        if column in soil.frame:
            _mistype(soil, column)
            _write(soil, column, department)


def has_own_form(department: str) -> bool:
    """Tell whether a department writes ids with a separator."""
    return department in _SEPARATED


def written(ids: "pd.Series[Any]", department: str) -> "pd.Series[Any]":
    """Give canonical twelve-digit ids as the department writes them; others stay."""
    if department not in _SEPARATED:
        return ids
    first = _SEPARATED[department]
    old = (ids.str[:4] <= _HUNDRED_YEARS_OLD) & (department == "amf")
    separator = pd.Series(np.where(old, "+", "-"), index=ids.index, dtype=ids.dtype)
    own_form = ids.str[first:8] + separator + ids.str[8:]
    return own_form.where(~ids.str.startswith(TEMPORARY).astype(np.bool_), ids)


def _mistype(soil: Soil, column: str) -> None:
    positions = soil.pick(column, WRONG_DIGIT_RATE)
    ids = soil.frame[column].iloc[positions]
    wrong = wrong_digit(_digits(ids), soil.generator)
    soil.plant(Kind.WRONG_DIGIT, column, positions, _texts(wrong))
    positions = soil.pick(column, SWAPPED_RATE)
    digits, found = swapped(_digits(soil.frame[column].iloc[positions]), soil.generator)
    soil.plant(Kind.SWAPPED_DIGITS, column, positions[found], _texts(digits[found]))


def _write(soil: Soil, column: str, department: str) -> None:
    soil.frame[column] = written(soil.frame[column], department)
    if department in _SEPARATED:
        soil.file_marks.append(FileMark(kind=Kind.ID_FORM, column=column))
    positions = soil.pick(column, BLANKS_RATE)
    ids = soil.frame[column].iloc[positions]
    soil.plant(Kind.BLANKS_AROUND_ID, column, positions, [f" {text} " for text in ids])
    if department == "vof":
        positions = soil.pick(column, FLOAT_RATE)
        ids = soil.frame[column].iloc[positions]
        soil.plant(Kind.ID_AS_FLOAT, column, positions, [f"{int(text):.5e}" for text in ids])


def wrong_digit(digits: Digits, generator: np.random.Generator) -> Digits:
    """Change one of the last ten digits of each id (shape (ids, 12)).

    The check digit finds every single error. Where the month would become a real one, the check
    digit itself is changed instead.
    """
    places = generator.integers(_FIRST_CHECKED, _LAST + 1, size=len(digits))
    shifts = generator.integers(1, 10, size=len(digits))
    places = np.where(_has_real_month(_shifted(digits, places, shifts)), _LAST, places)
    return _shifted(digits, places, shifts)


def swapped(digits: Digits, generator: np.random.Generator) -> tuple[Digits, npt.NDArray[np.bool_]]:
    """Swap two neighbours among the last ten digits of each id (shape (ids, 12)).

    The check digit finds every swap but 09 for 90, so those two are left alone; so are swaps that
    would give a real month. Also tells in which ids there was anything to swap.
    """
    allowed = np.zeros(digits.shape, dtype=np.bool_)
    for place in range(_FIRST_CHECKED, _LAST):
        difference = np.abs(digits[:, place] - digits[:, place + 1])
        visible = (difference != 0) & (difference != 9)  # noqa: PLR2004
        allowed[:, place] = visible & ~_has_real_month(_swap(digits, np.full(len(digits), place)))
    places = np.argmax(generator.random(digits.shape) * allowed, axis=1)
    return _swap(digits, places), np.asarray(allowed.any(axis=1))


def _shifted(digits: Digits, places: Positions, shifts: npt.NDArray[np.int64]) -> Digits:
    changed = digits.copy()
    rows = np.arange(len(digits))
    changed[rows, places] = (changed[rows, places] + shifts) % 10
    return changed


def _swap(digits: Digits, places: Positions) -> Digits:
    changed = digits.copy()
    rows = np.arange(len(digits))
    changed[rows, places] = digits[rows, places + 1]
    changed[rows, places + 1] = digits[rows, places]
    return changed


def _has_real_month(digits: Digits) -> npt.NDArray[np.bool_]:
    month = 10 * digits[:, _MONTH] + digits[:, _MONTH + 1]
    return (month >= 1) & (month <= 12)  # noqa: PLR2004


def _digits(ids: "pd.Series[Any]") -> Digits:
    return np.array([list(text) for text in ids], dtype=np.int64).reshape(len(ids), _LAST + 1)


def _texts(digits: Digits) -> list[str]:
    return ["".join(map(str, row)) for row in digits.tolist()]
