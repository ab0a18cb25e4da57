"""The records of a dataset, as the node's work reads them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import DataContractError
from models.linkage.identity import Mode
from models.schema import CategoryColumn, KeyColumn, Variable
from node.datasets import Dataset
from node.vault.cells import FINE
from node.vault.linking import Linker
from node.vault.parsing import Mends, Parsed, parsed, refuse
from node.vault.register import Register


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinkedBatch(Batch):
    """Rows that keep the declaration, of residents who are in the register.

    Attributes:
        places: shape (rows,), int64: the residents' places among `Register.ids`.
        unmatched: how many other rows of the stretch count, but lead to nobody in the register,
            whatever their columns say.
        strangers: of those, the ids that can be read; each once.
    """

    places: npt.NDArray[np.int64]
    unmatched: int
    strangers: frozenset[str]


def records(
    dataset: Dataset, *, columns: Sequence[Variable], batch_rows: int = 65536
) -> Iterator[Batch]:
    """Give the rows of a dataset, at most `batch_rows` at a time, never all at once.

    Rows that break the declaration in a column asked for, or have no resident id, are left out
    (`node.vault.contract.check` counts and names them). Where `linkage` is declared and the folder
    has a register, ids are mended first, in the dataset and in the tables it is derived from;
    numbers that are not in the register stay. Which texts are missing is this
    department's own statement: it is taken from `dataset`, whatever `columns` says.

    Raises:
        DataContractError: the source cannot be read as declared, holds no usable row, or
            `columns` encode otherwise than the declaration does; or the node is in demo mode
            and some id or key may be a real person's number.
    """
    own = {column.name: column for column in _own(dataset, columns)}
    any_row = False
    for part in _parts(dataset, own.values(), batch_rows=batch_rows, mends=Linker().mends):
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


def linked(
    dataset: Dataset,
    *,
    columns: Sequence[Variable],
    register: Register,
    batch_rows: int = 65536,
) -> Iterator[LinkedBatch]:
    """Give the rows of a dataset whose residents are in the register; the others are counted.

    As `records`, but for residents that are not in the register, whose rows are left out, and for
    a dataset without any row left: it gives stretches without rows.

    Args:
        dataset: what to read.
        columns: of the dataset's declaration.
        register: of the dataset's folder, as `node.vault.register.register` gives it.
        batch_rows: the most rows of a stretch.

    Raises:
        DataContractError: as `records`.
    """
    own = {column.name: column for column in _own(dataset, columns)}
    linker = Linker(register)
    numbers = linker.numbers(dataset)
    for part in _parts(dataset, own.values(), batch_rows=batch_rows, mends=linker.mends):
        named = part.residents.problems == FINE
        places = np.full(len(named), -1, dtype=np.int64)
        places[named] = [numbers.place(text) for text in part.residents.values[named]]
        usable = part.usable(own) & (places >= 0)
        unmatched = (places < 0) & (part.superseded == FINE)
        yield LinkedBatch(
            residents=part.residents.values[usable],
            columns={name: part.columns[name].values[usable] for name in own},
            rows=part.rows[usable],
            file=part.file,
            places=places[usable],
            unmatched=int(unmatched.sum()),
            strangers=frozenset(part.residents.values[unmatched & named]),
        )


def _parts(
    dataset: Dataset, columns: Iterable[Variable], *, batch_rows: int, mends: Mends
) -> Iterator[Parsed]:
    for part in parsed(dataset, (*columns, *_watched(dataset)), batch_rows=batch_rows, mends=mends):
        refuse(dataset, part)
        yield part


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
