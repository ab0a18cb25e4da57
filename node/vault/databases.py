"""Queries on SQLite and PostgreSQL: read-only, a few rows at a time.

SQLAlchemy reads the URL and connects; the rows come through the driver's own cursor, because
SQLAlchemy writes every row to its log where an operator turns logging up. Messages of a driver
can quote values ("invalid input syntax for type integer: ..."), so none of them is passed on.
"""

import contextlib
import math
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from models.errors import DataContractError
from node.sources import Origin, SqlSource
from node.vault.chunks import CELLS, ArrowArray, Cells, Chunk, positions

_CONNECT_SECONDS = 10

_UNREACHED = "the database cannot be reached"
_UNREPRESENTED = "a value that cannot be represented, such as an infinite date"

_SAID = {
    "28": "the database refuses the user name or the password",
    "3D": "the database does not exist",
    "08": _UNREACHED,
    "0A": "the query does more than read",
    "25006": "the query tries to write, which is forbidden",
    "42501": "the user may not read what the query asks for",
    "42P01": "a table of the query does not exist",
    "42703": "a column of the query does not exist",
    "42": "the query is not valid",
    "22": "the database could not compute the query on some row",
    "57": "the database stopped the query",
}
"""SQLSTATE, or its class, in words."""

_SQLITE_SAID = {
    "no such table": "a table of the query does not exist",
    "no such column": "a column of the query does not exist",
    "attempt to write": "the query tries to write, which is forbidden",
    "unable to open": "the database cannot be opened",
    "file is not a database": "the file is not an SQLite database",
    "could not decode": "a text in the database is not UTF-8",
}
"""How SQLite's own messages begin; what follows in them is not passed on."""


def chunks(
    origin: Origin, source: SqlSource, names: Sequence[str], *, batch_rows: int
) -> Iterator[Chunk]:
    """Give the named columns of a query's result, at most `batch_rows` rows at a time.

    Rows are numbered from 1 in the order in which the database gives them: a query with
    `order by` has the same numbers every time.

    Raises:
        DataContractError: the database or the query cannot be read.
    """
    with cursor(origin, source) as opened:
        head = headings(opened)
        places = positions(origin, names, head)
        size = max(1, min(batch_rows, CELLS // max(len(head), 1)))
        start = 1
        while kept := opened.fetchmany(size):
            columns = list(zip(*kept, strict=True))
            yield Chunk(
                cells={name: _cells(columns[places[name]]) for name in names},
                rows=np.arange(start, start + len(kept), dtype=np.int64),
            )
            start += len(kept)


@contextlib.contextmanager
def cursor(origin: Origin, source: SqlSource) -> Iterator[Any]:
    """Give a cursor on the result of the query, inside a read-only transaction.

    Raises:
        DataContractError: the database or the query cannot be read.
    """
    url = _url(origin, source)
    opened = _sqlite if url.get_backend_name() == "sqlite" else _postgres
    with contextlib.ExitStack() as stack:
        try:
            yield stack.enter_context(opened(origin, url, source.query))
        except (psycopg.Error, sqlite3.Error, sqlalchemy.exc.SQLAlchemyError) as error:
            raise _failed(origin, url, error) from None


def headings(opened: Any) -> list[str]:
    """Give the column names of a cursor's result."""
    return [str(item[0]) for item in opened.description or ()]


def _url(origin: Origin, source: SqlSource) -> URL:
    text = source.url
    if source.url_file is not None:
        path = origin.locate(source.url_file)
        try:
            text = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise DataContractError(
                f"{origin.file}: the file {path} (source.url_file) cannot be read",
                hint="It must hold one line: the SQLAlchemy URL of the database.",
            ) from None
    try:
        url = make_url(text or "")
    except (ArgumentError, ValueError):  # a port that is no number
        url = None
    if url is None or url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise DataContractError(
            f"{origin.file}: the source's URL is not one of SQLite or PostgreSQL",
            hint="Write postgresql+psycopg://user@host/database or sqlite:///file.db.",
        )
    return url


@contextlib.contextmanager
def _sqlite(origin: Origin, url: URL, query: str) -> Iterator[Any]:
    if not url.database or url.database == ":memory:":
        raise DataContractError(
            f"{origin.file}: the source's URL names no SQLite file",
            hint="Write sqlite:///file.db.",
        )
    path = origin.locate(url.database).absolute()
    if not path.is_file():  # SQLite would make an empty database
        raise DataContractError(
            f"{path}: there is no such SQLite file", hint="Check the URL in the declaration."
        )
    engine = sqlalchemy.create_engine(
        "sqlite://", creator=lambda: _open_sqlite(path), poolclass=NullPool, hide_parameters=True
    )
    with contextlib.closing(engine.raw_connection()) as connection:
        opened = connection.cursor()
        opened.execute(query)
        yield opened


def _open_sqlite(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    connection.execute("pragma query_only = on")
    return connection


@contextlib.contextmanager
def _postgres(origin: Origin, url: URL, query: str) -> Iterator[Any]:
    del origin
    engine = sqlalchemy.create_engine(
        url.set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"connect_timeout": _CONNECT_SECONDS},
    )
    with contextlib.closing(engine.raw_connection()) as connection:
        driver: Any = connection.driver_connection
        driver.rollback()
        driver.read_only = True
        with driver.cursor(name="datalabbet") as opened:  # a named cursor stays on the server
            opened.execute(query)
            yield opened


def _cells(values: Sequence[object]) -> Cells:
    days = _days(values)
    if days is not None:
        return Cells(values=days)
    spoiled = np.zeros(len(values), dtype=np.bool_)
    texts: list[str | None] = []
    for index, value in enumerate(values):
        text = _text(value)
        spoiled[index] = text is None and value is not None
        texts.append(text)
    return Cells(values=pa.array(texts, pa.string()), spoiled=spoiled if spoiled.any() else None)


def _days(values: Sequence[object]) -> ArrowArray | None:
    """Give days, or points in time, as the database's driver types them; None for others."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {date}:
        return pa.array(values, pa.date32())
    if kinds == {datetime}:
        zoned = all(value.tzinfo for value in values if isinstance(value, datetime))
        return pa.array(values, pa.timestamp("us", tz="UTC" if zoned else None))
    return None


def _text(value: object) -> str | None:
    """Give a value as text; None for nothing, and for bytes, which are no text."""
    if value is None or isinstance(value, (bytes, memoryview)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (float, Decimal)) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value)


def _failed(
    origin: Origin,
    url: URL,
    error: psycopg.Error | sqlite3.Error | sqlalchemy.exc.SQLAlchemyError,
) -> DataContractError:
    cause = getattr(error, "orig", None) or error
    where = f"{url.host or 'the local host'}/{url.database}"
    said = "the database cannot be reached or read"
    if isinstance(cause, psycopg.Error):
        # Without a code the driver itself found it.
        default = _UNREACHED if isinstance(cause, psycopg.OperationalError) else said
        default = _UNREPRESENTED if isinstance(cause, psycopg.DataError) else default
        state = cause.sqlstate or ""
        said = _SAID.get(state) or _SAID.get(state[:2], default)
    elif isinstance(cause, sqlite3.Error):
        where = str(url.database)
        message = str(cause).lower()
        said = next((text for key, text in _SQLITE_SAID.items() if message.startswith(key)), said)
    return DataContractError(
        f"{origin.place}: {said} ({where})",
        hint="Try the query with the database's own client, as the user of the node.",
    )
