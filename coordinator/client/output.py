"""What the command prints: data on stdout, as a table or as JSON; everything else on stderr.

JSON keeps run ids as texts, since JSON readers keep integers exact to 2^53 only.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


class Form(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Rows for people: a heading per column, a text per cell."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str = "Nothing there."


def show(form: Form, *, data: Json, text: Sheet | str) -> None:
    """Print data on stdout: as one JSON document, or as a table or text."""
    if form is Form.JSON:
        write_json(data)
    elif isinstance(text, str):
        sys.stdout.write(_clean(text.rstrip("\n")) + "\n")
    else:
        _table(text)
    sys.stdout.flush()


def write_json(data: Json) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def say(text: str) -> None:
    """Print a line for people on stderr."""
    sys.stderr.write(_clean(text) + "\n")
    sys.stderr.flush()


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Give names and values as aligned lines; long values break behind the names."""
    listed = list(rows)
    width = max((len(name) for name, _ in listed), default=0)
    gap = "\n" + " " * (width + 2)
    return "\n".join(f"{name:<{width}}  {value.replace(chr(10), gap)}" for name, value in listed)


def _clean(text: str) -> str:
    """Give the text without control characters: what others wrote must not steer a terminal."""
    return "".join(c for c in text if c == "\n" or c.isprintable())


def _table(sheet: Sheet) -> None:
    if not sheet.rows:
        say(sheet.empty)
        return
    console = Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())
    if console.is_terminal:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in sheet.head:
            table.add_column(name, overflow="fold")
        for row in sheet.rows:
            table.add_row(*(Text(_clean(cell)) for cell in row))
        console.print(table)
        return
    lines = [[_clean(cell) for cell in line] for line in (sheet.head, *sheet.rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(sheet.head))]
    for line in lines:
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
