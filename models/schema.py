"""What a dataset promises: its columns, their closed bounds or categories, their meaning.

A `Declaration` is public: it goes to the catalogue, into studies and into releases. Bounds,
bin edges and categories are statements made by the steward, never measured from the data.
Field names follow the Frictionless Table Schema where it has one.
"""

import enum
import itertools
import math
import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

STRICT = ConfigDict(extra="forbid", str_strip_whitespace=True)

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""A column or dataset name: lower-case ASCII, digits and underscore."""

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,62}$")]
"""A department or study id: lower-case ASCII, digits and hyphen."""

Line = Annotated[
    str,
    Field(min_length=1, max_length=2000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]*$"),
]
"""A text for people. Control characters could steer the terminal it is shown on."""
Level = Annotated[str, Field(min_length=1, max_length=100)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bilingual:
    """A text in Swedish and in English."""

    __pydantic_config__ = STRICT

    sv: Line
    en: Line


class Sensitivity(enum.StrEnum):
    """How sensitive a column is; the catalogue and the reviewers read it."""

    PUBLIC = "public"
    PERSONAL = "personal"
    SPECIAL = "special-category"  # GDPR art. 9
    SECRET = "secret"  # noqa: S105 - under the secrecy act, not a password


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Which texts stand for a missing value, and what their absence means."""

    __pydantic_config__ = STRICT

    values: Annotated[tuple[str, ...], Field(max_length=20)] = ("",)
    meaning: Bilingual


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericColumn:
    """Numbers inside closed public bounds.

    `edges` are optional public cut points (strictly inside the bounds) for quantised models.
    Without `missing` every row must have a value.
    """

    __pydantic_config__ = STRICT

    name: Name
    type: Literal["integer", "number"]
    meaning: Bilingual
    minimum: Finite
    maximum: Finite
    unit: Annotated[str, Field(max_length=40)] = ""
    edges: Annotated[tuple[Finite, ...], Field(max_length=200)] = ()
    missing: Missing | None = None
    sensitivity: Sensitivity = Sensitivity.PERSONAL

    def __post_init__(self) -> None:
        """Refuse empty ranges, and edges that do not rise inside the bounds."""
        if not self.minimum < self.maximum:
            raise ValueError("minimum must be below maximum")
        if self.type == "integer" and not (
            float(self.minimum).is_integer() and float(self.maximum).is_integer()
        ):
            raise ValueError("the bounds of an integer column must be whole numbers")
        path = (self.minimum, *self.edges, self.maximum)
        if any(not a < b for a, b in itertools.pairwise(path)):
            raise ValueError("edges must rise strictly inside the bounds")

    def cuts(self, bins: int) -> tuple[float, ...]:
        """Give the declared edges, or `bins - 1` equally spaced ones: public either way."""
        if self.edges:
            return self.edges
        step = (self.maximum - self.minimum) / bins
        return tuple(math.fsum((self.minimum, step * i)) for i in range(1, bins))


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryColumn:
    """One of a closed, public list of categories."""

    __pydantic_config__ = STRICT

    name: Name
    type: Literal["string", "boolean"] = "string"
    meaning: Bilingual
    categories: Annotated[tuple[Level, ...], Field(min_length=2, max_length=500)]
    missing: Missing | None = None
    sensitivity: Sensitivity = Sensitivity.PERSONAL

    def __post_init__(self) -> None:
        """Refuse a category named twice."""
        if len(set(self.categories)) != len(self.categories):
            raise ValueError("categories must differ from each other")


