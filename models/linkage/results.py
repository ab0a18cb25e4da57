"""The files of a linked release: `results.json` (answers) and `tables.json` (every opened cell).

Documents as `models.governance.linked_record`, which names both by their hashes; its evolution law
is theirs.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from models.governance.linked import LinkedStudy
from models.governance.linked_record import DepartmentTotals
from models.governance.record import Interval, RunText
from models.governance.step import Hex64
from models.governance.study import Protection
from models.linkage.coding import Coding
from models.linkage.estimates.figures import NORMAL, Answer
from models.linkage.tables import NoisyTable, Opened, Total
from models.quantities import NoiseVariance
from models.schema import STRICT, Finite

ResultsFormat = Literal["datalabbet/linked-results/1"]
TablesFormat = Literal["datalabbet/linked-tables/1"]
Label = Annotated[str, Field(max_length=2000)]

SMALL = range(1, 5)
"""Cells of so many residents are withheld where there is no noise: the disclosure rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All answers of one release, in the order of the study's questions.

    `complete`: False: the figures could not be computed, and there are only the tables.
    """

    __pydantic_config__ = STRICT

    format: ResultsFormat = "datalabbet/linked-results/1"
    run: RunText
    study_hash: Hex64
    answers: tuple[Answer, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedAxis:
    """One variable of a table: its categories in order; of a number the middles of its bins."""

    __pydantic_config__ = STRICT

    variable: Label
    labels: tuple[Label, ...]
    middles: tuple[Finite, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedTable:
    """One table with all its cells.

    Attributes:
        question, table: which question it answers, and its own name.
        axes: in order; the last varies fastest.
        variance: of the noise in each cell, in counts; independent between cells.
        cells: residents; with noise fractions, some below zero. None: withheld.
    """

    __pydantic_config__ = STRICT

    question: Label
    table: Label
    axes: tuple[ReleasedAxis, ...]
    variance: NoiseVariance
    cells: tuple[Finite | None, ...]

    def __post_init__(self) -> None:
        """Refuse cells that are not those of the axes."""
        if len(self.cells) != math.prod(len(axis.labels) for axis in self.axes):
            raise ValueError("the cells must be one for each combination of the axes' labels")

    @property
    def withheld(self) -> int:
        """Give how many cells are withheld."""
        return sum(cell is None for cell in self.cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """All tables of one release, in the order of the study's questions."""

    __pydantic_config__ = STRICT

    format: TablesFormat = "datalabbet/linked-tables/1"
    run: RunText
    study_hash: Hex64
    tables: tuple[ReleasedTable, ...]


def released(study: LinkedStudy, opened: Opened, *, run: int) -> Tables:
    """Give the tables as they are released.

    Formal guarantee: with noise, this is post-processing of what was opened and costs nothing.
    Without noise (data that departments declared public) it is a rule against idle curiosity and
    no protection: cells of 1 to 4 residents are withheld, and may follow from other cells.
    """
    bare = study.privacy.protection is Protection.NONE
    return Tables(
        run=str(run),
        study_hash=study.digest(),
        tables=tuple(_released(item, bare=bare) for item in opened.tables),
    )


def _released(table: NoisyTable, *, bare: bool) -> ReleasedTable:
    counts = table.counts.ravel()
    small = bare & np.isin(np.rint(counts), list(SMALL))
    cells = [
        None if hidden else count
        for hidden, count in zip(small.tolist(), counts.tolist(), strict=True)
    ]
    return ReleasedTable(
        question=table.question,
        table=table.table,
        axes=tuple(_axis(axis) for axis in table.axes),
        variance=table.variance,
        cells=tuple(cells),
    )


def _axis(axis: Coding) -> ReleasedAxis:
    return ReleasedAxis(variable=axis.variable, labels=axis.labels, middles=axis.middles)


def totals(study: LinkedStudy, total: Total) -> DepartmentTotals:
    """Give a department's totals with the 95 % intervals of their noise, by the same rule."""
    bare = study.privacy.protection is Protection.NONE
    return DepartmentTotals(
        department=total.department,
        unlinked=_interval(total.unlinked, total.variance, bare=bare),
        protected=_interval(total.protected, total.variance, bare=bare),
    )


def _interval(value: float, variance: NoiseVariance, *, bare: bool) -> Interval | None:
    if bare and round(value) in SMALL:
        return None
    reach = NORMAL * math.sqrt(variance.value)
    return Interval(value=value, low=value - reach, high=value + reach)
