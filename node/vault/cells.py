"""One column's cells held to its declaration: the numbers or categories, and what is wrong."""

import enum
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.schema import CategoryColumn, NumericColumn
from node.vault.chunks import ArrowArray, Cells


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


PROBLEMS = tuple(Problem)
"""A problem's code is its place here; `FINE` is no problem."""

FINE = -1
_CODE = {problem: code for code, problem in enumerate(PROBLEMS)}

_NUMBER = {
    ".": r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$",
    ",": r"^[+-]?([0-9]+(,[0-9]*)?|,[0-9]+)([eE][+-]?[0-9]+)?$",
}
_NOT_FINITE = r"(?i)^[+-]?(nan|inf|infinity)$"

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """A column's values and, per row, the code of its problem or `FINE`."""

    values: npt.NDArray[Any]
    problems: npt.NDArray[np.int8]


def residents(cells: Cells) -> Held:
    """Give the ids as texts without surrounding blanks."""
    texts = pc.fill_null(pc.utf8_trim_whitespace(as_texts(cells.values)), "")
    problems = _fine(len(texts))
    _mark(problems, _mask(pc.equal(texts, "")), Problem.NO_RESIDENT)
    _mark_spoiled(problems, cells)
    return Held(values=np.array(texts.to_pylist(), dtype=object), problems=problems)


def column(
    cells: Cells, declared: NumericColumn | CategoryColumn, *, decimal: Literal[".", ","]
) -> Held:
    """Give the values of a declared column.

    Numbers come as float64 with NaN for what is declared missing, categories as int16 places in
    the list of categories with -1. Where a row has a problem, its value says nothing.
    """
    if isinstance(declared, CategoryColumn):
        return _categories(cells, declared)
    return _numbers(cells, declared, decimal=decimal)


def _numbers(cells: Cells, declared: NumericColumn, *, decimal: Literal[".", ","]) -> Held:
    problems = _fine(len(cells.values))
    kind = cells.values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = _array(cells.values.cast(pa.float64(), safe=False))
        missing = _mask(cells.values.is_null()) if declared.missing else _none(values)
        empty = _mask(cells.values.is_null()) & ~missing
        for code in _missing_numbers(declared):
            missing |= np.isnan(values) & ~empty if math.isnan(code) else values == code
    else:
        texts = pc.utf8_trim_whitespace(as_texts(cells.values))
        missing = _missing(texts, declared)
        empty = _mask(pc.equal(pc.fill_null(texts, ""), "")) & ~missing
        number = _mask(pc.match_substring_regex(texts, _NUMBER[decimal]))
        odd = _mask(pc.match_substring_regex(texts, _NOT_FINITE))
        _mark(problems, ~(missing | empty | number | odd), Problem.NOT_A_NUMBER)
        values = np.full(len(texts), np.nan)
        values[number] = _parse(texts.filter(pa.array(number)), decimal=decimal)
    _mark(problems, empty, Problem.MISSING)
    _mark(problems, ~np.isfinite(values) & ~missing, Problem.NOT_FINITE)
    if declared.type == "integer":
        _mark(problems, np.isfinite(values) & (values != np.trunc(values)), Problem.NOT_WHOLE)
    outside = (values < declared.minimum) | (values > declared.maximum)
    _mark(problems, outside & ~missing, Problem.OUT_OF_BOUNDS)
    values = np.where(missing, np.nan, values)
    problems[missing] = FINE
    _mark_spoiled(problems, cells)
    return Held(values=values, problems=problems)


def _parse(texts: ArrowArray, *, decimal: Literal[".", ","]) -> npt.NDArray[np.float64]:
    if decimal == ",":
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


def _categories(cells: Cells, declared: CategoryColumn) -> Held:
    problems = _fine(len(cells.values))
    texts = pc.utf8_trim_whitespace(as_texts(cells.values))
    missing = _missing(texts, declared)
    empty = _mask(pc.equal(pc.fill_null(texts, ""), "")) & ~missing
    known = list(declared.categories)
    if declared.type == "boolean":
        texts = pc.utf8_lower(texts)
        known += ["0", "1"]
    found = pc.index_in(texts, value_set=pa.array(known, pa.string()))
    values = _array(pc.fill_null(found, -1)).astype(np.int16)
    _mark(problems, empty, Problem.MISSING)
    _mark(problems, (values < 0) & ~missing, Problem.UNKNOWN_CATEGORY)
    if declared.type == "boolean":
        values = np.where(values < 0, values, values % 2).astype(np.int16)
    values[missing] = -1
    _mark_spoiled(problems, cells)
    return Held(values=values, problems=problems)


def _missing(texts: ArrowArray, declared: NumericColumn | CategoryColumn) -> BoolArray:
    if declared.missing is None:
        return np.zeros(len(texts), dtype=np.bool_)
    listed = pc.is_in(texts, value_set=pa.array(declared.missing.values, pa.string()))
    return _mask(texts.is_null()) | _mask(listed)


def as_texts(values: ArrowArray) -> ArrowArray:
    """Give any cells as texts: whole numbers without a decimal point, so that ids match."""
    if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        return pa.array([_digits(value) for value in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def _digits(value: float | Decimal | None) -> str | None:
    if value is None or not math.isfinite(value):
        return None if value is None else str(value)
    return str(int(value)) if value == int(value) else str(value)


def _fine(rows: int) -> npt.NDArray[np.int8]:
    return np.full(rows, FINE, dtype=np.int8)


def _none(values: npt.NDArray[Any]) -> BoolArray:
    return np.zeros(len(values), dtype=np.bool_)


def _mark(problems: npt.NDArray[np.int8], where: BoolArray, problem: Problem) -> None:
    """Note a problem where none was found before."""
    problems[where & (problems == FINE)] = _CODE[problem]


def _mark_spoiled(problems: npt.NDArray[np.int8], cells: Cells) -> None:
    if cells.spoiled is not None:
        problems[cells.spoiled] = _CODE[Problem.ENCODING]


def _mask(values: ArrowArray) -> BoolArray:
    return _array(pc.fill_null(values, False)).astype(np.bool_)  # noqa: FBT003 - Arrow's argument


def _array(values: ArrowArray) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return array
