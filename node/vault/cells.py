"""One column's cells held to its declaration: the numbers or categories, and what is wrong.

Days are read in `node.vault.days`, numbers of residents and keys in `node.vault.identities`.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.linkage.identity import Fault, Refusal
from models.schema import CategoryColumn, Column, NumericColumn
from node.vault.chunks import ArrowArray, Cells
from node.vault.local_days import local_days
from node.vault.spelling import repair


class Problem(enum.StrEnum):
    """What can be wrong with a row. Texts for people; they never hold a value."""

    RAGGED = "the row has more or fewer cells than the heading"
    NO_RESIDENT = "the resident id is empty"
    ENCODING = "the text is not in the declared encoding"
    MISSING = "missing, and the declaration gives that no meaning"
    NOT_A_NUMBER = "not a number"
    NOT_FINITE = "not a finite number (NaN or infinite)"
    NOT_WHOLE = "not a whole number"
    OUT_OF_BOUNDS = "outside the declared bounds"
    UNKNOWN_CATEGORY = "not one of the declared categories"
    NOT_A_DAY = "not a day in the declared format"
    NOT_A_MONTH = "not a month, YYYY-MM"
    OTHER_PATTERN = "not written as the declared pattern says"
    REPEATED = "repeated by a later row"
    REPLACED = "replaced by a later row with the same key"


class Note(enum.StrEnum):
    """What is odd about a cell that is read all the same. Texts for people, without values."""

    BLANKS = "blanks around or inside an id"
    SPELLED = "spelled otherwise than the declared category"
    OTHER_DAY = "another day in UTC than in Sweden"


AnyProblem = Problem | Fault | Refusal
PROBLEMS: tuple[AnyProblem, ...] = (*Problem, *Fault, *Refusal)
"""A problem's code is its place here; `FINE` is no problem."""

NOTES = tuple(Note)
"""A note's code is its place here; `FINE` is none."""

FINE = -1
CODES = {problem: code for code, problem in enumerate(PROBLEMS)}
_NOTE_CODE = {note: code for code, note in enumerate(NOTES)}

_DIGITS = {
    "none": "[0-9]+",
    "space": "([0-9]+|[0-9]{1,3}([ \u00a0\u202f][0-9]{3})+)",
}
_FRACTION = {".": "[.]", ",": ","}
_NOT_FINITE = r"(?i)^[+-]?(nan|inf|infinity)$"

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """A column's values and, per row, the codes of its problem and of its note, or `FINE`."""

    values: npt.NDArray[Any]
    problems: npt.NDArray[np.int8]
    notes: npt.NDArray[np.int8]

    def missing(self) -> BoolArray:
        """Tell which values are missing, as the declaration allows."""
        kind = self.values.dtype.kind
        if kind == "O":
            absent = np.array([value is None for value in self.values], dtype=np.bool_)
        elif kind == "i":
            absent = self.values < 0
        else:
            absent = np.isnat(self.values) if kind == "M" else np.isnan(self.values)
        found: BoolArray = absent & (self.problems == FINE)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """How a text file writes its numbers."""

    decimal: Literal[".", ","] = "."
    thousands: Literal["none", "space"] = "none"

    @property
    def pattern(self) -> str:
        """Give the regular expression of a number."""
        sign, whole = _FRACTION[self.decimal], _DIGITS[self.thousands]
        return f"^[+-]?({whole}({sign}[0-9]*)?|{sign}[0-9]+)([eE][+-]?[0-9]+)?$"


def numbers(cells: Cells, declared: NumericColumn, *, writing: Writing) -> Held:
    """Give a column's numbers as float64, with NaN for what is declared missing.

    Where a row has a problem, its value says nothing.
    """
    problems = fine(len(cells.values))
    kind = cells.values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = _array(cells.values.cast(pa.float64(), safe=False))
        missing = _mask(cells.values.is_null()) if declared.missing else _none(values)
        empty = _mask(cells.values.is_null()) & ~missing
        for code in _missing_numbers(declared):
            missing |= np.isnan(values) & ~empty if math.isnan(code) else values == code
    else:
        texts = pc.utf8_trim_whitespace(as_texts(cells.values))
        missing = missing_texts(texts, declared)
        empty = _mask(pc.equal(pc.fill_null(texts, ""), "")) & ~missing
        number = _mask(pc.match_substring_regex(texts, writing.pattern))
        odd = _mask(pc.match_substring_regex(texts, _NOT_FINITE))
        mark(problems, ~(missing | empty | number | odd), Problem.NOT_A_NUMBER)
        values = np.full(len(texts), np.nan)
        values[number] = _parse(texts.filter(pa.array(number)), writing)
    mark(problems, empty, Problem.MISSING)
    mark(problems, ~np.isfinite(values) & ~missing, Problem.NOT_FINITE)
    if declared.type == "integer":
        mark(problems, np.isfinite(values) & (values != np.trunc(values)), Problem.NOT_WHOLE)
    outside = (values < declared.minimum) | (values > declared.maximum)
    mark(problems, outside & ~missing, Problem.OUT_OF_BOUNDS)
    values = np.where(missing, np.nan, values)
    problems[missing] = FINE
    mark_spoiled(problems, cells)
    return Held(values=values, problems=problems, notes=fine(len(values)))


