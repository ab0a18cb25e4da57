"""What `data check` found, as data and as text: where something is the matter, never a value."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from node.output import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One problem: file, column (empty where it is the whole row), row from 1, and what."""

    file: str
    column: str
    row: int
    problem: str

    def __str__(self) -> str:
        """Give `file, column c, row n: problem`."""
        column = f", column {self.column}" if self.column else ""
        return f"{self.file}{column}, row {self.row}: {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """How many rows of a file have a problem in a column."""

    file: str
    column: str
    problem: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something odd that keeps no row from being read.

    Attributes:
        file: where; of several files, the one that holds the row.
        column: empty where it is the file as a whole.
        row: from 1; None where it is the column or the file as a whole.
        note: what, in the same words for the same thing.
        detail: which category or period, as the declaration has it, which other file, or how
            many rows of which other table; else empty.
    """

    file: str
    column: str
    row: int | None
    note: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteTotal:
    """How many times a file has a note in a column."""

    file: str
    column: str
    note: str
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What a check found.

    Attributes:
        file: the source, or a pattern for its files.
        files: those that were read, where the source is text files.
        rows: read, usable or not.
        usable: without any problem: what a study of all columns would read.
        residents: different residents among the usable rows.
        violations: by file and row, the first ones of each problem of a column; `totals` counts
            them all.
        notes: what is odd and read all the same, likewise; `note_totals` counts them all.
    """

    file: str
    files: tuple[str, ...]
    rows: int
    usable: int
    residents: int
    violations: tuple[Violation, ...]
    totals: tuple[Total, ...]
    notes: tuple[Noted, ...]
    note_totals: tuple[NoteTotal, ...]

    @property
    def clean(self) -> bool:
        """Tell whether every row keeps the declaration. Notes do not count."""
        return not self.totals


def as_data(name: str, report: CheckReport) -> dict[str, Json]:
    """Give a report as JSON has it."""
    return {"dataset": name, "clean": report.clean, **asdict(report)}


def as_text(name: str, report: CheckReport) -> str:
    """Give a report as lines: per file its problems and then its notes, each with its rows."""
    lines = [
        f"{name}: {report.rows} rows read, {report.usable} usable, {report.residents} residents"
    ]
    if len(report.files) > 1:
        names = ", ".join(Path(file).name for file in report.files)
        lines.append(f"  {len(report.files)} files read: {names}")
    files = {total.file for total in report.totals} | {item.file for item in report.note_totals}
    for file in sorted(files):
        lines.append(f"  {file}")
        lines += (f"    {line}" for line in (*_problems(report, file), *_notes(report, file)))
    return "\n".join(lines)


def _problems(report: CheckReport, file: str) -> Iterator[str]:
    for total in report.totals:
        if total.file == file:
            rows = [
                str(item.row)
                for item in report.violations
                if (item.file, item.column, item.problem) == (file, total.column, total.problem)
            ]
            where = f"column {total.column}" if total.column else "whole row"
            unit = "row" if total.rows == 1 else "rows"
            yield f"{where}: {total.problem}: {total.rows} {unit}{_listed(total.rows, rows)}"


def _notes(report: CheckReport, file: str) -> Iterator[str]:
    for total in report.note_totals:
        if total.file == file:
            places = [
                place
                for item in report.notes
                if (place := item.detail if item.row is None else str(item.row))
                and (item.file, item.column, item.note) == (file, total.column, total.note)
            ]
            where = f"note, column {total.column}" if total.column else "note"
            counted = f": {total.times}" if total.column else ""
            yield f"{where}: {total.note}{counted}{_listed(total.times, places)}"


def _listed(count: int, places: Sequence[str]) -> str:
    """Give ` (4, 8, 9)`, with the number of places that are not listed."""
    if not places:
        return ""
    more = f" and {count - len(places)} more" if count > len(places) else ""
    separator = ", " if all(place.isdecimal() for place in places) else "; "
    return f" ({separator.join(places)}{more})"
