"""Files that grow block by block, with the same bytes every time."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from demo.city.delivery import forms
from demo.city.delivery.forms import CsvForm

_ROW_GROUP = 2**16


class GrowingFile(Protocol):
    """A file that takes the rows of one block after the other."""

    @property
    def rows(self) -> int:
        """Number of records written so far."""

    def append(self, frame: pd.DataFrame) -> None:
        """Write the rows of `frame` after those already there."""

    def close(self) -> None:
        """Finish the file."""


class CsvFile:
    """A text file with a heading."""

    def __init__(
        self,
        path: Path,
        form: CsvForm,
        *,
        columns: Sequence[str],
        byte_order_mark: bool,
    ) -> None:
        self.rows = 0
        self._form = form
        self._columns = list(columns)
        self._file = path.open("wb")
        heading = form.delimiter.join(self._columns) + "\n"
        mark = "\ufeff" if byte_order_mark else ""
        self._file.write((mark + heading).encode(form.encoding))

    def append(self, frame: pd.DataFrame) -> None:
        """Write rows; a cell that would need quotation marks is refused by pyarrow."""
        buffer = pa.BufferOutputStream()
        options = pyarrow.csv.WriteOptions(
            include_header=False, delimiter=self._form.delimiter, quoting_style="none"
        )
        table = forms.texts(frame[self._columns], self._form)
        pyarrow.csv.write_csv(table, buffer, options)
        written = buffer.getvalue().to_pybytes()
        if self._form.encoding != "utf-8":
            written = written.decode("utf-8").encode(self._form.encoding)
        self._file.write(written)
        self.rows += len(frame)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ParquetFile:
    """A Parquet file; each block is its own row groups."""

    def __init__(self, path: Path, *, like: pd.DataFrame) -> None:
        self.rows = 0
        schema = forms.typed(like.iloc[:0]).schema
        self._writer = pyarrow.parquet.ParquetWriter(path, schema, compression="zstd")

    def append(self, frame: pd.DataFrame) -> None:
        """Write rows."""
        if len(frame):
            table = forms.typed(frame)
            self._writer.write_table(table, row_group_size=_ROW_GROUP)
            self.rows += len(frame)

    def close(self) -> None:
        """Write the footer and close the file."""
        self._writer.close()


class SqliteFile:
    """A database with one table, whose rows lie in the order in which they came."""

    def __init__(self, path: Path, *, table: str, like: pd.DataFrame) -> None:
        self.rows = 0
        path.unlink(missing_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None)
        # No journal: the file is made anew after a crash, and holds nothing but pages.
        for setting in ("page_size = 4096", "auto_vacuum = NONE", "journal_mode = OFF"):
            self._connection.execute(f"PRAGMA {setting}")
        kinds = {name: _affinity(like[name].dtype) for name in like}
        columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        self._connection.execute(f"CREATE TABLE {table} ({columns})")
        self._insert = f"INSERT INTO {table} VALUES ({', '.join('?' * len(kinds))})"  # noqa: S608

    def append(self, frame: pd.DataFrame) -> None:
        """Write rows in one transaction."""
        columns = [forms.typed(frame[[name]]).column(0).to_pylist() for name in frame]
        self._connection.execute("BEGIN")
        self._connection.executemany(self._insert, zip(*columns, strict=True))
        self._connection.execute("COMMIT")
        self.rows += len(frame)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def _affinity(dtype: Any) -> str:
    if pd.api.types.is_float_dtype(dtype):
        return "REAL"
    return "INTEGER" if pd.api.types.is_integer_dtype(dtype) else "TEXT"
