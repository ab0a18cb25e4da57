"""The steward's declaration file: what a dataset promises, and where its records lie.

One YAML file per dataset. Its fields follow the Frictionless Table Schema (`schema.fields`
with `name`, `type`, `constraints`, `missingValues`); the rest is ours. Reading a file opens no
records. Bounds and categories must be written down: nothing here looks at the data.

A field allows missing values exactly when it has a `missing_meaning`. Type `boolean` has the
categories `false` and `true`; the data may also write them `0` and `1`, or in capitals.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from models import documents, yaml_text
from models.errors import ConfigurationError, FieldProblem, InvalidDocumentError
from models.schema import (
    STRICT,
    Bilingual,
    CategoryColumn,
    Declaration,
    Finite,
    Level,
    Line,
    Missing,
    Name,
    NumericColumn,
    Sensitivity,
)
from models.yaml_text import YamlText
from node.sources import CsvSource, Origin, ParquetSource, Source, SqlSource

__all__ = ["CsvSource", "Dataset", "ParquetSource", "Source", "SqlSource", "load", "load_folder"]

BOOLEAN = ("false", "true")
"""The categories of a boolean column, in order."""

_PLAIN = {
    "Input should be a valid string": "must be a text: put it in quotes",
    "String should have at least": "is empty",
    "String should match pattern": "must be lower-case letters, digits and _, a letter first",
}
"""How pydantic says it, and how we do."""

_SUFFIXES = {".yaml", ".yml"}
_MEASURED = "is required: a public statement, never measured from the data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A declaration and its source. `file` is the declaration file's path.

    Relative paths of the source start at the folder of `file`.
    """

    declaration: Declaration
    source: Source
    file: str

    @property
    def origin(self) -> Origin:
        """Give where the records lie, without what they promise."""
        return Origin(source=self.source, file=self.file)


