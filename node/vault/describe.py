"""A draft declaration from a source's heading, for a steward to fill in.

Types are guessed from the first rows. Bounds, categories and meanings stay empty on purpose:
they are public statements, and a bound measured from the data would be a fact about someone.
The draft holds no value of any record.

A column whose cells are personal numbers names residents: the first one becomes `resident_id`.
"""

import itertools
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from models.errors import DataContractError
from models.linkage.identity import Identity, read
from node.fields import ISO
from node.sources import CsvSource, Origin, ParquetSource, Stored
from node.vault import csv_files, databases, parquet_files
from node.vault.cells import as_texts
from node.vault.days import is_day
from node.vault.parsing import chunks

_LOOKED_AT = 1000

_GUESSES = (
    ("boolean", r"(?i)true|false"),
    ("yearmonth", r"[0-9]{4}-(0[1-9]|1[0-2])"),
    ("integer", r"[+-]?[0-9]+"),
    ("number", r"[+-]?([0-9]+[.,]?[0-9]*|[.,][0-9]+)([eE][+-]?[0-9]+)?"),
)


_FORMATS = (ISO, "%Y%m%d", "%d/%m/%Y", "%d.%m.%Y")
_MISTYPED = 0.5
"""Of the cells of a column of personal numbers, fewer are wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    name: str
    heading: str
    type: str
    format: str
    gaps: bool


def describe(source: Stored, *, name: str, folder: Path) -> str:
    """Give the YAML of a draft declaration.

    The steward fills in every empty place; `node.datasets.load` refuses the file until then and
    names each place.

    Args:
        source: where the records lie; relative paths start at `folder`.
        name: of the dataset.
        folder: where the declaration file will lie.

    Raises:
        DataContractError: the source cannot be read, or has no heading.
    """
    bare = replace(source, names={})
    origin = Origin(source=bare, file=str(folder / f"{name}.yaml"))
    found = _columns(origin, bare)
    if not found:
        raise DataContractError(
            f"{origin.place}: no column can be declared", hint="Check that this is the source."
        )
    return _draft(found, source=source, name=name)


def _columns(origin: Origin, source: Stored) -> list[_Found]:
    headings = _headings(origin, source)
    if any(re.fullmatch(r"[-+0-9.,\s]*", heading) for heading in headings):
        # The first line of a file without a heading is somebody's record.
        raise DataContractError(
            f"{origin.place}: the first line does not look like a heading",
            hint="The first line must name every column.",
        )
    if len(set(headings)) < len(headings):  # not named: it might be a record after all
        raise DataContractError(
            f"{origin.place}: two columns have the same heading",
            hint="Give every column a heading of its own.",
        )
    first = next(chunks(origin, source, headings, batch_rows=_LOOKED_AT), None)
    taken: set[str] = set()
    found = []
    for heading in headings:
        texts = as_texts(first.cells[heading].values).to_pylist() if first else []
        cells = [(text or "").strip() for text in texts]
        name = _name(heading, taken)
        taken.add(name)
        kind, form = _guess([cell for cell in cells if cell])
        found.append(_Found(name=name, heading=heading, type=kind, format=form, gaps="" in cells))
    return found


def _headings(origin: Origin, source: Stored) -> list[str]:
    if isinstance(source, CsvSource):
        first = csv_files.files(origin, source)[0]
        return [text.strip() for text in csv_files.headings(first)[0]]
    if isinstance(source, ParquetSource):
        with parquet_files.open_file(origin, source) as file:
            schema = file.schema_arrow
            return [item.name for item in schema if parquet_files.readable(item.type)]
    with databases.cursor(origin, source) as opened:
        return databases.headings(opened)


def _guess(cells: Sequence[str]) -> tuple[str, str]:
    """Give the type, and of days the format, that fits the cells with a text."""
    if not cells:
        return "string", ""
    numbers = sum(isinstance(read(cell, extracted=date.max), Identity) for cell in cells)
    if numbers > _MISTYPED * len(cells):
        return "resident", ""
    for form in _FORMATS:
        if all(is_day(cell, form=form) for cell in cells):
            return "date", form
    for kind, pattern in _GUESSES:
        if all(re.fullmatch(pattern, cell) for cell in cells):
            return kind, ""
    return "string", ""


def _name(heading: str, taken: set[str]) -> str:
    """Give a lower-case ASCII name like the heading, which no other column has."""
    plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:50]
    base = base if re.match(r"[a-z]", base) else f"c_{base}".rstrip("_")
    numbered = (f"{base}_{number}" for number in itertools.count(2))
    return next(name for name in itertools.chain((base,), numbered) if name not in taken)


def _draft(found: Sequence[_Found], *, source: Stored, name: str) -> str:
    names = {item.name: item.heading for item in found if item.name != item.heading}
    resident = next((item for item in found if item.type == "resident"), None)
    others = [item for item in found if item is not resident]
    return _HEAD.format(
        name=name,
        resident=_NO_RESIDENT if resident is None else _RESIDENT.format(name=resident.name),
        source=_source(replace(source, names=names)),
        fields="".join(map(_field, others)),
    )


def _source(source: Stored) -> str:
    lines = []
    for key in source.__dataclass_fields__:
        value = getattr(source, key)
        if value not in (None, {}):
            lines.append(f"  {key}: {json.dumps(value, ensure_ascii=False)}\n")
    return "".join(lines)


def _field(item: _Found) -> str:
    limits = {
        "integer": "{minimum: , maximum: }  # closed bounds, known without the data",
        "number": "{minimum: , maximum: }  # closed bounds, known without the data",
        "string": "{enum: []}  # every category, in quotes, known without the data",
        "date": "{minimum: , maximum: }  # closed bounds, YYYY-MM-DD, known without the data",
        "yearmonth": "{minimum: , maximum: }  # closed bounds, YYYY-MM, known without the data",
    }.get(item.type, "")
    text = f'    - name: {item.name}\n      type: {item.type}\n      meaning: {{sv: "", en: ""}}\n'
    if item.format not in {"", ISO}:
        text += f'      format: "{item.format}"\n'
    if item.gaps:
        text += '      missing_meaning: {sv: "", en: ""}  # some cells are empty\n'
    return f"{text}      constraints: {limits}\n" if limits else text


_NO_RESIDENT = """\
resident_id: ""  # the column that tells whose row it is; delete its field below
"""
_RESIDENT = """\
resident_id: {name}  # it looks like personal numbers
resident_id_form: personnummer
extracted: ""  # the day on which the records were taken out, YYYY-MM-DD
"""
_HEAD = """\
# Draft declaration. Fill in every empty place, and delete the fields that no study needs.
# Bounds and categories are public statements: write what can occur, never what the data has.
name: {name}
title: {{sv: "", en: ""}}
description: {{sv: "", en: ""}}
steward: ""
{resident}secrecy: ""  # chapter and section of the secrecy act, or why none applies
public: false
source:
{source}schema:
  missingValues: [""]
  fields:
{fields}"""