def _parse(texts: ArrowArray, writing: Writing) -> npt.NDArray[np.float64]:
    if writing.thousands == "space":
        texts = pc.replace_substring_regex(texts, "[ \u00a0\u202f]", "")
    if writing.decimal == ",":
        texts = pc.replace_substring(texts, ",", ".")
    return np.array([float(text) for text in texts.to_pylist()], dtype=np.float64)


def _missing_numbers(declared: NumericColumn) -> list[float]:
    """Give the declared missing texts that are numbers, such as -9, for natively typed cells."""
    numbers = []
    for text in declared.missing.values if declared.missing else ():
        try:
            numbers.append(float(text))
        except ValueError:
            continue
    return numbers


def categories(
    cells: Cells, declared: CategoryColumn, *, spellings: Mapping[str, str] | None = None
) -> Held:
    """Give a column's categories as int16 places in their list, with -1 for what is missing.

    A text that can mean one category alone counts as it, with a note. Where a row has a problem,
    its value says nothing.
    """
    texts = as_texts(cells.values)
    trimmed = pc.utf8_trim_whitespace(texts)
    missing = missing_texts(trimmed, declared)
    empty = _mask(pc.equal(pc.fill_null(trimmed, ""), "")) & ~missing
    notes = fine(len(texts))
    if declared.type == "boolean":
        known = pa.array([*declared.categories, "0", "1"], pa.string())
        places = _array(pc.fill_null(pc.index_in(pc.utf8_lower(trimmed), value_set=known), -1))
        values = np.where(places < 0, places, places % 2).astype(np.int16)
    else:
        repaired = repair(texts, categories=declared.categories, spellings=spellings or {})
        values = repaired.places
        note(notes, repaired.otherwise & ~missing, Note.SPELLED)
    problems = fine(len(texts))
    mark(problems, empty, Problem.MISSING)
    mark(problems, (values < 0) & ~missing, Problem.UNKNOWN_CATEGORY)
    values[missing] = -1
    mark_spoiled(problems, cells)
    return Held(values=values, problems=problems, notes=notes)


def missing_texts(texts: ArrowArray, declared: Column) -> BoolArray:
    """Tell which texts (without blanks around) stand for a missing value."""
    if declared.missing is None:
        return np.zeros(len(texts), dtype=np.bool_)
    listed = pc.is_in(texts, value_set=pa.array(declared.missing.values, pa.string()))
    return _mask(texts.is_null()) | _mask(listed)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coded:
    """Texts, each different one once: text i is `texts[rows[i]]`; null is the empty text."""

    texts: list[str]
    rows: npt.NDArray[np.int32]


def coded(values: ArrowArray) -> Coded:
    """Give any cells as texts, so that each different one is looked at once."""
    found = pc.fill_null(as_texts(values), "").dictionary_encode()
    return Coded(texts=found.dictionary.to_pylist(), rows=_array(found.indices))


def as_texts(values: ArrowArray) -> ArrowArray:
    """Give any cells as texts: whole numbers without a decimal point, so that ids match."""
    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        return pa.array(local_days(values)[0]).cast(pa.string())
    if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        return pa.array([_digits(value) for value in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def _digits(value: float | Decimal | None) -> str | None:
    if value is None or not math.isfinite(value):
        return None if value is None else str(value)
    return str(int(value)) if value == int(value) else str(value)


def fine(rows: int) -> npt.NDArray[np.int8]:
    """Give the codes of rows without a problem or note."""
    return np.full(rows, FINE, dtype=np.int8)


def _none(values: npt.NDArray[Any]) -> BoolArray:
    return np.zeros(len(values), dtype=np.bool_)


def mark(problems: npt.NDArray[np.int8], where: BoolArray, problem: AnyProblem) -> None:
    """Note a problem where none was found before."""
    problems[where & (problems == FINE)] = CODES[problem]


def note(notes: npt.NDArray[np.int8], where: BoolArray, found: Note) -> None:
    """Note what is odd."""
    notes[where] = _NOTE_CODE[found]


def mark_spoiled(problems: npt.NDArray[np.int8], cells: Cells) -> None:
    """Note, before anything else, which cells are not text in the declared encoding."""
    if cells.spoiled is not None:
        problems[cells.spoiled] = CODES[Problem.ENCODING]


def _mask(values: ArrowArray) -> BoolArray:
    return _array(pc.fill_null(values, False)).astype(np.bool_)  # noqa: FBT003 - Arrow's argument


def _array(values: ArrowArray) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return array
