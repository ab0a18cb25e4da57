"""Holding the data against its declaration: what is wrong and where, never the value."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from node.datasets import Dataset
from node.vault.cells import FINE, PROBLEMS, Problem
from node.vault.parsing import Parsed, parsed

_BATCH = 4096


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
    """How many rows have a problem in a column."""

    column: str
    problem: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What a check found.

    Attributes:
        rows: read, usable or not.
        usable: without any problem: what a study of all columns would read.
        residents: different residents among the usable rows.
        violations: the first ones, by row; `totals` counts them all.
    """

    file: str
    rows: int
    usable: int
    residents: int
    violations: tuple[Violation, ...]
    totals: tuple[Total, ...]

    @property
    def clean(self) -> bool:
        """Tell whether every row keeps the declaration."""
        return not self.totals


def check(dataset: Dataset, *, limit: int = 1000) -> CheckReport:
    """Read every row of a dataset and report what breaks its declaration.

    Args:
        dataset: what to check.
        limit: the most violations to list.

    Raises:
        DataContractError: the source cannot be read at all.
    """
    violations: list[Violation] = []
    totals: Counter[tuple[str, Problem]] = Counter()
    rows = usable = 0
    residents = _Residents()
    for part in parsed(dataset, dataset.declaration.columns, batch_rows=_BATCH):
        good = part.usable()
        rows += len(good) + len(part.ragged)
        usable += int(good.sum())
        residents.add(part.residents.values[good])
        for row, column, problem in _problems(dataset, part):
            totals[column, problem] += 1
            if len(violations) < limit:
                found = Violation(
                    file=dataset.origin.place, column=column, row=row, problem=problem.value
                )
                violations.append(found)
    return CheckReport(
        file=dataset.origin.place,
        rows=rows,
        usable=usable,
        residents=residents.count(),
        violations=tuple(violations),
        totals=tuple(
            Total(column=column, problem=problem.value, rows=count)
            for (column, problem), count in totals.most_common()
        ),
    )


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


def _problems(dataset: Dataset, part: Parsed) -> Iterator[tuple[int, str, Problem]]:
    """Give the problems of a stretch of rows in the order of its rows."""
    found = [(row, -1, "", Problem.RAGGED) for row in part.ragged]
    held = {dataset.declaration.resident_id: part.residents, **part.columns}
    for place, (name, column) in enumerate(held.items()):
        found += [
            (int(part.rows[index]), place, name, PROBLEMS[column.problems[index]])
            for index in np.flatnonzero(column.problems != FINE)
        ]
    for row, _, name, problem in sorted(found, key=lambda item: item[:2]):
        yield row, name, problem
