"""Opening the coordinator's database, SQLite or PostgreSQL, and bringing its tables up to date.

Every change goes through `writing`, every look through `reading`: both turn what a full disk,
a lost server or a locked file raises into `StorageError`, after everything was rolled back.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from models.errors import ConfigurationError, StorageError

_READS = "datalabbet_reads"
_MIGRATION_LOCK = 7_351_904_118_220_417  # any constants: the keys of advisory locks
_ALONE_LOCK = 7_351_904_118_220_418
_POOL = 16
_BUSY_SECONDS = 30
_HINT = "Free disk space or bring the database back; nothing was changed, and trying again is safe."


def open_database(url: str) -> Engine:
    """Give the engine for `sqlite:///FILE` or `postgresql+psycopg://…`; no connection is made yet.

    SQLite runs with a write-ahead log, foreign keys and synchronous=FULL: what was committed
    outlives a power cut, and a killed process leaves the last committed state.

    Raises:
        ConfigurationError: the URL is of another kind.
    """
    engine = sqlalchemy.create_engine(
        _address(url),
        pool_size=_POOL,
        max_overflow=_POOL,
        pool_pre_ping=not url.startswith("sqlite"),  # a file does not hang up
        hide_parameters=True,  # what is stored does not belong in logs
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _address(url: str) -> URL:
    with contextlib.suppress(ArgumentError):
        address = make_url(url)
        if address.drivername == "postgresql":
            return address.set(drivername="postgresql+psycopg")
        if address.drivername == "postgresql+psycopg" or (
            address.drivername == "sqlite" and address.database not in {None, "", ":memory:"}
        ):
            return address
    raise ConfigurationError(
        "the database URL names neither an SQLite file nor a PostgreSQL database",
        hint="Write sqlite:////path/to/coordinator.db or postgresql+psycopg://user@host/name.",
    )


def _prepare_sqlite(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
    del entry
    connection.isolation_level = None  # the driver's own BEGIN comes too late; `_begin_sqlite`
    for pragma in (
        f"busy_timeout={_BUSY_SECONDS * 1000}",
        "journal_mode=WAL",
        "synchronous=FULL",
        # A run's checkpoint is replaced at every step: fewer versions of a large one are copied.
        "wal_autocheckpoint=8000",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads and then writes fails at once if another wrote in between, unless
    # it took the writer's lock at its start.
    reads = connection.get_execution_options().get(_READS, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection for one consistent look.

    Raises:
        StorageError: the database did not answer.
    """
    with _clear_errors(), engine.connect().execution_options(**{_READS: True}) as connection:
        yield connection


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a connection for one change: all of it is durable afterwards, or none of it happened.

    Raises:
        StorageError: the disk is full, or the database did not answer.
    """
    with _clear_errors(), engine.begin() as connection:
        yield connection


def alone(connection: Connection) -> None:
    """Have this change go on only when no other change that is `alone` does.

    For changes that add a row if it is not there yet: no row can be locked for them. In SQLite
    every change is alone anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:k)"), {"k": _ALONE_LOCK})


@contextlib.contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if isinstance(error, sqlalchemy.exc.IntegrityError | sqlalchemy.exc.ProgrammingError):
            raise  # a mistake of ours, not of the disk
        raise StorageError(f"the database {_cause(error)}", hint=_HINT) from error
    except sqlalchemy.exc.TimeoutError as error:
        raise StorageError("the database is too busy to answer", hint=_HINT) from error
    except OSError as error:
        raise StorageError(f"the database's disk failed ({error.strerror})", hint=_HINT) from error


def _cause(error: DBAPIError) -> str:
    said = str(error.orig).lower()
    if "full" in said or "no space" in said:
        return "has no space left on its disk"
    if "locked" in said or "busy" in said:
        return "is locked by another process"
    if "readonly" in said or "read-only" in said:
        return "cannot be written: its file or disk is read-only"
    return "did not answer"


def migrate(engine: Engine) -> None:
    """Bring the tables to this version's form; safe to call at every start, and by several.

    Raises:
        StorageError: the database did not answer.
        ConfigurationError: the database was made by a newer version.
    """
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:k)"), {"k": _MIGRATION_LOCK})
        try:
            command.upgrade(_alembic(connection), "head")
        except CommandError:
            raise ConfigurationError(
                "the database was made by a newer version of Datalabbet",
                hint="Install that version again, or restore the backup made before it.",
            ) from None


def _alembic(connection: Connection) -> Config:
    config = Config()
    config.set_main_option(
        "script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%")
    )
    config.attributes["connection"] = connection
    return config
