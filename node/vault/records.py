"""The records of a dataset, as the node's work reads them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import DataContractError
from models.linkage.identity import Mode
from models.schema import CategoryColumn, KeyColumn, Variable
from node.datasets import Dataset
from node.vault.parsing import parsed, refuse


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Rows that keep the declaration.

    Attributes:
        residents: the ids as texts, without surrounding blanks, and personal numbers as twelve
            digits; a resident may have many rows.
        columns: by name; numbers as float64 (NaN: declared missing), categories as int16 places
            in `column.categories` (-1: declared missing).
        rows: row numbers in `file`. Row 1 is the first record (in a text file: the first after
            the heading); rows that were left out leave gaps.
        file: the source, or the one of its files that the rows are in.
    """

    residents: npt.NDArray[np.object_]
    columns: Mapping[str, npt.NDArray[Any]]
    rows: npt.NDArray[np.int64]
    file: str


def records(
    dataset: Dataset, *, columns: Sequence[Variable], batch_rows: int = 65536
) -> Iterator[Batch]:
    """Give the rows of a dataset, at most `batch_rows` at a time, never all at once.

    Rows that break the declaration in a column asked for, or have no resident id, are left out
    (`node.vault.contract.check` counts and names them). Which texts are missing is this
    department's own statement: it is taken from `dataset`, whatever `columns` says.

    Raises:
        DataContractError: the source cannot be read as declared, holds no usable row, or
            `columns` encode otherwise than the declaration does; or the node is in demo mode
            and some id or key may be a real person's number.
    """
    own = {column.name: column for column in _own(dataset, columns)}
    any_row = False
    read = (*own.values(), *_watched(dataset))
    for part in parsed(dataset, read, batch_rows=batch_rows):
        refuse(dataset, part)
        usable = part.usable(own)
        if usable.any():
            any_row = True
            yield Batch(
                residents=part.residents.values[usable],
                columns={name: part.columns[name].values[usable] for name in own},
                rows=part.rows[usable],
                file=part.file,
            )
    if not any_row:
        raise DataContractError(
            f"{dataset.origin.place}: no row keeps the declaration",
            hint="Run `datalabbet-node data check`: it names every problem.",
        )


def _watched(dataset: Dataset) -> tuple[KeyColumn, ...]:
    """Give the columns that a node in demo mode reads only to refuse real people's numbers."""
    if dataset.admission.mode is Mode.PRODUCTION:
        return ()
    return tuple(c for c in dataset.declaration.columns if isinstance(c, KeyColumn))


def _own(dataset: Dataset, columns: Sequence[Variable]) -> tuple[Variable, ...]:
    known = {column.name: column for column in dataset.declaration.variables}
    found = []
    for column in columns:
        own = known.get(column.name)
        if own is None or _encoding(own) != _encoding(column):
            raise DataContractError(
                f"{dataset.file}: column {column.name} is not declared as the study has it",
                hint="The declaration was changed after the study was made: propose it anew.",
            )
        found.append(own)
    return tuple(found)


def _encoding(column: Variable) -> tuple[object, ...]:
    """Give what decides the numbers a column turns into; wording is no part of it."""
    missing = column.missing is None
    if isinstance(column, CategoryColumn):
        return (column.type, column.categories, missing)
    return (column.type, column.minimum, column.maximum, column.edges, missing)
