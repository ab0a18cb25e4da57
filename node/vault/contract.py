"""Holding the data against its declaration: what is wrong and where, never the value."""

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from node.check_report import CheckReport, Noted, NoteTotal, Total, Violation
from node.datasets import CsvSource, Dataset
from node.vault import csv_files
from node.vault.cells import FINE, NOTES, PROBLEMS, Problem
from node.vault.coverage import SMALL, Gaps, SmallGroups
from node.vault.linking import Linker
from node.vault.parsing import Parsed, as_written, parsed

_BATCH = 4096

MISSING = "missing, as the declaration allows"
NO_ROWS = "no rows for a declared period"
COPY = "is the same, byte for byte, as another file of the source"
LEFT_OUT = "rows with a problem were left out of a table that this one is made from"
FEW_RESIDENTS = f"a category with fewer than {SMALL} residents"


def check(dataset: Dataset, *, limit: int = 1000) -> CheckReport:
    """Read every row of a dataset and report what breaks its declaration.

    A derived dataset is made for the purpose, from tables whose ids are mended as for a study, and
    its result checked. In other datasets a number with a fault is a problem, mended or not.

    Args:
        dataset: what to check.
        limit: the most rows to list of each problem, and of each note, of a column of a file.

    Raises:
        DataContractError: the source cannot be read at all.
    """
    problems, notes = _Tally(limit), _Tally(limit)
    gaps, groups = Gaps(dataset), SmallGroups(dataset)
    residents = _Residents()
    source = dataset.source
    files = csv_files.files(dataset.origin, source) if isinstance(source, CsvSource) else ()
    rows = usable = 0
    mends = Linker().mends if dataset.tables else as_written
    for part in parsed(dataset, dataset.declaration.columns, batch_rows=_BATCH, mends=mends):
        good = part.usable()
        rows += len(good) + len(part.ragged)
        usable += int(good.sum())
        residents.add(part.residents.values[good])
        gaps.add(part)
        groups.add(part, usable=good)
        _add(problems, notes, part, name=dataset.declaration.resident_id)
    for copy, other in csv_files.copies(files):
        notes.add((copy.origin.place, "", COPY), details=[other.path.name])
    place = dataset.origin.place
    for note, found in ((NO_ROWS, gaps.findings()), (FEW_RESIDENTS, groups.findings())):
        for item in found:
            notes.add((place, item.column, note), details=[item.detail])
    return CheckReport(
        file=place,
        files=tuple(file.origin.place for file in files),
        rows=rows,
        usable=usable,
        residents=residents.count(),
        violations=tuple(
            Violation(file=file, column=column, row=row or 0, problem=problem)
            for (file, column, problem), row, _ in problems.listed()
        ),
        totals=tuple(
            Total(file=file, column=column, problem=problem, rows=count)
            for (file, column, problem), count in problems.counts.most_common()
        ),
        notes=tuple(
            Noted(file=file, column=column, row=row, note=note, detail=detail)
            for (file, column, note), row, detail in notes.listed()
        ),
        note_totals=tuple(
            NoteTotal(file=file, column=column, note=note, times=count)
            for (file, column, note), count in notes.counts.most_common()
        ),
    )


_Where = tuple[str, str, str]
"""File, column, and what is the matter."""


class _Tally:
    """Counts what is found where, and keeps the first places of each."""

    def __init__(self, limit: int) -> None:
        self.counts: Counter[_Where] = Counter()
        self._limit = limit
        self._first: dict[_Where, list[tuple[int | None, str]]] = {}

    def add(
        self, where: _Where, *, rows: Iterable[int] | None = None, details: Sequence[str] = ()
    ) -> None:
        """Note rows, or details of the column or file as a whole."""
        found = [(None, text) for text in details] if rows is None else [(row, "") for row in rows]
        self.counts[where] += len(found)
        first = self._first.setdefault(where, [])
        first += found[: self._limit - len(first)]

    def listed(self) -> Iterator[tuple[_Where, int | None, str]]:
        """Give the first places, by file and then by row; what has no row comes last."""
        files = {where[0]: None for where in self._first}
        for file in files:
            own = [
                (where, row, detail)
                for where, first in self._first.items()
                for row, detail in first
                if where[0] == file
            ]
            yield from sorted(own, key=lambda item: (item[1] is None, item[1] or 0))


def _add(problems: _Tally, notes: _Tally, part: Parsed, *, name: str) -> None:
    """Note what a stretch of rows has."""
    if part.ragged:
        problems.add((part.file, "", Problem.RAGGED), rows=part.ragged)
    for remark in part.remarks:
        notes.add((part.file, "", remark.value), details=[""])
    if lost := [f"{count} of {table}" for table, count in part.left_out.items() if count]:
        notes.add((part.file, "", LEFT_OUT), details=lost)
    _add_rows(problems, part, column="", codes=part.superseded, words=PROBLEMS)
    for column, held in {name: part.residents, **part.columns}.items():
        _add_rows(problems, part, column=column, codes=held.problems, words=PROBLEMS)
        # Of a cell that is left out there is more to say than how it is written.
        odd = np.where(held.problems == FINE, held.notes, FINE)
        _add_rows(notes, part, column=column, codes=odd, words=NOTES)
    for column, held in part.columns.items():
        if (missing := part.rows[held.missing()]).size:
            notes.add((part.file, column, MISSING), rows=missing.tolist())


def _add_rows(
    tally: _Tally,
    part: Parsed,
    *,
    column: str,
    codes: npt.NDArray[np.int8],
    words: Sequence[enum.StrEnum],
) -> None:
    for code in np.unique(codes[codes != FINE]):
        rows = part.rows[codes == code].tolist()
        tally.add((part.file, column, words[code].value), rows=rows)


class _Residents:
    """Counts different residents by 64-bit hashes: eight bytes each, so that a register fits.

    The chance that any two of ten million fall together is below 1 in 300,000.
    """

    def __init__(self) -> None:
        self._seen = np.empty(0, dtype=np.int64)
        self._new: list[npt.NDArray[np.int64]] = []
        self._waiting = 0

    def add(self, ids: npt.NDArray[np.object_]) -> None:
        self._new.append(np.array([hash(resident) for resident in ids], dtype=np.int64))
        self._waiting += len(ids)
        # Merging as seldom as memory doubles keeps the whole at n log n.
        if self._waiting > max(len(self._seen), 1 << 18):
            self.count()

    def count(self) -> int:
        self._seen = np.unique(np.concatenate([self._seen, *self._new]))
        self._new, self._waiting = [], 0
        return len(self._seen)
