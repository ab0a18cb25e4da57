"""The one path from a source's cells to values and problems, for training and checking alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from models.errors import DataContractError
from models.schema import CategoryColumn, NumericColumn
from node.datasets import Dataset
from node.sources import CsvSource, Origin, ParquetSource
from node.vault import cells, csv_files, databases, parquet_files
from node.vault.cells import FINE, Held
from node.vault.chunks import Chunk

Declared = NumericColumn | CategoryColumn


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parsed:
    """A stretch of rows held to the declaration.

    Attributes:
        residents, columns: values and problems per row.
        rows: their numbers in the source, from 1.
        ragged: numbers of the rows that could not be told apart into cells.
    """

    residents: Held
    columns: Mapping[str, Held]
    rows: npt.NDArray[np.int64]
    ragged: tuple[int, ...]

    def usable(self) -> npt.NDArray[np.bool_]:
        """Tell which rows have no problem in any column read."""
        fine: npt.NDArray[np.bool_] = self.residents.problems == FINE
        for held in self.columns.values():
            fine &= held.problems == FINE
        return fine


def parsed(dataset: Dataset, columns: Sequence[Declared], *, batch_rows: int) -> Iterator[Parsed]:
    """Give all rows of a dataset, with the resident id and `columns` of its own declaration.

    Raises:
        DataContractError: the source cannot be read at all, or has no rows.
    """
    source = dataset.source
    decimal: Literal[".", ","] = source.decimal if isinstance(source, CsvSource) else "."
    resident_id = dataset.declaration.resident_id
    found = False
    names = (resident_id, *(column.name for column in columns))
    for chunk in chunks(dataset.origin, names, batch_rows=batch_rows):
        found = True
        yield Parsed(
            residents=cells.residents(chunk.cells[resident_id]),
            columns={
                c.name: cells.column(chunk.cells[c.name], c, decimal=decimal) for c in columns
            },
            rows=chunk.rows,
            ragged=chunk.ragged,
        )
    if not found:
        raise DataContractError(
            f"{dataset.origin.place}: has a heading and no rows",
            hint="Check that the source holds the records, or that the query finds any.",
        )


def chunks(origin: Origin, names: Sequence[str], *, batch_rows: int) -> Iterator[Chunk]:
    """Give the named columns of any source, at most `batch_rows` rows at a time.

    Raises:
        DataContractError: the source cannot be read.
    """
    source = origin.source
    if isinstance(source, CsvSource):
        return csv_files.chunks(origin, source, names, batch_rows=batch_rows)
    if isinstance(source, ParquetSource):
        return parquet_files.chunks(origin, source, names, batch_rows=batch_rows)
    return databases.chunks(origin, source, names, batch_rows=batch_rows)
