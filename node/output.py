"""What the node's command prints: data on stdout, as text or JSON; everything else on stderr."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import wraps
from typing import Annotated, ParamSpec

import typer

from models.errors import DatalabbetError

P = ParamSpec("P")
Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


class Form(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"


Output = Annotated[Form, typer.Option("--output", "-o", help="How data is printed on stdout.")]


def show(form: Form, *, data: Json, text: str) -> None:
    """Print data on stdout: one JSON document, or the text."""
    content = json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False)
    sys.stdout.write((content if form is Form.JSON else _plain(text.rstrip("\n"))) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Print lines for people on stderr; what could steer their terminal is left out."""
    sys.stderr.write(_plain(text) + "\n")
    sys.stderr.flush()


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> str:
    """Give rows as aligned lines under their headings, or the text for none."""
    if not rows:
        return empty
    lines = [head, *([" ".join(cell.split()) for cell in row] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Give names and values as aligned lines.

    A value of several lines stays in its column: it cannot pass for another name and value.
    """
    width = max((len(name) for name, _ in rows), default=0)
    between = "\n" + " " * (width + 2)
    return "\n".join(f"{name:<{width}}  {between.join(_lines(value))}" for name, value in rows)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()] or [""]


def _plain(text: str) -> str:
    return "".join(
        c if c.isprintable() or c == "\n" else " " if c.isspace() else "\ufffd" for c in text
    )


def report(error: DatalabbetError, form: Form) -> None:
    """Print an error: its text and hint on stderr, and with `--output json` on stdout too."""
    say(f"Error: {error.message}")
    if error.hint:
        say(f"Hint: {error.hint}")
    if form is Form.JSON:
        told = {"code": error.code, "message": error.message, "hint": error.hint}
        show(form, data={"error": told}, text="")


def ending(command: Callable[P, None]) -> Callable[P, None]:
    """Make a command with an `output` option end with our exit codes rather than a traceback."""

    @wraps(command)
    def ended(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except DatalabbetError as error:
            given = kwargs.get("output")
            report(error, given if isinstance(given, Form) else Form.TABLE)
            raise typer.Exit(error.exit_code) from None

    return ended
