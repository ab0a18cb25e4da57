"""The records of a dataset, as the node's work reads them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import DataContractError
from models.schema import CategoryColumn, NumericColumn
from node.datasets import Dataset
from node.vault.cells import PROBLEMS, Held, Problem
from node.vault.parsing import Declared, Parsed, parsed

_ENCODING = PROBLEMS.index(Problem.ENCODING)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Rows that keep the declaration.

    Attributes:
        residents: the ids as texts, without surrounding blanks; a resident may have many rows.
        columns: by name; numbers as float64 (NaN: declared missing), categories as int16 places
            in `column.categories` (-1: declared missing).
        rows: row numbers in the source. Row 1 is the first record (in a text file: the first
            after the heading); rows that were left out leave gaps.
    """

    residents: npt.NDArray[np.object_]
    columns: Mapping[str, npt.NDArray[Any]]
    rows: npt.NDArray[np.int64]


def records(
    dataset: Dataset,
    *,
    columns: Sequence[NumericColumn | CategoryColumn],
    batch_rows: int = 65536,
) -> Iterator[Batch]:
    """Give the rows of a dataset, at most `batch_rows` at a time, never all at once.

    Rows that break the declaration in a column asked for, or have no resident id, are left out
    (`node.vault.contract.check` counts and names them). Which texts are missing is this
    department's own statement: it is taken from `dataset`, whatever `columns` says.

    Raises:
        DataContractError: the source cannot be read as declared, holds no usable row, or
            `columns` encode otherwise than the declaration does.
    """
    own = _own(dataset, columns)
    any_row = False
    for part in parsed(dataset, own, batch_rows=batch_rows):
        _refuse_encoding(dataset, part)
        usable = part.usable()
        if usable.any():
            any_row = True
            yield Batch(
                residents=part.residents.values[usable],
                columns={name: held.values[usable] for name, held in part.columns.items()},
                rows=part.rows[usable],
            )
    if not any_row:
        raise DataContractError(
            f"{dataset.origin.place}: no row keeps the declaration",
            hint="Run `datalabbet-node data check`: it names every problem.",
        )


def _own(dataset: Dataset, columns: Sequence[Declared]) -> tuple[Declared, ...]:
    found = []
    for column in columns:
        own = dataset.declaration.column(column.name)
        if own is None or _encoding(own) != _encoding(column):
            raise DataContractError(
                f"{dataset.file}: column {column.name} is not declared as the study has it",
                hint="The declaration was changed after the study was made: propose it anew.",
            )
        found.append(own)
    return tuple(found)


def _encoding(column: Declared) -> tuple[object, ...]:
    """Give what decides the numbers a column turns into; wording is no part of it."""
    missing = column.missing is None
    if isinstance(column, CategoryColumn):
        return (column.type, column.categories, missing)
    return (column.type, column.minimum, column.maximum, column.edges, missing)


def _refuse_encoding(dataset: Dataset, part: Parsed) -> None:
    held: dict[str, Held] = {dataset.declaration.resident_id: part.residents, **part.columns}
    for name, column in held.items():
        spoiled = np.flatnonzero(column.problems == _ENCODING)
        if len(spoiled):
            where = f"{dataset.origin.place}, column {name}, row {part.rows[spoiled[0]]}"
            raise DataContractError(
                f"{where}: {Problem.ENCODING}",
                hint="Set source.encoding to utf-8, iso-8859-1 or windows-1252.",
            )
