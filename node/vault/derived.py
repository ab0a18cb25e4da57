"""Analysis tables: a query over the department's own tables, as they are after cleaning.

The query is DuckDB's SQL, close to PostgreSQL's. The tables are those that `source.tables`
names; in them,

- a resident's number and a key are VARCHAR in canonical form, categories VARCHAR, `boolean`
  BOOLEAN, `integer` BIGINT, `number` DOUBLE, `date` DATE, `yearmonth` DATE (the first of the
  month), and what is missing is NULL;
- rows with a problem in any declared column, and rows that a later row supersedes, are absent.

Useful words: `count(*) FILTER (WHERE ...)`, `arg_min(x, day)`, `QUALIFY row_number() OVER
(PARTITION BY ... ORDER BY ...) = 1`, `date_diff('month', a, b)`, `date_trunc('year', d)`,
`a // b` for whole division (`/` gives fractions). Rows of the result are numbered in its order:
`ORDER BY` makes the numbers in the check's report mean something to a reader. The query runs on
one thread, so that the same records give the same table to the last bit.

The query reads the named tables and nothing else: no file, no network, no extension, no Python
variable, no setting. It has `MEMORY`, `SECONDS` and no disk. The engine's own messages can quote
values, so they are put into other words.
"""

import contextlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.errors import DataContractError
from models.schema import CategoryColumn, Column, DateColumn, Declaration, NumericColumn
from node.sources import DerivedSource, Origin
from node.vault import parquet_files, query_rules
from node.vault.chunks import CELLS, ArrowArray, Cells, Chunk, positions

MEMORY = "1GB"
"""What the tables and the query's work may take; nothing is written to disk."""

SECONDS = 600.0
"""What the query's work may take; filling the tables does not count."""

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "allow_community_extensions": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_access": False,
    "memory_limit": MEMORY,
    "python_enable_replacements": False,
    "temp_directory": "",
    "threads": 1,
    "lock_configuration": True,
}

_SAID: tuple[tuple[type[duckdb.Error], str], ...] = (
    (duckdb.ParserException, "is not valid SQL"),
    (duckdb.CatalogException, "names a table or function that does not exist"),
    (duckdb.BinderException, "names a column that does not exist, or mixes types"),
    (duckdb.ConversionException, "cannot convert a value to the type it asks for"),
    (duckdb.OutOfRangeException, "computes a number that is too large for its type"),
    (duckdb.OutOfMemoryException, f"needs more memory than it may take ({MEMORY})"),
    (duckdb.InterruptException, "takes longer than it may"),
    (duckdb.PermissionException, "does more than read the tables that it names"),
)
"""What went wrong, in our words."""

PLACE = "the place"
"""The column that tells rows apart until those that do not count are gone.

No declared column, and no table, can have a name with a blank.
"""

_RESULT = '"the result"'
_SUPERSEDED = '"the superseded"'

_NAMES_OF_QUERY = re.compile(r'(?:column|Table with name|Function with name) "?(\w{1,63})')


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """One table that a query may read.

    Attributes:
        declaration: what it holds.
        parts: stretches of its rows without problems, each by column name, the resident id and
            `PLACE` included.
        superseded: gives, once all parts were read, the places of the rows that do not count.
        left_out: gives, after `superseded`, how many rows had a problem and no later row of the
            same key.
    """

    declaration: Declaration
    parts: Iterable[Mapping[str, npt.NDArray[Any]]]
    superseded: Callable[[], npt.NDArray[np.int64]]
    left_out: Callable[[], int]


