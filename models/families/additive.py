"""Additive models on public bins: logistic and softmax regression over one-hot levels.

A row is one level per column (`Encoder` with bins) and the intercept, which every row has. So a
row is a few codes, never a vector of zeros and ones, and everything is gathered and scattered by
code: the score of a row is a sum of a few weights, and a sum over residents is a `bincount`.

Coordinates are preconditioned: the model is x·P·u for a public diagonal P with one scale per level,
and the gradient is taken by u. The contribution of a resident is the mean of its rows' gradients,
clipped as a whole.

Formal guarantee (`gradient`, `histogram`): a contribution is a function of that resident's rows
and of the public arguments, to the last bit: scores add elementwise, in the order of the columns
(`models.families.rows`), a mean adds the resident's rows in their order, and the sum over
residents is exact (`models.privacy.bounded_cells`). Whatever weights and scales are sent, also
NaN or infinite ones, the L2 norm stays within `bound`.

No library product over records is needed, and none is used.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import DataContractError
from models.families.rows import slopes
from models.privacy.bounded_cells import Cells, bounded_grains, to_units
from models.privacy.sampler import Integers
from models.quantities import ClipNorm

Doubles = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
BINARY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The size of an additive model.

    Attributes:
        levels: inputs, over all columns.
        columns: how many columns they come from; a row has one level of each.
        classes: of the outcome.
    """

    levels: int
    columns: int
    classes: int

    @property
    def outputs(self) -> int:
        """Give the scores per row: one for two classes, otherwise one for each."""
        return 1 if self.classes == BINARY else self.classes

    @property
    def weights(self) -> int:
        """Give the length of a gradient: an intercept stands behind the levels."""
        return (self.levels + 1) * self.outputs

    @property
    def counts(self) -> int:
        """Give the length of the histogram: levels, then outcomes (of two classes the last)."""
        return self.levels + self.outputs


def codes(inputs: npt.NDArray[np.floating], *, columns: int) -> Codes:
    """Give the level of each column, (columns, rows), from one-hot inputs (rows, levels).

    Raises:
        DataContractError: a row does not have one level per column.
    """
    rows, levels = np.nonzero(inputs)
    if rows.size != len(inputs) * columns or (np.bincount(rows) != columns).any():
        raise DataContractError("an additive model needs one level per row and column")
    return np.ascontiguousarray(levels.reshape(len(inputs), columns).T)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """All rows of some residents, and the cells that the rows fill.

    Attributes:
        shape: of the model.
        codes: level per column and row; the last column is the intercept.
        outcomes: index of the class per row.
        owners: whose row it is, from 0, rows of a resident next to each other.
        shares: 1 / how many rows the owner has.
        cells: (resident, level) pairs that occur.
        rows, places: per code in row order, its row and its cell.
    """

    shape: Shape
    codes: Codes
    outcomes: Integers
    owners: Integers
    shares: Doubles
    cells: Cells
    rows: Integers
    places: Integers

    @classmethod
    def of(cls, shape: Shape, codes: Codes, *, outcomes: Integers, owners: Integers) -> "Block":
        """Give the block of rows with these codes (columns, rows); no resident without rows.

        Raises:
            DataContractError: shapes differ, rows of a resident are apart, or a code or an outcome
                is none.
        """
        rows = owners.size
        if codes.shape != (shape.columns, rows) or outcomes.shape != (rows,):
            raise DataContractError("codes, outcomes and owners must be of the same rows")
        if rows and (owners[0] != 0 or not np.isin(np.diff(owners), (0, 1)).all()):
            raise DataContractError("the rows of a resident must stand together, in order")
        _within(codes, shape.levels)
        _within(outcomes, shape.classes)
        counts = np.bincount(owners)
        every = np.vstack([codes, np.full((1, rows), shape.levels, dtype=np.int64)])
        of_row = np.repeat(np.arange(rows), len(every))
        cells, places = _cells(
            owners[of_row], every.T.ravel(), residents=counts.size, length=shape.levels + 1
        )
        return cls(
            shape=shape,
            codes=every,
            outcomes=outcomes,
            owners=owners,
            shares=1.0 / counts[owners],
            cells=cells,
            rows=of_row,
            places=places,
        )

    @property
    def residents(self) -> int:
        """Give how many residents there are."""
        return self.cells.residents

    def part(self, residents: Integers) -> "Block":
        """Give the block of the chosen residents (rising indices)."""
        chosen = np.zeros(self.residents, dtype=np.bool_)
        chosen[residents] = True
        rows = chosen[self.owners]
        renumbered = np.cumsum(chosen) - 1
        return Block.of(
            self.shape,
            self.codes[:-1, rows],
            outcomes=self.outcomes[rows],
            owners=renumbered[self.owners[rows]],
        )