@dataclass(frozen=True, slots=True, kw_only=True)
class DateColumn:
    """Days (`date`) or months (`yearmonth`) inside closed public bounds.

    The bounds are written as their type is: `2016-01-31` or `2016-01`. No study reads such a
    column; an analysis table turns it into a number of days, months or years.
    """

    __pydantic_config__ = STRICT

    name: Name
    type: Literal["date", "yearmonth"]
    meaning: Bilingual
    minimum: Annotated[str, Field(max_length=10)]
    maximum: Annotated[str, Field(max_length=10)]
    missing: Missing | None = None
    sensitivity: Sensitivity = Sensitivity.PERSONAL

    def __post_init__(self) -> None:
        """Refuse bounds that are no days (or months), and an empty range."""
        if self.first > self.last:
            raise ValueError("minimum must not be after maximum")

    @property
    def first(self) -> date:
        """Give the lower bound as a day: of a month, its first."""
        return self._day(self.minimum)

    @property
    def last(self) -> date:
        """Give the upper bound as a day: of a month, its first."""
        return self._day(self.maximum)

    def _day(self, text: str) -> date:
        pattern, rest, form = _FORMS[self.type]
        problem = f"the bounds of a {self.type} column are written {form}"
        if not re.fullmatch(pattern, text):
            raise ValueError(problem)
        try:
            return date.fromisoformat(text + rest)
        except ValueError:
            raise ValueError(problem) from None


_FORMS = {
    "date": (r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "", "YYYY-MM-DD"),
    "yearmonth": (r"[0-9]{4}-[0-9]{2}", "-01", "YYYY-MM"),
}
"""Per type: its bounds, what makes a day of one, and how people name the form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyColumn:
    """What joins tables inside a department: a `key`, or the number of another `resident`.

    It never leaves the node and no study reads it. `pattern` is a regular expression that the
    whole of a key keeps to.
    """

    __pydantic_config__ = STRICT

    name: Name
    type: Literal["key", "resident"]
    meaning: Bilingual
    pattern: Annotated[str | None, Field(max_length=200)] = None
    missing: Missing | None = None
    sensitivity: Sensitivity = Sensitivity.PERSONAL

    def __post_init__(self) -> None:
        """Refuse a pattern that is no regular expression, and one for residents."""
        if self.pattern is None:
            return
        if self.type == "resident":
            raise ValueError("pattern says nothing about type resident")
        try:
            re.compile(self.pattern)
        except (re.error, OverflowError, RecursionError):
            raise ValueError("pattern must be a regular expression") from None


def _kind(value: object) -> str | None:
    kind = value.get("type", "string") if isinstance(value, dict) else getattr(value, "type", None)
    return _KINDS.get(kind) if isinstance(kind, str) else None


_KINDS = {
    "integer": "numeric",
    "number": "numeric",
    "string": "category",
    "boolean": "category",
    "date": "date",
    "yearmonth": "date",
    "key": "key",
    "resident": "key",
}

Variable = NumericColumn | CategoryColumn
"""What a study may read."""

StudyColumn = Annotated[
    Annotated[NumericColumn, Tag("numeric")] | Annotated[CategoryColumn, Tag("category")],
    Discriminator(
        _kind,
        custom_error_type="variable_type",
        custom_error_message="a study reads columns of type integer, number, string or boolean",
    ),
]
"""A `Variable` in a document."""

Column = Annotated[
    Annotated[NumericColumn, Tag("numeric")]
    | Annotated[CategoryColumn, Tag("category")]
    | Annotated[DateColumn, Tag("date")]
    | Annotated[KeyColumn, Tag("key")],
    Discriminator(
        _kind,
        custom_error_type="column_type",
        custom_error_message=f"type must be one of {', '.join(_KINDS)}",
    ),
]
"""What a dataset may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One dataset of one department, as its steward declares it.

    Attributes:
        resident_id: the column that tells whose row it is; it never leaves the node.
        public: the steward states that every value is already public (open data). Only such
            data may be used by a study whose protection is `none`.
        secrecy: the chapter of the secrecy act (OSL) that covers the data, or why none does.
    """

    __pydantic_config__ = STRICT

    name: Name
    title: Bilingual
    description: Bilingual
    steward: Line
    resident_id: Name
    secrecy: Line
    public: bool = False
    columns: Annotated[tuple[Column, ...], Field(min_length=1, max_length=500)]

    def __post_init__(self) -> None:
        """Refuse a column declared twice, and the resident id among the columns."""
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError("each column may be declared once")
        if self.resident_id in names:
            raise ValueError("the resident id column must not be among the columns")

    def column(self, name: str) -> Column | None:
        """Give the column of that name, or None."""
        return next((c for c in self.columns if c.name == name), None)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Give the columns that a study may read."""
        return tuple(c for c in self.columns if isinstance(c, NumericColumn | CategoryColumn))
