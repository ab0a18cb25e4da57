"""Groups of columns that departments share, and the tables that are opened of them.

How a study is laid out in them: `models.linkage.layout`.
"""

import math
from dataclasses import dataclass

from models.linkage.coding import Coding

PRODUCT, LAG = "product", "lag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Some columns of one department.

    Attributes:
        department: whose they are.
        axes: the variables; crossed, the first varies slowest, or (`stacked`) side by side.
        stacked: a row may have a 1 for each variable, not one in all.
    """

    department: str
    axes: tuple[Coding, ...]
    stacked: bool = False

    @property
    def width(self) -> int:
        """Give the number of columns."""
        widths = [axis.width for axis in self.axes]
        return sum(widths) if self.stacked else math.prod(widths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """Products of the columns of two groups, row by row.

    Attributes:
        left, right: places of the groups in `Layout.groups`.
        kind: `product`: column l·(width of right) + r is left l times right r. `lag`: column k
            is the sum over all l and r with r + offset - l = k.
        width: the number of columns.
        offset: of `lag`.
        axes: what the columns are, as for a group; of `lag`, the one coding of lags.
    """

    left: int
    right: int
    kind: str
    width: int
    axes: tuple[Coding, ...]
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One table that is opened.

    Attributes:
        question, table: which question it answers, and its own name in the release.
        left, right: places among `Layout.groups` and then `Layout.derived`; no right one: the
            sums of the columns of `left`.
        axes: of the table, in order; the last varies fastest.
        select: which products are added into which cell: (l, r, cell); None: each product of l and
            r is the cell l·(width of right) + r.
        based: the names of its variables: a row counts only where all of them have a category.
        matched: variables of which one counts for a row: they are alike in `of` and `absent`.
    """

    question: str
    table: str
    left: int
    right: int | None
    axes: tuple[Coding, ...]
    select: tuple[tuple[int, int, int], ...] | None = None
    based: tuple[str, ...]
    matched: tuple[str, ...] = ()

    @property
    def cells(self) -> int:
        """Give the number of cells."""
        return math.prod(axis.width for axis in self.axes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All groups and targets of a study, in the order in which everybody has them."""

    groups: tuple[Group, ...]
    derived: tuple[Derived, ...]
    targets: tuple[Target, ...]

    def width(self, place: int) -> int:
        """Give the columns of a group or derived group."""
        own = len(self.groups)
        return self.groups[place].width if place < own else self.derived[place - own].width

    def owned(self, department: str) -> tuple[int, ...]:
        """Give the places of a department's groups, in order."""
        return tuple(i for i, group in enumerate(self.groups) if group.department == department)

    def columns(self, department: str) -> int:
        """Give how many columns a department shares."""
        return sum(self.groups[place].width for place in self.owned(department))

    @property
    def cells(self) -> int:
        """Give how many cells are opened."""
        return sum(target.cells for target in self.targets)
