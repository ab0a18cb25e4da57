"""The steward's declaration file: what a dataset promises, and where its records lie.

One YAML file per dataset. Its fields follow the Frictionless Table Schema (`schema.fields`
with `name`, `type`, `constraints`, `missingValues`; `schema.primaryKey`); the rest is ours.
Reading a file opens no records. Bounds and categories must be written down: nothing here looks
at the data.

What other departments need to know is the `Declaration`, which is published. How this department
writes its dates, numbers and categories stays with the `Dataset`.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field

from models import documents, yaml_text
from models.errors import ConfigurationError, FieldProblem, InvalidDocumentError
from models.linkage.identity import Admission
from models.schema import (
    STRICT,
    Bilingual,
    Column,
    Declaration,
    Line,
    Name,
)
from models.yaml_text import YamlText
from node import fields, promises
from node.fields import ColumnField
from node.promises import Coverage, Linkage, RegisterPromise, day
from node.sources import CsvSource, DerivedSource, Origin, ParquetSource, Source, SqlSource

__all__ = [
    "Coverage",
    "CsvSource",
    "Dataset",
    "DerivedSource",
    "IdentityForm",
    "ParquetSource",
    "Source",
    "SqlSource",
    "load",
    "load_folder",
]

_PLAIN = {
    "Input should be a valid string": "must be a text: put it in quotes",
    "String should have at least": "is empty",
    "String should match pattern": "must be lower-case letters, digits and _, a letter first",
}
"""How pydantic says it, and how we do."""

_SUFFIXES = {".yaml", ".yml"}
_PRODUCTION = Admission()


class IdentityForm(enum.StrEnum):
    """How residents are named: in columns `resident_id` and of type `resident`."""

    PERSONNUMMER = "personnummer"
    OPAQUE = "opaque"  # any texts that are equal for the same resident


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A declaration, its source, and how its records are read.

    Attributes:
        file: the declaration file's path; relative paths of the source start at its folder.
        key: of rows that agree in these columns, the last one counts. Empty: every row does.
        coverage: which periods have rows.
        register: that it is the register of its folder.
        linkage: how its rows are led to residents of the register.
        identity_form: how residents are named.
        extracted: the day on which the records were taken out.
        formats: how days are written, by column; ISO where it says nothing.
        spellings: by column, what else stands for a category, and for which.
        admission: which personal numbers the node takes.
        tables: the datasets that a derived one is made from, in the order of its source.
        residents: the register of its folder, unless it is that itself.
        aliases: the dataset that `linkage` names for temporary and replaced numbers.
    """

    declaration: Declaration
    source: Source
    file: str
    key: tuple[str, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    register: RegisterPromise | None = None
    linkage: Linkage | None = None
    identity_form: IdentityForm = IdentityForm.OPAQUE
    extracted: date | None = None
    formats: Mapping[str, str] = field(default_factory=dict)
    spellings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    admission: Admission = _PRODUCTION
    tables: tuple["Dataset", ...] = ()
    residents: "Dataset | None" = None
    aliases: "Dataset | None" = None

    @property
    def origin(self) -> Origin:
        """Give where the records lie, without what they promise."""
        return Origin(source=self.source, file=self.file)


def load(path: Path, *, admission: Admission = _PRODUCTION) -> Dataset:
    """Give the dataset that a declaration file describes.

    Its register, and the tables that it is derived from or that `linkage` names, are looked for
    in the file's folder.

    Raises:
        ConfigurationError: the file cannot be read.
        InvalidDocumentError: it does not keep the format; every problem has its path and line.
    """
    found = _read(path, admission)
    if not isinstance(found.dataset.source, DerivedSource) and found.dataset.linkage is None:
        return found.dataset
    return _with_others(found, _read_folder(path.parent, admission))


def load_folder(folder: Path, *, admission: Admission = _PRODUCTION) -> tuple[Dataset, ...]:
    """Give the datasets of every `*.yaml` and `*.yml` in a folder, by file name.

    Raises:
        ConfigurationError: the folder cannot be read, or two files declare the same name, or each
            a register.
        InvalidDocumentError: a file does not keep the format.
    """
    found = _read_folder(folder, admission)
    return tuple(_with_others(item, found) for item in found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    dataset: Dataset
    document: YamlText


def _read_folder(folder: Path, admission: Admission) -> dict[str, _Read]:
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: cannot be read ({error.strerror})",
            hint="Make the folder and put one declaration file per dataset in it.",
        ) from None
    found: dict[str, _Read] = {}
    for path in files:
        item = _read(path, admission)
        name = item.dataset.declaration.name
        if name in found:
            raise ConfigurationError(
                f"{path} and {found[name].dataset.file} both declare the dataset {name}",
                hint="Give each dataset a name of its own.",
            )
        found[name] = item
    return found


def _with_others(item: _Read, folder: Mapping[str, _Read]) -> Dataset:
    """Give a dataset with those of its folder that it stands on."""
    dataset = item.dataset
    register = _register(folder)
    if isinstance(dataset.source, DerivedSource):
        problems = _faults_of_tables(dataset, dataset.source, folder)
        if problems:
            raise item.document.invalid(problems)
        tables = tuple(_with_others(folder[name], folder) for name in dataset.source.tables)
        return replace(dataset, tables=tables, residents=register)
    named = dataset.linkage.aliases if dataset.linkage is not None else None
    aliases = folder[named.dataset].dataset if named and named.dataset in folder else None
    if dataset.linkage is not None:
        problems = promises.faults_in_folder(
            dataset.linkage,
            register=None if register is None else register.declaration,
            aliases=None if aliases is None else aliases.declaration,
        )
        if problems:
            raise item.document.invalid(problems)
    return replace(
        dataset, residents=None if dataset.register is not None else register, aliases=aliases
    )


def _register(folder: Mapping[str, _Read]) -> Dataset | None:
    found = [item.dataset for item in folder.values() if item.dataset.register is not None]
    if len(found) > 1:
        raise ConfigurationError(
            f"{found[0].file} and {found[1].file} both declare a register",
            hint="A folder has one register. Take `register` out of the other declaration.",
        )
    return found[0] if found else None


def _faults_of_tables(
    dataset: Dataset, source: DerivedSource, folder: Mapping[str, _Read]
) -> list[FieldProblem]:
    problems = []
    for number, name in enumerate(source.tables):
        text = ""
        if name not in folder:
            text = f"{name} is not declared in this folder"
        elif isinstance(folder[name].dataset.source, DerivedSource):
            text = f"{name} is derived itself: name the tables that it is made from"
        elif dataset.declaration.public and not folder[name].dataset.declaration.public:
            text = f"{name} is not public, and what is made from it cannot be"
        if text:
            problems.append(FieldProblem(field=f"source.tables.{number}", problem=text))
    return problems


def _read(path: Path, admission: Admission) -> _Read:
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
        dataset = _dataset(content, file=str(path))
    except InvalidDocumentError as error:
        # pydantic also counts what it could not read as absent: that is no second problem.
        real = (item for item in error.problems if not item.problem.startswith("Tuple should"))
        problems = tuple(_told(item, document) for item in tuple(real) or error.problems)
        raise InvalidDocumentError(str(path), problems) from None
    return _Read(dataset=replace(dataset, admission=admission), document=document)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schema:
    __pydantic_config__ = STRICT

    fields: Annotated[tuple[ColumnField, ...], Field(min_length=1, max_length=500)]
    missing_values: Annotated[tuple[str, ...], Field(alias="missingValues", max_length=20)] = ("",)
    primary_key: Annotated[tuple[Name, ...], Field(alias="primaryKey", max_length=20)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    __pydantic_config__ = STRICT

    name: Name
    title: Bilingual
    description: Bilingual
    steward: Line
    resident_id: Name
    resident_id_form: IdentityForm = IdentityForm.OPAQUE
    extracted: Annotated[str, Field(max_length=10)] | None = None
    secrecy: Line
    public: Annotated[bool, Field(strict=True)] = False
    source: Annotated[Source, Field(discriminator="kind")]
    coverage: Annotated[tuple[Coverage, ...], Field(max_length=20)] = ()
    register: RegisterPromise | None = None
    linkage: Linkage | None = None
    schema: _Schema


def _told(problem: FieldProblem, document: YamlText) -> FieldProblem:
    """Give the problem with its line, and with its column named rather than numbered."""
    path = re.sub(r"^source\.(csv|parquet|sql|derived)\b", "source", problem.field)
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
    columns, problems = _columns(content.schema)
    extracted, found = _extracted(content.extracted)
    problems += found
    known = {content.resident_id, *(item.name for item in content.schema.fields)}
    problems += [
        FieldProblem(field=f"source.names.{name}", problem="is not a declared column")
        for name in content.source.names
        if name not in known
    ]
    if not problems:
        problems += _promises(content, columns)
    if problems:
        raise InvalidDocumentError(file, tuple(problems))
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
        problem = FieldProblem(field="schema.fields", problem=str(error))
        raise InvalidDocumentError(file, (problem,)) from None
    items = content.schema.fields
    return Dataset(
        declaration=declaration,
        source=content.source,
        file=file,
        key=content.schema.primary_key,
        coverage=content.coverage,
        register=content.register,
        linkage=content.linkage,
        identity_form=content.resident_id_form,
        extracted=extracted,
        formats={item.name: item.format for item in items if item.format},
        spellings={item.name: item.spellings for item in items if item.spellings},
    )


def _columns(schema: _Schema) -> tuple[list[Column], list[FieldProblem]]:
    columns: list[Column] = []
    problems: list[FieldProblem] = []
    for number, item in enumerate(schema.fields):
        found = fields.faults(item)
        if not found:
            try:
                columns.append(fields.column(item, schema.missing_values))
            except ValueError as error:
                found = [("", str(error))]
        path = f"schema.fields.{number}"
        problems += [FieldProblem(field=path + where, problem=text) for where, text in found]
    return columns, problems


def _extracted(text: str | None) -> tuple[date | None, list[FieldProblem]]:
    try:
        return None if text is None else day(text), []
    except ValueError as error:
        return None, [FieldProblem(field="extracted", problem=str(error))]


def _promises(content: _File, columns: list[Column]) -> list[FieldProblem]:
    """List what key, coverage, register and linkage say about columns that cannot keep it."""
    own = {column.name: column for column in columns}
    found = promises.faults_of_key(content.schema.primary_key, own, resident_id=content.resident_id)
    found += promises.faults_of_coverage(content.coverage, own)
    if content.linkage is not None:
        found += promises.faults_of_linkage(content.linkage, own)
    if content.register is not None:
        found += promises.faults_of_register(content.register, own)
        if isinstance(content.source, DerivedSource) or content.linkage is not None:
            text = "a register is neither derived nor linked to another"
            found.append(FieldProblem(field="register", problem=text))
    return found