@contextlib.contextmanager
def result(
    origin: Origin,
    source: DerivedSource,
    names: Sequence[str],
    *,
    tables: Iterable[Table],
    batch_rows: int,
) -> Iterator[Callable[[], Iterator[Chunk]]]:
    """Run the query once; give what gives its named columns, as often as it is called.

    At most `batch_rows` rows come at a time.

    Raises:
        DataContractError: the query is not allowed, or cannot be run on these records.
    """
    with contextlib.closing(duckdb.connect(":memory:", config=_SETTINGS)) as connection:
        query_rules.hold(origin, source.query, connection=connection, tables=source.tables)
        lost: dict[str, int] = {}
        with _told(origin, source):
            for table in tables:
                _load(connection, table)
                lost[table.declaration.name] = table.left_out()
            with _limited(connection):
                places = positions(origin, names, connection.sql(source.query).columns)
                # In one line with the query's first, so that the engine counts its lines right.
                connection.execute(f"CREATE TABLE {_RESULT} AS {source.query}").fetchall()
        wanted = ", ".join(f'#{place + 1} AS "{name}"' for name, place in places.items())
        query = f"SELECT {wanted} FROM {_RESULT}"  # noqa: S608 - declared names are plain ASCII
        size = max(1, min(batch_rows, CELLS // len(names)))

        def chunks() -> Iterator[Chunk]:
            with _told(origin, source):
                # A relation's rows are streamed; those of `execute` would first be gathered.
                found = _numbered(origin, connection.sql(query).to_arrow_reader(size))
                for number, chunk in enumerate(found):
                    yield chunk if number else replace(chunk, left_out=lost)

        yield chunks


@contextlib.contextmanager
def _limited(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Interrupt what the engine does after `SECONDS`: some queries have no end."""
    timer = threading.Timer(SECONDS, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # what runs next is not to be interrupted


def _numbered(origin: Origin, reader: Any) -> Iterator[Chunk]:
    for field in reader.schema:
        if not parquet_files.readable(field.type) or pa.types.is_binary(field.type):
            raise DataContractError(
                f"{origin.place}: column {field.name} has the type {field.type}",
                hint="A column must hold numbers, texts, days or truth values.",
            )
    start = 1
    for batch in reader:
        yield Chunk(
            cells={
                name: Cells(values=values)
                for name, values in zip(reader.schema.names, batch.columns, strict=True)
            },
            rows=np.arange(start, start + batch.num_rows, dtype=np.int64),
        )
        start += batch.num_rows


def _load(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    declared = table.declaration
    # Names are lower-case ASCII: quoted, they are safe, and may be words of SQL.
    name = f'"{declared.name}"'
    kinds = {declared.resident_id: "VARCHAR", **{c.name: _kind(c) for c in declared.columns}}
    columns = ", ".join(f'"{column}" {kind}' for column, kind in kinds.items())
    connection.execute(f'CREATE TABLE {name} ({columns}, "{PLACE}" BIGINT)').fetchall()
    for part in table.parts:
        arrays = {declared.resident_id: pa.array(part[declared.resident_id], pa.string())}
        arrays |= {column.name: _arrow(column, part[column.name]) for column in declared.columns}
        arrays[PLACE] = pa.array(part[PLACE])
        connection.from_arrow(pa.table(arrays)).insert_into(name)
    connection.from_arrow(pa.table({PLACE: table.superseded()})).create(_SUPERSEDED)
    for statement in (
        f'DELETE FROM {name} WHERE "{PLACE}" IN (FROM {_SUPERSEDED})',  # noqa: S608 - plain names
        f"DROP TABLE {_SUPERSEDED}",
        f'ALTER TABLE {name} DROP COLUMN "{PLACE}"',
    ):
        connection.execute(statement).fetchall()


def _kind(column: Column) -> str:
    if isinstance(column, NumericColumn):
        return "BIGINT" if column.type == "integer" else "DOUBLE"
    if isinstance(column, CategoryColumn):
        return "BOOLEAN" if column.type == "boolean" else "VARCHAR"
    return "DATE" if isinstance(column, DateColumn) else "VARCHAR"


def _arrow(column: Column, values: npt.NDArray[Any]) -> ArrowArray:
    """Give a column's values with null for what is missing."""
    if isinstance(column, NumericColumn):
        absent = np.isnan(values)
        if column.type == "number":
            return pa.array(values, mask=absent)
        return pa.array(np.where(absent, 0, values).astype(np.int64), mask=absent)
    if isinstance(column, CategoryColumn):
        coded = pa.array(values, mask=values < 0)
        if column.type == "boolean":
            return coded.cast(pa.bool_())
        return pa.array(column.categories, pa.string()).take(coded)
    if isinstance(column, DateColumn):
        return pa.array(values.astype("datetime64[D]"))
    return pa.array(values, pa.string())


@contextlib.contextmanager
def _told(origin: Origin, source: DerivedSource) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, pa.ArrowException) as error:
        raise _failed(origin, source, str(error), type(error)) from None


def _failed(
    origin: Origin, source: DerivedSource, message: str, kind: type[Exception]
) -> DataContractError:
    """Give the error; of the engine's message, only the line and a name that the query has."""
    said = next((text for known, text in _SAID if issubclass(kind, known)), "cannot be computed")
    names = (match[1] for match in _NAMES_OF_QUERY.finditer(message))
    name = next((name for name in names if re.search(rf"\b{name}\b", source.query)), None)
    line = re.search(r"\nLINE (\d{1,5}):", message)
    where = f" ({name})" if name else ""
    where += f", in line {line[1]} of the query" if line else ""
    if issubclass(kind, duckdb.InterruptException):
        where += f" ({SECONDS / 60:g} minutes)"
    return DataContractError(
        f"{origin.place}: {said}{where}",
        hint="Correct source.query in the declaration. try_cast(x AS type) gives NULL for what "
        "cannot be converted.",
    )
