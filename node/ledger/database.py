"""The node's one SQLite file: durable before anything is done, readable by its owner only."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import StorageError

_WAIT_SECONDS = 10.0


class Database:
    """A connection to `node.db`, for the threads of one process and for other processes.

    Formal guarantee: when `write` returns, what was written survives a crash of the process
    and (with a disk that honours fsync) of the machine: WAL with `synchronous=FULL`.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, made with mode 0600 if it is new.

        Raises:
            StorageError: the file cannot be opened or is not a database.
        """
        self._path = path
        self._lock = threading.RLock()
        try:
            _make(path)
            self._connection = sqlite3.connect(
                path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA foreign_keys=ON")
            # Else "INSERT OR REPLACE" would delete rows past the triggers that forbid it.
            self._connection.execute("PRAGMA recursive_triggers=ON")
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from None

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside a transaction: whole and durable, or (on any error) nothing.

        No other thread or process writes meanwhile: what is read inside stays true.

        Raises:
            StorageError: the disk is full or the database cannot be written.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:  # an interrupt too: all of it or nothing
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise self._failed(error) from None

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for reading: all that is read inside is of one moment.

        Inside a transaction of this thread it reads what that one does.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._lock:
            try:
                if self._connection.in_transaction:
                    yield self._connection
                    return
                self._connection.execute("BEGIN")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                finally:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise self._failed(error) from None

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def _failed(self, error: OSError | sqlite3.Error) -> StorageError:
        # The text of an SQLite error names tables and conditions, never a bound value.
        return StorageError(
            f"the node's database {self._path.name} cannot be used: {error}",
            hint="Check the free space, the permissions and that only one node uses the folder.",
        )


def _make(path: Path) -> None:
    """Make the file with mode 0600 if it is not there.

    A file that is there must not be opened here: closing it would drop the locks that other
    connections of this process hold on it (POSIX), and another process would then take the
    write-ahead log away under them.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
