"""A draft declaration from a source's heading, for a steward to fill in.

Types are guessed from the first rows. Bounds, categories and meanings stay empty on purpose:
they are public statements, and a bound measured from the data would be a fact about someone.
The draft holds no value of any record.
"""

import itertools
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.errors import DataContractError
from node.sources import CsvSource, Origin, ParquetSource, Source
from node.vault import csv_files, databases, parquet_files
from node.vault.cells import as_texts
from node.vault.parsing import chunks

_LOOKED_AT = 1000

_GUESSES = (
    ("boolean", r"(?i)true|false"),
    ("integer", r"[+-]?[0-9]+"),
    ("number", r"[+-]?([0-9]+[.,]?[0-9]*|[.,][0-9]+)([eE][+-]?[0-9]+)?"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    name: str
    heading: str
    type: str
    gaps: bool


def describe(source: Source, *, name: str, folder: Path) -> str:
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
    origin = Origin(source=replace(source, names={}), file=str(folder / f"{name}.yaml"))
    found = _columns(origin)
    if not found:
        raise DataContractError(
            f"{origin.place}: no column can be declared", hint="Check that this is the source."
        )
    return _draft(found, source=source, name=name)


def _columns(origin: Origin) -> list[_Found]:
    headings = _headings(origin)
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
    first = next(chunks(origin, headings, batch_rows=_LOOKED_AT), None)
    taken: set[str] = set()
    found = []
    for heading in headings:
        texts = as_texts(first.cells[heading].values).to_pylist() if first else []
        cells = [(text or "").strip() for text in texts]
        name = _name(heading, taken)
        taken.add(name)
        found.append(_Found(name=name, heading=heading, type=_guess(cells), gaps="" in cells))
    return found


def _headings(origin: Origin) -> list[str]:
    source = origin.source
    if isinstance(source, CsvSource):
        return [text.strip() for text in csv_files.headings(origin, source)[0]]
    if isinstance(source, ParquetSource):
        with parquet_files.open_file(origin, source) as file:
            schema = file.schema_arrow
            return [item.name for item in schema if parquet_files.readable(item.type)]
    with databases.cursor(origin, source) as opened:
        return databases.headings(opened)


def _guess(cells: Sequence[str]) -> str:
    filled = [cell for cell in cells if cell]
    for kind, pattern in _GUESSES:
        if filled and all(re.fullmatch(pattern, cell) for cell in filled):
            return kind
    return "string"


def _name(heading: str, taken: set[str]) -> str:
    """Give a lower-case ASCII name like the heading, which no other column has."""
    plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:50]
    base = base if re.match(r"[a-z]", base) else f"c_{base}".rstrip("_")
    numbered = (f"{base}_{number}" for number in itertools.count(2))
    return next(name for name in itertools.chain((base,), numbered) if name not in taken)


def _draft(found: Sequence[_Found], *, source: Source, name: str) -> str:
    names = {item.name: item.heading for item in found if item.name != item.heading}
    return _HEAD.format(
        name=name, source=_source(replace(source, names=names)), fields="".join(map(_field, found))
    )


def _source(source: Source) -> str:
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
        "boolean": "",
    }[item.type]
    text = f'    - name: {item.name}\n      type: {item.type}\n      meaning: {{sv: "", en: ""}}\n'
    if item.gaps:
        text += '      missing_meaning: {sv: "", en: ""}  # some cells are empty\n'
    return f"{text}      constraints: {limits}\n" if limits else text


_HEAD = """\
# Draft declaration. Fill in every empty place, and delete the fields that no study needs.
# Bounds and categories are public statements: write what can occur, never what the data has.
name: {name}
title: {{sv: "", en: ""}}
description: {{sv: "", en: ""}}
steward: ""
resident_id: ""  # the column that tells whose row it is; delete its field below
secrecy: ""  # chapter and section of the secrecy act, or why none applies
public: false
source:
{source}schema:
  missingValues: [""]
  fields:
{fields}"""
