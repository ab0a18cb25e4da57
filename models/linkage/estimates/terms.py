"""The terms of a regression on the cells of a table, as columns of numbers."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.linkage.coding import Coding
from models.linkage.estimates.levels import Level
from models.linkage.estimates.scores import Part
from models.linkage.tables import Counts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Term:
    """A variable in a regression.

    Attributes:
        axis: its coding.
        levels: of the table's axis; the first is the reference of indicators.
        names: of the columns.
        columns: the value of each column at each level, shape (levels, columns).
        offset: of a number whose weight counts per unit, what is taken off it.
    """

    axis: Coding
    levels: tuple[Level, ...]
    names: tuple[str, ...]
    columns: Counts = field(repr=False)
    offset: float | None = None

    def part(self, place: int) -> Part:
        """Give one column as numbers for the categories of the coding."""
        values = [0.0] * self.axis.width
        for level, value in zip(self.levels, self.columns[:, place], strict=True):
            for category in level.places:
                values[category] = float(value)
        return Part(variable=self.axis.variable, values=tuple(values), offset=self.offset)


def indicators(axis: Coding, levels: tuple[Level, ...]) -> Term:
    """Give a column for each level but the first: 1 there, 0 elsewhere."""
    names = tuple(f"{axis.variable} = {level.label}" for level in levels[1:])
    return Term(axis=axis, levels=levels, names=names, columns=np.eye(len(levels))[:, 1:])


def linear(axis: Coding, levels: tuple[Level, ...], *, centre: float) -> Term:
    """Give one column: the value of each level, less `centre`."""
    values = [level.value - centre for level in levels if level.value is not None]
    return Term(
        axis=axis,
        levels=levels,
        names=(axis.variable,),
        columns=np.asarray(values)[:, None],
        offset=centre if axis.middles else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """All columns over all combinations of levels, the last term's varying fastest.

    Attributes:
        names: of the columns; the first is `intercept`.
        matrix: shape (combinations, columns).
        of: for each column, the places of the terms it is made of.
        parts: for each column, what it is the product of.
    """

    names: tuple[str, ...]
    matrix: Counts = field(repr=False)
    of: tuple[tuple[int, ...], ...]
    parts: tuple[tuple[Part, ...], ...]

    def places(self, terms: set[int]) -> list[int]:
        """Give the columns that some of these terms have part in."""
        return [place for place, of in enumerate(self.of) if terms & set(of)]


def design(terms: Sequence[Term], *, products: Sequence[tuple[int, int]] = ()) -> Design:
    """Give the intercept, the columns of each term, and the products of pairs of terms."""
    shape = [len(term.levels) for term in terms]
    rows = math.prod(shape)
    spread = [
        np.broadcast_to(
            term.columns.reshape([-1 if a == place else 1 for a in range(len(terms))] + [k]),
            [*shape, k],
        ).reshape(rows, k)
        for place, term in enumerate(terms)
        for k in [term.columns.shape[1]]
    ]
    names, columns = ["intercept"], [np.ones(rows)]
    of: list[tuple[int, ...]] = [()]
    parts: list[tuple[Part, ...]] = [()]
    for place, term in enumerate(terms):
        for column, name in enumerate(term.names):
            names.append(name)
            columns.append(spread[place][:, column])
            of.append((place,))
            parts.append((term.part(column),))
    for one, other in products:
        left, right = terms[one], terms[other]
        for a, b in itertools.product(range(len(left.names)), range(len(right.names))):
            names.append(f"{left.names[a]} * {right.names[b]}")
            columns.append(spread[one][:, a] * spread[other][:, b])
            of.append((one, other))
            parts.append((left.part(a), right.part(b)))
    return Design(
        names=tuple(names), matrix=np.column_stack(columns), of=tuple(of), parts=tuple(parts)
    )
