"""One field of a declaration file: what its type needs, and the column it declares.

The names follow the Frictionless Table Schema. A field allows missing values exactly when it has
a `missing_meaning`. Type `boolean` has the categories `false` and `true`; the data may also write
them `0` and `1`, or in capitals.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, PlainValidator

from models.schema import (
    STRICT,
    Bilingual,
    CategoryColumn,
    Column,
    DateColumn,
    Finite,
    KeyColumn,
    Level,
    Missing,
    Name,
    NumericColumn,
    Sensitivity,
)

BOOLEAN = ("false", "true")
"""The categories of a boolean column, in order."""

ISO = "%Y-%m-%d"
"""How a day is written unless `format` says otherwise."""

_FORMAT = re.compile(r"(?:[^%\w]*%[Ymd]){3}[^%\w]*")
_MEASURED = "is required: a public statement, never measured from the data"


def _bound(value: object) -> float | str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number, or a day or month")  # noqa: TRY004 - pydantic's rule
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    return float(value)


Bound = Annotated[float | str, PlainValidator(_bound)]
"""A number; of a date or month, its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What the values of a field keep to."""

    __pydantic_config__ = STRICT

    minimum: Bound | None = None
    maximum: Bound | None = None
    enum: Annotated[tuple[Level, ...], Field(max_length=500)] | None = None
    pattern: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    required: Annotated[bool, Field(strict=True)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnField:
    """One column as the file writes it. `title` and `description` are for its readers alone."""

    __pydantic_config__ = STRICT

    name: Name
    type: Literal[
        "integer", "number", "string", "boolean", "date", "yearmonth", "key", "resident"
    ] = "string"
    title: str = ""
    description: str = ""
    meaning: Bilingual
    missing_meaning: Bilingual | None = None
    missing_values: Annotated[
        tuple[str, ...] | None, Field(alias="missingValues", max_length=20)
    ] = None
    unit: Annotated[str, Field(max_length=40)] = ""
    edges: Annotated[tuple[Finite, ...], Field(max_length=200)] = ()
    format: Annotated[str, Field(max_length=20)] = ""
    spellings: Annotated[Mapping[str, str], Field(max_length=1000)] = field(default_factory=dict)
    constraints: Constraints = Constraints()
    sensitivity: Sensitivity = Sensitivity.PERSONAL


_BOUNDS = ("constraints.minimum", "constraints.maximum")
_NEEDED = {
    "integer": _BOUNDS,
    "number": _BOUNDS,
    "string": ("constraints.enum",),
    "date": _BOUNDS,
    "yearmonth": _BOUNDS,
}
_ALLOWED = {
    "integer": (*_BOUNDS, "unit", "edges"),
    "number": (*_BOUNDS, "unit", "edges"),
    "string": ("constraints.enum", "spellings"),
    "date": (*_BOUNDS, "format"),
    "yearmonth": _BOUNDS,
    "key": ("constraints.pattern",),
}


def faults(item: ColumnField) -> list[tuple[str, str]]:
    """List what is wrong with a field as its type has it: (path within the field, text)."""
    limits = item.constraints
    given = {
        "constraints.minimum": limits.minimum is not None,
        "constraints.maximum": limits.maximum is not None,
        "constraints.enum": limits.enum is not None,
        "constraints.pattern": limits.pattern is not None,
        "unit": item.unit != "",
        "edges": item.edges != (),
        "format": item.format != "",
        "spellings": bool(item.spellings),
    }
    found = [(f".{path}", _MEASURED) for path in _NEEDED.get(item.type, ()) if not given[path]]
    found += [
        (f".{path}", f"says nothing about type {item.type}")
        for path in given
        if given[path] and path not in _ALLOWED.get(item.type, ())
    ]
    return found + _unlike_its_type(item) + _missing_faults(item)


def _unlike_its_type(item: ColumnField) -> list[tuple[str, str]]:
    """List bounds of another type, a format that is none, and spellings of no category."""
    wanted, said = _KIND_OF_BOUND.get(item.type, (object, ""))
    bounds = {"minimum": item.constraints.minimum, "maximum": item.constraints.maximum}
    found = [
        (f".constraints.{name}", said)
        for name, value in bounds.items()
        if value is not None and not isinstance(value, wanted)
    ]
    parts = sorted(re.findall("%.", item.format))
    if item.format and (parts != ["%Y", "%d", "%m"] or not _FORMAT.fullmatch(item.format)):
        found.append((".format", "must be made of %Y, %m and %d, each once, and signs"))
    categories = item.constraints.enum or ()
    for spelled, category in item.spellings.items():
        if spelled in categories:
            found.append((f".spellings.{spelled}", "is a category itself"))
        elif category not in categories:
            found.append((f".spellings.{spelled}", "does not lead to a category"))
    return found


_KIND_OF_BOUND: Mapping[str, tuple[type, str]] = {
    "integer": (float, "must be a number"),
    "number": (float, "must be a number"),
    "date": (str, "must be a day, YYYY-MM-DD"),
    "yearmonth": (str, "must be a month, YYYY-MM"),
}


def _missing_faults(item: ColumnField) -> list[tuple[str, str]]:
    found = []
    meaningless = "needs missing_meaning: what it means that a value is missing"
    if item.missing_meaning is None:
        if item.constraints.required is False:
            found.append((".constraints.required", meaningless))
        if item.missing_values is not None:
            found.append((".missingValues", meaningless))
    elif item.constraints.required:
        found.append((".missing_meaning", "contradicts constraints.required"))
    return found


def column(item: ColumnField, texts: tuple[str, ...]) -> Column:
    """Give the column that a field without faults declares.

    Args:
        item: the field.
        texts: what stands for a missing value, unless the field says it itself.

    Raises:
        ValueError: the constraints contradict each other.
    """
    missing = None
    if item.missing_meaning is not None:
        own = texts if item.missing_values is None else item.missing_values
        missing = Missing(values=own, meaning=item.missing_meaning)
    if item.type in {"integer", "number"}:
        return _numeric(item, missing)
    if item.type in {"date", "yearmonth"}:
        return DateColumn(
            name=item.name,
            type="date" if item.type == "date" else "yearmonth",
            meaning=item.meaning,
            minimum=str(item.constraints.minimum),
            maximum=str(item.constraints.maximum),
            missing=missing,
            sensitivity=item.sensitivity,
        )
    if item.type in {"key", "resident"}:
        return KeyColumn(
            name=item.name,
            type="key" if item.type == "key" else "resident",
            meaning=item.meaning,
            pattern=item.constraints.pattern,
            missing=missing,
            sensitivity=item.sensitivity,
        )
    return _category(item, missing)


def _numeric(item: ColumnField, missing: Missing | None) -> NumericColumn:
    limits = item.constraints
    assert isinstance(limits.minimum, float)  # noqa: S101 - `faults` refused anything else
    assert isinstance(limits.maximum, float)  # noqa: S101 - likewise
    return NumericColumn(
        name=item.name,
        type="integer" if item.type == "integer" else "number",
        meaning=item.meaning,
        minimum=limits.minimum,
        maximum=limits.maximum,
        unit=item.unit,
        edges=item.edges,
        missing=missing,
        sensitivity=item.sensitivity,
    )


def _category(item: ColumnField, missing: Missing | None) -> CategoryColumn:
    categories = BOOLEAN if item.type == "boolean" else item.constraints.enum or ()
    if len(categories) < 2:  # noqa: PLR2004 - one category says nothing
        raise ValueError("constraints.enum must name at least two categories")
    if missing is not None and set(missing.values) & {*categories, *item.spellings}:
        raise ValueError("a category must not also stand for a missing value")
    return CategoryColumn(
        name=item.name,
        type="boolean" if item.type == "boolean" else "string",
        meaning=item.meaning,
        categories=categories,
        missing=missing,
        sensitivity=item.sensitivity,
    )
