"""The one preprocessing: from declared columns to numbers, by the declaration alone.

Nothing is measured from data: bounds, cut points and categories are public statements of the
steward, so encoding costs no privacy, and every department and every client encodes alike.

Columns come in as the vault gives them: numeric ones as float64 (NaN: missing), categories as
indices into the declared list (-1: missing).
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import DataContractError
from models.schema import CategoryColumn, NumericColumn

AnyColumn = NumericColumn | CategoryColumn
Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]
Values = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """Turns declared columns into the inputs of a model.

    Categories become one 0/1 input each. Numeric columns become one 0/1 input per public bin
    (`bins` at least 2) or one input scaled from its bounds to [-1, 1] (`bins` 0). A column that
    may be missing has one more 0/1 input that says so; its other inputs are then 0.

    Formal guarantee: each input lies in [-1, 1], and a row's inputs depend on that row alone.
    """

    columns: tuple[AnyColumn, ...]
    bins: int

    @classmethod
    def of(cls, columns: tuple[AnyColumn, ...], *, bins: int) -> "Encoder":
        """Give the encoder of `columns` in this order; `bins` as in the study's model."""
        return cls(columns=columns, bins=bins)

    @property
    def width(self) -> int:
        """Give the number of inputs."""
        return sum(len(_levels(column, self.bins)) for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Give one readable name per input: `age`, `age[20,30)`, `sex=F`, `age=missing`."""
        levels = (_levels(column, self.bins) for column in self.columns)
        return tuple(itertools.chain.from_iterable(levels))

    def encode(self, columns: Mapping[str, Values]) -> Floats:
        """Give the inputs, float32 of shape (rows, width).

        Numbers outside the bounds are clamped to them.

        Raises:
            DataContractError: a column is absent or of another length, a category index is
                outside the list, or a value is missing where none may be.
        """
        rows = len(next(iter(columns.values()), np.empty(0)))
        out = np.zeros((rows, self.width), dtype=np.float32)
        start = 0
        for column in self.columns:
            values = columns.get(column.name)
            if values is None or values.shape != (rows,):
                raise DataContractError(f"the column {column.name} is absent or of another length")
            stop = start + len(_levels(column, self.bins))
            _fill(out[:, start:stop], column=column, values=values, bins=self.bins)
            start = stop
        return out


def _levels(column: AnyColumn, bins: int) -> tuple[str, ...]:
    missing = () if column.missing is None else (f"{column.name}=missing",)
    if isinstance(column, CategoryColumn):
        return (*(f"{column.name}={level}" for level in column.categories), *missing)
    if bins == 0:
        return (column.name, *missing)
    path = (column.minimum, *column.cuts(bins), column.maximum)
    spans = [f"{column.name}[{a:g},{b:g})" for a, b in itertools.pairwise(path)]
    return (*spans[:-1], f"{spans[-1][:-1]}]", *missing)


def _fill(out: Floats, *, column: AnyColumn, values: Values, bins: int) -> None:
    """Write the inputs of one column into its slice of the result."""
    if isinstance(column, NumericColumn) and bins == 0:
        _scale(out, column=column, values=values.astype(np.float64))
        return
    codes = (
        _category(column, values) if isinstance(column, CategoryColumn)
        else _bin(column, values.astype(np.float64), bins=bins)
    )  # fmt: skip
    lacking = codes < 0
    _allow(column, lacking)
    out[np.arange(len(codes)), np.where(lacking, out.shape[1] - 1, codes)] = 1.0


def _scale(out: Floats, *, column: NumericColumn, values: npt.NDArray[np.float64]) -> None:
    lacking = np.isnan(values)
    _allow(column, lacking)
    clamped = np.clip(values, column.minimum, column.maximum)
    # Halves first: maximum - minimum may overflow where each bound does not.
    half = column.maximum / 2 - column.minimum / 2
    centre = column.maximum / 2 + column.minimum / 2
    out[:, 0] = np.where(lacking, 0.0, np.clip((clamped - centre) / half, -1.0, 1.0))
    if column.missing is not None:
        out[:, 1] = lacking


def _bin(column: NumericColumn, values: npt.NDArray[np.float64], *, bins: int) -> Codes:
    """Give the bin of each value; a cut point belongs to the bin above it; -1: missing."""
    codes = np.searchsorted(np.asarray(column.cuts(bins)), values, side="right")
    return np.where(np.isnan(values), -1, codes).astype(np.int64)


def _category(column: CategoryColumn, values: Values) -> Codes:
    codes = values.astype(np.int64)
    if ((codes < -1) | (codes >= len(column.categories))).any():
        raise DataContractError(f"the column {column.name} holds an index outside its categories")
    return codes


def _allow(column: AnyColumn, lacking: npt.NDArray[np.bool_]) -> None:
    if column.missing is None and lacking.any():
        raise DataContractError(
            f"the column {column.name} lacks a value, which its declaration does not allow",
            hint="declare what a missing value means, or mend the data",
        )