def gradient(
    block: Block, weights: Doubles, *, scales: Doubles, bound: ClipNorm, bits: int
) -> Integers:
    """Give the sum over residents of their clipped gradients, in units of bound / 2^bits.

    Args:
        block: the residents of one step's sample.
        weights: of every level and the intercept, (levels + 1, outputs); of the plain inputs.
        scales: P, (levels + 1,).
        bound: the L2 norm of one contribution.
        bits: of the unit.

    Gives int64, one per weight: those of a level next to each other.
    """
    outputs = block.shape.outputs
    with np.errstate(over="ignore", invalid="ignore"):  # not finite: that resident adds zero
        wrong = slopes(scores(block, weights), block.outcomes) * block.shares[:, None]
        here = scales[block.cells.coordinates]
        values = np.empty((here.size, outputs))
        for output in range(outputs):
            entries = wrong[:, output][block.rows]
            values[:, output] = here * np.bincount(block.places, entries, minlength=here.size)
    cells = block.cells if outputs == 1 else _spread(block.cells, outputs)
    return to_units(bounded_grains(values.ravel(), cells, bound=bound, bits=bits))


def scores(block: Block, weights: Doubles) -> Doubles:
    """Give the scores (rows, outputs): a row's weights, added in the order of the columns."""
    total: Doubles = weights[block.codes[-1]]
    for column in block.codes[:-1]:
        total += weights[column]
    return total


def histogram(block: Block, *, bound: ClipNorm, bits: int) -> Integers:
    """Give the sum over residents of their levels and outcomes, in units of bound / 2^bits.

    A resident with several rows spreads a weight of 1 over the levels of each column, and over
    the outcomes; so its norm is at most √(columns + 1).
    """
    shape = block.shape
    first = shape.classes - shape.outputs  # of two classes, the count of the last says it all
    with_outcome = block.outcomes >= first
    outcomes = shape.levels + block.outcomes[with_outcome] - first
    levels = block.codes[:-1].T.ravel()
    rows = np.repeat(np.arange(block.owners.size), shape.columns)
    every = np.concatenate([rows, np.flatnonzero(with_outcome)])
    cells, places = _cells(
        block.owners[every],
        np.concatenate([levels, outcomes]),
        residents=block.residents,
        length=shape.counts,
    )
    values = np.bincount(places, block.shares[every], minlength=cells.owners.size)
    return to_units(bounded_grains(values.astype(np.float64), cells, bound=bound, bits=bits))


def _cells(
    owners: Integers, coordinates: Integers, *, residents: int, length: int
) -> tuple[Cells, Integers]:
    """Give the pairs that occur, and the place of each given pair among them."""
    keys, places = np.unique(owners * length + coordinates, return_inverse=True)
    cells = Cells(
        owners=keys // length, coordinates=keys % length, residents=residents, length=length
    )
    return cells, places.astype(np.int64)


def _spread(cells: Cells, outputs: int) -> Cells:
    """Give one cell per output for each cell."""
    each = np.arange(outputs)
    return Cells(
        owners=np.repeat(cells.owners, outputs),
        coordinates=(cells.coordinates[:, None] * outputs + each).ravel(),
        residents=cells.residents,
        length=cells.length * outputs,
    )


def _within(indices: Integers, limit: int) -> None:
    if ((indices < 0) | (indices >= limit)).any():
        raise DataContractError("a level or an outcome is outside the model's list")
