"""What a declaration file promises of a dataset besides its columns.

Which periods have rows; that a dataset is the register, the dated list of residents that the
others are linked to; and how rows whose number is not in the register are led to a resident.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator

from models.errors import FieldProblem
from models.schema import (
    STRICT,
    CategoryColumn,
    Column,
    DateColumn,
    Declaration,
    KeyColumn,
    Name,
    NumericColumn,
)

Columns = Mapping[str, Column]


def day(text: object) -> date:
    """Give the day that `YYYY-MM-DD` says.

    Raises:
        ValueError: it is not written so, or does not exist.
    """
    if isinstance(text, date):
        return text
    try:
        if isinstance(text, str) and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError("must be a day, YYYY-MM-DD")


Day = Annotated[date, PlainValidator(day)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """A promise that no period is without rows.

    Attributes:
        period: a column of months or days (every month of its bounds has rows) or of whole
            numbers such as years (every one has).
        by: a column with categories; each of them then has rows in every period.
    """

    __pydantic_config__ = STRICT

    period: Name
    by: Name | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPromise:
    """That a dataset is the node's register: one row per resident on a day.

    Attributes:
        date: the day on which the list was true.
        household: a column of type `key` that those of one household share.
        protected: a `boolean` column: who has a protected identity. Missing counts as true.
    """

    __pydantic_config__ = STRICT

    date: Day
    household: Name | None = None
    protected: Name | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aliases:
    """A dataset that says whose a temporary or replaced number is: in `column`, of type `key`.

    Its own `resident_id` holds the number that counts now.
    """

    __pydantic_config__ = STRICT

    dataset: Name
    column: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A column of the register that another one is compared with.

    Attributes:
        column: its name.
        words: what the other column says, and what the register says for it. Empty: the same.
            With words, a value that has none says nothing.
    """

    __pydantic_config__ = STRICT

    column: Name
    words: Annotated[Mapping[str, str], Field(max_length=500)] = field(default_factory=dict)

    def word(self, value: str | None) -> str | None:
        """Give the register's word for a value, or None where nothing is said."""
        return self.words.get(value or "") if self.words else value


def _compared(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Linkage:
    """How rows of a dataset are led to residents of the register.

    Attributes:
        aliases: where temporary and replaced numbers are translated.
        compare: columns of the dataset, each with the register's column that says the same.
    """

    __pydantic_config__ = STRICT

    aliases: Aliases | None = None
    compare: Annotated[
        Mapping[Name, Annotated[Compared, BeforeValidator(_compared)]], Field(max_length=20)
    ] = field(default_factory=dict)


def faults_of_key(key: Sequence[str], columns: Columns, *, resident_id: str) -> list[FieldProblem]:
    """List what the primary key says about columns that cannot keep it."""
    found = []
    for number, name in enumerate(key):
        path = f"schema.primaryKey.{number}"
        if name not in columns and name != resident_id:
            found.append(FieldProblem(field=path, problem=f"{name} is not a declared column"))
        elif name in columns and columns[name].missing is not None:
            text = f"{name} may be missing, and a key must be whole"
            found.append(FieldProblem(field=path, problem=text))
    return found


def faults_of_coverage(coverage: Sequence[Coverage], columns: Columns) -> list[FieldProblem]:
    """List what coverage says about columns that cannot keep it."""
    found = []
    for number, item in enumerate(coverage):
        period = columns.get(item.period)
        if not isinstance(period, DateColumn | NumericColumn) or period.type == "number":
            text = f"{item.period} is not a column of dates, months or whole numbers"
            found.append(FieldProblem(field=f"coverage.{number}.period", problem=text))
        if item.by is not None and not isinstance(columns.get(item.by), CategoryColumn):
            text = f"{item.by} is not a column with categories"
            found.append(FieldProblem(field=f"coverage.{number}.by", problem=text))
    return found


def faults_of_register(promise: RegisterPromise, columns: Columns) -> list[FieldProblem]:
    """List what the register says about columns that cannot keep it."""
    wanted = {"household": (promise.household, "key"), "protected": (promise.protected, "boolean")}
    return [
        FieldProblem(
            field=f"register.{what}", problem=f"{name} is not a declared column of type {kind}"
        )
        for what, (name, kind) in wanted.items()
        if name is not None and (name not in columns or columns[name].type != kind)
    ]


def faults_of_linkage(linkage: Linkage, columns: Columns) -> list[FieldProblem]:
    """List the compared columns of a dataset that cannot be compared."""
    return [
        FieldProblem(
            field=f"linkage.compare.{name}",
            problem="is not a declared column of numbers or categories",
        )
        for name in linkage.compare
        if not isinstance(columns.get(name), CategoryColumn | NumericColumn)
    ]


def faults_in_folder(
    linkage: Linkage, *, register: Declaration | None, aliases: Declaration | None
) -> list[FieldProblem]:
    """List what a linkage asks of the folder's other datasets that they do not have.

    Args:
        linkage: what a dataset declares.
        register: the folder's register, if it has one.
        aliases: the dataset that the linkage names, if the folder has it.
    """
    found = []
    if register is not None:
        found += [
            FieldProblem(
                field=f"linkage.compare.{own}",
                problem=f"{other.column} is not a column of numbers or categories of "
                f"{register.name}",
            )
            for own, other in linkage.compare.items()
            if not isinstance(register.column(other.column), CategoryColumn | NumericColumn)
        ]
    if linkage.aliases is not None:
        named = linkage.aliases
        path, text = "", ""
        if aliases is None:
            path, text = "dataset", f"{named.dataset} is not declared in this folder"
        elif not _is_key(aliases.column(named.column)):
            path, text = "column", f"{named.column} is not a column of type key of {named.dataset}"
        if text:
            found.append(FieldProblem(field=f"linkage.aliases.{path}", problem=text))
    return found


def _is_key(column: Column | None) -> bool:
    return isinstance(column, KeyColumn) and column.type == "key"
