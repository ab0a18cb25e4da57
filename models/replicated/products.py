"""What three servers compute from shares of columns: tables, and products row by row.

Server i has (x_i, x_(i+1)) of every column x = x_0 + x_1 + x_2. For two columns a and b its part of
their product is

    z_i = a_i (b_i + b_(i+1)) + a_(i+1) b_i

and z_0 + z_1 + z_2 = a b: each of the nine a_j b_k is in exactly one of them. So parts of Σ a b
over rows are matrix products, which torch computes in the ring.

Columns lie in one matrix for each department, and one for all derived groups. Tables between groups
that lie side by side are computed in one product of panels, where little of it is wasted.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from models.linkage.groups import PRODUCT, Derived, Layout, Target

_PANEL = 64
"""Columns that are put together: enough for torch's blocked product, few enough to waste little."""

_WASTE = 4
"""Two panels are multiplied as a whole if one in so many of the products is wanted: products of a
few columns take about four times as long for each."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replicated:
    """A server's two shares of some columns, for some rows.

    Attributes:
        own, after: shares i and i + 1, each of shape (rows, columns).
    """

    own: torch.Tensor
    after: torch.Tensor

    def columns(self, place: "Place") -> "Replicated":
        """Give some of the columns, without a copy."""
        part = slice(place.start, place.stop)
        return Replicated(own=self.own[:, part], after=self.after[:, part])


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where some columns are: in which matrix, from which column to which."""

    matrix: int
    start: int
    stop: int

    @property
    def width(self) -> int:
        """Give the number of columns."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """A table that is part of a product of panels.

    Attributes:
        cells: which of all cells are the table's.
        left, right: which rows and columns of the product are its groups'.
        select: which of these products (row by row) go into which of its cells; None: each into
            the cell of its own.
    """

    cells: slice
    left: slice
    right: slice
    select: tuple[torch.Tensor, torch.Tensor] | None = None

    def add(self, cells: torch.Tensor, product: torch.Tensor) -> None:
        """Add the product's part that is this table's to its cells, in place."""
        own, found = cells[self.cells], product[self.left, self.right]
        if self.select is None:
            own += found.reshape(-1)
        else:
            source, cell = self.select
            own.index_add_(0, cell, found.reshape(-1)[source])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """One product of two panels, and the tables in it."""

    left: Place
    right: Place
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """All that a server computes for a chunk.

    Attributes:
        places: of each group, and then of each derived group.
        early, late: products that need no derived columns, and those that do.
        sums, late_sums: tables that are sums of the columns of one group, of which each has a
            place and its first cell; late as above.
        crossed: how many derived columns there are.
    """

    places: tuple[Place, ...]
    early: tuple[Block, ...]
    late: tuple[Block, ...]
    sums: tuple[tuple[Place, int], ...]
    late_sums: tuple[tuple[Place, int], ...]
    crossed: int


def work(layout: Layout, departments: Sequence[str]) -> Work:
    """Give what is computed for a chunk; matrices are the departments', and the derived one."""
    places = _places(layout, departments)
    last = len(departments)
    wanted: dict[tuple[Place, Place], list[tuple[int, Target]]] = {}
    sums: dict[bool, list[tuple[Place, int]]] = {False: [], True: []}
    panels = {place: panel for panel in _panels(places) for place in panel}
    at = 0
    for target in layout.targets:
        left = places[target.left]
        if target.right is None:
            sums[left.matrix == last].append((left, at))
        else:
            pair = _panel(panels[left]), _panel(panels[places[target.right]])
            wanted.setdefault(pair, []).append((at, target))
        at += target.cells
    made = [block for pair, items in wanted.items() for block in _blocks(pair, items, places)]
    late = [last in (block.left.matrix, block.right.matrix) for block in made]
    return Work(
        places=places,
        early=tuple(block for block, is_late in zip(made, late, strict=True) if not is_late),
        late=tuple(block for block, is_late in zip(made, late, strict=True) if is_late),
        sums=tuple(sums[False]),
        late_sums=tuple(sums[True]),
        crossed=sum(item.width for item in layout.derived),
    )


def add(cells: torch.Tensor, blocks: Iterable[Block], matrices: Sequence[Replicated]) -> None:
    """Add this server's parts of the tables of a chunk to all cells, in place."""
    for block in blocks:
        left = matrices[block.left.matrix].columns(block.left)
        right = matrices[block.right.matrix].columns(block.right)
        found = left.own.T @ (right.own + right.after)
        found += left.after.T @ right.own
        for part in block.parts:
            part.add(cells, found)


