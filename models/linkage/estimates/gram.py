"""The noisy Gram matrix of the columns of a `Relations` question, put together from its tables.

A block is a variable, or a pair of variables that count as one; its columns are functions of its
categories: a matrix A of shape (cells, columns), taken less their means. The covariance of the
columns of two blocks is A'N B / n for their table N: linear in the counts. Everything supposes that
all variables count the same residents; `Gram.same` tells whether they do.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.governance.questions import Relations
from models.linkage.coding import Coding
from models.linkage.estimates.levels import levels
from models.linkage.estimates.scores import Part
from models.linkage.tables import Counts, NoisyTable
from models.quantities import NoiseVariance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """Columns of a variable.

    Attributes:
        names: of the columns.
        values: at each category, shape (categories, columns); NaN: it has none.
        imputed: who has no value has the mean, and a column of their own; else they are left out.
        per_unit: the first column is the number itself.
    """

    names: tuple[str, ...]
    values: Counts = field(repr=False)
    imputed: bool = True
    per_unit: bool = False


Maker = Callable[[Coding], Columns]

Flags = npt.NDArray[np.bool_]

_CLEAR = 2.0
_SAME_PART, _SAME_NOISE = 0.02, 4.0


def numbers(axis: Coding) -> Columns:
    """Give the middle of the bin for numbers, and indicators for categories."""
    chosen = levels(axis)
    if not axis.middles:
        return bins(axis)
    values = np.full((axis.width, 1), np.nan)
    names = [axis.variable]
    extra = [level for level in chosen if level.value is None]
    for level in chosen:
        if level.value is not None:
            values[list(level.places), 0] = level.value
    flags = np.zeros((axis.width, len(extra)))
    for place, level in enumerate(extra):
        flags[list(level.places), place] = 1.0
        names.append(f"{axis.variable} = {level.label}")
    return Columns(names=tuple(names), values=np.column_stack([values, flags]), per_unit=True)


def bins(axis: Coding) -> Columns:
    """Give an indicator for each level but the first."""
    chosen = levels(axis)
    values = np.zeros((axis.width, len(chosen) - 1))
    for place, level in enumerate(chosen[1:]):
        values[list(level.places), place] = 1.0
    names = tuple(f"{axis.variable} = {level.label}" for level in chosen[1:])
    return Columns(names=names, values=values)


def single(axis: Coding) -> Columns:
    """Give what a variable is when it is an outcome: its number, or 1 for the last of two."""
    chosen = levels(axis)
    values = np.full((axis.width, 1), np.nan)
    for level in chosen:
        if level.value is not None:
            values[list(level.places), 0] = level.value
    return Columns(names=(axis.variable,), values=values, imputed=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """Columns that are functions of the same categories.

    Attributes:
        key: its name in the names of tables.
        axes: one variable, or the two of a crossed pair.
        names: of the columns.
        means: of the columns.
        values: of the columns at each cell, less the means, shape (cells, columns); 0 without one.
        known: 1 where a column tells something of a cell, else 0; see `Columns`.
        parts: for each column, what it is the product of, not less the mean.
        counts: residents in each cell, shape (cells,).
    """

    key: str
    axes: tuple[Coding, ...]
    names: tuple[str, ...]
    means: Counts = field(repr=False)
    values: Counts = field(repr=False)
    known: Counts = field(repr=False)
    parts: tuple[tuple[Part, ...], ...]
    counts: Counts = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gram:
    """Blocks of columns with their tables.

    Attributes:
        blocks: in the order of the question, crossed pairs last.
        residents: that the tables count.
        same: all variables count the same residents, as far as the noise lets one see.
        variance: of the noise in each cell.
    """

    blocks: tuple[Block, ...]
    pairs: Mapping[tuple[int, int], Counts] = field(repr=False)
    residents: float
    same: bool
    variance: NoiseVariance

    def pair(self, one: int, other: int) -> Counts:
        """Give the table of two blocks, shape (cells of one, cells of other)."""
        if (one, other) in self.pairs:
            return self.pairs[one, other]
        return self.pairs[other, one].T

    def covariance(self) -> Counts:
        """Give the covariance of all columns, shape (columns, columns)."""
        rows = [
            np.concatenate([self._product(a, b) for b in range(len(self.blocks))], axis=1)
            for a in range(len(self.blocks))
        ]
        found: Counts = np.concatenate(rows)
        return found

    def _product(self, one: int, other: int) -> Counts:
        left, right = self.blocks[one], self.blocks[other]
        table = np.diag(left.counts) if one == other else self.pair(one, other)
        found: Counts = left.values.T @ table @ right.values / self.whole(one, other)
        return found

    def whole(self, one: int, other: int) -> Counts:
        """Give how many residents both columns tell something of: (columns, columns)."""
        left, right = self.blocks[one], self.blocks[other]
        if left.known.all() and right.known.all():
            return np.full((len(left.names), len(right.names)), self.residents)
        table = np.diag(left.counts) if one == other else self.pair(one, other)
        found: Counts = np.maximum(left.known.T @ table @ right.known, 1.0)
        return found

    def noise(self) -> Counts:
        """Give the variance that noise leaves in each entry of `covariance`."""
        squares = [(block.values**2).sum(axis=0) for block in self.blocks]
        rows = [
            np.concatenate(
                [
                    (self.blocks[a].values ** 2).T @ (self.blocks[a].values ** 2)
                    if a == b
                    else np.outer(squares[a], squares[b])
                    for b in range(len(self.blocks))
                ],
                axis=1,
            )
            for a in range(len(self.blocks))
        ]
        found: Counts = np.concatenate(rows) * self.variance.value / self.residents**2
        return found


def gram(
    asked: Relations,
    tables: Mapping[str, NoisyTable],
    *,
    columns: Maker,
    crossed: bool,
) -> Gram | None:
    """Give the Gram matrix of a question's variables, the outcome's (if any) as `single`.

    Args:
        asked: the question.
        tables: of the question, by name.
        columns: of each variable but the outcome.
        crossed: whether crossed pairs are blocks too, of products of their variables' columns.

    Returns:
        None where there are no more residents than noise alone would show.
    """
    names = list(dict.fromkeys((*asked.of, *([asked.outcome] if asked.outcome else []))))
    keys = [*names, *(f"{a}*{b}" for a, b in (asked.crossed if crossed else ()))]
    ones = [tables[f"{asked.name}/{key}"] for key in keys]
    variance = ones[0].variance
    totals = np.asarray([float(table.counts.sum()) for table in ones])
    weights = np.asarray([1.0 / table.counts.size for table in ones])
    residents = float(totals @ weights / weights.sum())
    if residents <= max(1.0, _SAME_NOISE * math.sqrt(variance.value / weights.sum())):
        return None
    blocks = tuple(
        _block(key, table, columns=single if key == asked.outcome else columns)
        for key, table in zip(keys, ones, strict=True)
    )
    pairs = {
        (a, b): _flat(tables[f"{asked.name}/{keys[a]}/{keys[b]}"], blocks[a])
        for a, b in itertools.combinations(range(len(keys)), 2)
    }
    return Gram(
        blocks=blocks,
        pairs=pairs,
        residents=residents,
        same=_same(totals, ones, residents),
        variance=variance,
    )


def _same(totals: Counts, ones: list[NoisyTable], residents: float) -> bool:
    noise = np.asarray([table.counts.size * table.variance.value for table in ones])
    allowed = np.maximum(_SAME_PART * residents, _SAME_NOISE * np.sqrt(noise))
    return bool((np.abs(totals - residents) <= allowed).all())


def _flat(table: NoisyTable, block: Block) -> Counts:
    return table.counts.reshape(block.counts.size, -1)


def _block(key: str, table: NoisyTable, *, columns: Maker) -> Block:
    made = [columns(axis) for axis in table.axes]
    every = list(itertools.product(*(range(len(item.names)) for item in made)))
    raw = np.stack([_product_of(made, places) for places in every], axis=1)
    counts = table.counts.ravel()
    has = ~np.isnan(raw)
    whole = np.maximum(has.T @ counts, 1.0)
    means = np.where(has, raw, 0.0).T @ counts / whole
    imputed = all(item.imputed for item in made)
    return Block(
        key=key,
        axes=table.axes,
        names=tuple(
            " * ".join(item.names[place] for item, place in zip(made, places, strict=True))
            for places in every
        ),
        means=means,
        values=np.where(has, raw - means, 0.0),
        known=np.ones_like(raw) if imputed else has.astype(np.float64),
        parts=tuple(
            tuple(
                _part(axis, item, place, otherwise=mean)
                for axis, item, place in zip(table.axes, made, places, strict=True)
            )
            for places, mean in zip(every, means.tolist(), strict=True)
        ),
        counts=counts,
    )


def _product_of(made: list[Columns], places: tuple[int, ...]) -> Counts:
    """Give the products of a column of each variable at each cell, the last variable fastest."""
    found = np.ones(1)
    for item, place in zip(made, places, strict=True):
        found = np.multiply.outer(found, item.values[:, place]).ravel()
    return found


def _part(axis: Coding, columns: Columns, place: int, *, otherwise: float) -> Part:
    values = columns.values[:, place]
    per_unit = columns.per_unit and place == 0
    return Part(
        variable=axis.variable,
        values=tuple(np.where(np.isnan(values), otherwise, values).tolist()),
        offset=0.0 if per_unit else None,
        otherwise=otherwise if per_unit else 0.0,
    )


def clear(found: Gram, covariance: Counts) -> Flags:
    """Tell which columns vary more than noise alone would show."""
    spread = np.sqrt(np.diagonal(found.noise()))
    seen: Flags = np.diagonal(covariance) > np.maximum(_CLEAR * spread, 1e-12)
    return seen
