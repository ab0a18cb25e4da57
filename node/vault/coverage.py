"""What only shows in a table as a whole: periods without rows, and very small groups."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import DataContractError
from models.schema import CategoryColumn, DateColumn, NumericColumn
from node.datasets import Coverage, Dataset
from node.vault.cells import FINE, Held
from node.vault.parsing import Parsed

SMALL = 5
"""A group of fewer residents than this is pointed out; that of a category nobody has is not."""

_PERIODS = 20_000
"""The most periods that a coverage may speak of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about a column as a whole: public words of the declaration, and no counts."""

    column: str
    detail: str


class Gaps:
    """Finds the declared periods (by category) that have no rows."""

    def __init__(self, dataset: Dataset) -> None:
        """Prepare one table of seen periods for each coverage declared.

        Raises:
            DataContractError: the bounds of a period column span too many periods.
        """
        self._seen = [_Seen(dataset, item) for item in dataset.coverage]

    def add(self, part: Parsed) -> None:
        """Note which periods a stretch of rows has."""
        for seen in self._seen:
            seen.add(part.columns)

    def findings(self) -> Iterator[Finding]:
        """Give the gaps: per category one finding for each unbroken run of periods."""
        for seen in self._seen:
            yield from seen.findings()


class _Seen:
    def __init__(self, dataset: Dataset, coverage: Coverage) -> None:
        period = dataset.declaration.column(coverage.period)
        by = dataset.declaration.column(coverage.by or "")
        assert isinstance(period, DateColumn | NumericColumn)  # noqa: S101 - `datasets` saw to it
        self._period = period
        self._by = by if isinstance(by, CategoryColumn) else None
        self._first, last = _bounds(period)
        if not 0 <= last - self._first < _PERIODS:
            raise DataContractError(
                f"{dataset.file}: coverage of {period.name}: its bounds span too many periods",
                hint="Declare the narrowest bounds that are publicly known.",
            )
        self._categories = self._by.categories if self._by else ("",)
        self._found = np.zeros((len(self._categories), last - self._first + 1), dtype=np.bool_)

    def add(self, columns: Mapping[str, Held]) -> None:
        period = columns[self._period.name]
        fine = (period.problems == FINE) & ~period.missing()
        groups = np.zeros(len(fine), dtype=np.int64)
        if self._by is not None:
            held = columns[self._by.name]
            groups = held.values.astype(np.int64)
            fine &= (held.problems == FINE) & (groups >= 0)
        self._found[groups[fine], _months(period.values[fine]) - self._first] = True

    def findings(self) -> Iterator[Finding]:
        for category, found in zip(self._categories, self._found, strict=True):
            for first, last in _runs(~found):
                names = [self._name(first), self._name(last)]
                span = names[0] if first == last else " to ".join(names)
                detail = f"{category}, {span}" if category else span
                yield Finding(column=self._period.name, detail=detail)

    def _name(self, place: int) -> str:
        number = self._first + place
        if isinstance(self._period, NumericColumn):
            return str(number)
        return str(np.datetime64(number, "M"))


def _bounds(period: DateColumn | NumericColumn) -> tuple[int, int]:
    if isinstance(period, NumericColumn):
        return int(period.minimum), int(period.maximum)
    first, last = _months(np.array([period.first, period.last], dtype="datetime64[D]"))
    return int(first), int(last)


def _months(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Give days as months since 1970; whole numbers as they are."""
    if values.dtype.kind == "M":
        values = values.astype("datetime64[M]")
    return values.astype(np.int64)


def _runs(where: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Give the first and last place of each unbroken run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(np.int8)))
    for first, after in edges.reshape(-1, 2):
        yield int(first), int(after) - 1


_Groups = list[set[int] | None]


class SmallGroups:
    """Finds the categories that some residents have, but fewer than `SMALL`."""

    def __init__(self, dataset: Dataset) -> None:
        """Prepare for every column with categories."""
        self._columns = [c for c in dataset.declaration.columns if isinstance(c, CategoryColumn)]
        # Residents (as hashes) by category while they are few; None from the fifth on.
        self._few: list[_Groups] = [[set() for _ in c.categories] for c in self._columns]

    def add(self, part: Parsed, *, usable: npt.NDArray[np.bool_]) -> None:
        """Note the residents of the usable rows."""
        for column, few in zip(self._columns, self._few, strict=True):
            places = part.columns[column.name].values
            growing = np.array([group is not None for group in few])
            rows = np.flatnonzero(usable & (places >= 0) & growing[places])
            self._note(few, places[rows], part.residents.values[rows])

    @staticmethod
    def _note(few: _Groups, places: npt.NDArray[Any], residents: npt.NDArray[Any]) -> None:
        for place, resident in zip(places, residents, strict=True):
            group = few[place]
            if group is not None:
                group.add(hash(resident))
                if len(group) >= SMALL:
                    few[place] = None

    def findings(self) -> Iterator[Finding]:
        """Give the small categories."""
        for column, few in zip(self._columns, self._few, strict=True):
            for category, group in zip(column.categories, few, strict=True):
                if group:
                    yield Finding(column=column.name, detail=category)