def add_sums(
    cells: torch.Tensor, sums: Iterable[tuple[Place, int]], matrices: Sequence[Replicated]
) -> None:
    """Add this server's share of the sums of columns of a chunk, in place."""
    wanted = list(sums)
    totals = {
        matrix: matrices[matrix].own.sum(dim=0, dtype=cells.dtype)
        for matrix in {place.matrix for place, _ in wanted}
    }
    for place, at in wanted:
        cells[at : at + place.width] += totals[place.matrix][place.start : place.stop]


def crossed(
    derived: Sequence[Derived], places: Sequence[Place], matrices: Sequence[Replicated]
) -> torch.Tensor:
    """Give this server's part of all derived columns of a chunk: shape (rows, columns).

    The parts of the three servers add up to the columns. They are no replicated shares yet, and
    not to be sent to anybody without a share of zero.
    """
    own = matrices[0].own
    found = own.new_zeros((own.shape[0], sum(item.width for item in derived)))
    at = 0
    for item in derived:
        left, right = (
            matrices[places[place].matrix].columns(places[place])
            for place in (item.left, item.right)
        )
        out, both = found[:, at : at + item.width], right.own + right.after
        for column in range(left.own.shape[1]):
            to, of = _reach(item, column, width=right.own.shape[1])
            one = slice(column, column + 1)
            out[:, to] += left.own[:, one] * both[:, of]
            out[:, to] += left.after[:, one] * right.own[:, of]
        at += item.width
    return found


def _reach(item: Derived, column: int, *, width: int) -> tuple[slice, slice]:
    """Give which derived columns a column of the left group goes into, with which right ones."""
    if item.kind == PRODUCT:
        return slice(column * width, (column + 1) * width), slice(0, width)
    shift = item.offset - column
    low = max(0, -shift)
    high = max(low, min(width, item.width - shift))
    return slice(low + shift, high + shift), slice(low, high)


def _places(layout: Layout, departments: Sequence[str]) -> tuple[Place, ...]:
    ends = [0] * (len(departments) + 1)
    found = []
    owners = [departments.index(group.department) for group in layout.groups]
    for place, matrix in enumerate((*owners, *(len(departments) for _ in layout.derived))):
        start = ends[matrix]
        ends[matrix] += layout.width(place)
        found.append(Place(matrix=matrix, start=start, stop=ends[matrix]))
    return tuple(found)


def _panels(places: Iterable[Place]) -> list[list[Place]]:
    """Put groups that lie side by side together, up to some columns."""
    found: list[list[Place]] = []
    for _, side in itertools.groupby(sorted(places, key=_order), key=lambda place: place.matrix):
        panel: list[Place] = []
        for place in side:
            if panel and place.stop - panel[0].start > _PANEL:
                found.append(panel)
                panel = []
            panel.append(place)
        found.append(panel)
    return found


def _order(place: Place) -> tuple[int, int]:
    return place.matrix, place.start


def _panel(panel: Sequence[Place]) -> Place:
    return Place(matrix=panel[0].matrix, start=panel[0].start, stop=panel[-1].stop)


def _blocks(
    pair: tuple[Place, Place], items: Sequence[tuple[int, Target]], places: Sequence[Place]
) -> list[Block]:
    """Give the products for the tables between two panels: one, or one for each pair of groups."""
    groups: dict[tuple[Place, Place], list[tuple[int, Target]]] = {}
    for at, target in items:
        assert target.right is not None  # noqa: S101 - sums are apart
        groups.setdefault((places[target.left], places[target.right]), []).append((at, target))
    wanted = sum(left.width * right.width for left, right in groups)
    if _WASTE * wanted < pair[0].width * pair[1].width:
        return [_block(each, {each: tables}) for each, tables in groups.items()]
    return [_block(pair, groups)]


def _block(
    pair: tuple[Place, Place], groups: dict[tuple[Place, Place], list[tuple[int, Target]]]
) -> Block:
    parts = [
        Part(
            cells=slice(at, at + target.cells),
            left=slice(left.start - pair[0].start, left.stop - pair[0].start),
            right=slice(right.start - pair[1].start, right.stop - pair[1].start),
            select=_select(target, width=right.width),
        )
        for (left, right), tables in groups.items()
        for at, target in tables
    ]
    return Block(left=pair[0], right=pair[1], parts=tuple(parts))


def _select(target: Target, *, width: int) -> tuple[torch.Tensor, torch.Tensor] | None:
    if target.select is None:
        return None
    left, right, cell = torch.tensor(target.select, dtype=torch.int64).T
    return left * width + right, cell
