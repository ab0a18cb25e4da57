"""What a dataset promises: its columns, their closed bounds or categories, their meaning.

A `Declaration` is public: it goes to the catalogue, into studies and into releases. Bounds,
bin edges and categories are statements made by the steward, never measured from the data.
Field names follow the Frictionless Table Schema where it has one.
"""

import enum
import itertools
import math
from dataclasses import dataclass
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


def _kind(value: object) -> str | None:
    kind = value.get("type", "string") if isinstance(value, dict) else getattr(value, "type", None)
    if not isinstance(kind, str):
        return None
    if kind in {"integer", "number"}:
        return "numeric"
    return "category" if kind in {"string", "boolean"} else None


Column = Annotated[
    Annotated[NumericColumn, Tag("numeric")] | Annotated[CategoryColumn, Tag("category")],
    Discriminator(
        _kind,
        custom_error_type="column_type",
        custom_error_message="type must be integer, number, string or boolean",
    ),
]


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

    def column(self, name: str) -> NumericColumn | CategoryColumn | None:
        """Give the column of that name, or None."""
        return next((c for c in self.columns if c.name == name), None)
