"""The chain of what was received, as rows: added at the end, never changed.

Functions take the connection of a transaction that the caller opened with
`database.reading` or `database.writing`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, text

from coordinator.store.tables import received
from models.ledger.received import HeadEntry, Received
from models.ledger.tree import Frontier
from protos.codec import read_json

_HASH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An entry at its place, with the tree of everything up to it."""

    received: Received
    document: bytes
    tree: Frontier


def hold(connection: Connection) -> None:
    """Let nobody else add to the chain until the transaction ends.

    To be called after every other lock of a transaction is taken: nothing is waited for later.
    In SQLite every change is alone anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("lock table received in share row exclusive mode"))


def tree(connection: Connection) -> Frontier:
    """Give the tree of the whole chain."""
    query = select(received.c.number, received.c.peaks).order_by(received.c.number.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    if row is None:
        return Frontier()
    peaks = bytes(row.peaks)
    parts = tuple(peaks[start : start + _HASH] for start in range(0, len(peaks), _HASH))
    return Frontier(size=row.number + 1, peaks=parts)


def known(connection: Connection, subjects: Collection[str]) -> set[str]:
    """Give those of the subjects that the chain has an entry about."""
    query = select(received.c.subject).where(received.c.subject.in_(subjects))
    return set(connection.scalars(query))


def add(connection: Connection, rows: Sequence[Row]) -> None:
    """Put entries at the end; the caller holds the chain and has numbered them."""
    values = [
        {
            "number": row.received.entry.number,
            "kind": row.received.entry.kind,
            "department": row.received.entry.department,
            "subject": row.received.entry.subject,
            "document": row.document,
            "peaks": b"".join(row.tree.peaks),
        }
        for row in rows
    ]
    connection.execute(insert(received), values)


def newest_head(connection: Connection, department: str) -> HeadEntry | None:
    """Give the entry of the newest head that was taken from a department."""
    query = (
        select(received.c.document)
        .where(received.c.department == department, received.c.kind == "head")
        .order_by(received.c.number.desc())
        .limit(1)
    )
    content = connection.scalar(query)
    if content is None:
        return None
    entry = read_json(Received, bytes(content), what="a stored entry").entry
    assert isinstance(entry, HeadEntry)  # noqa: S101 - its kind is in its row
    return entry


def part(connection: Connection, *, first: int, end: int) -> tuple[bytes, ...]:
    """Give the entries (canonical JSON) from `first` up to, not with, `end`."""
    query = (
        select(received.c.document)
        .where(received.c.number >= first, received.c.number < end)
        .order_by(received.c.number)
    )
    return tuple(bytes(document) for document in connection.scalars(query))
