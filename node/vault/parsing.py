"""The one path from a source's cells to values and problems, for training and checking alike."""

import contextlib
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.errors import DataContractError
from models.linkage.identity import Refusal
from models.schema import CategoryColumn, Column, DateColumn, KeyColumn
from node.datasets import Dataset
from node.fields import ISO
from node.sources import CsvSource, DerivedSource, Origin, ParquetSource, Stored
from node.vault import cells, csv_files, databases, days, derived, identities, parquet_files
from node.vault.cells import CODES, FINE, Held, Problem, Writing
from node.vault.chunks import Cells, Chunk, Remark
from node.vault.derived import PLACE, Table
from node.vault.identities import Mend, Reader
from node.vault.keys import Keyed, Superseded, hashes, keyed


class NoRowsError(DataContractError):
    """A source has a heading and no rows: for a table of exceptions that is no fault."""


Mends = Callable[[Dataset], Mend | None]
"""What gives for a dataset how its residents' ids are mended; None: they are left as written."""


def as_written(dataset: Dataset) -> None:
    """Mend nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parsed:
    """A stretch of rows held to the declaration.

    Attributes:
        residents, columns: values, problems and notes per row.
        rows: their numbers in `file`, from 1.
        ragged: numbers of the rows that could not be told apart into cells.
        file: where they are, for messages.
        remarks: what is odd about the file, with its first rows.
        left_out: of an analysis table, with its first rows: how many rows of each table that it
            is made from were left out for a problem.
        superseded: per row, the code of REPEATED or REPLACED if a later row of the same key
            and resident counts in its place, else `FINE`.
    """

    residents: Held
    columns: Mapping[str, Held]
    rows: npt.NDArray[np.int64]
    ragged: tuple[int, ...]
    file: str
    remarks: tuple[Remark, ...]
    left_out: Mapping[str, int]
    superseded: npt.NDArray[np.int8]

    def held(self, name: str) -> Held:
        """Give a column, or the resident id, which `columns` does not know."""
        return self.columns.get(name, self.residents)

    def usable(self, names: Collection[str] | None = None) -> npt.NDArray[np.bool_]:
        """Tell which rows count and have no problem in the named columns.

        If none are named, in any.
        """
        fine: npt.NDArray[np.bool_] = (self.residents.problems == FINE) & (self.superseded == FINE)
        for name in self.columns if names is None else names:
            fine &= self.columns[name].problems == FINE
        return fine


def parsed(
    dataset: Dataset, columns: Sequence[Column], *, batch_rows: int, mends: Mends = as_written
) -> Iterator[Parsed]:
    """Give all rows of a dataset, with the resident id and `columns` of its own declaration.

    Where it has a primary key, the source is read twice, and `columns` are added what they lack
    of the key. `mends` also holds for the tables that it is derived from.

    Raises:
        DataContractError: the source cannot be read at all, or has no rows.
    """
    names = {dataset.declaration.resident_id, *(column.name for column in columns)}
    rest = [c for c in dataset.declaration.columns if c.name in {*dataset.key} - names]
    every = (*columns, *rest)
    mend = mends(dataset)
    with _reader(dataset, every, batch_rows=batch_rows, mends=mends) as read:
        if not dataset.key:
            yield from _parsed(dataset, every, read(), mend)
            return
        superseded = Superseded(
            (_keyed(dataset, part) for part in _parsed(dataset, every, read(), mend)),
            place=dataset.origin.place,
        )
        for part in _parsed(dataset, every, read(), mend):
            keys = hashes([held.values for held in _key(dataset, part)])
            yield replace(part, superseded=superseded.problems(keys))


def _keyed(dataset: Dataset, part: Parsed) -> Keyed:
    return keyed(_key(dataset, part), read=part.columns.values())


def _key(dataset: Dataset, part: Parsed) -> list[Held]:
    """Give the columns of the key, the resident always among them.

    Else a row of one resident could take away another's, and so more than the one resident would
    change what leaves.
    """
    rest = (name for name in dataset.key if name != dataset.declaration.resident_id)
    return [part.residents, *(part.columns[name] for name in rest)]


def _parsed(
    dataset: Dataset, columns: Sequence[Column], chunks: Iterable[Chunk], mend: Mend | None
) -> Iterator[Parsed]:
    resident_id = dataset.declaration.resident_id
    plain = identities.reader(dataset)
    read = {name: plain.of(name, mend) for name in (resident_id, *(c.name for c in columns))}
    found = False
    for chunk in chunks:
        found = True
        with _told(dataset, resident_id, chunk):
            residents = identities.residents(chunk.cells[resident_id], read[resident_id])
        yield Parsed(
            residents=residents,
            columns={c.name: _held(dataset, c, chunk, read[c.name]) for c in columns},
            rows=chunk.rows,
            ragged=chunk.ragged,
            file=chunk.file or dataset.origin.place,
            remarks=chunk.remarks,
            left_out=chunk.left_out,
            superseded=cells.fine(len(chunk.rows)),
        )
    if not found:
        raise NoRowsError(
            f"{dataset.origin.place}: has a heading and no rows",
            hint="Check that the source holds the records, or that the query finds any.",
        )


def refuse(dataset: Dataset, part: Parsed) -> None:
    """Stop where a dataset must not be read at all.

    Raises:
        DataContractError: a text is not in the declared encoding, so that more is misread than
            shows; or a node in demo mode holds what may be a real person's number.
    """
    held: dict[str, Held] = {dataset.declaration.resident_id: part.residents, **part.columns}
    for problem, hint in _STOPS.items():
        for name, column in held.items():
            rows = part.rows[column.problems == CODES[problem]]
            if len(rows):
                where = f"{part.file}, column {name}, row {rows[0]}"
                raise DataContractError(f"{where}: {problem}", hint=hint)


_STOPS: Mapping[Problem | Refusal, str] = {
    Refusal.REAL: "Take people's records out of a node in demo mode, and tell who sent them.",
    Problem.ENCODING: "Set source.encoding to utf-8, iso-8859-1 or windows-1252.",
}


def chunks(
    origin: Origin,
    source: Stored,
    names: Sequence[str],
    *,
    batch_rows: int,
) -> Iterator[Chunk]:
    """Give the named columns of files or a query, at most `batch_rows` rows at a time.

    Raises:
        DataContractError: the source cannot be read.
    """
    if isinstance(source, CsvSource):
        return csv_files.chunks(origin, source, names, batch_rows=batch_rows)
    if isinstance(source, ParquetSource):
        return parquet_files.chunks(origin, source, names, batch_rows=batch_rows)
    return databases.chunks(origin, source, names, batch_rows=batch_rows)


@contextlib.contextmanager
def _reader(
    dataset: Dataset, columns: Sequence[Column], *, batch_rows: int, mends: Mends
) -> Iterator[Callable[[], Iterator[Chunk]]]:
    """Give what reads the source, as often as it is called."""
    source = dataset.source
    names = (dataset.declaration.resident_id, *(column.name for column in columns))
    if isinstance(source, DerivedSource):
        tables = (_table(table, batch_rows=batch_rows, mends=mends) for table in dataset.tables)
        with derived.result(
            dataset.origin, source, names, tables=tables, batch_rows=batch_rows
        ) as read:
            yield read
    else:
        yield lambda: chunks(dataset.origin, source, names, batch_rows=batch_rows)


def _table(dataset: Dataset, *, batch_rows: int, mends: Mends) -> Table:
    """Give a table for an analysis table made from it, to be read once.

    It may be far larger than what is made from it: the rows that do not count are told at the
    end, rather than found in a reading of their own.
    """
    seen: list[Keyed] = []
    faulty: list[npt.NDArray[np.int64]] = []
    ragged = 0
    mend = mends(dataset)

    def parts() -> Iterator[Mapping[str, npt.NDArray[Any]]]:
        nonlocal ragged
        start = 0
        columns = dataset.declaration.columns
        with _reader(dataset, columns, batch_rows=batch_rows, mends=mends) as read:
            for part in _parsed(dataset, columns, read(), mend):
                refuse(dataset, part)
                if dataset.key:
                    seen.append(_keyed(dataset, part))
                usable = part.usable()
                held = {dataset.declaration.resident_id: part.residents, **part.columns}
                found = {name: column.values[usable] for name, column in held.items()}
                yield {**found, PLACE: start + np.flatnonzero(usable)}
                faulty.append(start + np.flatnonzero(~usable))
                ragged += len(part.ragged)
                start += len(usable)

    @functools.cache
    def superseded() -> npt.NDArray[np.int64]:
        return Superseded(seen, place=dataset.origin.place).places

    def left_out() -> int:
        return ragged + len(np.setdiff1d(np.concatenate(faulty), superseded()))

    return Table(
        declaration=dataset.declaration,
        parts=parts(),
        superseded=superseded,
        left_out=left_out,
    )


@contextlib.contextmanager
def _told(dataset: Dataset, name: str, chunk: Chunk) -> Iterator[None]:
    """Put into words that a column has values which do not fit its type."""
    try:
        yield
    except (pa.ArrowException, ValueError):  # their words can quote values
        kind = chunk.cells[name].values.type
        raise DataContractError(
            f"{chunk.file or dataset.origin.place}: column {name} cannot be read (type {kind})",
            hint="Give the column another type in the source, such as text.",
        ) from None


def _held(dataset: Dataset, column: Column, chunk: Chunk, read: Reader) -> Held:
    with _told(dataset, column.name, chunk):
        return _held_cells(dataset, column, chunk.cells[column.name], read)


def _held_cells(dataset: Dataset, column: Column, found: Cells, read: Reader) -> Held:
    if isinstance(column, DateColumn):
        return days.column(found, column, form=dataset.formats.get(column.name, ISO))
    if isinstance(column, KeyColumn):
        return identities.column(found, column, read)
    if isinstance(column, CategoryColumn):
        spellings = dataset.spellings.get(column.name, {})
        return cells.categories(found, column, spellings=spellings)
    if pa.types.is_temporal(found.values.type):
        raise DataContractError(
            f"{dataset.origin.place}: column {column.name} has the type {found.values.type}",
            hint="Declare it with the type date, or take it out of the declaration.",
        )
    source = dataset.source
    if isinstance(source, CsvSource):
        writing = Writing(decimal=source.decimal, thousands=source.thousands)
        return cells.numbers(found, column, writing=writing)
    return cells.numbers(found, column, writing=Writing())