def load(path: Path) -> Dataset:
    """Give the dataset that a declaration file describes.

    Raises:
        ConfigurationError: the file cannot be read.
        InvalidDocumentError: it does not keep the format; every problem has its path and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        problem = FieldProblem(field="document", problem="is not UTF-8 text")
        raise InvalidDocumentError(str(path), (problem,)) from None
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read ({error.strerror})",
            hint="Check the name and the permissions of the declaration file.",
        ) from None
    document = yaml_text.parse(text, what=str(path))
    try:
        content = documents.read(_File, document.content, what=str(path))
        return _dataset(content, file=str(path))
    except InvalidDocumentError as error:
        # pydantic also counts what it could not read as absent: that is no second problem.
        real = (item for item in error.problems if not item.problem.startswith("Tuple should"))
        problems = tuple(_told(item, document) for item in tuple(real) or error.problems)
        raise InvalidDocumentError(str(path), problems) from None


def load_folder(folder: Path) -> tuple[Dataset, ...]:
    """Give the datasets of every `*.yaml` and `*.yml` in a folder, by file name.

    Raises:
        ConfigurationError: the folder cannot be read, or two files declare the same name.
        InvalidDocumentError: a file does not keep the format.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: cannot be read ({error.strerror})",
            hint="Make the folder and put one declaration file per dataset in it.",
        ) from None
    found: dict[str, Dataset] = {}
    for path in files:
        dataset = load(path)
        name = dataset.declaration.name
        if name in found:
            raise ConfigurationError(
                f"{path} and {found[name].file} both declare the dataset {name}",
                hint="Give each dataset a name of its own.",
            )
        found[name] = dataset
    return tuple(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Constraints:
    __pydantic_config__ = STRICT

    minimum: Annotated[Finite, Field(strict=True)] | None = None
    maximum: Annotated[Finite, Field(strict=True)] | None = None
    enum: Annotated[tuple[Level, ...], Field(max_length=500)] | None = None
    required: Annotated[bool, Field(strict=True)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """One column as the file writes it. `title` and `description` are for its readers alone."""

    __pydantic_config__ = STRICT

    name: Name
    type: Literal["integer", "number", "string", "boolean"] = "string"
    title: str = ""
    description: str = ""
    meaning: Bilingual
    missing_meaning: Bilingual | None = None
    missing_values: Annotated[
        tuple[str, ...] | None, Field(alias="missingValues", max_length=20)
    ] = None
    unit: Annotated[str, Field(max_length=40)] = ""
    edges: Annotated[tuple[Finite, ...], Field(max_length=200)] = ()
    constraints: _Constraints = _Constraints()
    sensitivity: Sensitivity = Sensitivity.PERSONAL


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schema:
    __pydantic_config__ = STRICT

    fields: Annotated[tuple[_Field, ...], Field(min_length=1, max_length=500)]
    missing_values: Annotated[tuple[str, ...], Field(alias="missingValues", max_length=20)] = ("",)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    __pydantic_config__ = STRICT

    name: Name
    title: Bilingual
    description: Bilingual
    steward: Line
    resident_id: Name
    secrecy: Line
    public: Annotated[bool, Field(strict=True)] = False
    source: Annotated[Source, Field(discriminator="kind")]
    schema: _Schema


def _told(problem: FieldProblem, document: YamlText) -> FieldProblem:
    """Give the problem with its line, and with its column named rather than numbered."""
    path = re.sub(r"^source\.(csv|parquet|sql)\b", "source", problem.field)
    line = document.line(path)
    text = next(
        (words for start, words in _PLAIN.items() if problem.problem.startswith(start)),
        problem.problem,
    )
    if match := re.match(r"schema\.fields\.(\d+)", path):
        try:
            name = document.content["schema"]["fields"][int(match[1])]["name"]  # type: ignore[index]
        except (KeyError, TypeError, IndexError):
            name = f"number {int(match[1]) + 1}"
        path = f"schema.fields.{name}{path[match.end() :]}"
    return FieldProblem(field=path, problem=text if line is None else f"{text} (line {line})")


def _dataset(content: _File, *, file: str) -> Dataset:
    problems: list[FieldProblem] = []
    columns: list[NumericColumn | CategoryColumn] = []
    for number, item in enumerate(content.schema.fields):
        found = _faults(item)
        if not found:
            try:
                columns.append(_column(item, content.schema.missing_values))
            except ValueError as error:
                found = [("", str(error))]
        path = f"schema.fields.{number}"
        problems += [FieldProblem(field=path + where, problem=text) for where, text in found]
    known = {content.resident_id, *(item.name for item in content.schema.fields)}
    problems += [
        FieldProblem(field=f"source.names.{name}", problem="is not a declared column")
        for name in content.source.names
        if name not in known
    ]
    if not problems:
        try:
            declaration = Declaration(
                name=content.name,
                title=content.title,
                description=content.description,
                steward=content.steward,
                resident_id=content.resident_id,
                secrecy=content.secrecy,
                public=content.public,
                columns=tuple(columns),
            )
        except ValueError as error:
            problems.append(FieldProblem(field="schema.fields", problem=str(error)))
        else:
            return Dataset(declaration=declaration, source=content.source, file=file)
    raise InvalidDocumentError(file, tuple(problems))


_BOUNDS = ("constraints.minimum", "constraints.maximum")
_NEEDED = {
    "integer": _BOUNDS,
    "number": _BOUNDS,
    "string": ("constraints.enum",),
    "boolean": (),
}
_ALLOWED = {
    "integer": (*_BOUNDS, "unit", "edges"),
    "number": (*_BOUNDS, "unit", "edges"),
    "string": ("constraints.enum",),
    "boolean": (),
}


def _faults(item: _Field) -> list[tuple[str, str]]:
    """List what the type of a field misses or does not know: (path within the field, text)."""
    limits = item.constraints
    given = {
        "constraints.minimum": limits.minimum is not None,
        "constraints.maximum": limits.maximum is not None,
        "constraints.enum": limits.enum is not None,
        "unit": item.unit != "",
        "edges": item.edges != (),
    }
    found = [(f".{path}", _MEASURED) for path in _NEEDED[item.type] if not given[path]]
    found += [
        (f".{path}", f"says nothing about type {item.type}")
        for path in given
        if given[path] and path not in _ALLOWED[item.type]
    ]
    meaningless = "needs missing_meaning: what it means that a value is missing"
    if item.missing_meaning is None:
        if limits.required is False:
            found.append((".constraints.required", meaningless))
        if item.missing_values is not None:
            found.append((".missingValues", meaningless))
    elif limits.required:
        found.append((".missing_meaning", "contradicts constraints.required"))
    return found


def _column(item: _Field, texts: tuple[str, ...]) -> NumericColumn | CategoryColumn:
    missing = None
    if item.missing_meaning is not None:
        own = texts if item.missing_values is None else item.missing_values
        missing = Missing(values=own, meaning=item.missing_meaning)
    limits = item.constraints
    if item.type in {"integer", "number"}:
        assert limits.minimum is not None  # noqa: S101 - _faults refused its absence
        assert limits.maximum is not None  # noqa: S101 - likewise
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
    categories = BOOLEAN if item.type == "boolean" else limits.enum or ()
    if len(categories) < 2:  # noqa: PLR2004 - one category says nothing
        raise ValueError("constraints.enum must name at least two categories")
    if missing is not None and set(missing.values) & set(categories):
        raise ValueError("a category must not also stand for a missing value")
    return CategoryColumn(
        name=item.name,
        type="boolean" if item.type == "boolean" else "string",
        meaning=item.meaning,
        categories=categories,
        missing=missing,
        sensitivity=item.sensitivity,
    )
