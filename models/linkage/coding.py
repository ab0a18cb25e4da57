"""What a linked variable says of a resident, as one of a few public categories."""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import UsageError
from models.governance.linked import LinkedStudy, LinkedVariable
from models.schema import CategoryColumn, NumericColumn, StudyColumn

Codes = npt.NDArray[np.int32]
"""One category per row; `NONE` where the resident does not count."""

NONE = -1
_MOST_INTEGERS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """The categories of one variable, in order.

    Attributes:
        variable: its name in the study.
        labels: of the categories: those of the declaration (or the bins), then `missing` if the
            declaration allows it, then `no record` if the study counts it.
        cuts: for numbers, the inner edges of the bins; empty otherwise.
        middles: for numbers, the middle of each bin; empty otherwise.
        missing, absent: the places of those two categories, or `NONE`.
    """

    variable: str
    labels: tuple[str, ...]
    cuts: tuple[float, ...] = ()
    middles: tuple[float, ...] = ()
    missing: int = NONE
    absent: int = NONE

    @property
    def width(self) -> int:
        """Give how many categories there are."""
        return len(self.labels)

    def codes(self, values: npt.NDArray[np.generic]) -> Codes:
        """Give the category of each row that has a record.

        Args:
            values: as the vault reads them: numbers as floats (NaN: missing), categories as places
                in the declaration (-1: missing). A variable of records has one category beside
                that of no record: 0.
        """
        if self.middles:
            numbers = values.astype(np.float64)
            found = np.searchsorted(np.asarray(self.cuts), numbers, side="right").astype(np.int32)
            found[np.isnan(numbers)] = self.missing
            return found
        found = values.astype(np.int32)
        found[found < 0] = self.missing
        return found


def coding(study: LinkedStudy, name: str) -> Coding:
    """Give the categories of a study's variable.

    Raises:
        UsageError: a number has neither edges nor bins.
    """
    item, column = study.variable(name), study.column(name)
    if column is None:
        return _with_absent(item, ("yes",), "no")
    if isinstance(column, NumericColumn):
        return _numbers(item, column)
    return _ended(item, column, labels=column.categories)


def _numbers(item: LinkedVariable, column: NumericColumn) -> Coding:
    if column.edges or item.bins > 1:
        cuts = column.cuts(item.bins)
        path = (column.minimum, *cuts, column.maximum)
        labels = tuple(f"{low:g} to {high:g}" for low, high in itertools.pairwise(path))
        middles = tuple((low + high) / 2 for low, high in itertools.pairwise(path))
        return _ended(item, column, labels=labels, cuts=cuts, middles=middles)
    first, last = int(column.minimum), int(column.maximum)
    if column.type != "integer" or last - first >= _MOST_INTEGERS:
        raise UsageError(
            f"the variable {item.name} is a number without bins",
            hint="Give it `bins`, or declare `edges` for its column.",
        )
    middles = tuple(float(value) for value in range(first, last + 1))
    labels = tuple(str(value) for value in range(first, last + 1))
    cuts = tuple(value - 0.5 for value in middles[1:])
    return _ended(item, column, labels=labels, cuts=cuts, middles=middles)


def _ended(
    item: LinkedVariable,
    column: StudyColumn,
    *,
    labels: tuple[str, ...],
    cuts: tuple[float, ...] = (),
    middles: tuple[float, ...] = (),
) -> Coding:
    """Give the coding with the categories for what is missing, and for who has no record."""
    missing = NONE
    if column.missing is not None:
        missing, labels = len(labels), (*labels, "missing")
    absent = NONE
    if item.absent:
        absent, labels = len(labels), (*labels, "no record")
    return Coding(
        variable=item.name,
        labels=labels,
        cuts=cuts,
        middles=middles,
        missing=missing,
        absent=absent,
    )


def _with_absent(item: LinkedVariable, labels: tuple[str, ...], text: str) -> Coding:
    if not item.absent:
        return Coding(variable=item.name, labels=labels)
    return Coding(variable=item.name, labels=(*labels, text), absent=len(labels))


def is_number(column: StudyColumn | None) -> bool:
    """Tell whether a variable's categories are bins of a number."""
    return column is not None and not isinstance(column, CategoryColumn)
