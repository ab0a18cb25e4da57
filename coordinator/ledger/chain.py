"""Adding to the chain of what was received, and reading it.

Formal guarantee: an entry is durable together with everything else of the transaction it was
added in, at the next number, and never changed by this program. Two chains of one size with the
same root are the same (`models.ledger.tree`): whoever keeps size and root finds out later
whether the coordinator's operators changed what it had said.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from coordinator.store import received as rows
from coordinator.store.received import Row
from models import documents
from models.errors import RefusedError
from models.ledger.entries import SignedHead, signed_by
from models.ledger.received import (
    AnswerEntry,
    ContradictionEntry,
    Entry,
    HeadEntry,
    Mark,
    Page,
    Problem,
    Received,
    problem,
)
from protos.codec import read_json

PAGE = 5000
"""How many entries are given at once."""


def received(
    connection: Connection,
    *,
    departments: Sequence[str],
    study: str,
    run: int,
    step: str,
    attempt: int,
    at: datetime,
) -> None:
    """Note whose answers to one attempt of one step were taken into a result.

    To be called in the transaction that keeps the result, after its other changes. Noting the
    same answer again changes nothing.
    """
    entries = [
        AnswerEntry(
            number=0,
            at=at,
            department=department,
            study=study,
            run=str(run),
            step=step,
            attempt=attempt,
        )
        for department in departments
    ]
    rows.hold(connection)
    _append(connection, entries)


def report(
    connection: Connection,
    *,
    department: str,
    public_key: bytes,
    signed: SignedHead,
    at: datetime,
    still: Callable[[], bool],
) -> Problem | None:
    """Note a department's head; one that contradicts its newest is noted as that, and told.

    The caller keeps the transaction whatever is told.

    Args:
        connection: of a transaction.
        department: whose ledger it is.
        public_key: the department's identity key (raw) as it is enrolled now.
        signed: the head.
        at: now.
        still: whether the department still waits for the answer, asked when nobody else can add
            to the chain. One that has given up tells its newest head anew: noted after that one,
            this one would look like a ledger that was set back. Then nothing is noted.

    Raises:
        RefusedError: the key did not sign the head; nothing is noted.
    """
    key = base64.b64encode(public_key).decode()
    if not signed_by(signed.head, signed.signature, key):
        raise RefusedError(
            "the ledger's head is not signed with the department's identity key",
            hint="Was the node enrolled again while it ran? Start it again.",
        )
    rows.hold(connection)
    if not still():
        return None
    before = rows.newest_head(connection, department)
    found = None if before is None else problem(signed.head, before=before.head)
    entry: Entry
    if before is None or found is None:
        entry = HeadEntry(
            number=0,
            at=at,
            department=department,
            public_key=key,
            head=signed.head,
            signature=signed.signature,
        )
    else:
        entry = ContradictionEntry(
            number=0,
            at=at,
            department=department,
            against=before.number,
            problem=found,
            public_key=key,
            head=signed.head,
            signature=signed.signature,
        )
    _append(connection, [entry])
    return found


def page(connection: Connection, *, first: int) -> Page:
    """Give entries from `first` on, at most `PAGE`, and the mark of the whole chain."""
    tree = rows.tree(connection)
    end = min(tree.size, first + PAGE)
    entries = tuple(
        read_json(Received, document, what="a stored entry")
        for document in rows.part(connection, first=first, end=end)
    )
    return Page(entries=entries, mark=Mark(size=tree.size, root=tree.root().hex()))


def _append(connection: Connection, entries: Sequence[Entry]) -> None:
    """Put what is not there yet at the end, numbered; the caller holds the chain."""
    there = rows.known(connection, [entry.subject for entry in entries])
    fresh = {entry.subject: entry for entry in entries if entry.subject not in there}
    if not fresh:
        return
    tree, added = rows.tree(connection), []
    for entry in fresh.values():
        item = Received(entry=replace(entry, number=tree.size))
        content = documents.write(item)
        tree = tree.add(content)
        added.append(Row(received=item, document=content, tree=tree))
    rows.add(connection, added)
