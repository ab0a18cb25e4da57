"""One table while it is being made dirty: which cells are spoilt, and how.

A cell gets at most one defect: `pick` draws among the cells that have none.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from demo.city.dirt.kinds import Kind

Bools = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mark:
    """Defects of one kind in one column (or, with column '', in whole rows).

    `positions` are places among the rows of the table, from 0; `details` has a text for each.
    """

    kind: Kind
    column: str
    positions: Positions
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMark:
    """What is odd about a file as a whole; `year`: only in the file of that school year."""

    kind: Kind
    column: str = ""
    detail: str = ""
    year: int | None = None

    def is_of(self, year: int | None) -> bool:
        """Tell whether the mark is of the file of a school year."""
        return self.year is None or self.year == year


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Soiled:
    """A table as it is to be written, with what was done to it."""

    frame: pd.DataFrame
    marks: tuple[Mark, ...] = ()
    file_marks: tuple[FileMark, ...] = ()


class Soil:
    """A table, the cells of it that are taken, and the marks made so far."""

    def __init__(self, frame: pd.DataFrame, generator: np.random.Generator) -> None:
        """Start from the clean table, which stays as it is; all chance is `generator`'s."""
        self.frame = frame.copy()
        self.generator = generator
        self.marks: list[Mark] = []
        self.file_marks: list[FileMark] = []
        self._taken: dict[str, Bools] = {}

    def pick(self, column: str, rate: float, *, where: Bools | None = None) -> Positions:
        """Draw cells without a defect that hold a value and where `where` is true.

        On average `rate` of all the table's rows are drawn, or all such cells if they are fewer.
        """
        count = int(self.generator.binomial(len(self.frame), rate))
        return self.draw(column, count, where=where)

    def draw(self, column: str, count: int, *, where: Bools | None = None) -> Positions:
        """Draw `count` cells without a defect, or all of them if there are fewer."""
        free = self._free(column) & self.frame[column].notna().to_numpy(dtype=np.bool_)
        return self._choose(free if where is None else free & where, count)

    def draw_rows(self, rate: float, *, where: Bools | None = None) -> Positions:
        """Draw rows none of whose cells has a defect; rates as in `pick`."""
        free = ~np.any([self._none_taken(), *self._taken.values()], axis=0)
        count = int(self.generator.binomial(len(self.frame), rate))
        return self._choose(free if where is None else free & where, count)

    def empty(self, column: str) -> Bools:
        """Tell which cells hold no value and have no defect either: nobody ever entered one."""
        empty: Bools = self.frame[column].isna().to_numpy(dtype=np.bool_)
        return empty & self._free(column)

    def plant(
        self,
        kind: Kind,
        column: str,
        positions: Positions,
        values: Any,
        *,
        details: Iterable[str] = repeat(""),
    ) -> None:
        """Put the spoilt values in their cells, and note what they are."""
        self.reserve(column, positions)
        if len(positions):
            self.put(column, positions, values)
            chosen = tuple(detail for detail, _ in zip(details, positions, strict=False))
            self.marks.append(Mark(kind=kind, column=column, positions=positions, details=chosen))

    def reserve(self, column: str, positions: Positions) -> None:
        """Keep other defects away from cells."""
        taken = self._taken.setdefault(column, self._none_taken())
        taken[positions] = True

    def put(self, column: str, positions: Positions, values: Any) -> None:
        """Replace values; None and NaN stand for a missing one."""
        if pd.api.types.is_integer_dtype(self.frame[column]) and np.any(pd.isna(values)):
            self.frame[column] = self.frame[column].astype("Int64")
        place: Any = self.frame.columns.get_loc(column)
        self.frame.iloc[positions, place] = values

    def soiled(self) -> Soiled:
        """Give the table as it is now."""
        return Soiled(frame=self.frame, marks=tuple(self.marks), file_marks=tuple(self.file_marks))

    def _choose(self, free: Bools, count: int) -> Positions:
        places = np.flatnonzero(free)
        chosen = self.generator.choice(places, size=min(count, len(places)), replace=False)
        return np.sort(chosen)

    def _free(self, column: str) -> Bools:
        return ~self._taken.get(column, self._none_taken())

    def _none_taken(self) -> Bools:
        return np.zeros(len(self.frame), dtype=np.bool_)
